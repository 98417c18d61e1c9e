package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// runcModule is the program that is compared with: runc itself, in the version whose library runtime/oci uses.
const runcModule = "github.com/opencontainers/runc"

// containerStart runs the benchmark of runtime/oci, which starts containers by turns with `runc run`.
func containerStart(ctx context.Context, l *lab) ([]series, error) {
	rounds := 4 * l.runs
	if _, err := l.tool(ctx, "go", "build", "-tags", "seccomp", "-o", filepath.Join(l.dir, "runc"), runcModule); err != nil {
		return nil, err
	}
	out, err := l.tool(ctx, "go", "test", "-tags", "seccomp", "-run", "^$", "-bench", "^BenchmarkStart$",
		"-benchtime", fmt.Sprintf("%dx", rounds), "./runtime/oci")
	if err != nil {
		return nil, err
	}
	found, err := metrics(out)
	if err != nil {
		return nil, err
	}
	figures := found["Start"]
	var all []series
	for _, row := range []struct{ metric, name, reach string }{
		{"start", "container start, prepared, to its first instruction", "as runc"},
		{"prepare+start", "the same with its preparation (root file system, cgroup)", ""},
		{"runc-run", "`runc run` in the same run, root file system mounted", ""},
	} {
		middle, worst := figures[row.metric+"-ms-median"], figures[row.metric+"-ms-worst"]
		if len(middle) != 1 || len(worst) != 1 {
			return nil, fmt.Errorf("the benchmark of runtime/oci did not measure %s: %s", row.metric, out)
		}
		all = append(all, series{name: row.name, reach: row.reach, unit: "ms", summary: &summary{middle[0], worst[0], worst[0], rounds}})
	}
	return all, nil
}

// tool runs a program in the repository, with what was built for the benchmarks first in the path.
func (l *lab) tool(ctx context.Context, program string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir = l.kit.Root
	command.Env = append(os.Environ(), "PATH="+l.dir+":"+os.Getenv("PATH"))
	out, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(arguments, " "), err, out)
	}
	return string(out), err
}
