package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRow(t *testing.T) {
	s := series{name: "a thing", reach: "1 s", unit: "s"}
	for _, ms := range []int{300, 100, 200} {
		s.add(time.Duration(ms) * time.Millisecond)
	}
	want := "| a thing | 1 s | 0.20 s |  | 0.30 s | 3 | `go run -tags seccomp ./testnet/bench -only '^thing$'` |"
	if got := s.row(figure{key: "thing"}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := s.text(0.0045); got != "4.50 ms" {
		t.Errorf("few seconds: %s", got)
	}
	s = series{unit: "ms"}
	for _, us := range []int{1000, 1500, 2000, 9000} {
		s.add(time.Duration(us) * time.Microsecond)
	}
	if got := s.row(figure{}); !strings.Contains(got, "| 1.75 ms |  | 9.00 ms | 4 |") {
		t.Errorf("even number: %s", got)
	}
}

func TestFiguresHaveDifferentKeys(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range figures {
		if f.key == "" || seen[f.key] {
			t.Errorf("key %q is empty or used twice", f.key)
		}
		seen[f.key] = true
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{"-only", "("}, {"-runs", "0"}, {"-nothing"}, {"word"}} {
		var out, fault strings.Builder
		if code := run(args, &out, &fault); code != 2 || fault.Len() == 0 {
			t.Errorf("%v: exit code %d, %q", args, code, fault.String())
		}
	}
}

func TestMetrics(t *testing.T) {
	found, err := metrics("goos: linux\nBenchmarkStart-2   20   9.5 start-ms-median   11 start-ms-worst\n" +
		"BenchmarkFar/1-2 1 3 ratio\nBenchmarkFar/10 1 4 ratio\nBenchmarkFar/10-2 1 5 ratio\nPASS\n")
	want := map[string]map[string][]float64{
		"Start": {"start-ms-median": {9.5}, "start-ms-worst": {11}}, "Far/1": {"ratio": {3}}, "Far/10": {"ratio": {4, 5}},
	}
	if diff := cmp.Diff(want, found); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for _, text := range []string{"", "PASS\n", "BenchmarkStart-2 20 x ns/op\n"} {
		if _, err := metrics(text); err == nil {
			t.Errorf("%q has metrics", text)
		}
	}
}

func TestPercentile(t *testing.T) {
	s := series{unit: "ms"}
	for i := range 200 {
		s.add(time.Duration(200-i) * time.Millisecond)
	}
	if sum := s.summed(); sum.median != 100.5 || sum.p99 != 198 || sum.worst != 200 {
		t.Errorf("%+v", sum)
	}
	s.more = true
	if sum := s.summed(); sum.p99 != 3 || sum.worst != 1 {
		t.Errorf("where more is better: %+v", sum)
	}
}

func TestMetricRow(t *testing.T) {
	found := map[string]map[string][]float64{"All": {"median-ms": {3, 5, 4}, "worst-ms": {9, 30, 8}, "p99-ms": {7, 8, 6}, "writes": {200, 200, 200}}}
	s, err := metricRow{benchmark: "All", metric: "median-ms", worst: "worst-ms", p99: "p99-ms", count: "writes", row: series{unit: "ms"}}.read(found)
	if err != nil || s.summed() != (summary{4, 8, 30, 200}) {
		t.Errorf("%+v %v", s.summed(), err)
	}
	for _, m := range []metricRow{{benchmark: "Other", metric: "median-ms"}, {benchmark: "All", metric: "x"}, {benchmark: "All", metric: "median-ms", worst: "x"}} {
		if _, err := m.read(found); err == nil {
			t.Errorf("%+v was found", m)
		}
	}
}

func TestDescribe(t *testing.T) {
	got, err := describe("processor\t: 0\nmodel name\t: A Chip\nprocessor\t: 1\nmodel name\t: B\n", "MemTotal:       24684092 kB\nMemFree: 1 kB\n", "6.18.1\n", "0.42 1.00 2.00 9/151 13\n")
	want := fmt.Sprintf("Measured on A Chip, %d processors, 24 GiB, Linux 6.18.1, %s; load of the minute before: 0.42.", goruntime.NumCPU(), goruntime.Version())
	if err != nil || got != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
	}
	for _, bad := range [][2]string{{"", "0.42 1"}, {"MemTotal: 7 kB\n", ""}} {
		if got, err := describe("", bad[0], "", bad[1]); err == nil {
			t.Errorf("%q: %s", bad, got)
		}
	}
}

func TestRowsOfTheHeapWorld(t *testing.T) {
	found, err := metrics("BenchmarkThousand-2   1   312000000000 ns/op   40.2 form-s   55.5 real-s   61.3 times-real\n" +
		"    thousand_test.go:153: traffic\nBenchmarkRest   1   9000000000 ns/op   3168 bytes/s-median   3254 bytes/s-worst\nPASS\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []summary
	for _, row := range append(slices.Clone(heapThousand.rows), restTraffic.rows...) {
		s, err := row.read(found)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s.summed())
	}
	if want := []summary{{61.3, 61.3, 61.3, 1}, {55.5, 55.5, 55.5, 1}, {3168, 3168, 3254, 1}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestBenchmarksExist: what a figure is read from is measured by a benchmark of its package, under that name.
func TestBenchmarksExist(t *testing.T) {
	for _, b := range []benchmarked{reconcile(), equal, fill, writeTo100, heapThousand, heapCuts, restTraffic} {
		files, err := filepath.Glob(filepath.Join("../..", b.pkg, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no tests: %v", b.pkg, err)
		}
		var code strings.Builder
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(text)
		}
		for _, row := range b.rows {
			name, _, _ := strings.Cut(row.benchmark, "/")
			if !strings.Contains(code.String(), "\nfunc Benchmark"+name+"(") || !regexp.MustCompile(b.pattern).MatchString("Benchmark"+name) {
				t.Errorf("%s has no Benchmark%s, or %s does not choose it", b.pkg, name, b.pattern)
			}
			for _, metric := range []string{row.metric, row.worst, row.p99, row.count} {
				if metric != "" && !strings.Contains(code.String(), strconv.Quote(metric)+")") {
					t.Errorf("%s does not measure %q", b.pkg, metric)
				}
			}
		}
	}
}

// TestTheTextHasEveryFigure: docs/benchmarks.md has rows of all figures, and its table has no others.
func TestTheTextHasEveryFigure(t *testing.T) {
	text, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(text), "\n## ")
	told := make(map[string]bool)
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| figure |") || strings.HasPrefix(line, "| --- |") {
			continue
		}
		found := regexp.MustCompile(`-only '\^(.*)\$'`).FindStringSubmatch(line)
		if found == nil {
			t.Errorf("no figure: %s", line)
			continue
		}
		told[found[1]] = true
	}
	for _, f := range figures {
		if !told[f.key] {
			t.Errorf("%s is missing", f.key)
		}
		delete(told, f.key)
	}
	for key := range told {
		t.Errorf("%s is no figure", key)
	}
}
