package main

// falseDeaths compares how often peers that live are reported as dead.
var falseDeaths = benchmarked{pkg: "./gossip/swim", pattern: "^BenchmarkFalseDeaths$", once: true, rows: []metricRow{
	{benchmark: "FalseDeaths", metric: "shoal-deaths",
		row: series{name: "false deaths: 20 peers, each stalled a fifth of the time, 20 % loss, 6 minutes (bubble, virtual time)", reach: "1/20 of memberlist's"}},
	{benchmark: "FalseDeaths", metric: "memberlist-deaths", row: series{name: "the same, memberlist's DefaultLANConfig scaled to the same time of detection"}},
	{benchmark: "FalseDeaths", metric: "without-lifeguard-deaths", row: series{name: "the same, without Lifeguard's slowing down"}},
	{benchmark: "FalseDeaths", metric: "shoal-s", row: series{name: "power loss of 1 of those 20 known to all, in good weather: the middle of 9", unit: "s"}},
	{benchmark: "FalseDeaths", metric: "memberlist-s", row: series{name: "the same, memberlist so scaled", unit: "s"}},
	{benchmark: "FalseDeaths", metric: "shoal-B/s", row: series{name: "gossip that a peer sends meanwhile, stalls and loss as above", unit: "B/s"}},
	{benchmark: "FalseDeaths", metric: "memberlist-B/s", row: series{name: "the same, memberlist so scaled", unit: "B/s"}},
}}

// profileRows are the same three figures for each profile of gossip.
func profileRows() benchmarked {
	b := benchmarked{pkg: "./gossip/swim", pattern: "^BenchmarkProfiles$", once: true}
	for _, p := range []struct{ name, known, links string }{
		{"lan", "5 s", "20 ms"}, {"wan", "11 s", "150 ms"}, {"edge", "45 s", "600 ms"},
	} {
		b.rows = append(b.rows,
			metricRow{benchmark: "Profiles", metric: p.name + "-median-s", worst: p.name + "-worst-s", count: "runs",
				row: series{name: "power loss of 1 of 5 peers known to all, profile " + p.name + ", links up to " + p.links + " (bubble, virtual time)", reach: p.known, unit: "s"}},
			metricRow{benchmark: "Profiles", metric: p.name + "-MB/day",
				row: series{name: "the same: gossip and probes that each sends at rest, without headers, MB a day"}},
		)
	}
	return b
}
