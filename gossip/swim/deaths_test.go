package swim

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"shoal/gossip"
)

// detector is a failure detector at work in one peer: this package's, or bare memberlist.
type detector interface {
	join(seed netip.AddrPort) error
	failed() []gossip.PeerID // whom it holds to have failed
	close()
}

// maker starts one; died is called for each death that it reports.
type maker func(w *world, i int, died func(gossip.PeerID)) (detector, error)

// ours is this package's, with a profile.
func ours(profile Profile) maker {
	return func(w *world, i int, died func(gossip.PeerID)) (detector, error) {
		self := selfOf(i)
		addr := self.Stream.Addr()
		w.hosts[self.ID] = addr
		c, err := New(Config{Self: self, Bind: netip.AddrPortFrom(addr, 7401), Key: w.key, Network: w.network.Host(addr), Profile: profile}, func(m gossip.Member) {
			if m.State == gossip.Failed {
				died(m.ID)
			}
		})
		return shoals{c}, err
	}
}

type shoals struct{ *Cluster }

func (s shoals) join(seed netip.AddrPort) error {
	_, err := s.Join(context.Background(), []netip.AddrPort{seed})
	return err
}

func (s shoals) failed() (out []gossip.PeerID) {
	for _, m := range s.Members() {
		if m.State == gossip.Failed {
			out = append(out, m.ID)
		}
	}
	return out
}

func (s shoals) close() { s.Close() }

// bare is memberlist as it comes (DefaultLANConfig), with all its times multiplied by scale. Without lifeguard it neither slows down
// when it does badly itself nor waits longer for want of witnesses, as in SWIM.
func bare(scale float64, lifeguard bool) maker {
	return func(w *world, i int, died func(gossip.PeerID)) (detector, error) {
		self := selfOf(i)
		addr := self.Stream.Addr()
		w.hosts[self.ID] = addr
		transport, err := newTransport(w.network.Host(addr), netip.AddrPortFrom(addr, 7401), addr, 10*time.Second)
		if err != nil {
			return nil, err
		}
		m := memberlist.DefaultLANConfig()
		for _, span := range []*time.Duration{&m.ProbeInterval, &m.ProbeTimeout, &m.GossipInterval, &m.PushPullInterval, &m.TCPTimeout, &m.GossipToTheDeadTime} {
			*span = time.Duration(float64(*span) * scale)
		}
		if !lifeguard {
			m.AwarenessMaxMultiplier, m.SuspicionMaxTimeoutMult = 1, 1
		}
		m.Name, m.Transport, m.SecretKey = string(self.ID), transport, w.key
		m.Logger = log.New(io.Discard, "", 0)
		b := &bareOne{died: died, dead: map[gossip.PeerID]bool{}}
		m.Events = b
		b.list, err = memberlist.Create(m)
		return b, err
	}
}

type bareOne struct {
	list *memberlist.Memberlist
	died func(gossip.PeerID)
	mu   sync.Mutex
	dead map[gossip.PeerID]bool
}

func (b *bareOne) join(seed netip.AddrPort) error {
	_, err := b.list.Join([]string{seed.String()})
	return err
}

func (b *bareOne) NotifyJoin(n *memberlist.Node) { b.note(n, false) }
func (b *bareOne) NotifyLeave(n *memberlist.Node) {
	b.note(n, true)
	b.died(gossip.PeerID(n.Name))
}
func (b *bareOne) NotifyUpdate(*memberlist.Node) {}

func (b *bareOne) note(n *memberlist.Node, dead bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dead[gossip.PeerID(n.Name)] = dead
}

func (b *bareOne) failed() (out []gossip.PeerID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, dead := range b.dead {
		if dead {
			out = append(out, id)
		}
	}
	return out
}

func (b *bareOne) close() { b.list.Shutdown() }

// trial is one cluster with one kind of detector.
type trial struct {
	t         *testing.T
	w         *world
	detectors []detector
	mu        sync.Mutex
	deaths    int // reports
}

// inBubble runs a trial of n peers that know each other.
func inBubble(t *testing.T, make maker, n int, seed uint64, run func(*trial)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &trial{t: t, w: newWorld(t, seed)}
		for i := range n {
			d, err := make(x.w, i, func(gossip.PeerID) {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.deaths++
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(d.close)
			x.detectors = append(x.detectors, d)
			if i > 0 {
				if err := d.join(x.w.Addr(selfOf(0).ID)); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(10 * time.Second)
		run(x)
	})
}

// detection is how long until all others know that a peer has lost its power.
func (x *trial) detection(lost int) time.Duration {
	id := selfOf(lost).ID
	x.w.Crash(id)
	return until(x.t, "the loss is known to all", 5*time.Minute, func() bool {
		for i, d := range x.detectors {
			if i != lost && !slices.Contains(d.failed(), id) {
				return false
			}
		}
		return true
	})
}

// detections are those of several runs, sorted.
func detections(t *testing.T, make maker, n, runs int) (all []time.Duration) {
	for run := range runs {
		inBubble(t, make, n, uint64(run), func(x *trial) {
			time.Sleep(time.Duration(run) * 137 * time.Millisecond)
			all = append(all, x.detection(1+run%(n-1)))
		})
	}
	slices.Sort(all)
	return all
}

// Each peer is stalled a fifth of the time, again and again: a stall is shorter than what it takes to detect a loss, so that every
// death that anybody reports is false.
const (
	stallLeast, stallMost = 100 * time.Millisecond, 2 * time.Second
	runLeast, runMost     = 400 * time.Millisecond, 8 * time.Second
	distressLoss          = 0.2
)

// distress lets that happen for a while, with stalls of at most so long, and returns how many deaths were reported.
func (x *trial) distress(span, most time.Duration, seed uint64) int {
	x.w.network.Loss(distressLoss)
	ended := time.Now().Add(span)
	var group sync.WaitGroup
	for i := range x.detectors {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		between := func(least, most time.Duration) time.Duration {
			return least + time.Duration(random.Int64N(int64(most-least)))
		}
		addr := selfOf(i).Stream.Addr()
		group.Go(func() {
			time.Sleep(between(0, runMost))
			for time.Now().Before(ended) {
				x.w.network.Stall(addr)
				time.Sleep(between(stallLeast, most))
				x.w.network.Resume(addr)
				time.Sleep(between(runLeast, runMost))
			}
		})
	}
	group.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.deaths
}

// TestStalledPeersAreNotDead: stalls are shorter than the inquest alone here, so that not one death may be reported. Memberlist's word
// alone, with the figures of LAN, would be some hundred.
func TestStalledPeersAreNotDead(t *testing.T) {
	inBubble(t, ours(LAN), 10, 1, func(x *trial) {
		if n := x.distress(20*time.Second, 1400*time.Millisecond, 1); n > 0 {
			t.Errorf("%d false deaths", n)
		}
	})
}

// BenchmarkFalseDeaths compares this package with memberlist's DefaultLANConfig, of which all times are scaled so that it takes as long
// to find a loss of power: false deaths among 20 peers, each of which is stalled a fifth of the time, at 20 % loss. The bytes are those
// that a peer sends meanwhile.
func BenchmarkFalseDeaths(b *testing.B) {
	benchmarkInBubbles(b, func(t *testing.T) { compareDeaths(t, b) })
}

func compareDeaths(t *testing.T, b *testing.B) {
	const peers, runs, spans, span = 20, 9, 3, 2 * time.Minute
	middle := func(make maker) float64 { return detections(t, make, peers, runs)[runs/2].Seconds() }
	deaths := func(make maker) (sum, bytes int) {
		for seed := range uint64(spans) {
			inBubble(t, make, peers, seed, func(x *trial) {
				_, _, before := x.w.network.Counts()
				sum += x.distress(span, stallMost, seed)
				_, _, after := x.w.network.Counts()
				bytes += (after - before) / peers
			})
		}
		return sum, bytes / spans / int(span/time.Second)
	}
	shoal := middle(ours(LAN))
	scale := shoal / middle(bare(1, true))
	for name, make := range map[string]maker{"shoal": ours(LAN), "memberlist": bare(scale, true), "without-lifeguard": bare(scale, false)} {
		n, bytes := deaths(make)
		b.ReportMetric(float64(n), name+"-deaths")
		b.ReportMetric(float64(bytes), name+"-B/s")
	}
	b.ReportMetric(shoal, "shoal-s")
	b.ReportMetric(middle(bare(scale, true)), "memberlist-s")
}

// profileWorlds are the links that each profile is made for, and what it may take there.
var profileWorlds = []struct {
	profile     Profile
	least, most time.Duration // latency, one way
	known       time.Duration // on average
	perDay      int           // MB sent by each at rest
}{
	{LAN, 200 * time.Microsecond, 20 * time.Millisecond, 5 * time.Second, 60},
	{WAN, 20 * time.Millisecond, 150 * time.Millisecond, 11 * time.Second, 30},
	{Edge, 100 * time.Millisecond, 600 * time.Millisecond, 45 * time.Second, 12},
}

// tryProfile measures how soon the loss of one of 5 peers is known to all, sorted, and how many MB each sends in a day at rest, without
// headers; at 5 % loss nobody may be taken for dead.
func tryProfile(t *testing.T, profile Profile, runs int) (took []time.Duration, perDay int) {
	links := profileWorlds[profile]
	for run := range runs {
		inBubble(t, ours(profile), 5, uint64(run), func(x *trial) {
			x.w.network.Latency(links.least, links.most)
			_, _, before := x.w.network.Counts()
			time.Sleep(2*time.Minute + time.Duration(run)*377*time.Millisecond)
			_, _, after := x.w.network.Counts()
			perDay = (after - before) * 720 / 5 >> 20
			x.w.network.Loss(0.05)
			time.Sleep(3 * time.Minute)
			if x.deaths > 0 {
				t.Errorf("%v: %d false deaths", profile, x.deaths)
			}
			x.w.network.Loss(0)
			took = append(took, x.detection(run%5))
		})
	}
	slices.Sort(took)
	return took, perDay
}

func TestProfiles(t *testing.T) {
	for _, links := range profileWorlds {
		took, perDay := tryProfile(t, links.profile, 2)
		mean := (took[0] + took[1]) / 2
		t.Logf("%v: known to all after %v on average, %v at worst; %d MB a day", links.profile, mean, took[1], perDay)
		if mean > links.known || perDay > links.perDay {
			t.Errorf("%v: %v and %d MB are more than %v and %d", links.profile, mean, perDay, links.known, links.perDay)
		}
	}
}

// BenchmarkProfiles gives the same as metrics.
func BenchmarkProfiles(b *testing.B) {
	const runs = 20
	benchmarkInBubbles(b, func(t *testing.T) {
		for _, links := range profileWorlds {
			took, perDay := tryProfile(t, links.profile, runs)
			name := links.profile.String()
			b.ReportMetric(took[runs/2].Seconds(), name+"-median-s")
			b.ReportMetric(took[runs-1].Seconds(), name+"-worst-s")
			b.ReportMetric(float64(perDay), name+"-MB/day")
		}
		b.ReportMetric(runs, "runs")
	})
}

// benchmarkInBubbles runs a test that measures: a bubble belongs to a test.
func benchmarkInBubbles(b *testing.B, measure func(*testing.T)) {
	all := func(string, string) (bool, error) { return true, nil }
	for b.Loop() {
		if !testing.RunTests(all, []testing.InternalTest{{Name: b.Name(), F: measure}}) {
			b.Fatal("the run failed")
		}
	}
}
