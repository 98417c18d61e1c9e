package main

// Figures of peers that come and go, of the heap world: virtual time, exact for a seed.

var flapping = benchmarked{pkg: "./testnet/heap", pattern: "^BenchmarkFlapping$", once: true, rows: []metricRow{
	{benchmark: "Flapping", metric: "most-moves", row: series{name: "a peer of 20 flapping for an hour (virtual), 400 replicas: moves of the replica that moved most", reach: "2"}},
	{benchmark: "Flapping", metric: "up-%", row: series{name: "the same: wanted replicas up, on average", reach: "99.9 %", unit: "%", more: true}},
}}

var returning = benchmarked{pkg: "./testnet/heap", pattern: "^BenchmarkReturning$", once: true, rows: []metricRow{
	{benchmark: "Returning", metric: "share-s", worst: "share-s-worst", count: "returns",
		row: series{name: "a peer returns to 19 equal ones with 800 replicas: has its fair share, within 5 %", reach: "60 s", unit: "s"}},
	{benchmark: "Returning", metric: "moving-%", worst: "moving-%-worst", count: "returns",
		row: series{name: "the same: part of one workload on its way at once", reach: "10 %", unit: "%"}},
}}

var heapFleet = benchmarked{pkg: "./testnet/heap", pattern: "^BenchmarkFleet$", once: true, rows: []metricRow{
	{benchmark: "Fleet", metric: "storm-s", row: series{
		name: "1,000 peers, 20,000 replicas of mixed sizes: losses, flaps, a join, a split, drains, taints, refusals in 9 virtual minutes, all promises checked: CPU", unit: "s"}},
	{benchmark: "Fleet", metric: "form-s", row: series{name: "the same: CPU until that cluster had formed", unit: "s"}},
	{benchmark: "Fleet", metric: "up-%", row: series{name: "the same: wanted replicas up, on average", unit: "%", more: true}},
}}
