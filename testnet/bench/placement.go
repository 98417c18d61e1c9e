package main

import "fmt"

var moving = benchmarked{pkg: "./placement", pattern: "^BenchmarkMoves$", once: true, rows: append(
	movesRows("loss", "one of 100 peers lost, 60 to 92 % full of CPU or memory: moves per necessary one", "1.02, worst 1.10"),
	append(movesRows("join", "one peer joins such a cluster: the same", "1.02, worst 1.10"),
		metricRow{benchmark: "Moves", metric: "join-even-%", row: series{name: "clusters in which the joiner then has its share within 5 %", unit: "%", more: true}})...)}

// movesRows tells of the mean and the worst of all clusters, and the same of a bare hash of the whole state.
func movesRows(kind, name, reach string) []metricRow {
	return []metricRow{
		{benchmark: "Moves", metric: kind + "-times", worst: kind + "-worst", count: kind + "-clusters", row: series{name: name + " (mean)", reach: reach, unit: "times"}},
		{benchmark: "Moves", metric: kind + "-bare-times", worst: kind + "-bare-worst", count: kind + "-clusters", row: series{name: "the same by a bare hash of the whole state", unit: "times"}},
		{benchmark: "Moves", metric: kind + "-pending-%", row: series{name: "the same: replicas that found no place, of those that had to move", unit: "%"}},
	}
}

var packing = benchmarked{pkg: "./placement", pattern: "^Benchmark(Pack|Even)$", once: true, rows: packingRows()}

func packingRows() (rows []metricRow) {
	for _, mix := range []string{"google", "azure", "alibaba"} {
		rows = append(rows,
			metricRow{benchmark: "Pack/" + mix, metric: "times", worst: "worst", count: "mixes",
				row: series{name: fmt.Sprintf("peers needed for 1,500 replicas shaped like %s's trace, per peer of an offline packer (mean)", mix), reach: "1.03", unit: "times"}},
			metricRow{benchmark: "Pack/" + mix, metric: "of-bound", row: series{name: "the same per peer of a lower bound", unit: "times"}},
			metricRow{benchmark: "Even/" + mix, metric: "cpu-%", row: series{name: "equal peers 60 % full of such replicas, an eighth as large: worst difference from the mean, CPU", reach: "5 %", unit: "%"}},
			metricRow{benchmark: "Even/" + mix, metric: "memory-%", row: series{name: "the same, memory", reach: "5 %", unit: "%"}})
	}
	return rows
}

var deciding = benchmarked{pkg: "./placement", pattern: "^BenchmarkDecide$", rows: []metricRow{
	{benchmark: "Decide/peers=5000", metric: "decisions/cpu-s", row: series{name: "placements per second of one core, 5,000 peers, 50,000 replicas from nothing", reach: "100,000 /s", unit: "/s", more: true}},
	{benchmark: "Decide/peers=1000", metric: "decisions/cpu-s", row: series{name: "the same, 1,000 peers", unit: "/s", more: true}},
}}

var preferring = benchmarked{pkg: "./placement", pattern: "^BenchmarkRules$/^prefer-", rows: []metricRow{
	{benchmark: "Rules/prefer-peers", metric: "decisions/cpu-s", row: series{name: "the same, 10,000 replicas that prefer half of 5,000 peers", unit: "/s", more: true}},
	{benchmark: "Rules/prefer-apart", metric: "decisions/cpu-s", row: series{name: "the same that prefer to be apart from each other", unit: "/s", more: true}},
	{benchmark: "Rules/prefer-spread", metric: "decisions/cpu-s", row: series{name: "the same that prefer to be spread over zones and peers", unit: "/s", more: true}},
	{benchmark: "Rules/prefer-near-host", metric: "decisions/cpu-s", row: series{name: "the same that prefer to be on one peer", unit: "/s", more: true}},
	{benchmark: "Rules/prefer-near-zone", metric: "decisions/cpu-s", row: series{name: "the same that prefer to be in one zone", unit: "/s", more: true}},
}}

var replanning = benchmarked{pkg: "./placement", pattern: "^BenchmarkReplan$", rows: []metricRow{
	{benchmark: "Replan/from-nothing", metric: "cpu-ms", row: series{name: "first plan of 1,000 peers and 50,000 replicas that run: CPU", unit: "ms"}},
	{benchmark: "Replan/loss", metric: "cpu-ms", row: series{name: "planned again after a loss: CPU", reach: "200 ms", unit: "ms"}},
	{benchmark: "Replan/row", metric: "cpu-ms", row: series{name: "the same after one replica became ready: CPU", reach: "10 ms", unit: "ms"}},
	{benchmark: "Replan/return", metric: "cpu-ms", row: series{name: "the same while 50 peers that came back are filled, 2,413 moves: CPU", unit: "ms"}},
	{benchmark: "Replan/apply", metric: "cpu-ms", row: series{name: "the same after a workload of 10 was applied: CPU", reach: "10 ms", unit: "ms"}},
}}
