package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"shoal/crdt"
	"shoal/peer/api"
	"shoal/peer/manifest"
)

func newDiff(a *app) *cobra.Command {
	var files []string
	var force bool
	c := &cobra.Command{
		Use:   "diff -f FILE|DIRECTORY|-",
		Short: "Show what apply would change",
		Long: `Show what apply would change.

Each line is one field: '+' would be set, '-' removed, '~' changed. Nothing is written.
The exit code is 0 when nothing would change, 1 when something would, and above 1 when that could not be found out.`,
		Example: "  shoal diff -f web.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			documents, err := a.readManifests(c, files)
			if err != nil {
				return notOne(err)
			}
			return notOne(a.diff(c.Context(), documents, force))
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringSliceVarP(&files, "filename", "f", nil, "file, directory, or - for standard input")
	c.Flags().BoolVar(&force, "force-conflicts", false, "as with apply: also what would be taken over from others")
	return c
}

// errDifferent ends diff with exit code 1, without words.
var errDifferent = &codedError{code: exitFailed}

// notOne keeps exit code 1, which means "different", from meaning anything else.
func notOne(err error) error {
	if err == nil || err == error(errDifferent) || codeOf(err) != exitFailed {
		return err
	}
	return fail(exitUnreachable, "%w", err)
}

func (a *app) diff(ctx context.Context, documents []manifest.Document, force bool) error {
	different := false
	for _, d := range documents {
		o, err := documentName(d)
		if err != nil {
			return err
		}
		changes, header, err := a.preview(ctx, o, d, force)
		if err != nil {
			return err
		}
		a.warn(header)
		if len(changes) > 0 {
			different = true
			fmt.Fprintln(a.stdout, o)
			printChanges(a.stdout, changes)
		}
	}
	if different {
		return errDifferent
	}
	return nil
}

// preview asks the peer what applying a document would change, and changes nothing.
func (a *app) preview(ctx context.Context, o objectName, d manifest.Document, force bool) ([]api.FieldChange, http.Header, error) {
	var before, after map[string]any
	_, err := a.client().do(ctx, call{method: "GET", path: o.Path(d.Key.Namespace, o.name), into: &before})
	if err != nil && codeOf(err) != exitNotFound {
		return nil, nil, err
	}
	header, err := a.send(ctx, o, d, applyFlags{dryRun: true, force: force}, &after)
	if err != nil {
		return nil, nil, err
	}
	changes, err := compare(o.Kind, before, after)
	return changes, header, err
}

// compare lists the fields in which two trees of one kind differ, by path.
func compare(kind string, before, after map[string]any) ([]api.FieldChange, error) {
	old, err := manifest.Flatten(kind, before)
	if err != nil {
		return nil, err
	}
	now, err := manifest.Flatten(kind, after)
	if err != nil {
		return nil, err
	}
	paths := map[crdt.Path]bool{}
	for path := range old {
		paths[path] = true
	}
	for path := range now {
		paths[path] = true
	}
	var changes []api.FieldChange
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if !bytes.Equal(old[path], now[path]) {
			changes = append(changes, api.FieldChange{Path: string(path), Old: orNull(old[path]), New: orNull(now[path])})
		}
	}
	return changes, nil
}

func orNull(value json.RawMessage) json.RawMessage {
	if value == nil {
		return json.RawMessage("null")
	}
	return value
}

// printChanges writes one line for each field.
func printChanges(w io.Writer, changes []api.FieldChange) {
	for _, c := range changes {
		fmt.Fprintln(w, "  "+changeText(c))
	}
}

// changeText is a change of one field in one line.
func changeText(c api.FieldChange) string {
	switch old, now := string(c.Old), string(c.New); {
	case old == "null":
		return fmt.Sprintf("+ %s: %s", c.Path, now)
	case now == "null":
		return fmt.Sprintf("- %s: %s", c.Path, old)
	default:
		return fmt.Sprintf("~ %s: %s -> %s", c.Path, old, now)
	}
}
