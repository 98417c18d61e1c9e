package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shoal/peer/api"
	"shoal/peer/manifest"
)

func newDescribe(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:               "describe TYPE NAME… | TYPE/NAME…",
		Short:             "Show all that is known of an object, and what happened to it",
		Example:           "  shoal describe pod web-0",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			names, err := parseNames(args)
			if err != nil {
				return err
			}
			for i, o := range names {
				if i > 0 {
					fmt.Fprintln(a.stdout, "---")
				}
				if err := a.describe(c.Context(), o); err != nil {
					return err
				}
			}
			return nil
		},
	}
	a.namespaceFlags(c)
	return c
}

func (a *app) describe(ctx context.Context, o objectName) error {
	var object map[string]any
	header, err := a.client().do(ctx, call{method: "GET", path: o.Path(a.namespace, o.name), into: &object})
	if err != nil {
		return err
	}
	meta, _ := object["metadata"].(map[string]any)
	status, _ := object["status"].(map[string]any)
	conditions, _ := status["conditions"].([]any)
	delete(status, "conditions")
	fmt.Fprintf(a.stdout, "%s %s\n", o.Kind, o.name)
	shown := map[string]any{}
	for _, name := range []string{"namespace", "labels", "annotations", "creationTimestamp", "deletionTimestamp"} {
		if value := meta[name]; value != nil {
			shown[name] = value
		}
	}
	for _, name := range []string{"spec", "status"} {
		if part, _ := object[name].(map[string]any); len(part) > 0 {
			shown[name] = part
		}
	}
	a.stdout.Write(indented(manifest.YAML(shown)))
	if err := a.describeConditions(conditions); err != nil {
		return err
	}
	if err := a.describeConflicts(ctx, o); err != nil {
		return err
	}
	if err := a.describeAside(ctx, o); err != nil {
		return err
	}
	if err := a.describeEvents(ctx, o); err != nil {
		return err
	}
	a.seenBy(header)
	return nil
}

func indented(text []byte) []byte {
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return []byte("  " + strings.Join(lines, "\n  ") + "\n")
}

func (a *app) describeConditions(conditions []any) error {
	if len(conditions) == 0 {
		return nil
	}
	g := grid{headings: []string{"CONDITION", "HOLDS", "REASON", "MESSAGE"}}
	for _, item := range conditions {
		c, _ := item.(map[string]any)
		g.add(c["type"], c["status"], c["reason"], c["message"])
	}
	fmt.Fprintln(a.stdout)
	return g.print(a.stdout, true)
}

// describeConflicts lists the object's fields on which writers disagree.
func (a *app) describeConflicts(ctx context.Context, o objectName) error {
	if !o.Writable {
		return nil
	}
	var list api.List[api.Conflict]
	path := query(ownGroup+"conflicts", "object", a.intentOf(o).text())
	if _, err := a.client().do(ctx, call{method: "GET", path: path, into: &list}); err != nil || len(list.Items) == 0 {
		return err
	}
	fmt.Fprintln(a.stdout, "\nConflicts")
	var g grid
	fillConflicts(&g, list.Items)
	return g.print(a.stdout, true)
}

// describeAside lists what the peer leaves alone of this object, because it made its code fail.
func (a *app) describeAside(ctx context.Context, o objectName) error {
	var r api.Audit
	if _, err := a.client().do(ctx, call{method: "GET", path: ownGroup + "audit", into: &r}); err != nil {
		return err
	}
	key, replica := a.intentOf(o).text(), "replica "+a.namespace+"/"+o.name
	var own []api.Aside
	for _, x := range r.Aside {
		switch {
		case x.Object != "" && x.Object == key,
			o.Kind == "Pod" && x.Subject == replica,
			o.Kind == "Node" && slices.Contains(strings.Fields(x.Subject), o.name):
			own = append(own, x)
		}
	}
	return a.printAsides(own)
}

func (a *app) intentOf(o objectName) intentName {
	n := intentName{objectName: o}
	if o.Namespaced {
		n.namespace = a.namespace
	}
	return n
}

func (a *app) describeEvents(ctx context.Context, o objectName) error {
	events, _ := resourceOf("events")
	namespace := ""
	if o.Namespaced {
		namespace = a.namespace
	}
	var t table
	path := query(events.Path(namespace, ""), "fieldSelector", "involvedObject.kind="+o.Kind+",involvedObject.name="+o.name)
	if _, err := a.client().do(ctx, call{method: "GET", path: path, accept: tableKind, into: &t}); err != nil {
		return err
	}
	if len(t.Rows) == 0 {
		fmt.Fprintln(a.stdout, "\nno events")
		return nil
	}
	fmt.Fprintln(a.stdout)
	_, err := a.printTable(events, t, getFlags{output: "table"}, nil)
	return err
}
