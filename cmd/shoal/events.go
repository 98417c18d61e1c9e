package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

func newEvents(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "events",
		Short: "List what happened on all peers, and what led to it",
		Long: `List what happened on all peers, and what led to it, the newest last.

Each peer tells the others the newest that happened on it, and they keep that when it dies: what a lost peer did last can be asked of any
other. Times are corrected by what is known of the peers' clocks.`,
		Example: `  shoal events
  shoal events -o json | jq '.items[] | select(.peer == "p3")'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return listing(a, c, output, "events", fillEvents, "nothing has happened yet", func(e api.Event) string { return e.Reason + " " + about(e) })
		},
	}
	outputFlag(c, &output)
	return c
}

func fillEvents(g *grid, items []api.Event) {
	g.headings = []string{"AGO", "PEER", "REASON", "ABOUT", "TEXT", "BECAUSE"}
	for _, e := range items {
		text := e.Text
		if e.Count > 1 {
			text += fmt.Sprintf(" (%d times)", e.Count)
		}
		reason := e.Reason
		if e.Warning {
			reason = "! " + reason
		}
		g.add(api.Age(time.Since(e.At)), e.Peer, reason, about(e), text, e.Cause)
	}
}

func about(e api.Event) string {
	return orElse(orElse(e.Replica, e.Object), "-")
}
