package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shoal/peer/api"
	"shoal/peer/manifest"
)

func newPlan(a *app) *cobra.Command {
	var files []string
	var output string
	var force bool
	c := &cobra.Command{
		Use:   "plan -f FILE|DIRECTORY|-",
		Short: "Show what applying manifests would start, move and stop; nothing is written",
		Long: `Show what applying manifests would start, move and stop, on which peers. Nothing is written.

The peer carries out the plan in its head until nothing changes any more, rollouts included, and says where everything is then. With
exit code 5 not everything can be placed: it says what, why, and with which one change it could.`,
		Example: `  shoal plan -f web.yaml
  shoal plan -f manifests/ && shoal apply -f manifests/
  shoal apply -f web.yaml --plan     # the same, then asks nothing and applies what can be placed`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			documents, err := a.readManifests(c, files)
			if err != nil {
				return err
			}
			return a.plan(c, documents, force, output)
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringSliceVarP(&files, "filename", "f", nil, "file, directory, or - for standard input")
	c.Flags().BoolVar(&force, "force-conflicts", false, "as if fields were taken over to which others gave another value")
	textFlag(c, &output)
	return c
}

// plan shows what applying documents would do.
func (a *app) plan(c *cobra.Command, documents []manifest.Document, force bool, output string) error {
	var asked api.PlanRequest
	for _, d := range documents {
		if d.Key.Namespace != "" {
			d.Tree["metadata"].(map[string]any)["namespace"] = d.Key.Namespace
		}
		body, err := json.Marshal(d.Tree)
		if err != nil {
			return err
		}
		asked.Documents = append(asked.Documents, body)
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	pairs := []string{"fieldManager", applyManager}
	if force {
		pairs = append(pairs, "force", "true")
	}
	mine := map[string]bool{}
	for _, d := range documents {
		mine[d.Key.String()] = true
	}
	return a.ask(c, output, call{method: "POST", path: query(ownGroup+"plan", pairs...), body: body}, func(raw json.RawMessage) error {
		f, err := read[api.Forecast](raw)
		if err != nil {
			return err
		}
		for _, o := range f.Objects {
			fmt.Fprintf(a.stdout, "%s would be %s\n", o.Object, o.Result)
		}
		return a.printForecast(&f, "nothing would start, move or stop", func(r *api.Foreseen) bool { return mine[r.Workload] })
	})
}

// deeds are what may become of a replica, in the order and the words in which people read of it.
var deeds = []struct{ name, verb, sum string }{
	{"start", "starts", "start"},
	{"recover", "starts again", "start again elsewhere"},
	{"move", "moves", "move"},
	{"replace", "is replaced", "are replaced by a new revision"},
	{"stop", "stops", "stop"},
	{"wait", "waits", "wait for their peer"},
	{"stay", "stays", "stay on a peer that hands over its work"},
	{"keep", "stays as it is", "stay as they are, for their new revision finds no place"},
	{"displaced", "makes room", "make room and find no other place"},
	{"no-place", "finds no place", "find no place any more"},
	{"pending", "finds no place", "find no place"},
}

// standing are deeds that are no news where they were so before.
var standing = []string{"pending", "stay", "keep"}

// printForecast prints what becomes of each replica, and ends with exit code 5 where something that matters has no place. What has none before and after
// is left out, save what is asked for.
func (a *app) printForecast(f *api.Forecast, nothing string, asked func(*api.Foreseen) bool) error {
	g := grid{headings: []string{"REPLICA", "WHAT", "FROM", "TO", "WHY"}}
	counts := map[string]int{}
	var unplaced []*api.Foreseen
	for i := range f.Changes {
		r := &f.Changes[i]
		if r.Already && slices.Contains(standing, r.Deed) && !asked(r) {
			continue
		}
		if r.To == "" && r.Deed != "stop" && r.Deed != "wait" {
			unplaced = append(unplaced, r)
		}
		counts[r.Deed]++
		g.add(r.Replica, deedText(r.Deed), orElse(r.From, "-"), orElse(r.To, "-"), reasonText(r))
	}
	for i := range f.Later {
		r := &f.Later[i]
		g.add(r.Replica, deedText(r.Deed)+" later", orElse(r.From, "-"), orElse(r.To, "-"), "to even out the load; another may go instead")
	}
	if len(g.rows) == 0 {
		_, err := fmt.Fprintln(a.stdout, nothing)
		return err
	}
	if err := g.print(a.stdout, true); err != nil {
		return err
	}
	var sums []string
	for _, d := range deeds {
		if n := counts[d.name]; n > 0 {
			sums = append(sums, fmt.Sprintf("%d %s", n, d.sum))
		}
	}
	if n := len(f.Later); n > 0 {
		sums = append(sums, fmt.Sprintf("%d move later, a few at a time", n))
	}
	fmt.Fprintf(a.stdout, "\nIn all: %s.\n", strings.Join(sums, ", "))
	if !f.Still {
		fmt.Fprintln(a.stdout, "This does not come to rest: what is shown is how it stands after a thousand plans.")
	}
	return a.unplaced(unplaced)
}

func deedText(deed string) string {
	for _, d := range deeds {
		if d.name == deed {
			return d.verb
		}
	}
	return deed
}

func reasonText(r *api.Foreseen) string {
	text := rules[r.Rule]
	switch {
	case r.Deed == "stop":
		text = "it is not wanted"
	case r.By != "":
		text = "for " + r.By + ", of higher priority"
	case r.To == "" && r.Deed != "wait":
		text = r.Why
	case r.Deed == "replace" && r.Rule == "stays":
		text = "a new revision"
	}
	if r.After != "" {
		text += "; its lost peer is waited for " + r.After + " first"
	}
	return text
}

// unplaced says of what finds no place why, once for each workload, and the one change that would help.
func (a *app) unplaced(list []*api.Foreseen) error {
	if len(list) == 0 {
		return nil
	}
	slices.SortStableFunc(list, func(x, y *api.Foreseen) int { return cmp.Compare(x.Workload, y.Workload) })
	lines := []string{fmt.Sprintf("%d replicas have no place:", len(list))}
	if !slices.ContainsFunc(list, func(r *api.Foreseen) bool { return r.Deed != "stay" }) {
		lines[0] = fmt.Sprintf("%d replicas have no other place:", len(list))
	}
	for i, r := range list {
		if i > 0 && list[i-1].Workload == r.Workload {
			continue
		}
		lines = append(lines, pendingLine(r.Replica, r.Why, r.Remedy))
	}
	return fail(exitNotReady, "%s", strings.Join(lines, "\n"))
}

func pendingLine(replica, why, remedy string) string {
	line := "  " + replica + ": " + orElse(why, "not planned yet")
	if remedy != "" {
		line += "\n    one change that would help: " + remedy
	}
	return line
}
