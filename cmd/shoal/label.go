package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

const (
	labelManager  = "shoal-label"
	taintManager  = "shoal-taint"
	cordonManager = "shoal-cordon"
	drainManager  = "shoal-drain"

	mergePatch = "application/merge-patch+json"
)

// writeFlags are those of commands that change single fields and wait for other peers alone.
type writeFlags struct {
	acks   ackFlags
	within time.Duration
}

func (f *writeFlags) add(c *cobra.Command) { f.acks.addWithin(c, &f.within) }

func newLabel(a *app) *cobra.Command {
	var overwrite bool
	var flags writeFlags
	c := &cobra.Command{
		Use:   "label TYPE NAME… KEY=VALUE… KEY-… | PEER… KEY=VALUE… KEY-…",
		Short: "Set labels of peers and other objects, or remove them with a '-' behind the key",
		Long: `Set labels of peers and other objects, or remove them with a '-' behind the key.

Without a type the names are those of peers. A label that a peer has by its own configuration can be given another value, but not be removed.`,
		Example: `  shoal label p2 disk=ssd zone=attic
  shoal label node p2 disk-
  shoal label deployment web tier=front --overwrite`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			names, labels, err := labelArguments(args)
			if err != nil {
				return err
			}
			for _, o := range names {
				if err := a.label(c.Context(), o, labels, overwrite, flags); err != nil {
					return err
				}
			}
			return nil
		},
	}
	a.namespaceFlags(c)
	c.Flags().BoolVar(&overwrite, "overwrite", false, "give labels that are there another value")
	flags.add(c)
	return c
}

// labelArguments splits arguments into names and labels; a label to remove is nil.
func labelArguments(args []string) ([]objectName, map[string]any, error) {
	labels, words := map[string]any{}, len(args)
	for i, arg := range args {
		key, value, set := strings.Cut(arg, "=")
		if removed, ok := strings.CutSuffix(arg, "-"); !set && ok {
			labels[removed] = nil
		} else if set {
			labels[key] = value
		} else if words == len(args) {
			continue
		} else {
			return nil, nil, fail(exitUsage, "%q is neither KEY=VALUE nor KEY-", arg)
		}
		words = min(words, i)
	}
	if words == 0 || words == len(args) {
		return nil, nil, fail(exitUsage, "name what to label, and then KEY=VALUE or KEY-")
	}
	names, err := peersOr(args[:words])
	return names, labels, err
}

// peersOr reads TYPE NAME…, TYPE/NAME…, or names of peers.
func peersOr(args []string) ([]objectName, error) {
	if strings.Contains(args[0], "/") {
		return parseNames(args)
	}
	if _, err := resourceOf(args[0]); err == nil && len(args) > 1 {
		return parseNames(args)
	}
	return parseNames(append([]string{"nodes"}, args...))
}

func (a *app) label(ctx context.Context, o objectName, labels map[string]any, overwrite bool, flags writeFlags) error {
	if !overwrite {
		var held struct {
			Metadata struct{ Labels map[string]string }
		}
		if _, err := a.client().do(ctx, call{method: "GET", path: o.Path(a.namespace, o.name), into: &held}); err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(labels)) {
			if was, there := held.Metadata.Labels[key]; there && labels[key] != nil && labels[key] != was {
				return fail(exitInvalid, "%s has label %s=%s already: change it with --overwrite", o, key, was)
			}
		}
	}
	header, err := a.patch(ctx, o, labelManager, map[string]any{"metadata": map[string]any{"labels": labels}}, flags)
	if err != nil {
		return err
	}
	a.say(o, header, "labeled", "not labeled: it is so already")
	return flags.acks.check(header, o, flags.within)
}

// patch changes some fields of an object.
func (a *app) patch(ctx context.Context, o objectName, manager string, fields map[string]any, flags writeFlags) (http.Header, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	path := query(o.Path(a.namespace, o.name), append(flags.acks.query(flags.within), "fieldManager", manager)...)
	h, err := a.client().do(ctx, call{method: "PATCH", path: path, kind: mergePatch, body: body})
	return h, err
}

// say tells what became of an object.
func (a *app) say(o objectName, h http.Header, changed, unchanged string) {
	if h.Get(api.HeaderResult) == "unchanged" {
		changed = unchanged
	}
	fmt.Fprintf(a.stdout, "%s %s\n", o, changed)
}
