package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

func newView(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "view",
		Short: "Show what this peer knows, in digests that are easy to compare between peers",
		Long: `Show what this peer knows, in digests that are easy to compare between peers.

Peers with the same intent digest hold the same writes. Peers with the same view digest saw the same peers, rows and workloads, and so have
the same plan. 'shoal view -o json' has all replicas too.`,
		Example: `  shoal view
  shoal --socket /run/p2.sock view     # of another peer, to compare`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.ask(c, output, call{method: "GET", path: ownGroup + "view"}, a.printView)
		},
	}
	textFlag(c, &output)
	return c
}

func (a *app) printView(raw json.RawMessage) error {
	v, err := read[api.View](raw)
	if err != nil {
		return err
	}
	wanted, placed, ready := 0, 0, 0
	for _, r := range v.Replicas {
		if !r.Wanted {
			continue
		}
		wanted++
		if r.Peer != "" {
			placed++
		}
		for _, i := range r.Instances {
			if i.Ready && i.Current && i.Peer == r.Peer {
				ready++
				break
			}
		}
	}
	fmt.Fprintf(a.stdout, "intent     %s\nview       %s\nplan       %s\n", brief(v.IntentDigest), brief(v.ViewDigest), brief(v.PlanDigest))
	fmt.Fprintf(a.stdout, "peers      %d alive: %s\n", len(v.Alive), strings.Join(v.Alive, " "))
	if len(v.Heard) < len(v.Alive) {
		fmt.Fprintf(a.stdout, "heard of   %s\n", strings.Join(v.Heard, " "))
	}
	_, err = fmt.Fprintf(a.stdout, "replicas   %d wanted, %d placed, %d ready where they belong\n", wanted, placed, ready)
	return err
}
