package heap

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
)

// large makes a cluster of so many peers that has formed, runs a workload of one replica for each, and is at rest. Its
// loops serve what comes within 20 ms at once.
func large(t testing.TB, peers int, accounts bool) *World {
	w := New(Options{Seed: 1, Peers: peers, Latency: 20 * time.Millisecond, Accounts: accounts})
	w.Run(20 * time.Second) // all know each other, and know that all are steady
	if err := w.Apply("p1", Manifest("web", peers, "blue")); err != nil {
		t.Fatal(err)
	}
	wholeAgain(t, w, time.Minute)
	w.Run(150 * time.Second) // nothing is young any more, and nobody has just come
	return w
}

// wholeAgain waits until all peers know each other and have one intent and one plan, and all replicas are ready.
func wholeAgain(t testing.TB, w *World, within time.Duration) {
	took, whole := w.Await(within, func() bool { return w.acquainted() && w.agree() && w.ready() })
	if !whole {
		t.Fatalf("after %s: all know each other %t, agree %t, all ready %t", took, w.acquainted(), w.agree(), w.ready())
	}
}

// ready says whether everything that runs is ready.
func (w *World) ready() bool {
	for _, p := range w.peers {
		for _, i := range p.machine.instances {
			if p.powered && !i.ready() {
				return false
			}
		}
	}
	return true
}

// weather is ten virtual minutes with faults: machines lose power and come back, programs die, a rack is cut off, the
// network loses a tenth of all messages for a while, clocks are set wrong, and users go on writing.
func weather(t testing.TB, w *World) {
	n := len(w.peers)
	for round := range 10 {
		begin := w.now
		name := func(k int) string { return fmt.Sprintf("p%d", 1+(round*97+k*31)%n) }
		switch round % 5 {
		case 0:
			w.LosePower(name(1))
		case 1:
			w.Start(fmt.Sprintf("p%d", 1+((round-1)*97+31)%n))
			w.KillProgram(name(2), time.Second)
		case 2:
			w.options.Link = Bad
		case 3:
			w.options.Link = LAN
			w.Split([]string{name(1), name(2)})
		case 4:
			w.Heal()
			w.Skew(name(3), 5*365*24*time.Hour)
		}
		w.Run(5 * time.Second)
		if err := w.Scale(w.Alive()[0], "web", n-round); err != nil {
			t.Fatal(err)
		}
		w.Run(begin + time.Minute - w.now)
	}
	for _, p := range w.peers {
		w.Start(p.Name)
	}
	w.Heal()
	w.options.Link = LAN
	wholeAgain(t, w, 2*time.Minute)
}

// cuts are three scenes that concern many peers at once: the cluster is cut in halves, both write one field, and what
// each says is kept; links carry in one direction only; programs die while what they were told is on its way to the disk.
func cuts(t testing.TB, w *World) {
	n := len(w.peers)
	name := func(k int) string { return fmt.Sprintf("p%d", 1+k%n) }
	scale := func(peer string, replicas int) {
		if err := w.Scale(peer, "web", replicas); err != nil {
			t.Fatal(err)
		}
	}
	var half []string
	for k := range n / 2 {
		half = append(half, name(k))
	}
	w.Split(half)
	w.Run(10 * time.Second)
	scale(name(0), n-20)
	scale(name(n-1), n-21)
	w.Run(20 * time.Second)
	w.Heal()
	wholeAgain(t, w, 2*time.Minute)
	for _, p := range w.peers {
		if found := p.core.Conflicts(); len(found) != 1 {
			t.Errorf("%s lists %d conflicts of one", p.Name, len(found))
		}
	}

	for k := range 10 {
		w.CutOneWay(name(7*k), name(7*k+n/3))
	}
	scale(name(5), n-22)
	w.Run(20 * time.Second)
	w.Heal()
	wholeAgain(t, w, 2*time.Minute)

	writer := w.Peer(name(10)) // of those that live on
	object, _ := writer.core.Object(Deployment("web"))
	w.tell(writer, control.Write{Key: object.Key, Seen: object.Seen, User: writer.Name, Manager: "edit",
		Changes: []crdt.Change{{Path: "spec/replicas", Value: fmt.Append(nil, n-23)}}})
	killed := 0
	for end := w.now + time.Second; killed < 20 && w.step(end); {
		for _, p := range w.peers {
			if p.pending != nil && p.index%3 == 0 {
				w.KillProgram(p.Name, time.Second)
				killed++
			}
		}
	}
	if killed < 10 {
		t.Errorf("only %d programs died while they wrote", killed)
	}
	w.Run(2 * time.Second)
	wholeAgain(t, w, 2*time.Minute)
}

// violated reports what was broken on the way.
func violated(t testing.TB, w *World) {
	for _, v := range w.Violations() {
		t.Error(v)
	}
}

// TestWeather is BenchmarkThousand and BenchmarkCuts with fewer peers.
func TestWeather(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	w := large(t, 61, false)
	weather(t, w)
	cuts(t, w)
	violated(t, w)
}

// TestTrafficAtRest counts what a peer at rest sends. Replication does not depend on the number of peers, membership
// does: what is asserted is what the counted part and membership in a cluster of 1,000 come to.
func TestTrafficAtRest(t *testing.T) {
	peers := 120
	if raced {
		peers = 40
	}
	w := large(t, peers, true)
	w.Run(2 * keptFor) // what the start opened is closed
	w.accounts.reset()
	w.Run(5 * time.Minute)
	traffic := w.Traffic()
	other := membershipBytes(1000)
	other["connections"] = connectionBytes(1000)
	if counted, expected := traffic.ByKind["connections"], connectionBytes(peers); counted < 0.8*expected || counted > 1.2*expected {
		t.Errorf("connections cost %.0f B/s, by the formula %.0f", counted, expected)
	}
	for kind, bytes := range other { // in any order: it is added up
		traffic.Median += bytes - traffic.ByKind[kind]
		traffic.Worst += bytes - traffic.ByKind[kind]
		traffic.ByKind[kind] = bytes
	}
	t.Logf("in a cluster of 1,000: %s", traffic)
	if traffic.Median > restBytes {
		t.Errorf("%.0f B/s at rest, at most %d may be", traffic.Median, restBytes)
	}
	violated(t, w)
}

// restBytes is what a peer at rest in a cluster of 1,000 may send in a second.
const restBytes = 3000

// frugal makes a large world collect garbage seldom, as long as it stays within 10 GiB. What it returns undoes that.
func frugal() (undo func()) {
	percent, limit := debug.SetGCPercent(400), debug.SetMemoryLimit(10<<30)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// spent is what CPU time this process has taken, in seconds: what else runs on the machine does not count.
func spent(b *testing.B) float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

// BenchmarkThousand plays two virtual minutes without faults in a cluster of 1,000, and ten with.
func BenchmarkThousand(b *testing.B) {
	defer frugal()()
	for b.Loop() {
		begin := spent(b)
		w := large(b, 1000, false)
		runtime.GC() // what forming left behind is its own cost
		formed := spent(b)
		w.Run(2 * time.Minute)
		rested := spent(b)
		weather(b, w)
		violated(b, w)
		b.ReportMetric(formed-begin, "form-s")
		b.ReportMetric(120/(rested-formed), "times-real")
		b.ReportMetric(spent(b)-rested, "real-s")
	}
}

// BenchmarkCuts plays the scenes that concern many of 300 peers at once. What they cost grows nearly with the square of the peers, for as long as
// news is under way hardly two have equal views, and each plans its own.
func BenchmarkCuts(b *testing.B) {
	defer frugal()()
	for b.Loop() {
		w := large(b, 300, false)
		formed := spent(b)
		cuts(b, w)
		violated(b, w)
		b.ReportMetric(spent(b)-formed, "cuts-s")
	}
}

// BenchmarkRest counts what a peer at rest in a cluster of 1,000 sends.
func BenchmarkRest(b *testing.B) {
	defer frugal()()
	for b.Loop() {
		w := large(b, 1000, true)
		w.Run(2 * keptFor)
		w.accounts.reset()
		w.Run(2 * time.Minute)
		traffic := w.Traffic()
		b.Log(traffic)
		b.ReportMetric(traffic.Median, "bytes/s-median")
		b.ReportMetric(traffic.Worst, "bytes/s-worst")
	}
}
