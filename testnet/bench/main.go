// Bench prints the figures that Shoal is measured by, as rows of a Markdown table: median, 99th percentile and worst of
// several runs, each with the command that prints it again.
//
//	go run -tags seccomp ./testnet/bench                     (or: make bench; as root)
//	go run -tags seccomp ./testnet/bench -only power -runs 9
//
// Three kinds of figures. Those of the machine world have testnets of their own, of real peers with real containers on
// this machine; times are taken from the peers' API and from the kernel, looked at every few milliseconds. Those of the pure
// core and of the other two worlds are benchmarks of their packages, run by `go test` and read by the names of their metrics. And
// taking in operations is measured on one peer in this process, with a real store. Nothing of this machine is touched, and
// nothing is left.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"shoal/testnet/kit"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", "", "measure only the figures whose key matches this regular `expression`")
	runs := flags.Int("runs", 5, "how often to measure each figure")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	chosen, err := regexp.Compile(*only)
	if err != nil || *runs < 1 || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "bench: -only takes a regular expression, -runs a number from 1 on, and nothing else is taken:", err)
		return 2
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(stderr, "bench: needs root: it makes namespaces, network devices and cgroups, all apart from this machine's own. Run: sudo make bench")
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := measureAll(ctx, chosen, *runs, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

func measureAll(ctx context.Context, chosen *regexp.Regexp, runs int, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "shoal-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	on, err := machineLine()
	if err != nil {
		return err
	}
	fmt.Fprintln(stderr, "building …")
	built, err := kit.Build(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s\n\n", on)
	fmt.Fprintln(stdout, "| figure | reach | median | p99 | worst | n | command |")
	fmt.Fprintln(stdout, "| --- | --- | --- | --- | --- | --- | --- |")
	var faults []error
	for _, f := range figures {
		if !chosen.MatchString(f.key) || ctx.Err() != nil {
			continue
		}
		began := time.Now()
		l := &lab{kit: built, dir: dir, runs: runs, stdout: stdout, stderr: stderr}
		samples, err := f.measure(ctx, l)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", f.key, err))
			fmt.Fprintf(stderr, "%s: %v\n", f.key, err)
			continue
		}
		for _, s := range samples {
			fmt.Fprintln(stdout, s.row(f))
		}
		fmt.Fprintf(stderr, "%s: measured in %s\n", f.key, time.Since(began).Round(time.Second))
	}
	return errors.Join(append(faults, ctx.Err())...)
}

// figure is one thing to measure.
type figure struct {
	key     string
	measure func(context.Context, *lab) ([]series, error)
}
