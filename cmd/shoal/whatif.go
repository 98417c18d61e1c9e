package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"shoal/peer/api"
	"shoal/peer/manifest"
)

func newWhatIf(a *app) *cobra.Command {
	var lose, drain, add []string
	var output string
	c := &cobra.Command{
		Use:   "what-if [--lose PEER,…] [--drain PEER,…] [--add NAME=CPU,MEMORY[,LABEL=VALUE…]]",
		Short: "Show what would become of everything if peers were lost, drained or added",
		Long: `Show what would become of everything if peers were lost, handed over their work, or joined. Nothing is changed.

The peer carries out the plan in its head until nothing changes any more. What is shown is what really happens when it comes to it, as
long as nothing else changes; of what moves later, for the balance alone, only how much. A peer that joins has a key of its own, by which replicas
find it: about how much goes to it is known, which ones is not. With exit code 5 something that runs now would find no
place, or stay on a peer that is to hand it over.`,
		Example: `  shoal what-if --lose p3
  shoal what-if --lose p3,p4
  shoal what-if --add p9=4,8Gi,zone=b
  shoal what-if --drain p2`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			asked := api.WhatIfRequest{Lose: lose, Drain: drain}
			for _, text := range add {
				p, err := parseAdded(text)
				if err != nil {
					return err
				}
				asked.Add = append(asked.Add, p)
			}
			if len(lose)+len(drain)+len(add) == 0 {
				return fail(exitUsage, "say what might happen: --lose, --drain or --add\nsee %s --help", c.CommandPath())
			}
			body, err := json.Marshal(asked)
			if err != nil {
				return err
			}
			return a.ask(c, output, call{method: "POST", path: ownGroup + "what-if", body: body}, func(raw json.RawMessage) error {
				f, err := read[api.Forecast](raw)
				if err != nil {
					return err
				}
				return a.printForecast(&f, "nothing would start, move or stop", func(*api.Foreseen) bool { return false })
			})
		},
	}
	c.Flags().StringSliceVar(&lose, "lose", nil, "peers that are lost")
	c.Flags().StringSliceVar(&drain, "drain", nil, "peers that hand over their work")
	c.Flags().StringArrayVar(&add, "add", nil, "a peer that joins, with its room and labels")
	textFlag(c, &output)
	return c
}

// parseAdded reads NAME=CPU,MEMORY[,LABEL=VALUE…].
func parseAdded(text string) (p api.WhatIfPeer, err error) {
	wrong := func() (api.WhatIfPeer, error) {
		return p, fail(exitUsage, "--add %q is not understood: write it like p9=4,8Gi or p9=500m,512Mi,zone=b", text)
	}
	name, rest, ok := strings.Cut(text, "=")
	parts := strings.Split(rest, ",")
	if !ok || name == "" || len(parts) < 2 {
		return wrong()
	}
	p.Name = name
	var cpu, memory manifest.Quantity
	if cpu, err = manifest.ParseQuantity(parts[0]); err != nil {
		return wrong()
	}
	if memory, err = manifest.ParseQuantity(parts[1]); err != nil {
		return wrong()
	}
	p.CPUMillis, p.MemoryBytes = cpu.Millis(), memory.Whole()
	for _, label := range parts[2:] {
		key, value, ok := strings.Cut(label, "=")
		if !ok || key == "" {
			return wrong()
		}
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
		p.Labels[key] = value
	}
	if p.CPUMillis <= 0 || p.MemoryBytes <= 0 {
		return p, fail(exitUsage, "--add %q: CPU and memory must be more than nothing", fmt.Sprint(text))
	}
	return p, nil
}
