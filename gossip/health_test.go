package gossip

import (
	"slices"
	"testing"
)

func TestWords(t *testing.T) {
	for want, signs := range map[string]Signs{
		"": {DiskUsed: 0.9, MemoryStall: 5, Awareness: 3, Workloads: 4, Failing: 2},
		"the disk is 93 % full, 3 of 4 workloads fail here":                                                {DiskUsed: 0.93, Workloads: 4, Failing: 3},
		"all work waited for memory for 7 % of a minute, work waited for a processor for 97 % of a minute": {MemoryStall: 7.2, CPUStall: 97},
		"all work waited for the disk for 41 % of a minute, it is slow to answer other peers":              {IOStall: 41, Awareness: 4},
	} {
		if got := signs.Words(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestClass(t *testing.T) {
	for _, c := range []struct {
		name  string
		signs Signs
		want  Health
	}{
		{"nothing known", Signs{}, Good},
		{"others in trouble", Signs{Awareness: 3}, Good},
		{"itself in trouble", Signs{Awareness: 4}, Fair},
		{"hardly heard", Signs{Awareness: 7}, Poor},
		{"a little short of memory", Signs{MemoryStall: 5}, Good},
		{"stalling", Signs{MemoryStall: 7.5}, Fair},
		{"thrashing", Signs{MemoryStall: 40}, Poor},
		{"busy disk", Signs{IOStall: 40}, Good},
		{"slow disk", Signs{IOStall: 50}, Fair},
		{"failing disk", Signs{IOStall: 90}, Poor},
		{"busy", Signs{CPUStall: 90}, Good},
		{"swamped", Signs{CPUStall: 100}, Fair},
		{"half full disk", Signs{DiskUsed: 0.5}, Good},
		{"nearly full disk", Signs{DiskUsed: 0.93}, Fair},
		{"full disk", Signs{DiskUsed: 0.99}, Poor},
		{"one workload, and it fails", Signs{Workloads: 1, Failing: 1}, Good},
		{"half of the workloads fail", Signs{Workloads: 4, Failing: 2}, Good},
		{"most workloads fail", Signs{Workloads: 4, Failing: 3}, Fair},
		{"both of two fail", Signs{Workloads: 2, Failing: 2}, Fair},
		{"all of many fail", Signs{Workloads: 3, Failing: 3}, Poor},
		{"the worst sign counts", Signs{DiskUsed: 0.93, MemoryStall: 40}, Poor},
	} {
		if got := c.signs.Class(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestJudge plays sequences of measurements, a digit for each, and names the class after each.
func TestJudge(t *testing.T) {
	signs := map[rune]Signs{'0': {}, '1': {MemoryStall: 7}, '2': {MemoryStall: 50}}
	for _, c := range []struct{ name, measured, want string }{
		{"one bad breath", "0200", "0000"},
		{"confirmed", "0220", "0022"},
		{"as bad as both say", "0120", "0011"},
		{"from fair to poor", "112222", "011222"},
		{"better for a minute", "22000000", "02222220"},
		{"not for a minute", "220000020000000", "022222222222200"},
		{"as good as all of them", "22000100", "02222221"},
		{"better by one class", "22111111", "02222221"},
		{"back and forth", "0202020202", "0000000000"},
	} {
		var j Judge
		var got []rune
		for _, m := range c.measured {
			got = append(got, '0'+rune(j.Take(signs[m])))
		}
		if !slices.Equal(got, []rune(c.want)) || j.Class() != Health(got[len(got)-1]-'0') {
			t.Errorf("%s: measured %s, judged %s, want %s", c.name, c.measured, string(got), c.want)
		}
	}
}
