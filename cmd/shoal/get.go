package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"shoal/peer/api"
	"shoal/peer/manifest"
)

// table is meta.k8s.io/v1 Table.
type table struct {
	ColumnDefinitions []struct {
		Name     string
		Priority int
	}
	Rows []struct {
		Cells  []any
		Object struct {
			Metadata struct{ Namespace, Name string }
		}
	}
	Metadata struct{ ResourceVersion string }
}

type getFlags struct {
	output, labels, fields string
	watch, all, noHeadings bool
	owners                 bool // managedFields too
}

func newGet(a *app) *cobra.Command {
	var flags getFlags
	c := &cobra.Command{
		Use:   "get TYPE [NAME…] | TYPE/NAME…",
		Short: "List objects, or show some",
		Long: `List objects, or show some.

Types are deployments, daemonsets, pods (the replicas), nodes (the peers), namespaces, poddisruptionbudgets, priorityclasses and events;
'all' is deployments, daemonsets and pods. What is shown is what the peer asked knows: whose view it is, and how old, is
said on standard error.`,
		Example: `  shoal get pods -o wide
  shoal get deployment/web -o yaml
  shoal get pods -l app=web -w`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("--output", flags.output, "table", "wide", "json", "yaml", "name"); err != nil {
				return err
			}
			return a.get(c.Context(), args, flags)
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringVarP(&flags.output, "output", "o", "table", "table, wide, json, yaml or name")
	c.Flags().StringVarP(&flags.labels, "selector", "l", "", "only what has these labels: a=b,c!=d,e in (f,g)")
	c.Flags().StringVar(&flags.fields, "field-selector", "", "only what has these fields: spec.nodeName=p1")
	c.Flags().BoolVarP(&flags.watch, "watch", "w", false, "go on and print what changes")
	c.Flags().BoolVarP(&flags.all, "all-namespaces", "A", false, "of all namespaces")
	c.Flags().BoolVar(&flags.owners, "show-managed-fields", false, "with json and yaml: who owns which field, too")
	c.Flags().BoolVar(&flags.noHeadings, "no-headers", false, "tables without headings")
	return c
}

func oneOf(flag, value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return fail(exitUsage, "%s is one of %s, not %q", flag, strings.Join(allowed, ", "), value)
}

// request is one list or object to get.
type request struct {
	api.Resource
	path string
	name string
}

func (a *app) get(ctx context.Context, args []string, flags getFlags) error {
	requests, err := a.requests(args, flags)
	if err != nil {
		return err
	}
	if flags.watch && len(requests) != 1 {
		return fail(exitUsage, "only one list or object can be watched")
	}
	if flags.output == "json" || flags.output == "yaml" {
		return a.getObjects(ctx, requests, flags)
	}
	for i, r := range requests {
		if i > 0 && len(args) == 1 && flags.output != "name" {
			fmt.Fprintln(a.stdout)
		}
		if err := a.getTable(ctx, r, flags, len(requests) == i+1); err != nil {
			return err
		}
	}
	return nil
}

// requests reads the arguments of get.
func (a *app) requests(args []string, flags getFlags) ([]request, error) {
	namespace := a.namespace
	if flags.all {
		namespace = ""
	}
	if len(args) > 1 || strings.Contains(args[0], "/") {
		names, err := parseNames(args)
		if flags.all && err == nil {
			err = fail(exitUsage, "--all-namespaces and names do not go together")
		}
		var list []request
		for _, n := range names {
			list = append(list, request{n.Resource, n.Path(namespace, n.name), n.name})
		}
		return list, err
	}
	var list []request
	for _, kind := range strings.Split(strings.Replace(args[0], "all", "deployments,daemonsets,pods", 1), ",") {
		r, err := resourceOf(kind)
		if err != nil {
			return nil, err
		}
		list = append(list, request{r, query(r.Path(namespace, ""), "labelSelector", flags.labels, "fieldSelector", flags.fields), ""})
	}
	return list, nil
}

func (a *app) getTable(ctx context.Context, r request, flags getFlags, last bool) error {
	var t table
	header, err := a.client().do(ctx, call{method: "GET", path: r.path, accept: tableKind, into: &t})
	if err != nil {
		return err
	}
	if len(t.Rows) == 0 && !flags.watch {
		fmt.Fprintf(a.stderr, "no %s%s\n", r.Plural, a.where(r.Resource, flags))
	}
	widths, err := a.printTable(r.Resource, t, flags, nil)
	if err != nil {
		return err
	}
	if last {
		a.seenBy(header)
	}
	if flags.watch {
		return a.watchTable(ctx, r, flags, t.Metadata.ResourceVersion, widths)
	}
	return nil
}

func (a *app) where(r api.Resource, flags getFlags) string {
	if !r.Namespaced || flags.all {
		return ""
	}
	return " in namespace " + a.namespace
}

// printTable prints a table; before are the widths of an earlier one that it continues.
func (a *app) printTable(r api.Resource, t table, flags getFlags, before []int) ([]int, error) {
	if flags.output == "name" {
		for _, row := range t.Rows {
			fmt.Fprintln(a.stdout, objectName{r, row.Object.Metadata.Name})
		}
		return nil, nil
	}
	var g grid
	if flags.all && r.Namespaced {
		g.headings = append(g.headings, "NAMESPACE")
	}
	for _, column := range t.ColumnDefinitions {
		if column.Priority == 0 || flags.output == "wide" {
			g.headings = append(g.headings, strings.ToUpper(column.Name))
		}
	}
	for _, row := range t.Rows {
		var cells []any
		if flags.all && r.Namespaced {
			cells = append(cells, row.Object.Metadata.Namespace)
		}
		for i, cell := range row.Cells {
			if t.ColumnDefinitions[i].Priority == 0 || flags.output == "wide" {
				cells = append(cells, cell)
			}
		}
		g.add(cells...)
	}
	if len(g.rows) == 0 {
		return before, nil
	}
	return g.widths(), g.print(a.stdout, !flags.noHeadings && before == nil)
}

// watchTable prints every change as a row, until the peer or the user ends it.
func (a *app) watchTable(ctx context.Context, r request, flags getFlags, version string, widths []int) error {
	path := r.path
	if r.name != "" {
		path = query(r.Path(a.namespace, ""), "fieldSelector", "metadata.name="+r.name)
	}
	return a.follow(ctx, path, version, tableKind, func(kind string, object json.RawMessage) error {
		var t table
		if err := json.Unmarshal(object, &t); err != nil {
			return err
		}
		var err error
		widths, err = a.printTable(r.Resource, t, flags, widths)
		return err
	})
}

// follow reads a watch from a version on and hands out its events until it ends.
func (a *app) follow(ctx context.Context, path, version, accept string, each func(kind string, object json.RawMessage) error) error {
	joint := "?"
	if strings.Contains(path, "?") {
		joint = "&"
	}
	answer, err := a.client().open(ctx, call{method: "GET", path: path + joint + "watch=true&resourceVersion=" + version, accept: accept})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for decoder := json.NewDecoder(answer.Body); ; {
		var event struct {
			Type   string
			Object json.RawMessage
		}
		err := decoder.Decode(&event)
		switch {
		case ctx.Err() != nil || err == io.EOF:
			return nil
		case err != nil:
			return fail(exitUnreachable, "the peer's answer broke off: %w: is it still running?", err)
		}
		if err := each(event.Type, event.Object); err != nil {
			return err
		}
	}
}

// getObjects prints whole objects as JSON or YAML; several, or a list, as a List.
func (a *app) getObjects(ctx context.Context, requests []request, flags getFlags) error {
	if flags.watch {
		return fail(exitUsage, "--watch goes with tables and names")
	}
	items, header, single := []any{}, map[string][]string(nil), false
	for _, r := range requests {
		var object map[string]any
		h, err := a.client().do(ctx, call{method: "GET", path: r.path, into: &object})
		if err != nil {
			return err
		}
		header, single = h, r.name != "" && len(requests) == 1
		if r.name != "" {
			items = append(items, object)
			continue
		}
		list, _ := object["items"].([]any)
		items = append(items, list...)
	}
	if !flags.owners {
		hideOwners(items)
	}
	var out any = map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
	if single {
		out = items[0]
	}
	if err := a.printData(out, flags.output); err != nil {
		return err
	}
	a.seenBy(header)
	return nil
}

// hideOwners leaves metadata.managedFields out.
func hideOwners(objects []any) {
	for _, item := range objects {
		object, _ := item.(map[string]any)
		meta, _ := object["metadata"].(map[string]any)
		delete(meta, "managedFields")
	}
}

// printData prints anything as JSON or YAML.
func (a *app) printData(data any, output string) error {
	text, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		return err
	}
	if output == "json" {
		_, err = fmt.Fprintln(a.stdout, string(text))
		return err
	}
	_, err = a.stdout.Write(manifest.YAML(data))
	return err
}
