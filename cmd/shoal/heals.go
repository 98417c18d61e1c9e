package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

func newHeals(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "heals",
		Short: "List what reunions cost: what ran twice, what conflicted, what was stopped",
		Long: `List what reunions cost, the newest first: who was lost and is back, which replicas ran twice, where and for how long, which writes
conflicted, and what was stopped and why.

Each peer writes such a receipt of what it sees when peers that it had lost are back. It keeps the last 32, also over its own restart.
Conflicts are settled with 'shoal conflicts'.`,
		Example: `  shoal heals
  shoal heals -o json | jq '.items[0].twice'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "table" {
				return listing(a, c, output, "heals", func(*grid, []api.Heal) {}, "", func(h api.Heal) string { return h.Began.Format(time.RFC3339) })
			}
			var list api.List[api.Heal]
			header, err := a.client().do(c.Context(), call{method: "GET", path: ownGroup + "heals", into: &list})
			if err != nil {
				return err
			}
			if len(list.Items) == 0 {
				fmt.Fprintln(a.stderr, "no peer that was lost has come back yet")
			}
			for i := range list.Items {
				if i > 0 {
					fmt.Fprintln(a.stdout)
				}
				if err := a.printHeal(&list.Items[i]); err != nil {
					return err
				}
			}
			a.seenBy(header)
			return nil
		},
	}
	outputFlag(c, &output)
	return c
}

func (a *app) printHeal(h *api.Heal) error {
	var names []string
	for _, p := range h.Peers {
		names = append(names, p.Peer)
	}
	end := "goes on"
	if h.Ended != nil {
		end = "over after " + h.Ended.Sub(h.Began).Round(time.Second).String()
	}
	fmt.Fprintf(a.stdout, "Reunion with %s at %s, %s\n", strings.Join(names, ", "), h.Began.Local().Format(time.DateTime), end)
	for _, p := range h.Peers {
		lost := "lost before this peer started"
		if p.Lost != nil {
			lost = fmt.Sprintf("lost at %s, away for %s", p.Lost.Local().Format(time.DateTime), p.Back.Sub(*p.Lost).Round(time.Second))
		}
		fmt.Fprintf(a.stdout, "  %s: %s\n", p.Peer, lost)
	}
	if err := a.printTwice(h); err != nil {
		return err
	}
	if len(h.Conflicts) == 0 {
		fmt.Fprintln(a.stdout, "  no writes conflicted")
	}
	for _, c := range h.Conflicts {
		fmt.Fprintf(a.stdout, "  conflict in %s: %s\n", c.Object, strings.Join(c.Fields, ", "))
	}
	for _, e := range h.Stopped {
		because := ""
		if e.Cause != "" {
			because = ", because " + e.Cause
		}
		fmt.Fprintf(a.stdout, "  stopped %s on %s: %s%s\n", e.Replica, e.Peer, e.Text, because)
	}
	if len(h.Short) > 0 {
		fmt.Fprintf(a.stdout, "  and more on %s: only the newest stops are kept\n", strings.Join(h.Short, ", "))
	}
	return nil
}

func (a *app) printTwice(h *api.Heal) error {
	if len(h.Twice) == 0 {
		_, err := fmt.Fprintln(a.stdout, "  nothing ran twice")
		return err
	}
	g := grid{headings: []string{"  RAN TWICE", "ON", "FROM", "FOR", "STOPPED ON"}}
	for _, t := range h.Twice {
		span, gone := "both still run", "-"
		if t.Until != nil {
			span, gone = max(0, t.Until.Sub(t.From)).Round(time.Second).String(), t.Gone
		}
		g.add("  "+t.Replica, t.Peers[0]+" and "+t.Peers[1], t.From.Local().Format(time.DateTime), span, gone)
	}
	if err := g.print(a.stdout, true); err != nil || h.More == 0 {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "  and %d more\n", h.More)
	return err
}
