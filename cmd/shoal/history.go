package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

func newHistory(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "history TYPE/NAME | TYPE NAME",
		Short: "Show who changed an object, when, where, and what",
		Long: `Show who changed an object, when, where, and what.

The newest change is number 1. It is what the peer asked has taken in, in the order in which it did, and it keeps the last 32
changes of an object. The times are those of the peers that took the commands.`,
		Example: "  shoal history deployment/web",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := a.parseIntentOf(args)
			if err != nil {
				return err
			}
			return listing(a, c, output, "history/"+name.text(), fillHistory, "nothing is known of it", func(p api.Past) string { return p.Stamp })
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringVarP(&output, "output", "o", "table", "table, json, yaml, or name for stamps alone")
	return c
}

func fillHistory(g *grid, items []api.Past) {
	const mostLines = 8
	g.headings = []string{"#", "WRITTEN", "USER", "WITH", "PEER", "WHAT"}
	for _, p := range items {
		what := historyText(p)
		g.add(p.Number, whenText(p.At), orElse(p.User, "-"), orElse(p.Manager, "-"), p.Writer, what[0])
		for i, line := range what[1:] {
			if i+1 == mostLines {
				line = fmt.Sprintf("and %d more", len(what)-i-1)
			}
			g.add("", "", "", "", "", line)
			if i+1 == mostLines {
				break
			}
		}
	}
}

// historyText is what a change did, in one line or more.
func historyText(p api.Past) []string {
	var lines []string
	switch {
	case p.Verb == "create":
		return []string{fmt.Sprintf("created, with %d fields", len(p.Changes))}
	case p.Verb == "delete":
		return []string{"deleted"}
	}
	for _, c := range p.Changes {
		lines = append(lines, changeText(c))
	}
	switch {
	case len(lines) > 0:
	case p.Shared > 0:
		lines = []string{"no value; who owns what, or it settled a conflict"}
	default:
		lines = []string{"nothing: what is in force was written elsewhere at the same time, or was so already"}
	}
	return lines
}

func newRollback(a *app) *cobra.Command {
	var to string
	var dryRun bool
	var acks ackFlags
	var within time.Duration
	c := &cobra.Command{
		Use:   "rollback TYPE/NAME | TYPE NAME [--to NUMBER|STAMP]",
		Short: "Make an object again what it was",
		Long: `Make an object again what it was.

--to names a change as 'shoal history' shows it: the object becomes what it was after that one. Without it, the newest change is
taken back. This is a new write and takes nothing out of the history, so that it can be taken back too. An object that was
deleted is created again.`,
		Example: `  shoal rollback deployment/web --dry-run
  shoal rollback deployment/web --to 3`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := a.parseIntentOf(args)
			if err != nil {
				return err
			}
			return a.rollback(c, name, to, dryRun, acks, within)
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringVar(&to, "to", "", "number of a change, or the beginning of its stamp (default: takes the newest change back)")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would change, and change nothing")
	acks.addWithin(c, &within)
	return c
}

func (a *app) rollback(c *cobra.Command, name intentName, to string, dryRun bool, acks ackFlags, within time.Duration) error {
	body, err := json.Marshal(api.RollbackRequest{To: to})
	if err != nil {
		return err
	}
	dry, note := "", ""
	if dryRun {
		dry, note = "All", " (dry run)"
	}
	var done api.Rollback
	path := query(ownGroup+"rollback/"+name.text(), append(acks.query(within), "fieldManager", rollbackManager, "dryRun", dry)...)
	header, err := a.client().do(c.Context(), call{method: "POST", path: path, body: body, into: &done})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s %s%s: as after change %d, by %s at %s\n", name, done.Result, note,
		done.To.Number, orElse(done.To.User, done.To.Writer), whenText(done.To.At))
	printChanges(a.stdout, done.Changes)
	return acks.check(header, name, within)
}
