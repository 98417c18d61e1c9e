package main

import (
	"fmt"
	"slices"
	"time"
)

// series is one row: what was measured several times.
type series struct {
	name  string
	reach string
	unit  string // of formats
	all   []float64
	more  bool // more is better: the worst is the least

	summary *summary // in place of all, where only that is known
}

// formats of units. Below ten, one more digit is told.
var formats = map[string][2]string{
	"s":     {"%.2f s", "%.2f s"},
	"ms":    {"%.2f ms", "%.1f ms"},
	"us":    {"%.1f us", "%.0f us"},
	"MiB":   {"%.1f MiB", "%.1f MiB"},
	"times": {"%.2f", "%.1f"},
	"%":     {"%.2f %%", "%.1f %%"},
	"B":     {"%.0f B", "%.0f B"},
	"B/s":   {"%.0f B/s", "%.0f B/s"},
	"/s":    {"%.1f /s", "%.0f /s"},
	"":      {"%.0f", "%.0f"},
}

// percentileLeast is how many measurements a 99th percentile needs to differ from the worst.
const percentileLeast = 100

// summary is what is left of several measurements.
type summary struct {
	median, p99, worst float64
	n                  int
}

// summed is the summary of all: the median of an even number is the mean of the middle two, the 99th percentile the least
// value that 99 of 100 do not exceed.
func (s series) summed() summary {
	if s.summary != nil {
		return *s.summary
	}
	sorted := slices.Sorted(slices.Values(s.all))
	if s.more {
		slices.Reverse(sorted)
	}
	n := len(sorted)
	return summary{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[(99*n+99)/100-1], sorted[n-1], n}
}

func (s series) row(f figure) string {
	sum := s.summed()
	p99 := ""
	if sum.n >= percentileLeast {
		p99 = s.text(sum.p99)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %d | `go run -tags seccomp ./testnet/bench -only '^%s$'` |", s.name, s.reach,
		s.text(sum.median), p99, s.text(sum.worst), sum.n, f.key)
}

func (s series) text(value float64) string {
	if s.unit == "s" && value < 0.01 {
		return series{unit: "ms"}.text(1000 * value)
	}
	format := formats[s.unit][1]
	if value < 10 {
		format = formats[s.unit][0]
	}
	return fmt.Sprintf(format, value)
}

// add notes a duration in the series' unit.
func (s *series) add(d time.Duration) {
	if s.unit == "ms" {
		s.all = append(s.all, float64(d.Microseconds())/1e3)
	} else {
		s.all = append(s.all, d.Seconds())
	}
}
