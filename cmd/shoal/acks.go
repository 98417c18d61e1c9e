package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

// ackFlags are those of commands that can wait until other peers hold what they wrote.
type ackFlags struct {
	peers int
}

func (f *ackFlags) add(c *cobra.Command) {
	c.Flags().IntVar(&f.peers, "acks", 0, "wait until this many other peers hold it on disk; exit code 7 if they do not within --timeout")
}

// addWithin adds --timeout to a command that waits for nothing else.
func (f *ackFlags) addWithin(c *cobra.Command, within *time.Duration) {
	f.add(c)
	c.Flags().DurationVar(within, "timeout", 10*time.Second, "how long --acks waits")
}

// query is what asks the peer to wait; nothing where nobody asked for it.
func (f ackFlags) query(within time.Duration) []string {
	if f.peers == 0 {
		return nil
	}
	return []string{"acks", strconv.Itoa(f.peers), "timeout", within.String()}
}

// check says when fewer peers than asked for hold a write.
func (f ackFlags) check(header http.Header, what fmt.Stringer, within time.Duration) error {
	text, wanted, ok := strings.Cut(header.Get(api.HeaderAcks), "/")
	if !ok {
		return nil
	}
	held, _ := strconv.Atoi(text)
	if n, _ := strconv.Atoi(wanted); held >= n {
		return nil
	}
	who := "no other peer is known to hold it"
	if held > 0 {
		who = fmt.Sprintf("only %d of them is known to hold it", held)
		if held > 1 {
			who = fmt.Sprintf("only %d of them are known to hold it", held)
		}
		who += " (" + strings.ReplaceAll(header.Get(api.HeaderAckedBy), ",", ", ") + ")"
	}
	others, spreads := "other peers", "; it goes on spreading by itself"
	if wanted == "1" {
		others = "other peer"
	}
	_, known, _ := strings.Cut(header.Get(api.HeaderMembers), "/")
	if all, err := strconv.Atoi(known); err == nil && all <= f.peers {
		spreads = fmt.Sprintf("; this cluster has no more than %d peers in all", all)
	}
	return fail(exitNoAcks, "%s: the change stands and is on this peer's disk, but %s %s should hold it within %s, and %s%s",
		what, wanted, others, within, who, spreads)
}
