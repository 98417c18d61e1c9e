package main

var (
	schedules = benchmarked{pkg: "./peer/lease", pattern: "^BenchmarkSchedules$", once: true, rows: []metricRow{
		{benchmark: "Schedules", metric: "overlaps", row: series{
			name: "exclusive workloads, 100,000 seeded schedules of splits, stalls, deaths and clocks that drift by 1 %: those in which one ran twice at once", reach: "0"}},
		{benchmark: "Schedules", metric: "starts", row: series{name: "the same: starts of it, so that there was something to overlap", more: true}},
	}}
	exclusiveLives = benchmarked{pkg: "./testnet/heap", pattern: "^BenchmarkExclusive$", once: true, rows: []metricRow{
		{benchmark: "Exclusive", metric: "overlaps", row: series{
			name: "the same with all of peer/control, 2,000 lives in the heap world: those in which one ran twice at once", reach: "0"}},
		{benchmark: "Exclusive", metric: "others", row: series{name: "the same: those after which it did not run again within 40 s", reach: "0"}},
		{benchmark: "Exclusive", metric: "back-s-median", worst: "back-s-worst", row: series{
			name: "its holder loses power (heap, 500 lives): running elsewhere after", reach: "12 s", unit: "s"}},
	}}
)
