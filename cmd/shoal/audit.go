package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

// report asks the own group for something that is not a list, and prints it in any of the forms of output.
func report[T any](a *app, c *cobra.Command, output, path string, print func(T) error) error {
	if err := oneOf("--output", output, "table", "json", "yaml"); err != nil {
		return err
	}
	var raw json.RawMessage
	header, err := a.client().do(c.Context(), call{method: "GET", path: ownGroup + path, into: &raw})
	if err != nil {
		return err
	}
	return a.printReport(raw, output, header, func() error {
		var data T
		if err := json.Unmarshal(raw, &data); err != nil {
			return fail(exitFailed, "the peer's answer is not understood: %w: is it of another version?", err)
		}
		return print(data)
	})
}

func (a *app) printReport(raw json.RawMessage, output string, header http.Header, print func() error) error {
	err := error(nil)
	if output == "table" {
		err = print()
	} else {
		err = a.printRaw(raw, output)
	}
	if err == nil {
		a.seenBy(header)
	}
	return err
}

func newAudit(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "audit",
		Short: "List what this peer dropped, refused or set aside, and from whom it came",
		Long: `List what this peer dropped, refused or set aside, and from whom it came.

Forged, replayed and contradictory operations are dropped and counted. What makes the program fail is set aside, and everything
else goes on. The counts begin anew with each start of the peer's program.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return report(a, c, output, "audit", a.printAudit) },
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "table, json or yaml")
	return c
}

func (a *app) printAudit(r api.Audit) error {
	since := r.Since.Local().Format(time.RFC3339)
	if len(r.Counts) == 0 && len(r.Aside) == 0 {
		fmt.Fprintf(a.stdout, "nothing was dropped, refused or set aside since %s\n", since)
	}
	if len(r.Counts) > 0 {
		fmt.Fprintf(a.stdout, "since %s:\n", since)
		g := grid{headings: []string{"REASON", "FROM", "COUNT", "LAST"}}
		for _, n := range r.Counts {
			g.add(n.Reason, orElse(n.Peer, "-"), n.Count, api.Age(time.Since(n.Last))+" ago")
		}
		if err := g.print(a.stdout, true); err != nil {
			return err
		}
	}
	if err := a.printAsides(r.Aside); err != nil {
		return err
	}
	if len(r.Entries) > 0 {
		fmt.Fprintln(a.stdout, "\nthe newest:")
		g := grid{headings: []string{"AGO", "REASON", "ABOUT", "WRITER", "FROM", "TEXT"}}
		for _, e := range r.Entries {
			g.add(api.Age(time.Since(e.At)), e.Reason, orElse(e.Object, orElse(e.Subject, "-")), orElse(e.Writer, "-"), orElse(e.From, "-"), e.Text)
		}
		if err := g.print(a.stdout, true); err != nil {
			return err
		}
	}
	a.printSync(r.Sync)
	return nil
}

// printAsides lists what a peer leaves alone.
func (a *app) printAsides(list []api.Aside) error {
	if len(list) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout, "\nset aside, and left alone until it changes:")
	g := grid{headings: []string{"SINCE", "WHAT", "WHILE", "WHY"}}
	for _, x := range list {
		g.add(whenText(x.At), x.Subject, sites[x.Site], x.Text)
	}
	return g.print(a.stdout, true)
}

// sites says in words what a peer was doing when its code failed.
var sites = map[string]string{
	"decode": "reading a message", "merge": "merging it", "read": "reading the object",
	"plan": "planning", "act": "carrying it out",
}

func (a *app) printSync(s api.Sync) {
	for _, silent := range s.Silent {
		fmt.Fprintf(a.stdout, "\n%s is alive but has not answered a comparison for %s\n", silent.Peer, api.Age(time.Duration(silent.Millis)*time.Millisecond))
	}
	if s.StuckMillis > 0 {
		fmt.Fprintf(a.stdout, "\nthis peer's own loop has been in one turn for %s\n", api.Age(time.Duration(s.StuckMillis)*time.Millisecond))
	}
}

func newFloor(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "floor",
		Short: "Show which deletions are still remembered, and which peers they wait for",
		Long: `Show which deletions are still remembered, and which peers they wait for.

A deletion is remembered until every peer has it: else a peer that was away could bring the deleted thing back. A peer that is
lost holds this up for at most 45 days; then the others go on without it, and it compares itself with one of them when it returns.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return report(a, c, output, "floor", a.printFloor) },
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "table, json or yaml")
	return c
}

func (a *app) printFloor(f api.Floor) error {
	what := fmt.Sprintf("%d deletions are remembered until all %d peers have them", f.Forgettable, len(f.Registered))
	if f.Forgettable == 1 {
		what = fmt.Sprintf("1 deletion is remembered until all %d peers have it", len(f.Registered))
	}
	fmt.Fprintf(a.stdout, "%s; %d operations are kept in all\n", what, f.Retained)
	if f.Closed == nil {
		fmt.Fprintln(a.stdout, "nothing was forgotten yet")
	} else {
		here := ""
		if !f.Applied {
			here = ", not on this peer yet"
		}
		fmt.Fprintf(a.stdout, "last forgotten %s, by way of %s%s\n", whenText(*f.Closed), f.ClosedBy, here)
	}
	if f.Doubtful {
		fmt.Fprintln(a.stdout, "this peer was not asked then: it compares itself with another before it forgets anything")
	}
	if len(f.Forgotten) > 0 {
		fmt.Fprintf(a.stdout, "no longer waited for: %s\n", strings.Join(f.Forgotten, ", "))
	}
	if len(f.Waiting) == 0 {
		return nil
	}
	g := grid{headings: []string{"WAITING FOR", "WHY"}}
	for _, w := range f.Waiting {
		g.add(w.Peer, w.Why)
	}
	return g.print(a.stdout, true)
}
