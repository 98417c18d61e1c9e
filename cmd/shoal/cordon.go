package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"shoal/peer/manifest"
)

func newCordon(a *app) *cobra.Command {
	var flags writeFlags
	c := &cobra.Command{
		Use:               "cordon PEER…",
		Short:             "Let nothing new go to peers; what is there stays",
		Example:           "  shoal cordon p2",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completePeers,
		RunE: func(c *cobra.Command, args []string) error {
			return a.eachPeer(args, func(o objectName) error {
				header, err := a.patch(c.Context(), o, cordonManager, unschedulable(true, nil), flags)
				return a.cordoned(o, header, err, [2]string{"cordoned", "already cordoned"}, flags)
			})
		},
	}
	flags.add(c)
	return c
}

func newUncordon(a *app) *cobra.Command {
	var flags writeFlags
	c := &cobra.Command{
		Use:               "uncordon PEER…",
		Short:             "Let peers take work again, after cordon or drain",
		Example:           "  shoal uncordon p2",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completePeers,
		RunE: func(c *cobra.Command, args []string) error {
			return a.eachPeer(args, func(o objectName) error {
				header, err := a.patch(c.Context(), o, cordonManager, unschedulable(nil, map[string]any{manifest.DrainAnnotation: nil}), flags)
				return a.cordoned(o, header, err, [2]string{"uncordoned", "already uncordoned"}, flags)
			})
		},
	}
	flags.add(c)
	return c
}

// unschedulable is a patch of a Node; nil removes a field.
func unschedulable(value any, annotations map[string]any) map[string]any {
	patch := map[string]any{"spec": map[string]any{"unschedulable": value}}
	if annotations != nil {
		patch["metadata"] = map[string]any{"annotations": annotations}
	}
	return patch
}

// eachPeer does something for each peer that arguments name.
func (a *app) eachPeer(args []string, do func(o objectName) error) error {
	names, err := peersOr(args)
	if err != nil {
		return err
	}
	for _, o := range names {
		if o.Kind != "Node" {
			return fail(exitUsage, "a %s is no peer: name peers", o.Singular)
		}
	}
	for _, o := range names {
		if err := do(o); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) cordoned(o objectName, header http.Header, err error, words [2]string, flags writeFlags) error {
	if err != nil {
		return err
	}
	a.say(o, header, words[0], words[1])
	return flags.acks.check(header, o, flags.within)
}

// startDrain asks a peer to hand over what it runs.
func (a *app) startDrain(ctx context.Context, o objectName) error {
	header, err := a.patch(ctx, o, drainManager, unschedulable(true, map[string]any{manifest.DrainAnnotation: "true"}), writeFlags{})
	if err == nil {
		a.say(o, header, "drains", "drains already")
	}
	return err
}
