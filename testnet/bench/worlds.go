package main

import "fmt"

// reconcile is told for each number of differences between two sets of a million small objects.
func reconcile() benchmarked {
	b := benchmarked{pkg: "./peer/replication", pattern: "^BenchmarkReconcileMillion$", once: true}
	for _, differences := range []int{1, 100, 10_000, 100_000} {
		name := fmt.Sprintf("ReconcileMillion/%d", differences)
		reach := "1.8"
		if differences == 1 {
			reach = "2 kB more than the difference"
		}
		b.rows = append(b.rows,
			metricRow{benchmark: name, metric: "ratio", row: series{
				name: fmt.Sprintf("reconcile 1,000,000 objects that differ in %d: bytes beyond 2 kB per byte of difference", differences), reach: reach, unit: "times"}},
			metricRow{benchmark: name, metric: "cpu-s", row: series{name: "the same: CPU of both sides", reach: "1 s", unit: "s"}},
		)
	}
	return b
}

var equal = benchmarked{pkg: "./peer/replication", pattern: "^BenchmarkEqualMillion$", once: true, rows: []metricRow{
	{benchmark: "EqualMillion", metric: "packets", row: series{name: "two equal replicas of that size: packets, both ways", reach: "2"}},
	{benchmark: "EqualMillion", metric: "bytes-there", row: series{name: "the same: the larger packet", reach: "1,400 B", unit: "B"}},
}}

var fill = benchmarked{pkg: "./peer/replication", pattern: "^BenchmarkFillMillion$", once: true, rows: []metricRow{
	{benchmark: "FillMillion", metric: "ratio", row: series{name: "a new peer receives 1,000,000 objects: bytes per byte of a snapshot", reach: "1.1", unit: "times"}},
	{benchmark: "FillMillion", metric: "again-%", row: series{name: "the same with a cut on the way: sent again", reach: "1 %", unit: "%"}},
}}

var writeTo100 = benchmarked{pkg: "./testnet/bubble", pattern: "^BenchmarkWriteTo100$", once: true, rows: []metricRow{
	{benchmark: "WriteTo100", metric: "median-ms", p99: "p99-ms", worst: "worst-ms", count: "writes",
		row: series{name: "one write known to all of 100 peers, 5 ms links (bubble, virtual time)", reach: "p99 1 s", unit: "ms"}},
}}

var heapThousand = benchmarked{pkg: "./testnet/heap", pattern: "^BenchmarkThousand$", once: true, rows: []metricRow{
	{benchmark: "Thousand", metric: "times-real", row: series{name: "heap world, 1,000 peers at rest: virtual time per CPU time", reach: "60", unit: "times", more: true}},
	{benchmark: "Thousand", metric: "real-s", row: series{name: "10 virtual minutes of it with faults: CPU", reach: "60 s", unit: "s"}},
}}

var heapCuts = benchmarked{pkg: "./testnet/heap", pattern: "^BenchmarkCuts$", once: true, rows: []metricRow{
	{benchmark: "Cuts", metric: "cuts-s", row: series{
		name: "300 peers: cut in halves that both write, links that carry in one direction, 20 programs that die while they write, until all agree again: CPU", unit: "s"}},
}}

var restTraffic = benchmarked{pkg: "./testnet/heap", pattern: "^BenchmarkRest$", once: true, rows: []metricRow{
	{benchmark: "Rest", metric: "bytes/s-median", worst: "bytes/s-worst",
		row: series{name: "traffic of a peer at rest in a cluster of 1,000, as the heap world counts it", reach: "3,000 B/s", unit: "B/s"}},
}}
