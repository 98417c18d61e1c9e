package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// benchmarked makes a figure of benchmarks of a package, each of which is one round of measuring.
type benchmarked struct {
	pkg     string // below the module, as ./crdt
	pattern string // of go test -bench
	once    bool   // one round is enough: it is long, or it is exact
	rows    []metricRow
}

// metricRow says which metric of which benchmark a row is made of.
type metricRow struct {
	benchmark string // without "Benchmark", as Reconcile/100
	metric    string
	worst     string // the metric that is the worst of each round; empty: that of all rounds
	p99       string // likewise; needs worst and count
	count     string // the metric that says how many measurements a round is
	row       series
}

func (b benchmarked) measure(ctx context.Context, l *lab) ([]series, error) {
	rounds := l.runs
	if b.once {
		rounds = 1
	}
	out, err := l.tool(ctx, "go", "test", "-run", "^$", "-bench", b.pattern, "-benchtime", "1x",
		"-count", strconv.Itoa(rounds), "-timeout", "1h", b.pkg)
	if err != nil {
		return nil, err
	}
	found, err := metrics(out)
	if err != nil {
		return nil, err
	}
	var all []series
	for _, wanted := range b.rows {
		s, err := wanted.read(found)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", b.pkg, err, out)
		}
		all = append(all, s)
	}
	return all, nil
}

// read makes the row of what was found.
func (m metricRow) read(found map[string]map[string][]float64) (series, error) {
	s := m.row
	values := found[m.benchmark]
	if s.all = values[m.metric]; len(s.all) == 0 {
		return s, fmt.Errorf("benchmark %s did not measure %q", m.benchmark, m.metric)
	}
	if m.worst == "" {
		return s, nil
	}
	sum := s.summed()
	for _, part := range []struct {
		metric string
		into   func(float64)
	}{
		{m.worst, func(v float64) { sum.worst = v }},
		{m.p99, func(v float64) { sum.p99 = v }},
		{m.count, func(v float64) { sum.n = int(v) }},
	} {
		if part.metric == "" {
			continue
		}
		told := series{all: values[part.metric], more: s.more}
		if len(told.all) == 0 {
			return s, fmt.Errorf("benchmark %s did not measure %q", m.benchmark, part.metric)
		}
		part.into(told.summed().worst)
	}
	s.summary = &sum
	return s, nil
}

// processors is what `go test` adds to a benchmark's name where it runs on more than one.
var processors = regexp.MustCompile(`-[0-9]+$`)

// metrics reads the lines of benchmarks: name, rounds, then pairs of value and unit (go.dev/design/14313-benchmark-format). The
// result goes from name (without "Benchmark") and unit to the values of all rounds.
func metrics(output string) (map[string]map[string][]float64, error) {
	found := make(map[string]map[string][]float64)
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := processors.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")
		if found[name] == nil {
			found[name] = make(map[string][]float64)
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			found[name][fields[i+1]] = append(found[name][fields[i+1]], value)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no benchmark ran: %s", output)
	}
	return found, nil
}
