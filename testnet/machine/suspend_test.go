package machine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"shoal/testnet"
	"shoal/testnet/machine"
)

// processes are those of a machine that is on, as this process sees them: each after the one that it is a child of.
func processes(ctx context.Context, net *testnet.Net, peer string) ([]int, error) {
	all, err := net.PS(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(p testnet.PeerStatus) bool { return p.Name == peer })
	if i < 0 || all[i].PID <= 1 {
		return nil, fmt.Errorf("no machine %s is on", peer)
	}
	return below(all[i].PID), nil
}

// below is a process with its children, theirs, and so on.
func below(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	children := map[int][]int{}
	for _, path := range stats {
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			if fields := statOf(child); len(fields) > 1 {
				parent, _ := strconv.Atoi(fields[1])
				children[parent] = append(children[parent], child)
			}
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// statOf are the fields of /proc/PID/stat from the third on: the state, the parent, and so on.
func statOf(pid int) []string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
}

func isStopped(pid int) bool {
	fields := statOf(pid)
	return len(fields) > 0 && fields[0] == "T"
}

// suspend stops everything on a machine, as a lid that is closed does. Clocks go on.
func suspend(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "suspend PEER")
	ctx, cancel := within()
	defer cancel()
	all, err := processes(ctx, open(ts), args[0])
	ts.Check(err)
	// A child that was born meanwhile has a parent that is stopped now.
	for missed := all; len(missed) > 0; missed = slices.DeleteFunc(below(all[0]), isStopped) {
		for _, pid := range missed {
			_ = unix.Kill(pid, unix.SIGSTOP) // it may have ended
		}
		if ctx.Err() != nil {
			ts.Fatalf("%d processes of %s do not stand still", len(missed), args[0])
		}
	}
	ts.Setenv("SUSPENDED_"+args[0], strconv.Itoa(all[0]))
}

// wake lets a suspended machine go on: those first that may not run for long.
func wake(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "wake PEER")
	first, err := strconv.Atoi(ts.Getenv("SUSPENDED_" + args[0]))
	ts.Check(err)
	all := below(first)
	slices.Reverse(all)
	for _, pid := range all {
		_ = unix.Kill(pid, unix.SIGCONT)
	}
}

// guardOf is the process of a machine that keeps deadlines.
func guardOf(ctx context.Context, net *testnet.Net, peer string) (machine.Process, error) {
	all, err := processes(ctx, net, peer)
	if err != nil {
		return machine.Process{}, err
	}
	for _, pid := range all {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && strings.HasPrefix(string(line), "shoal-guard\x00") {
			return machine.Identify(pid)
		}
	}
	return machine.Process{}, fmt.Errorf("no process keeps deadlines on %s", peer)
}

func killGuard(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1 || len(args) == 2 && args[1] == "for-good", "kill-guard PEER [for-good]")
	net := open(ts)
	ctx, cancel := within()
	defer cancel()
	var before machine.Process
	_, err := testnet.Await(ctx, func() (err error) {
		before, err = guardOf(ctx, net, args[0])
		return err
	})
	ts.Check(err)
	ts.Check(before.Kill(ctx))
	if len(args) == 2 {
		return
	}
	_, err = testnet.Await(ctx, func() error {
		now, err := guardOf(ctx, net, args[0])
		if err == nil && now == before {
			err = fmt.Errorf("it is still there")
		}
		return err
	})
	ts.Check(err)
}
