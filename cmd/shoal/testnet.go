package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/manifest"
	"shoal/testnet"
)

// newTestnet makes the commands that run a whole cluster on this machine, for trying things out.
func newTestnet(a *app) *cobra.Command {
	command := &cobra.Command{
		Use:   "testnet",
		Short: "Run a cluster of test peers on this machine, and break it",
		Long: `Run a cluster of test peers on this machine, and break it.

Every peer is a machine of its own: its own processes, mounts, network and cgroups, apart from this machine's
and below one keeper process. Nothing of this machine's own network is touched. It needs root.

A testnet ends with 'shoal testnet down', or by itself after its time to live. It is kept in
$SHOAL_TESTNET_DIR, else in the directory for temporary files as shoal-testnet-NAME.`,
		Example: `  shoal testnet up -n 5
  shoal testnet run p3 -- shoal apply -f examples/web.yaml
  shoal testnet kill p2
  shoal testnet split p1,p3/p4,p5
  shoal testnet heal
  shoal testnet check
  shoal testnet down`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	name := command.PersistentFlags().String("name", "", "name of the testnet (default $SHOAL_TESTNET_NAME, else "+testnet.DefaultName+")")
	t := &testnetCommands{a, name}
	command.AddCommand(t.up(), t.ps(), t.run(), t.kill(), t.start(), t.join(), t.killAgent(), t.split(), t.cut(), t.heal(), t.check(), t.down())
	for _, hidden := range []*cobra.Command{
		{Use: "keeper DIR", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error { return testnet.Keeper(args[0]) }},
		{Use: "machine DIR PEER", Args: cobra.ExactArgs(2), RunE: func(_ *cobra.Command, args []string) error { return testnet.Machine(args[0], args[1]) }},
	} {
		hidden.Hidden = true
		command.AddCommand(hidden)
	}
	return command
}

type testnetCommands struct {
	*app
	name *string
}

// on makes a command's work from a function of the open testnet.
func (t *testnetCommands) on(do func(ctx context.Context, net *testnet.Net, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		net, err := testnet.Open(*t.name)
		if err != nil {
			return testnetError(err)
		}
		return testnetError(do(c.Context(), net, args))
	}
}

// testnetError gives an error of the testnet its exit code.
func testnetError(err error) error {
	var wrong *testnet.UsageError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return fail(exitUsage, "%w", err)
	case errors.Is(err, testnet.ErrNone):
		return fail(exitNotFound, "%w", err)
	case errors.Is(err, testnet.ErrExists):
		return fail(exitDamaged, "%w", err)
	default:
		return err
	}
}

// took says how long something took, to people.
func (t *testnetCommands) took(since time.Time, format string, values ...any) {
	fmt.Fprintf(t.stderr, "%s (%s)\n", fmt.Sprintf(format, values...), time.Since(since).Round(time.Millisecond))
}

func (t *testnetCommands) up() *cobra.Command {
	options := testnet.Options{}
	var memory string
	command := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster of test peers; returns when all are members of each other",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			amount, err := manifest.ParseQuantity(memory)
			if err != nil {
				return fail(exitUsage, "--memory: %w", err)
			}
			options.Name, options.MemoryBytes = *t.name, amount.Whole()
			began := time.Now()
			net, err := testnet.Up(c.Context(), options)
			if err != nil {
				return testnetError(err)
			}
			t.took(began, "testnet %q is up: %d machines, their agents members of each other", net.Name(), len(net.Peers()))
			fmt.Fprintf(t.stderr, "it ends by itself after %s; end it before with: shoal testnet down --name %s\n", options.TTL, net.Name())
			return nil
		},
	}
	flags := command.Flags()
	flags.IntVarP(&options.Peers, "peers", "n", testnet.DefaultPeers, "number of peers")
	flags.Int64Var(&options.CPUMillis, "cpu", testnet.DefaultCPUMillis, "CPU that each peer offers, in thousandths of a core; the sum may exceed this machine's")
	flags.StringVar(&memory, "memory", "1Gi", "memory that each peer offers, as 512Mi or 1Gi")
	flags.IntVar(&options.Agents, "agents", 0, "start the agents of only so many peers (default all)")
	flags.DurationVar(&options.TTL, "ttl", testnet.DefaultTTL, "after this time the testnet ends by itself")
	return command
}

func (t *testnetCommands) ps() *cobra.Command {
	return &cobra.Command{
		Use:   "ps",
		Short: "List the peers' machines: state, address, side, containers and memory of the agent",
		Args:  cobra.NoArgs,
		RunE: t.on(func(ctx context.Context, net *testnet.Net, _ []string) error {
			peers, err := net.PS(ctx)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(t.stdout, 0, 8, 3, ' ', 0)
			fmt.Fprintln(table, "PEER\tMACHINE\tAGENT\tPID\tADDRESS\tSIDE\tCONTAINERS\tRSS")
			for _, p := range peers {
				side := "-"
				if p.Side != 0 {
					side = fmt.Sprint(p.Side)
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%d\t%.1fMi\n", p.Name, p.Machine, p.Agent, p.PID, p.Address,
					side, p.Containers, float64(p.RSSBytes)/(1<<20))
			}
			return table.Flush()
		}),
	}
}

func (t *testnetCommands) run() *cobra.Command {
	command := &cobra.Command{
		Use:   "run PEERS [--] COMMAND [ARGUMENT…]",
		Short: "Run a command on one peer's machine, on several (p1,p3) or on all",
		Long: `Run a command on one peer's machine, on several (p1,p3) or on all.

The command finds shoal in its PATH, which talks to that machine's peer. On several machines each line of
output begins with the peer's name. The exit code is that of the command; of several, the first that is not 0.`,
		Example: `  shoal testnet run p1 -- shoal get pods -o wide
  shoal testnet run all -- shoal members`,
		Args: cobra.MinimumNArgs(2),
		RunE: t.on(func(ctx context.Context, net *testnet.Net, args []string) error {
			peers, err := net.Select(args[0])
			if err != nil {
				return err
			}
			command := args[1:]
			if command[0] == "--" {
				command = command[1:]
			}
			code, err := net.Run(ctx, peers, command, testnet.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
			if err != nil {
				return err
			}
			if code != 0 {
				return &codedError{code: code} // the command has said why
			}
			return nil
		}),
	}
	command.Flags().SetInterspersed(false)
	return command
}

// verb makes a command of one argument that says what it did.
func (t *testnetCommands) verb(use, short string, do func(ctx context.Context, net *testnet.Net, argument string) (done string, err error)) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: t.on(func(ctx context.Context, net *testnet.Net, args []string) error {
			began := time.Now()
			done, err := do(ctx, net, args[0])
			if err == nil {
				t.took(began, "%s", done)
			}
			return err
		}),
	}
}

// onePeer makes do a verb on a single peer that exists.
func onePeer(do func(ctx context.Context, net *testnet.Net, peer string) (string, error)) func(context.Context, *testnet.Net, string) (string, error) {
	return func(ctx context.Context, net *testnet.Net, argument string) (string, error) {
		peers, err := net.Select(argument)
		if err != nil {
			return "", err
		}
		for _, peer := range peers {
			if done, err := do(ctx, net, peer); err != nil || len(peers) == 1 {
				return done, err
			}
		}
		return strings.Join(peers, ", ") + ": done", nil
	}
}

func (t *testnetCommands) kill() *cobra.Command {
	return t.verb("kill PEERS", "Cut the power of a peer's machine", onePeer(func(ctx context.Context, net *testnet.Net, peer string) (string, error) {
		return peer + " has no power", net.Kill(ctx, peer)
	}))
}

func (t *testnetCommands) start() *cobra.Command {
	return t.verb("start PEERS", "Boot a peer's machine, on the disk that it had, or only its agent where that alone is gone", onePeer(func(ctx context.Context, net *testnet.Net, peer string) (string, error) {
		return peer + " is back", net.Start(ctx, peer)
	}))
}

func (t *testnetCommands) join() *cobra.Command {
	var seed, ticket string
	command := t.verb("join PEERS", "Start agents that are in no cluster yet, and let them join", func(ctx context.Context, net *testnet.Net, argument string) (string, error) {
		peers, err := net.Select(argument)
		if err != nil {
			return "", err
		}
		return argument + " joined", net.Join(ctx, seed, peers, ticket)
	})
	command.Flags().StringVar(&seed, "seed", "p1", "peer to join through")
	command.Flags().StringVar(&ticket, "ticket", "", "ticket to join with (default: a new one from the seed)")
	return command
}

func (t *testnetCommands) killAgent() *cobra.Command {
	var supervisor bool
	command := t.verb("kill-agent PEERS", "Kill a peer's program with SIGKILL, and nothing else of its machine", onePeer(func(ctx context.Context, net *testnet.Net, peer string) (string, error) {
		return "the agent of " + peer + " was killed", net.KillAgent(ctx, peer, supervisor)
	}))
	command.Flags().BoolVar(&supervisor, "supervisor", false, "kill the supervisor in place of the main process; `shoal testnet start` starts it again")
	return command
}

func (t *testnetCommands) split() *cobra.Command {
	return t.verb("split A,B/C,D,E", "Split the network: only peers of one side reach each other", func(ctx context.Context, net *testnet.Net, argument string) (string, error) {
		sides, err := net.Sides(argument)
		if err != nil {
			return "", err
		}
		return "the network is split", net.Split(ctx, sides)
	})
}

func (t *testnetCommands) cut() *cobra.Command {
	var both bool
	command := t.verb("cut FROM/TO", "Lose all that peers FROM send to peers TO, while the way back stays open", func(ctx context.Context, net *testnet.Net, argument string) (string, error) {
		sides, err := net.Sides(argument)
		if err == nil && len(sides) != 2 {
			err = &testnet.UsageError{Text: fmt.Sprintf("%q: name the peers as p1,p2/p3", argument)}
		}
		if err != nil {
			return "", err
		}
		return "the way is cut", net.Cut(ctx, sides[0], sides[1], both)
	})
	command.Flags().BoolVar(&both, "both", false, "cut the way back too")
	return command
}

func (t *testnetCommands) heal() *cobra.Command {
	return &cobra.Command{
		Use:   "heal",
		Short: "Make one network of all sides again, and end all cuts",
		Args:  cobra.NoArgs,
		RunE: t.on(func(ctx context.Context, net *testnet.Net, _ []string) error {
			return net.Heal(ctx)
		}),
	}
}

func (t *testnetCommands) check() *cobra.Command {
	var within time.Duration
	command := &cobra.Command{
		Use:   "check",
		Short: "Check that the promises hold now; exit code 1 names the one that does not",
		Args:  cobra.NoArgs,
		RunE: t.on(func(ctx context.Context, net *testnet.Net, _ []string) error {
			report, err := net.CheckWithin(ctx, within)
			if err != nil {
				return err
			}
			for _, line := range report.Lines {
				fmt.Fprintln(t.stdout, line)
			}
			return report.Err()
		}),
	}
	command.Flags().DurationVar(&within, "within", 0, "how long to go on checking until all promises hold, after a change")
	return command
}

func (t *testnetCommands) down() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End a testnet and leave nothing of it, whatever state it is in",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			err := testnet.Down(ctx, *t.name)
			if errors.Is(err, testnet.ErrNone) {
				fmt.Fprintln(t.stderr, "there is no such testnet: nothing to do")
				return nil
			}
			if err == nil {
				t.took(began, "the testnet is gone")
			}
			return testnetError(err)
		},
	}
}
