package heap

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/peer/control"
	"shoal/peer/lease"
	"shoal/peer/replication"
	"shoal/testnet/promise"
)

var (
	exclusiveSeed  = flag.Uint64("exclusive", 0, "the seed of the one life that TestExclusive plays")
	exclusiveSeeds = flag.Uint64("lives", 60, "how many it plays")
)

// TestExclusive plays lives of an exclusive workload with the code that is shipped.
func TestExclusive(t *testing.T) {
	from, to := uint64(1), *exclusiveSeeds
	if *exclusiveSeed != 0 {
		from, to = *exclusiveSeed, *exclusiveSeed
	}
	for seed := from; seed <= to; seed++ {
		w, broken := PlayExclusive(seed, plants{}, tracer(t))
		for _, v := range broken {
			t.Errorf("seed %d: %s", seed, v)
		}
		if len(broken) > 0 {
			t.Logf("%d events; replay: go test ./testnet/heap -run 'TestExclusive$' -exclusive %d -show", w.events, seed)
		}
	}
}

// TestExclusiveIsBackSoon after a loss of power: a term later, which the loss is known well before, also where a tenth of all messages is lost.
func TestExclusiveIsBackSoon(t *testing.T) {
	for name, link := range map[string]Link{"good": {}, "bad": Bad} {
		var worst time.Duration
		for seed := uint64(560); seed < 600; seed++ {
			took, ok := backAfterLoss(Options{Seed: seed, Peers: 3, Link: link})
			if worst = max(worst, took); !ok || took > 12*time.Second {
				t.Errorf("%s network, seed %d: it took %v", name, seed, took)
			}
		}
		t.Logf("%s network: at most %v", name, worst)
	}
}

// BenchmarkExclusive plays 2,000 lives and counts those in which something ran twice, or not again at the end.
func BenchmarkExclusive(b *testing.B) {
	const lives = 2000
	for range b.N {
		twice, other := 0, 0
		for seed := range uint64(lives) {
			_, broken := PlayExclusive(10_000+seed, plants{}, nil)
			switch {
			case slices.ContainsFunc(broken, func(v promise.Violation) bool { return v.Promise == "P9" }):
				twice++
			case len(broken) > 0:
				other++
			}
		}
		b.ReportMetric(float64(twice), "overlaps")
		b.ReportMetric(float64(other), "others")
		b.ReportMetric(lives, "lives")
		var back []float64
		for seed := range uint64(500) {
			took, ok := backAfterLoss(Options{Seed: 20_000 + seed, Peers: 5})
			if !ok {
				b.Errorf("seed %d: it does not run again", 20_000+seed)
			}
			back = append(back, took.Seconds())
		}
		slices.Sort(back)
		b.ReportMetric(back[len(back)/2], "back-s-median")
		b.ReportMetric(back[len(back)-1], "back-s-worst")
	}
}

// forgetsGrants leaves on a disk only that nothing was forgotten.
func forgetsGrants(p *Peer, s *control.Saved) {
	for name := range s.Records {
		if strings.HasPrefix(name, lease.RecordPrefix) {
			delete(s.Records, name)
		}
	}
	if s.Records != nil {
		s.Records[lease.RecordPrefix] = []byte("always " + p.Name)
	}
}

// alwaysGranted makes a grant of every answer.
func alwaysGranted(_, _ *Peer, m replication.Message) (replication.Message, bool) {
	if m.Lease != nil {
		said := *m.Lease
		said.Answers = slices.Clone(said.Answers)
		for i := range said.Answers {
			said.Answers[i].Verdict = lease.Granted
		}
		m.Lease = &said
	}
	return m, true
}

// TestPlantedFaultsOfLeasesAreFound plants faults around the shipped code; package lease plants those in it.
func TestPlantedFaultsOfLeasesAreFound(t *testing.T) {
	for _, fault := range []struct {
		name    string
		from    uint64
		planted plants
	}{
		{"nobody but the program ends what is overdue", 1, plants{noGuard: true}},
		{"clocks drift by a quarter", 10, plants{drift: 250_000}},
		{"a witness that lost its power takes itself for the one before", 206, plants{saved: forgetsGrants, config: func(_ *Peer, c *control.Config) { c.Session = "always" }}},
		{"a witness grants what it granted to another", 1, plants{incoming: alwaysGranted}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			for seed := fault.from; seed < fault.from+400; seed++ {
				_, broken := PlayExclusive(seed, fault.planted, nil)
				if i := slices.IndexFunc(broken, func(v promise.Violation) bool { return v.Promise == "P9" }); i >= 0 {
					t.Logf("seed %d: %s", seed, broken[i])
					if _, without := PlayExclusive(seed, plants{}, nil); len(without) > 0 {
						t.Errorf("and without it: %v", without)
					}
					return
				}
			}
			t.Error("not found")
		})
	}
}

// backAfterLoss is how long nothing ran after the holder of a calm world lost its power.
func backAfterLoss(options Options) (time.Duration, bool) {
	w := New(options)
	x := &Exclusive{World: w, gen: &generator{engine: newEngine(options.Seed)}, witnesses: []string{"p1", "p2", "p3"}}
	for _, p := range w.peers {
		x.gen.peers = append(x.gen.peers, p.Name)
	}
	w.Run(2 * time.Second)
	x.apply("blue")
	w.Run(13*time.Second + x.gen.between(0, 4*time.Second))
	x.toHolder(w.LosePower)
	return w.Await(40*time.Second, func() bool { return x.running() == 1 })
}
