package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// taint is one taint of a Node, or the wish to remove some.
type taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"` // of a removal: empty for all

	remove bool
}

func newTaint(a *app) *cobra.Command {
	var overwrite bool
	var flags writeFlags
	c := &cobra.Command{
		Use:   "taint PEER… KEY=VALUE:EFFECT… KEY:EFFECT… KEY[:EFFECT]-…",
		Short: "Keep replicas away from peers that do not tolerate a taint",
		Long: `Keep replicas away from peers that do not tolerate a taint.

EFFECT is NoSchedule (nothing new goes there), PreferNoSchedule (only what fits nowhere else) or NoExecute (what is there goes too). A '-' behind a
taint removes it.`,
		Example: `  shoal taint p2 dedicated=db:NoSchedule
  shoal taint p2 p3 dedicated-`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completePeers,
		RunE: func(c *cobra.Command, args []string) error {
			names, taints, err := taintArguments(args)
			if err != nil {
				return err
			}
			for _, o := range names {
				if err := a.taint(c.Context(), o, taints, overwrite, flags); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&overwrite, "overwrite", false, "give taints that are there another value")
	flags.add(c)
	return c
}

func taintArguments(args []string) ([]objectName, []taint, error) {
	first := slices.IndexFunc(args, func(arg string) bool { return strings.ContainsAny(arg, "=:") || strings.HasSuffix(arg, "-") })
	if first <= 0 {
		return nil, nil, fail(exitUsage, "name the peers, and then KEY=VALUE:EFFECT, KEY:EFFECT or KEY-")
	}
	var taints []taint
	for _, arg := range args[first:] {
		t, err := parseTaint(arg)
		if err != nil {
			return nil, nil, err
		}
		taints = append(taints, t)
	}
	names, err := peersOr(args[:first])
	for _, o := range names {
		if o.Kind != "Node" {
			return nil, nil, fail(exitUsage, "a %s has no taints: name peers", o.Singular)
		}
	}
	return names, taints, err
}

func parseTaint(text string) (taint, error) {
	what, remove := strings.CutSuffix(text, "-")
	pair, effect, effected := strings.Cut(what, ":")
	key, value, _ := strings.Cut(pair, "=")
	if key == "" || !remove && !effected {
		return taint{}, fail(exitUsage, "%q is no taint: write KEY=VALUE:EFFECT, KEY:EFFECT or KEY-", text)
	}
	return taint{Key: key, Value: value, Effect: effect, remove: remove}, nil
}

const mostTries = 16 // of a change whose object keeps changing

// taint reads a peer's taints and writes them back changed, again where they have changed meanwhile.
func (a *app) taint(ctx context.Context, o objectName, changes []taint, overwrite bool, flags writeFlags) error {
	for try := 1; ; try++ {
		var held struct {
			Metadata struct{ ResourceVersion string }
			Spec     struct{ Taints []taint }
		}
		if _, err := a.client().do(ctx, call{method: "GET", path: o.Path("", o.name), into: &held}); err != nil {
			return err
		}
		taints, err := tainted(o, held.Spec.Taints, changes, overwrite)
		if err != nil {
			return err
		}
		var list any = taints
		if len(taints) == 0 {
			list = nil
		}
		header, err := a.patch(ctx, o, taintManager, map[string]any{"metadata": map[string]any{"resourceVersion": held.Metadata.ResourceVersion},
			"spec": map[string]any{"taints": list}}, flags)
		if changed := changedError(""); errors.As(err, &changed) && try < mostTries {
			continue
		}
		if err != nil {
			return err
		}
		a.say(o, header, "tainted", "not tainted: it is so already")
		return flags.acks.check(header, o, flags.within)
	}
}

// tainted are taints after changes.
func tainted(o objectName, taints, changes []taint, overwrite bool) ([]taint, error) {
	for _, c := range changes {
		same := func(t taint) bool { return t.Key == c.Key && (t.Effect == c.Effect || c.remove && c.Effect == "") }
		i := slices.IndexFunc(taints, same)
		switch {
		case c.remove && i < 0:
			return nil, fail(exitNotFound, "%s has no taint %s", o, strings.TrimSuffix(c.Key+":"+c.Effect, ":"))
		case c.remove:
			taints = slices.DeleteFunc(taints, same)
		case i < 0:
			taints = append(taints, c)
		case taints[i].Value != c.Value && !overwrite:
			return nil, fail(exitInvalid, "%s has taint %s=%s:%s already: change it with --overwrite", o, c.Key, taints[i].Value, c.Effect)
		default:
			taints[i].Value = c.Value
		}
	}
	return taints, nil
}
