package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	figures, err := metrics(out)
	if err != nil {
		return nil, err
	}
	var all []series
	for _, row := range []struct{ metric, name, reach string }{
		{"start", "container start, prepared, to its first instruction", "as runc"},
		{"prepare+start", "the same with its preparation (root file system, cgroup)", ""},
		{"runc-run", "`runc run` in the same run, root file system mounted", ""},
	} {
		middle, ok := figures[row.metric+"-ms-median"]
		worst, also := figures[row.metric+"-ms-worst"]
		if !ok || !also {
			return nil, fmt.Errorf("the benchmark of runtime/oci did not measure %s: %s", row.metric, out)
		}
		all = append(all, series{name: row.name, reach: row.reach, unit: "ms", summary: &summary{middle, worst, rounds}})
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

// metrics reads the line of one benchmark: name, rounds, then pairs of value and unit
// (go.dev/design/14313-benchmark-format).
func metrics(output string) (map[string]float64, error) {
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		found := make(map[string]float64)
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			found[fields[i+1]] = value
		}
		return found, nil
	}
	return nil, fmt.Errorf("no benchmark ran: %s", output)
}
