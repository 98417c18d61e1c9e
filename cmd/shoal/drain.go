package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

// drainLook is how often a drain is looked at.
const drainLook = 250 * time.Millisecond

func newDrain(a *app) *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "drain PEER…",
		Short: "Hand over what peers run, and let nothing new go there",
		Long: `Hand over what peers run, and let nothing new go there.

Each replica is started on another peer and goes when it is ready there, as far as disruption budgets allow. Replicas of DaemonSets stay. The
peers do this by themselves: the command only shows it. When it is interrupted, or its time is up (exit code 5, with what is left and why), they
go on; 'shoal uncordon' ends it.`,
		Example:           "  shoal drain p2 --timeout 10m",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completePeers,
		RunE: func(c *cobra.Command, args []string) error {
			if timeout < 0 {
				return fail(exitUsage, "--timeout cannot be negative")
			}
			if err := a.eachPeer(args, func(o objectName) error { return a.startDrain(c.Context(), o) }); err != nil {
				return err
			}
			names, _ := peersOr(args)
			return a.drain(c.Context(), names, timeout)
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait until nothing is left; 0 does not wait")
	return c
}

// drain watches peers hand over, and tells when nothing is left on them.
func (a *app) drain(ctx context.Context, names []objectName, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(timeout, time.Nanosecond))
	defer cancel()
	again := time.NewTicker(drainLook)
	defer again.Stop()
	told := map[string]string{}
	for {
		var open []api.Drain
		for _, o := range names {
			d, err := a.drainOf(o.name)
			if err != nil {
				return err
			}
			if a.tellDrain(d, told); len(d.Left) > 0 || !d.Draining {
				open = append(open, d)
			}
		}
		if len(open) == 0 {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			if ctx.Err() == context.Canceled {
				return fail(exitFailed, "interrupted: the peers go on handing over; 'shoal uncordon' ends it")
			}
			if timeout == 0 {
				return nil
			}
			return undrained(open, timeout)
		}
	}
}

func (a *app) drainOf(name string) (d api.Drain, err error) {
	_, err = a.client().do(context.Background(), call{method: "GET", path: ownGroup + "drain/" + name, into: &d})
	return d, err
}

// tellDrain prints what has changed since it was last told.
func (a *app) tellDrain(d api.Drain, told map[string]string) {
	now := map[string]bool{}
	for _, left := range d.Left {
		key := d.Node + " " + left.Replica
		now[key] = true
		if line := leftLine(left); told[key] != line {
			told[key] = line
			fmt.Fprintf(a.stdout, "%s: %s\n", d.Node, line)
		}
	}
	var gone []string
	for _, key := range slices.Sorted(maps.Keys(told)) {
		if replica, ours := strings.CutPrefix(key, d.Node+" "); ours && !now[key] {
			delete(told, key)
			gone = append(gone, replica)
		}
	}
	if len(gone) > 0 {
		text := strings.Join(gone[:min(len(gone), 3)], ", ")
		if more := len(gone) - 3; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		fmt.Fprintf(a.stdout, "%s: %s gone, %d left\n", d.Node, text, len(d.Left))
	}
	if len(d.Left) == 0 && d.Draining && told[d.Node] == "" {
		told[d.Node] = "drained"
		fmt.Fprintf(a.stdout, "node/%s drained\n", d.Node)
	}
}

func leftLine(left api.DrainLeft) string {
	if left.To != "" {
		return fmt.Sprintf("%s to %s: %s", left.Replica, left.To, left.Why)
	}
	return left.Replica + ": " + left.Why
}

// undrained says what is left on peers whose time is up, and why.
func undrained(open []api.Drain, timeout time.Duration) error {
	var lines []string
	for _, d := range open {
		line := fmt.Sprintf("%s is not drained after %s: %d replicas are left on it", d.Node, timeout, len(d.Left))
		if d.State != "alive" {
			line = fmt.Sprintf("%s does not answer (%s): %d replicas were left on it when it was last heard", d.Node, d.State, len(d.Left))
		}
		lines = append(lines, line)
		for _, left := range d.Left {
			lines = append(lines, "  "+leftLine(left))
		}
	}
	return fail(exitNotReady, "%s\nthe handing over goes on; 'shoal uncordon' ends it", strings.Join(lines, "\n"))
}
