package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

// ownGroup is the path of the API's group that is not Kubernetes'.
const ownGroup = "/apis/shoal/v1/"

func outputFlag(c *cobra.Command, output *string) {
	c.Flags().StringVarP(output, "output", "o", "table", "table, json, yaml or name")
}

// listing prints a list of the own group in any of the forms of output; none is said in place of an empty table.
func listing[T any](a *app, c *cobra.Command, output, path string, fill func(*grid, []T), none string, name func(T) string) error {
	if err := oneOf("--output", output, "table", "json", "yaml", "name"); err != nil {
		return err
	}
	var raw json.RawMessage
	header, err := a.client().do(c.Context(), call{method: "GET", path: ownGroup + path, into: &raw})
	if err != nil {
		return err
	}
	var list api.List[T]
	if err := json.Unmarshal(raw, &list); err != nil {
		return fail(exitFailed, "the peer's answer is not understood: %w: is it of another version?", err)
	}
	switch output {
	case "json", "yaml":
		err = a.printRaw(raw, output)
	case "name":
		for _, item := range list.Items {
			fmt.Fprintln(a.stdout, name(item))
		}
	default:
		if len(list.Items) == 0 {
			fmt.Fprintln(a.stderr, none)
			break
		}
		var g grid
		fill(&g, list.Items)
		err = g.print(a.stdout, true)
	}
	if err == nil {
		a.seenBy(header)
	}
	return err
}

// printRaw prints an answer as it came.
func (a *app) printRaw(raw json.RawMessage, output string) error {
	var data any
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	if err := decoder.Decode(&data); err != nil {
		return err
	}
	return a.printData(data, output)
}

func newMembers(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "members",
		Short: "List the peers of the cluster, and what room they have",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return listing(a, c, output, "members", fillMembers, "no peer is known", func(m api.Member) string { return m.Name })
		},
	}
	outputFlag(c, &output)
	return c
}

func fillMembers(g *grid, items []api.Member) {
	g.headings = []string{"NAME", "STATE", "HEALTH", "CPU", "MEMORY", "INSTANCES", "SUBNET", "ADDRESS", "CLOCK", "NEWS"}
	for _, m := range items {
		name, state, news := m.Name, m.State, "none yet"
		switch {
		case m.Leaving:
			state += ",leaving"
		case m.Draining:
			state += ",draining"
		case m.Cordoned:
			state += ",cordoned"
		}
		if m.Damped {
			state += ",damped"
		}
		if m.Heard {
			news = api.Age(time.Duration(m.RowAgeMillis)*time.Millisecond) + " old"
		}
		if m.Self {
			name, news = name+" *", "own"
		}
		g.add(name, state, m.Health, fmt.Sprintf("%dm/%dm", m.Admitted.CPUMillis, m.Room.CPUMillis),
			mib(m.Admitted.MemoryBytes)+"/"+mib(m.Room.MemoryBytes), m.InstanceCount, orElse(m.Subnet, "-"), m.Stream, clockText(m.AheadMillis), news)
	}
}

// clockText is how far a clock is ahead; what is below a tenth of a second is not worth a look.
func clockText(ahead *int64) string {
	switch {
	case ahead == nil:
		return "-"
	case max(*ahead, -*ahead) < 100:
		return "ok"
	case *ahead < 0:
		return api.Age(time.Duration(-*ahead)*time.Millisecond) + " behind"
	}
	return api.Age(time.Duration(*ahead)*time.Millisecond) + " ahead"
}

func newTicket(a *app) *cobra.Command {
	c := &cobra.Command{Use: "ticket", Short: "Tickets with which new peers join", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(newTicketCreate(a))
	return c
}

func newTicketCreate(a *app) *cobra.Command {
	var uses int
	var expires time.Duration
	c := &cobra.Command{
		Use:     "create",
		Short:   "Make a ticket; it is printed once and kept nowhere",
		Example: "  shoal ticket create --uses 4 --expires 30m",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			body, err := json.Marshal(api.TicketRequest{Uses: uses, Expires: expires.String()})
			if err != nil {
				return err
			}
			var ticket api.Ticket
			if _, err := a.client().do(c.Context(), call{method: "POST", path: "/apis/shoal/v1/tickets", body: body, into: &ticket}); err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "for %d uses until %s: on the new machine, run 'shoal agent --join HOST:PORT --ticket TICKET'\n",
				ticket.Uses, ticket.Expires.Local().Format(time.RFC3339))
			_, err = fmt.Fprintln(a.stdout, ticket.Ticket)
			return err
		},
	}
	c.Flags().IntVar(&uses, "uses", 1, "how many peers may join with it")
	c.Flags().DurationVar(&expires, "expires", time.Hour, "how long it is good")
	return c
}

func newLeave(a *app) *cobra.Command {
	var within time.Duration
	c := &cobra.Command{
		Use:   "leave",
		Short: "Hand this peer's work over to others, then stop it",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			body, err := json.Marshal(api.LeaveRequest{Within: within.String()})
			if err != nil {
				return err
			}
			fmt.Fprintln(a.stderr, "handing over; this takes until the replacements are ready")
			_, err = a.client().do(c.Context(), call{method: "POST", path: "/apis/shoal/v1/leave", body: body})
			if err != nil && !errors.Is(err, errHungUp) { // a peer that has left may be gone before it can say so
				return err
			}
			_, err = fmt.Fprintln(a.stdout, "the peer has left the cluster")
			return err
		},
	}
	c.Flags().DurationVar(&within, "within", 5*time.Minute, "leave after this time even when not all is handed over")
	return c
}

// openFile opens what a command reads: a file, or standard input.
func (a *app) openFile(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.stdin), nil
	}
	file, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fail(exitNotFound, "there is no file %s", name)
	}
	return file, err
}
