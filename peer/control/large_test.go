package control

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"shoal/gossip"
	"shoal/peer/wire"
	"shoal/placement"
)

// large is a machine that knows 1,000 peers with 20,000 replicas of 500 workloads, all in place.
func large(tb testing.TB) *world {
	w := newWorld()
	w.quiet = true
	if err := w.start(nil); err != nil {
		tb.Fatal(err)
	}
	for i := range 500 {
		if err := w.apply([]string{fmt.Sprint("web", i), "replicas=40", "cpu=100m"}); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range 999 {
		w.machine.Step(MemberChanged{memberNamed(fmt.Sprint("p", i+2), gossip.Alive)})
	}
	w.machine.Flush(Clock{Elapsed: 1, Wall: w.wall})
	byPeer := map[string]*wire.Observation{}
	for i, a := range w.machine.planner.base {
		name := fmt.Sprint("p", 2+i%999)
		if byPeer[name] == nil {
			byPeer[name] = &wire.Observation{CPUMillis: 4000, Memory: 4 << 30}
		}
		byPeer[name].Instances = append(byPeer[name].Instances, wire.Instance{ID: string(a.Replica), Replica: string(a.Replica),
			Revision: string(a.Revision), State: "Running", Ready: true, CPUMillis: 100, Memory: 64 << 20, Workload: string(a.Workload)})
	}
	for name, o := range byPeer {
		w.rows[name] = o
		w.sequences[name] = 1
		w.sendRow(name, 1, wire.EncodeObservation(*o))
	}
	w.elapsed = 5 * time.Second // so much has changed that it plans anew only then
	w.machine.Flush(Clock{Elapsed: w.elapsed, Wall: w.wall})
	return w
}

func TestLarge(t *testing.T) {
	w := large(t)
	stay := 0
	for a := range w.machine.planner.plan.Assignments.All() {
		if a.Rule == placement.Stays {
			stay++
		}
	}
	if w.machine.planner.plan.Assignments.Len() != 20_000 || stay != 20_000 || len(w.machine.held) != 0 {
		t.Errorf("%d of %d stay, %d are held here", stay, w.machine.planner.plan.Assignments.Len(), len(w.machine.held))
	}
}

// BenchmarkLargeReplan is one member's failure as one of 1,000 peers sees it: 20,000 replicas are planned anew.
func BenchmarkLargeReplan(b *testing.B) {
	w := large(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		state := []gossip.State{gossip.Failed, gossip.Alive}[i%2]
		w.elapsed += 10 * time.Second
		w.machine.Step(MemberChanged{memberNamed("p7", state)})
		w.machine.Flush(Clock{Elapsed: w.elapsed, Wall: w.wall})
	}
}

// BenchmarkLargeRow is a row that changes nothing for planning.
func BenchmarkLargeRow(b *testing.B) {
	w := large(b)
	b.ReportAllocs()
	o := *w.rows["p9"]
	o.Instances = slices.Clone(o.Instances)
	for i := 0; b.Loop(); i++ {
		w.elapsed += time.Millisecond
		w.sequences["p9"]++
		o.Instances[0].Address = fmt.Sprintf("10.0.0.%d", i%250)
		w.sendRow("p9", 1, wire.EncodeObservation(o))
		w.machine.Flush(Clock{Elapsed: w.elapsed, Wall: w.wall})
	}
}

// BenchmarkLargeApply is a workload of ten that is applied, and the one before it deleted.
func BenchmarkLargeApply(b *testing.B) {
	w := large(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.elapsed += 10 * time.Second
		if i > 0 {
			if err := w.delete([]string{fmt.Sprint("new", i-1)}); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.apply([]string{fmt.Sprint("new", i), "replicas=10", "cpu=10m"}); err != nil {
			b.Fatal(err)
		}
		w.machine.Flush(Clock{Elapsed: w.elapsed, Wall: w.wall})
	}
}
