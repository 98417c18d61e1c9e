package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

func newWhy(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "why REPLICA",
		Short: "Explain where a replica runs, or why it does not",
		Long: `Explain where a replica runs, or why it does not.

It says where the replica belongs and by which rule, with the numbers; every peer's verdict, in the order in which the replica would try
them; and what led to it, on whichever peer that happened. Of a replica that is pending it says why, and the one change that would
help. 'shoal why-not' tells the verdicts alone.`,
		Example: `  shoal why web-0
  shoal why shop/web-0 -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeReplicas,
		RunE: func(c *cobra.Command, args []string) error {
			namespace, name := a.parseReplica(args[0])
			err := a.ask(c, output, call{method: "GET", path: ownGroup + "why/" + namespace + "/" + name}, a.printWhy)
			return a.noReplica(c.Context(), args[0], err)
		},
	}
	a.namespaceFlags(c)
	textFlag(c, &output)
	return c
}

func newWhyNot(a *app) *cobra.Command {
	var output, node string
	c := &cobra.Command{
		Use:   "why-not REPLICA [--node PEER]",
		Short: "Explain why a replica is not on a peer: the rule, and what is missing in numbers",
		Long: `Explain why a replica is not on a peer, or on any other: the exact rule, and what is missing in numbers.

The answer is made of nothing but the view that the plan was made from. Peers with equal views (see 'shoal view') give the same answer, to
the byte.`,
		Example: `  shoal why-not web-0 --node p3
  shoal why-not web-0`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeReplicas,
		RunE: func(c *cobra.Command, args []string) error {
			namespace, name := a.parseReplica(args[0])
			path := query(ownGroup+"why-not/"+namespace+"/"+name, "node", node)
			return a.noReplica(c.Context(), args[0], a.ask(c, output, call{method: "GET", path: path}, a.printWhyNot))
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringVar(&node, "node", "", "the peer in question (default all)")
	textFlag(c, &output)
	return c
}

func textFlag(c *cobra.Command, output *string) {
	c.Flags().StringVarP(output, "output", "o", "table", "table, json or yaml")
}

// ask makes a call whose answer is no list, and prints it; show prints it for people.
func (a *app) ask(c *cobra.Command, output string, asked call, show func(json.RawMessage) error) error {
	if err := oneOf("--output", output, "table", "json", "yaml"); err != nil {
		return err
	}
	var raw json.RawMessage
	asked.into = &raw
	header, err := a.client().do(c.Context(), asked)
	if err != nil {
		return err
	}
	if output == "table" {
		err = show(raw)
	} else {
		err = a.printRaw(raw, output)
	}
	if err == nil || codeOf(err) == exitNotReady {
		a.seenBy(header)
	}
	return err
}

// read decodes an answer of the own group.
func read[T any](raw json.RawMessage) (answer T, err error) {
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, fail(exitFailed, "the peer's answer is not understood: %w: is it of another version?", err)
	}
	return answer, nil
}

// rules says in words what a rule of placement means.
var rules = map[string]string{
	"stays":        "it runs there already, and the peer is fit",
	"hash":         "the first fit peer in the replica's own order",
	"best-fit":     "room is tight: it fits best there, of its first choices",
	"not-live":     "the peer does not answer",
	"draining":     "the peer hands over its work",
	"selector":     "its labels do not match the node selector",
	"no-cpu":       "too little CPU left",
	"no-memory":    "too little memory left",
	"refused":      "the peer refused",
	"later-choice": "fit, but later in the replica's order",
	"spread":       "fit, but it has its share of the workload's replicas",
	"surplus":      "it holds a copy too, and another one stays",
	"moving":       "it is on its way there, to even out the load",
	"rebalance":    "to even out the load",
	"displaces":    "replicas of lower priority make room for it there",
	"waits":        "its peer is lost, and it is waited for",
	"pinned":       "it belongs to this peer alone",
	"cordoned":     "the peer is cordoned: it takes nothing new",
	"damped":       "the peer came and went too often: it takes nothing new for a while",
	"taint":        "the peer has a taint that it does not tolerate",
	"affinity":     "the peer's labels do not meet its node affinity",
	"near":         "not near the replicas that it must be near",
	"apart":        "too near replicas that it must be apart from",
	"skew":         "it would spread its replicas less evenly than it allows",
	"no-storage":   "too little ephemeral storage left",
	"no-pids":      "too few processes left",
	"no-device":    "too few of a device left",
	"port-taken":   "a port that it needs is taken",
	"elsewhere":    "it belongs to another peer alone",
}

func (a *app) printWhy(raw json.RawMessage) error {
	why, err := read[api.Why](raw)
	if err != nil {
		return err
	}
	if !why.Wanted {
		fmt.Fprintf(a.stdout, "%s is not wanted any more\n", why.Replica)
	} else {
		a.printPlace(&why.WhyNot)
	}
	if why.Waits != "" {
		fmt.Fprintf(a.stdout, "  it %s\n", why.Waits)
	}
	for _, i := range why.Instances {
		fmt.Fprintf(a.stdout, "  on %s: %s\n", i.Peer, instanceText(i))
	}
	if err := a.printVerdicts(why.Verdicts); err != nil || len(why.Events) == 0 {
		return err
	}
	fmt.Fprintln(a.stdout, "\nWhat led to it:")
	var g grid
	fillEvents(&g, why.Events)
	return g.print(a.stdout, true)
}

func (a *app) printWhyNot(raw json.RawMessage) error {
	why, err := read[api.WhyNot](raw)
	if err != nil {
		return err
	}
	a.printPlace(&why)
	if err := a.printVerdicts(why.Verdicts); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "\nview %s, plan %s\n", brief(why.View), brief(why.Plan))
	return err
}

// brief is enough of a digest to compare it by eye.
func brief(digest string) string { return digest[:min(len(digest), 16)] }

// printPlace says where a replica belongs, or why it has no place.
func (a *app) printPlace(why *api.WhyNot) {
	if why.Peer == "" {
		fmt.Fprintf(a.stdout, "%s is pending: %s\n", why.Replica, orElse(why.Pending, "not planned yet"))
		if why.By != "" {
			fmt.Fprintf(a.stdout, "  it made room for %s, of higher priority\n", why.By)
		}
		if why.Remedy != "" {
			fmt.Fprintf(a.stdout, "  one change that would help: %s\n", why.Remedy)
		}
		return
	}
	text := orElse(rules[why.Rule], why.Rule)
	switch {
	case why.Held != "":
		text = "it runs there, and " + why.Held
	case why.Detail != "":
		text += " (" + why.Detail + ")"
	}
	fmt.Fprintf(a.stdout, "%s belongs on %s: %s\n", why.Replica, why.Peer, text)
	if why.From != "" {
		fmt.Fprintf(a.stdout, "  %s keeps it until it is ready there\n", why.From)
	}
	if len(why.Makes) > 0 {
		fmt.Fprintf(a.stdout, "  for it go: %s\n", strings.Join(why.Makes, ", "))
	}
}

func (a *app) printVerdicts(verdicts []api.Verdict) error {
	if len(verdicts) == 0 {
		return nil
	}
	g := grid{headings: []string{"PEER", "VERDICT", "REASON"}}
	for _, v := range verdicts {
		g.add(v.Peer, v.Rule, orElse(v.Detail, rules[v.Rule]))
	}
	fmt.Fprintln(a.stdout)
	return g.print(a.stdout, true)
}

func instanceText(i api.Instance) string {
	text := i.State
	if i.Ready {
		text += ", ready"
	}
	if !i.Current {
		text += ", of the revision before"
	}
	if i.Waits != "" {
		text += "; waits: " + i.Waits
	}
	for _, c := range i.Containers {
		if !c.Ready && (c.Reason != "" || c.Detail != "") {
			text += fmt.Sprintf("; container %s: %s", c.Name, strings.TrimSpace(c.Reason+" "+c.Detail))
		}
		if c.Restarts > 0 {
			text += fmt.Sprintf("; container %s restarted %d times", c.Name, c.Restarts)
		}
	}
	return text
}
