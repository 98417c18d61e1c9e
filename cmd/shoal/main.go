package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"shoal/runtime/oci"
)

func main() {
	oci.Init() // never returns in a process that is to become a container
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// app is what every command is made with: where it reads and writes, and the flags that all share.
type app struct {
	stdin     io.Reader
	stdout    io.Writer
	stderr    io.Writer
	env       func(string) string
	socket    string // of --socket; empty when not given
	namespace string // of --namespace
}

// commands makes every command of shoal, in the order in which help lists them.
// A new command is added here.
var commands = []func(*app) *cobra.Command{
	newApply,
	newDiff,
	newGet,
	newDescribe,
	newScale,
	newSet,
	newDelete,
	newHistory,
	newRollback,
	newLogs,
	newExec,
	newWhy,
	newWhyNot,
	newPlan,
	newWhatIf,
	newRing,
	newView,
	newMembers,
	newLabel,
	newTaint,
	newCordon,
	newUncordon,
	newDrain,
	newEvents,
	newHeals,
	newConflicts,
	newAudit,
	newFloor,
	newImage,
	newTicket,
	newLeave,
	newAgent,
	newConfig,
	newTestnet,
	newVersion,
}

// run is shoal: it runs one command line and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(&app{stdin: stdin, stdout: stdout, stderr: stderr, env: env}, commands...)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(stderr, "shoal: "+strings.TrimPrefix(err.Error(), "shoal: "))
	}
	return codeOf(err)
}

// newRoot makes the command shoal with its subcommands.
func newRoot(a *app, subcommands ...func(*app) *cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:           "shoal",
		Short:         "Run containers on a set of machines that has no master",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.PersistentFlags().StringVar(&a.socket, "socket", "",
		"unix socket of the peer to talk to (default $SHOAL_SOCKET, else "+defaultSocket+")")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fail(exitUsage, "%s\nsee %s --help", flagText(err), c.CommandPath())
	})
	for _, newCommand := range subcommands {
		root.AddCommand(newCommand(a))
	}
	usageErrors(root)
	return root
}

// flagText is what is wrong with a flag, without the words of the library that could not read its value.
func flagText(err error) string {
	text := err.Error()
	for words, hint := range map[string]string{": strconv.": "write a whole number", ": time: ": `write it like "10s", "5m" or "1h30m"`} {
		if before, _, found := strings.Cut(text, words); found {
			return before + ": " + hint
		}
	}
	return text
}

// usageErrors gives wrong arguments the exit code of wrong usage, for c and all below it.
func usageErrors(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return fail(exitUsage, "%w\nsee %s --help", err, c.CommandPath())
			}
			return nil
		}
	}
	for _, below := range c.Commands() {
		usageErrors(below)
	}
}
