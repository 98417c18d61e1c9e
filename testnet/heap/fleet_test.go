package heap

import (
	"fmt"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"shoal/gossip"
	"shoal/testnet/promise"
)

// fleet makes a cluster of machines of mixed sizes that runs workloads of mixed sizes, so many replicas in all, and is at rest.
func fleet(t testing.TB, o Options, replicas int) *World {
	o.Rooms, o.Latency = Mixed, 20*time.Millisecond
	w := New(o)
	w.Run(20 * time.Second) // all know each other, and know that all are steady
	for i, size := range sizes {
		if err := w.Apply("p1", Sized(fmt.Sprintf("w%d", i), replicas/len(sizes), size)); err != nil {
			t.Fatal(err)
		}
	}
	w.settle(t, replicas, 3*time.Minute)
	w.Run(20 * time.Second)
	return w
}

// settle waits until all know each other and agree, and all replicas are ready somewhere.
func (w *World) settle(t testing.TB, replicas int, within time.Duration) {
	t.Helper()
	took, whole := w.Await(within, func() bool { return w.course.Up() == replicas && w.agree() && w.ready() })
	if !whole {
		t.Errorf("after %s of virtual time %d of %d replicas are up, all agree %t, all is ready %t", took, w.course.Up(), replicas, w.agree(), w.ready())
	}
}

// share is how much of its share of equal replicas on equal machines one has ready, in percent.
func (w *World) share(name string, replicas int) int {
	return 100 * w.course.ReadyOn(name) * len(w.Alive()) / replicas
}

// storm is a hard hour in minutes: machines are lost and return, one flaps, one joins, a rack is cut off, two are drained and
// one tainted, one refuses, and users go on writing. Each part ends with everything up.
func storm(t testing.TB, w *World, replicas int) {
	n := len(w.peers)
	name := func(k int) string { return fmt.Sprintf("p%d", 2+k%(n-2)) }
	part := func(what string, do func()) {
		events, moves := w.events, w.course.Tally(w.now, replicas).Begun
		do()
		w.settle(t, replicas, 3*time.Minute)
		for _, v := range w.Violations() {
			t.Errorf("%s: %s", what, v)
		}
		if t.Failed() {
			t.FailNow()
		}
		t.Logf("%8.1fs %-28s %9d events, %6d copies begun", w.now.Seconds(), what, w.events-events, w.course.Tally(w.now, replicas).Begun-moves)
	}
	w.course.Mark(w.now)
	part("one machine is lost", func() { w.LosePower(name(3)); w.Run(8 * time.Second) })
	part("it returns", func() { w.Start(name(3)); w.Run(time.Minute) })
	part("one joins", func() { w.Start(w.peers[n-1].Name); w.Run(time.Minute) })
	part("one flaps", func() {
		for range 5 {
			w.LosePower(name(7))
			w.Run(8 * time.Second)
			w.Start(name(7))
			w.Run(20 * time.Second)
		}
	})
	part("two are drained", func() {
		for _, k := range []int{11, 12} {
			if err := w.SayOf(name(k), func(n *node) { n.cordoned, n.draining = true, true }); err != nil {
				t.Fatal(err)
			}
		}
		w.Run(40 * time.Second)
	})
	part("one is tainted", func() {
		if err := w.SayOf(name(15), func(n *node) { n.taints = []string{"out=yes:NoExecute"} }); err != nil {
			t.Fatal(err)
		}
		w.Run(30 * time.Second)
	})
	part("a twentieth is cut off", func() {
		var rack []string
		for k := range max(2, n/20) {
			rack = append(rack, name(20+k))
		}
		w.Split(rack)
		w.Run(20 * time.Second)
		w.Heal()
		w.Run(15 * time.Second)
	})
	part("one cannot run a workload", func() {
		w.Spoil(name(30), "w9", spoilt{refused: true})
		w.LosePower(name(31))
		w.Run(15 * time.Second)
		w.Start(name(31))
	})
	part("those drained come back", func() {
		for _, k := range []int{11, 12, 15} {
			if err := w.SayOf(name(k), func(n *node) { *n = node{} }); err != nil {
				t.Fatal(err)
			}
		}
		w.Run(time.Minute)
	})
}

// TestFleet is BenchmarkFleet with fewer peers.
func TestFleet(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	w := fleet(t, Options{Seed: 1, Peers: 36, Late: 1}, 500)
	storm(t, w, 500)
	for _, v := range slices.Concat(w.Violations(), promise.RoomKept(w.Snapshot())) {
		t.Error(v)
	}
	tally := w.course.Tally(w.now, 500)
	t.Logf("%+v", tally)
}

// BenchmarkFleet plays the storm in a cluster of 1,000 peers and 20,000 replicas. The cost grows about with the square of the peers, for each
// plans anew as news reaches it.
func BenchmarkFleet(b *testing.B) {
	defer frugal()()
	const replicas = 20_000
	for b.Loop() {
		began := spent(b)
		w := fleet(b, Options{Seed: 1, Peers: 1000, Late: 1}, replicas)
		formed := spent(b)
		storm(b, w, replicas)
		violated(b, w)
		b.ReportMetric(formed-began, "form-s")
		b.ReportMetric(spent(b)-formed, "storm-s")
		b.ReportMetric(100*w.course.Tally(w.now, replicas).Up, "up-%")
	}
}

// flapFor lets a machine come and go until a span is over: up for 10 s to 2 min, off for 5 s to a minute.
func (w *World) flapFor(name string, span time.Duration) {
	for end := w.now + span; w.now < end; {
		w.LosePower(name)
		w.Run(w.between(5*time.Second, time.Minute))
		w.Start(name)
		w.Run(w.between(10*time.Second, 2*time.Minute))
	}
}

// BenchmarkFlapping lets one of 20 machines with 400 replicas flap for an hour of virtual time.
func BenchmarkFlapping(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	for b.Loop() {
		w := fleet(b, Options{Seed: 2, Peers: 20}, 400)
		w.Run(3 * time.Minute) // what was begun just now is moved like everything else only then
		w.course.Mark(w.now)
		w.flapFor("p7", time.Hour)
		violated(b, w)
		tally := w.course.Tally(w.now, 400)
		b.Logf("%+v", tally)
		b.ReportMetric(float64(tally.MostMoves), "most-moves")
		b.ReportMetric(100*tally.Up, "up-%")
	}
}

// BenchmarkReturning lets machines of 20 equal ones with 800 equal replicas return, one after the other, each after five minutes away.
func BenchmarkReturning(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	for b.Loop() {
		w := New(Options{Seed: 3, Peers: 20, Latency: 20 * time.Millisecond, Room: gossip.Room{CPUMillis: 4000, MemoryBytes: 8 << 30}})
		w.Run(16 * time.Second)
		for i := range 10 {
			if err := w.Apply("p1", Sized(fmt.Sprintf("w%d", i), 80, Size{50, 64})); err != nil {
				b.Fatal(err)
			}
		}
		w.settle(b, 800, time.Minute)
		var took, moving []float64
		for _, name := range []string{"p3", "p6", "p9", "p12", "p15", "p18"} {
			span, most := w.returns(b, name)
			took, moving = append(took, span.Seconds()), append(moving, most)
		}
		violated(b, w)
		b.Logf("%v s, %v %%", took, moving)
		slices.Sort(took)
		slices.Sort(moving)
		b.ReportMetric(took[len(took)/2], "share-s")
		b.ReportMetric(took[len(took)-1], "share-s-worst")
		b.ReportMetric(moving[len(moving)/2], "moving-%")
		b.ReportMetric(moving[len(moving)-1], "moving-%-worst")
		b.ReportMetric(float64(len(took)), "returns")
	}
}

// returns lets a machine be away for five minutes, and tells how long after its return it has its share, within 5 %, and how
// much of a workload of 80 replicas was on its way at once.
func (w *World) returns(t testing.TB, name string) (span time.Duration, mostMoving float64) {
	w.LosePower(name)
	w.Run(5 * time.Minute)
	w.course.Mark(w.now)
	w.Start(name)
	span, whole := w.Await(3*time.Minute, func() bool { return w.share(name, 800) >= 95 })
	if !whole {
		t.Errorf("%s has %d %% of its share %s after its return", name, w.share(name, 800), span)
	}
	w.Run(time.Minute)
	if share := w.share(name, 800); share > 105 {
		t.Errorf("%s has %d %% of its share", name, share)
	}
	return span, 100 * float64(w.course.Tally(w.now, 800).MostMoving) / 80
}
