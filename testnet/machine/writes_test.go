package machine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"shoal/peer/trust"
	"shoal/testnet"
)

// betweenKills is how long a peer takes writes before its program is killed: an odd span, so that kills meet different
// moments of a write.
const betweenKills = 137 * time.Millisecond

// killWrites writes to a peer without a pause while its program is killed again and again, and writes the names of what was
// acknowledged to a file, one a line.
func killWrites(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "kill-writes PEER KILLS FILE")
	kills, err := strconv.Atoi(args[1])
	ts.Check(err)
	net := open(ts)
	ctx, cancel := within()
	defer cancel()
	writing, stop := context.WithCancel(ctx)
	acknowledged := make(chan []string)
	go func() { acknowledged <- writeOn(writing, net.Client(args[0])) }()
	for range kills {
		time.Sleep(betweenKills)
		// The supervisor too, since it waits longer before each start of a program that keeps dying.
		if err = errors.Join(net.KillAgent(ctx, args[0], false), net.KillAgent(ctx, args[0], true), net.Start(ctx, args[0])); err != nil {
			break
		}
	}
	stop()
	names := <-acknowledged
	ts.Check(err)
	ts.Logf("%d writes acknowledged, %d kills", len(names), kills)
	if len(names) < kills {
		ts.Fatalf("only %d writes were acknowledged between %d kills", len(names), kills)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.Join(names, "\n")+"\n"), 0o600))
}

// writeOn creates Namespaces until ctx ends and returns the names of those that were acknowledged. A write that is not is
// not repeated.
func writeOn(ctx context.Context, client *testnet.Client) (names []string) {
	defer client.Close()
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("written-%d", i)
		if client.ApplyNamespace(ctx, name) == nil {
			names = append(names, name)
		} else {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return names
}

func namespacesOf(ctx context.Context, net *testnet.Net, peer string) ([]string, error) {
	client := net.Client(peer)
	defer client.Close()
	return client.Namespaces(ctx)
}

// holds waits until peers hold all that a file names.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "holds PEERS FILE")
	net := open(ts)
	peers, err := net.Select(args[0])
	ts.Check(err)
	names := strings.Fields(ts.ReadFile(args[1]))
	ctx, cancel := within()
	defer cancel()
	for _, peer := range peers {
		_, err := testnet.Await(ctx, func() error {
			held, err := namespacesOf(ctx, net, peer)
			if err != nil {
				return err
			}
			missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(held, name) })
			if len(missing) > 0 {
				return fmt.Errorf("%s lacks %d of %d acknowledged writes, as %s", peer, len(missing), len(names), missing[0])
			}
			return nil
		})
		ts.Check(err)
	}
}

// forge sets a variable to a ticket of which one part is another, in the right form and with the right checksum.
func forge(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "forge VARIABLE PART TICKET")
	ticket, err := trust.ParseTicket(args[2])
	ts.Check(err)
	switch args[1] {
	case "secret":
		ticket.Secret[0] ^= 1
	case "id":
		ticket.ID = strings.Repeat("0", len(ticket.ID))
	case "expires":
		ticket.Expires = ticket.Expires.Add(24 * time.Hour)
	case "cluster":
		ticket.Cluster = trust.PeerID(strings.Repeat("ab", 32))
	default:
		ts.Fatalf("a ticket has no %s", args[1])
	}
	ts.Setenv(args[0], ticket.String())
}
