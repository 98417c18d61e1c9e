package bubble

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
)

const (
	spreadPeers  = 100
	spreadWrites = 100
	spreadEach   = 20 * time.Millisecond // between two writes
	spreadLink   = 5 * time.Millisecond  // one way
)

// spreading notes when each write has reached how many disks.
type spreading struct {
	mu     sync.Mutex
	begun  map[crdt.Key]time.Time
	copies map[crdt.Key]int
	took   []time.Duration // of those that are known to all
	peers  int
}

func (s *spreading) written(op crdt.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op.Key.Kind != "Namespace" {
		return
	}
	if s.copies[op.Key]++; s.copies[op.Key] == s.peers {
		s.took = append(s.took, time.Since(s.begun[op.Key]))
	}
}

func (s *spreading) begin(key crdt.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun[key] = time.Now()
}

// spread lets all of a world's peers write by turns, and returns how long each write took until it was on every disk, sorted.
func (w *World) spread(writes int) []time.Duration {
	s := &spreading{begun: map[crdt.Key]time.Time{}, copies: map[crdt.Key]int{}, peers: len(w.peers)}
	for _, p := range w.peers {
		p.disk.mu.Lock()
		p.disk.written = s.written
		p.disk.mu.Unlock()
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range writes {
		key := crdt.Key{Kind: "Namespace", Name: fmt.Sprintf("shop-%d", i)}
		s.begin(key)
		w.peers[random.IntN(len(w.peers))].create(key)
		time.Sleep(spreadEach)
	}
	w.Await(time.Minute, "all writes are known to all", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.took) == writes
	})
	slices.Sort(s.took)
	return s.took
}

// create makes a small object.
func (p *Peer) create(key crdt.Key) {
	p.world.t.Helper()
	_, err := p.program.Write(context.Background(), control.Write{Key: key, Verb: crdt.Create, Manager: "shoal", User: "test"})
	if err != nil {
		p.world.t.Errorf("%s: %v", p.Name, err)
	}
}

// share is the part of all spans, in percent, that is at most this long.
func share(took []time.Duration, most time.Duration) float64 {
	n, _ := slices.BinarySearch(took, most+1)
	return 100 * float64(n) / float64(len(took))
}

// writeToAll is the world of the figure, with 5 ms between any two peers.
func writeToAll(t *testing.T, peers int) []time.Duration {
	var took []time.Duration
	synctest.Test(t, func(t *testing.T) {
		w := NewWorldOf(t, peers, spreadLink)
		defer w.Close()
		took = w.spread(spreadWrites)
	})
	return took
}

// TestWriteIsSoonKnownToAll expects 99 % of writes to be on the disks of all 100 peers within a second; of 30 under the race detector.
func TestWriteIsSoonKnownToAll(t *testing.T) {
	peers := spreadPeers
	if raced {
		peers = 30
	}
	took := writeToAll(t, peers)
	t.Logf("%d writes known to all of %d peers: median %v, 90 %% %v, 99 %% %v, worst %v; within 1 s %.1f %%", len(took), peers,
		took[len(took)/2], took[len(took)*90/100], took[len(took)*99/100], took[len(took)-1], share(took, time.Second))
	if got := share(took, time.Second); got < 99 {
		t.Errorf("%.1f %% of writes are known to all within 1 s", got)
	}
}

// BenchmarkWriteTo100 gives the same figures as metrics, in virtual time. A bubble belongs to a test, so it runs one.
func BenchmarkWriteTo100(b *testing.B) {
	for b.Loop() {
		var took []time.Duration
		all := func(string, string) (bool, error) { return true, nil }
		if !testing.RunTests(all, []testing.InternalTest{{Name: "WriteTo100", F: func(t *testing.T) { took = writeToAll(t, spreadPeers) }}}) || took == nil {
			b.Fatal("the run failed")
		}
		millis := func(at int) float64 { return float64(took[at].Microseconds()) / 1000 }
		b.ReportMetric(millis(len(took)/2), "median-ms")
		b.ReportMetric(millis(len(took)*99/100), "p99-ms")
		b.ReportMetric(millis(len(took)-1), "worst-ms")
		b.ReportMetric(float64(len(took)), "writes")
		b.ReportMetric(share(took, time.Second), "within-1s-%")
	}
}
