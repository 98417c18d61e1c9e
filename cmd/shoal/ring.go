package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

func newRing(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "ring WORKLOAD",
		Short: "Show the hash order of a workload's replicas",
		Long: `Show the hash order of a workload's replicas: to which peers each would go, first to last, if nothing but room and health counted.

Every replica has an order of its own. Where it really is, marked with *, depends on the rest too: 'shoal why' tells.`,
		Example: `  shoal ring web
  shoal ring daemonset/log -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := a.parseWorkload(c.Context(), args[0])
			if err != nil {
				return err
			}
			path := ownGroup + "ring/" + o.Kind + "/" + a.namespace + "/" + o.name
			return a.ask(c, output, call{method: "GET", path: path}, a.printRing)
		},
	}
	a.namespaceFlags(c)
	textFlag(c, &output)
	return c
}

// mostShown is how many peers of an order a table shows.
const mostShown = 8

func (a *app) printRing(raw json.RawMessage) error {
	ring, err := read[api.Ring](raw)
	if err != nil {
		return err
	}
	g := grid{headings: []string{"REPLICA", "ON", "ORDER"}}
	for _, r := range ring.Replicas {
		order := append([]string(nil), r.Order...)
		for i, name := range order {
			if name == r.Peer {
				order[i] = name + "*"
			}
		}
		text := strings.Join(order[:min(len(order), mostShown)], " ")
		if more := len(order) - mostShown; more > 0 {
			text += fmt.Sprintf(" … %d more", more)
		}
		g.add(r.Replica, orElse(r.Peer, "pending"), text)
	}
	return g.print(a.stdout, true)
}
