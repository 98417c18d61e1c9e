package main

import (
	"strings"
	"testing"
	"time"
)

func TestRow(t *testing.T) {
	s := series{name: "a thing", reach: "1 s", unit: "s"}
	for _, ms := range []int{300, 100, 200} {
		s.add(time.Duration(ms) * time.Millisecond)
	}
	want := "| a thing | 1 s | 0.20 s | 0.30 s | 3 | `go run -tags seccomp ./testnet/bench -only '^thing$'` |"
	if got := s.row(figure{key: "thing"}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s = series{unit: "ms"}
	for _, us := range []int{1000, 1500, 2000, 9000} {
		s.add(time.Duration(us) * time.Microsecond)
	}
	if got := s.row(figure{}); !strings.Contains(got, "| 1.8 ms | 9.0 ms | 4 |") {
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
	found, err := metrics("goos: linux\nBenchmarkStart-2   20   9.5 start-ms-median   11 start-ms-worst\nPASS\n")
	if err != nil || found["start-ms-median"] != 9.5 || found["start-ms-worst"] != 11 {
		t.Errorf("%v %v", found, err)
	}
	for _, text := range []string{"", "PASS\n", "BenchmarkStart-2 20 x ns/op\n"} {
		if _, err := metrics(text); err == nil {
			t.Errorf("%q has metrics", text)
		}
	}
}
