package testnet

import (
	"strings"
	"testing"

	"shoal/testnet/promise"
)

// seenWith is a testnet of two peers at rest, with one replica on p1, after change.
func seenWith(change func(o *observed)) observed {
	wanted := []promise.Wanted{{Replica: "default/web-0", Revision: "r1"}}
	o := observed{
		Snapshot: promise.Snapshot{Peers: []promise.Peer{
			{ID: "a", Name: "p1", Alive: true, Powered: true, Room: promise.Resources{CPUMillis: 1000}, Wanted: wanted,
				Instances: []promise.Instance{{ID: "default.web-0.r1", Replica: "default/web-0", Revision: "r1", Ready: true}}},
			{ID: "b", Name: "p2", Alive: true, Powered: true, Room: promise.Resources{CPUMillis: 1000}, Wanted: wanted},
		}},
		said:  map[string][]string{"p1": {"default.web-0.r1/web"}},
		found: map[string][]string{"p1": {"default.web-0.r1/web"}},
	}
	change(&o)
	return o
}

func TestReportNamesWhatIsBroken(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(o *observed)
		want   string // promise: part of the text; empty for none
	}{
		{"all is well", func(*observed) {}, ""},
		{"an agent does not answer", func(o *observed) { o.unanswered = []promise.Violation{{Promise: "P1", Text: "p2: timeout"}} }, "P1: p2: timeout"},
		{"plans differ", func(o *observed) { o.Peers[1].PlanDigest[0] = 1 }, "P3: p1 has plan"},
		{"room is overdrawn", func(o *observed) { o.Peers[0].Admitted.CPUMillis = 1001 }, "P6: p1 admitted 1001m"},
		{"a replica is not ready", func(o *observed) { o.Peers[0].Instances[0].Ready = false }, "converged: default/web-0 on p1 is not ready"},
		{"a process is not known", func(o *observed) { o.found["p2"] = []string{"foreign"} }, "kernel: foreign runs on p2"},
		{"a container is not there", func(o *observed) { o.found["p1"] = nil }, "kernel: p1 says that default.web-0.r1/web runs"},
		{"a process without a machine", func(o *observed) {
			o.Peers[1].Alive, o.Peers[1].Powered = false, false
			o.found["p2"] = []string{"x/y"}
		}, "leftover: p2 is off"},
	} {
		report := reportOn(seenWith(c.change))
		if len(report.Lines) < len(checks) {
			t.Errorf("%s: %d lines for %d promises", c.name, len(report.Lines), len(checks))
		}
		err := report.Err()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestDigests(t *testing.T) {
	var d [32]byte
	if err := digest(&d, strings.Repeat("0f", 32)); err != nil || d[31] != 15 {
		t.Errorf("%v %v", d, err)
	}
	for _, text := range []string{"", "zz", strings.Repeat("0f", 31)} {
		if digest(&d, text) == nil {
			t.Errorf("%q is taken for a digest", text)
		}
	}
}

func TestSideOf(t *testing.T) {
	groups := [][]string{{"p1", "p2"}, {"p3"}}
	for peer, want := range map[string]int{"p1": 1, "p2": 1, "p3": 2, "p4": 3} {
		if got := sideOf(groups, peer); got != want {
			t.Errorf("%s is on side %d, want %d", peer, got, want)
		}
		if got := sideOf(nil, peer); got != 0 {
			t.Errorf("%s is on side %d of a whole network", peer, got)
		}
	}
}
