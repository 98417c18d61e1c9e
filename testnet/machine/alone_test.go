package machine_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"shoal/testnet"
)

// sentry looks again and again at how many containers of a workload run. One that is stopped does not.
type sentry struct {
	workload string
	end      chan struct{}
	done     sync.WaitGroup
	looks    int
	down     time.Duration // how long it was nowhere, the longest time
	twice    time.Duration // how long it ran twice at most, from the look before the first that saw it
	on       []string      // where, then
}

func watchAlone(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "watch-alone WORKLOAD")
	net := open(ts)
	s := &sentry{workload: args[0], end: make(chan struct{})}
	sentries.Store(ts.Getenv("SHOAL_TESTNET_DIR"), s)
	s.done.Go(func() { s.watch(net) })
}

// sentries are those at work, by the directory of their testnet.
var sentries sync.Map

func (s *sentry) watch(net *testnet.Net) {
	seen, alone := time.Now(), time.Now()
	for {
		select {
		case <-s.end:
			return
		case <-time.After(5 * time.Millisecond):
		}
		on := s.look(net)
		s.looks++
		now := time.Now()
		if len(on) > 0 {
			s.down, seen = max(s.down, now.Sub(seen)), now
		}
		if len(on) < 2 {
			alone = now
		} else if over := now.Sub(alone); over > s.twice {
			s.twice, s.on = over, on
		}
	}
}

// look says on which peers it runs.
func (s *sentry) look(net *testnet.Net) (on []string) {
	for _, peer := range net.Peers() {
		containers, err := net.Containers(peer)
		if err != nil && !os.IsNotExist(err) {
			continue // the machine is off, or goes down
		}
		for name, process := range containers {
			if strings.HasPrefix(name, "default."+s.workload+"-") && !isStopped(process.PID) {
				on = append(on, peer+" "+name)
			}
		}
	}
	return on
}

func wasAlone(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) < 2, "was-alone [SPAN]")
	var span time.Duration
	if len(args) == 1 {
		var err error
		span, err = time.ParseDuration(args[0])
		ts.Check(err)
	}
	found, ok := sentries.LoadAndDelete(ts.Getenv("SHOAL_TESTNET_DIR"))
	if !ok {
		ts.Fatalf("nobody watches")
	}
	s := found.(*sentry)
	close(s.end)
	s.done.Wait()
	ts.Logf("%d looks; it was nowhere for at most %s, and twice for %s", s.looks, s.down.Round(time.Millisecond), s.twice.Round(time.Millisecond))
	if s.twice > span {
		ts.Fatalf("it ran twice: %v", s.on)
	}
}

// program stops the main process of an agent, and nothing else, or lets it go on.
func program(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2 && (args[1] == "stop" || args[1] == "continue"), "program PEER stop|continue")
	net := open(ts)
	ctx, cancel := within()
	defer cancel()
	all, err := net.PS(ctx)
	ts.Check(err)
	signal := map[string]string{"stop": "-STOP", "continue": "-CONT"}[args[1]]
	for _, peer := range all {
		if peer.Name == args[0] && peer.MainPID > 1 {
			ts.Check(signalMain(ctx, net, peer, signal))
			return
		}
	}
	ts.Fatalf("no program runs on %s", args[0])
}

func signalMain(ctx context.Context, net *testnet.Net, peer testnet.PeerStatus, signal string) error {
	code, err := net.Run(ctx, []string{peer.Name}, []string{"busybox", "kill", signal, strconv.Itoa(peer.MainPID)}, testnet.Stdio{})
	if err == nil && code != 0 {
		err = fmt.Errorf("kill %s ended with %d", signal, code)
	}
	return err
}

// away waits until a workload of one replica runs on another peer than the one named, and is ready there.
func away(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "away PEER WORKLOAD")
	net := open(ts)
	ctx, cancel := within()
	defer cancel()
	took, err := testnet.Await(ctx, func() error {
		for _, peer := range net.Peers() {
			if peer == args[0] {
				continue
			}
			containers, err := net.Containers(peer)
			if err != nil {
				return err
			}
			for name := range containers {
				if strings.HasPrefix(name, "default."+args[1]+"-") {
					client := net.Client(peer)
					defer client.Close()
					return client.AllReady(ctx, args[1], 1)
				}
			}
		}
		return fmt.Errorf("it runs nowhere but on %s", args[0])
	})
	ts.Check(err)
	ts.Logf("ready elsewhere after %s", took.Round(time.Millisecond))
}
