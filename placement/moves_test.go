package placement

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

var seeds = flag.Int("seeds", 1000, "clusters of BenchmarkMoves")

// full is a cluster of 100 peers of three sizes and two shapes, from 60 to 92 % full in CPU or memory, whichever comes first, of replicas
// whose requests differ by a factor of 32. All that runs has run for a while; what found no place is not wanted.
func full(seed uint64) View {
	random := rand.New(rand.NewPCG(seed, 1))
	v := fleet(100, 0)
	var cpu, memory int64
	for i := range v.Peers {
		p := &v.Peers[i]
		p.Steady = true
		p.Room.MemoryBytes <<= random.IntN(2)
		cpu, memory = cpu+p.Room.CPUMillis, memory+p.Room.MemoryBytes
	}
	percent := 60 + int64(seed%33)
	for n := 0; ; n++ {
		request := Resources{CPUMillis: 50 << random.IntN(5) * (4 + random.Int64N(5)) / 4, MemoryBytes: 3 << 25 << random.IntN(5) * (4 + random.Int64N(5)) / 4}
		all := workloadAs(WorkloadID(fmt.Sprintf("Deployment/default/w%d", n)), 1+random.IntN(20), request)
		of := int64(len(all))
		if cpu -= of * request.CPUMillis; cpu < 0 {
			break
		}
		v.Wanted = append(v.Wanted, all...)
		memory -= of * request.MemoryBytes
		if memory < 0 {
			break
		}
	}
	v.Wanted = within(v, percent)
	v = v.Foresee(Future{Balance: true}).rid()
	return v.Foresee(Future{Balance: true}).View
}

// within leaves out what would fill the cluster beyond so many percent.
func within(v View, percent int64) (wanted []Wanted) {
	var room, used Resources
	for _, p := range v.Peers {
		room = room.plus(p.Room)
	}
	for _, w := range v.Wanted {
		next := used.plus(w.Request)
		if next.CPUMillis*100 <= room.CPUMillis*percent && next.MemoryBytes*100 <= room.MemoryBytes*percent {
			used, wanted = next, append(wanted, w)
		}
	}
	return wanted
}

// rid is the view at the end without what is pending.
func (f Foresight) rid() View {
	places := placesOf(f.Plan)
	f.View.Wanted = slices.DeleteFunc(f.View.Wanted, func(w Wanted) bool { return places[w.Replica] == "" })
	return f.View
}

// movement is what the loss or the join of one peer brought about.
type movement struct {
	moved, necessary, pending int
	bareMoved, bareNecessary  int // by a bare hash of the whole state
}

// changeOf counts the replicas whose place differs, and of those the ones that had to, or came to the peer that did.
func changeOf(before, after map[ReplicaID]PeerID, peer PeerID) (moved, necessary, pending int) {
	for replica, from := range before {
		to := after[replica]
		if to == "" {
			pending++
		}
		if from == to {
			continue
		}
		moved++
		if from == peer || to == peer {
			necessary++
		}
	}
	return moved, necessary, pending
}

// lose takes one peer away, and carries the plans out.
func lose(v View, at int) (m movement) {
	before, bare := placesOf(v.Plan()), bareHash(v)
	v.Peers = slices.Clone(v.Peers)
	v.Peers[at].Live = false
	after := v.Foresee(Future{Balance: true}).Plan
	m.moved, m.necessary, m.pending = changeOf(before, placesOf(after), v.Peers[at].ID)
	m.bareMoved, m.bareNecessary, _ = changeOf(bare, bareHash(v), v.Peers[at].ID)
	return m
}

// join adds an empty peer, and carries the plans out.
func join(v View, room Resources) (m movement, joined float64) {
	before, bare := placesOf(v.Plan()), bareHash(v)
	v.Peers = append(slices.Clone(v.Peers), Peer{ID: "joiner", Name: "joiner", Room: room, Live: true, Steady: true, Came: noon})
	end := v.Foresee(Future{Balance: true})
	m.moved, m.necessary, m.pending = changeOf(before, placesOf(end.Plan), "joiner")
	m.bareMoved, m.bareNecessary, _ = changeOf(bare, bareHash(v), "joiner")
	b := settled(end.View)
	return m, float64(b.sites[b.peerAt["joiner"]].fullness(load{})) / whole
}

// settled is the board of a view after its plan.
func settled(v View) *board {
	b := newBoard(v)
	for i := range b.stay {
		b.decideStay(int32(i))
	}
	b.solve()
	return b
}

// bareHash places all as if nothing ran anywhere: the largest first, each on the first peer of its hash order that has room.
func bareHash(v View) map[ReplicaID]PeerID {
	v.Incumbents = nil
	b := newBoard(v)
	b.keep()
	b.sow()
	places := make(map[ReplicaID]PeerID, len(b.wanted))
	for _, i := range b.rest() {
		needs, best, bestHash := b.wanted[i].Request.needs(), int32(nowhere), uint64(0)
		for _, p := range b.groundOf(i).peers {
			if !needs.within(&b.sites[p].left) {
				continue
			}
			if hash := b.seedAt(i).hash(b.sites[p].seed); best == nowhere || b.earlier(hash, p, bestHash, best) {
				best, bestHash = p, hash
			}
		}
		if best == nowhere {
			places[b.wanted[i].Replica] = ""
			continue
		}
		b.sites[best].left = b.sites[best].left.less(b.wanted[i].Request)
		places[b.wanted[i].Replica] = b.peers[best].ID
	}
	return places
}

// moves sums up many movements.
type moves struct {
	n                                  int
	sum, worst, bareSum, bareWorst     float64
	moved, necessary, pending, without int
}

func (s *moves) add(m movement) {
	s.pending += m.pending
	s.moved, s.necessary = s.moved+m.moved, s.necessary+m.necessary
	if m.necessary == 0 || m.bareNecessary == 0 {
		s.without++
		return
	}
	s.n++
	times, bare := float64(m.moved)/float64(m.necessary), float64(m.bareMoved)/float64(m.bareNecessary)
	s.sum, s.worst = s.sum+times, max(s.worst, times)
	s.bareSum, s.bareWorst = s.bareSum+bare, max(s.bareWorst, bare)
}

func (s *moves) report(b *testing.B, name string) {
	b.ReportMetric(s.sum/float64(s.n), name+"-times")
	b.ReportMetric(s.worst, name+"-worst")
	b.ReportMetric(s.bareSum/float64(s.n), name+"-bare-times")
	b.ReportMetric(s.bareWorst, name+"-bare-worst")
	b.ReportMetric(float64(s.n), name+"-clusters")
	b.ReportMetric(100*float64(s.pending)/float64(max(s.necessary, 1)), name+"-pending-%")
}

// BenchmarkMoves tells how many replicas move for each one that had to when one peer is lost, or joins.
func BenchmarkMoves(b *testing.B) {
	for b.Loop() {
		var lost, joins moves
		even := 0
		for seed := range uint64(*seeds) {
			v := full(seed)
			lost.add(lose(v, int(seed)%len(v.Peers)))
			m, share := join(v, v.Peers[seed%100].Room)
			joins.add(m)
			if share > 0.95 && share < 1.05 {
				even++
			}
		}
		lost.report(b, "loss")
		joins.report(b, "join")
		b.ReportMetric(100*float64(even)/float64(*seeds), "join-even-%")
	}
}

func TestMovesFew(t *testing.T) {
	var lost, joins moves
	for seed := range uint64(8) {
		v := full(5 * seed)
		lost.add(lose(v, int(seed)))
		m, share := join(v, v.Peers[0].Room)
		joins.add(m)
		if share < 0.9 || share > 1.07 {
			t.Errorf("seed %d: the joiner has %.2f of its share", seed, share)
		}
	}
	for _, s := range []moves{lost, joins} {
		if s.sum/float64(s.n) > 1.02 || s.worst > 1.1 {
			t.Errorf("%+v", s)
		}
	}
}

// TestJoinersAreFilledInProportion: a peer that comes is not filled with CPU alone, or it would have no room left long before it has its share of
// memory. Most of what runs in these clusters asks for more of the one than the joiner has for it.
func TestJoinersAreFilledInProportion(t *testing.T) {
	for _, seed := range []uint64{22, 284, 361} {
		v := full(seed)
		if _, share := join(v, v.Peers[seed%100].Room); share < 0.95 || share > 1.05 {
			t.Errorf("seed %d: the joiner has %.2f of its share", seed, share)
		}
	}
}

// TestSizesFilledAlike: of peers of all sizes, from 60 to 92 % full, each is given its share, within as much as one replica comes to.
func TestSizesFilledAlike(t *testing.T) {
	for seed := range uint64(4) {
		b := settled(full(11 * seed))
		for i := range b.sites {
			if share := b.sites[i].fullness(load{}); share < whole*9/10 || share > whole*11/10 {
				t.Errorf("seed %d: a peer of %dm has %d millionths of its share", 11*seed, b.peers[i].Room.CPUMillis, share)
			}
		}
	}
}

// TestPendingIsNobodysShare: what fits nowhere keeps no peer that joins from its share of what runs.
func TestPendingIsNobodysShare(t *testing.T) {
	v := fleet(6, 60)
	v = v.Foresee(Future{Balance: true}).View
	v.Wanted = append(v.Wanted, workloadAs("Deployment/default/huge", 3, Resources{CPUMillis: 20_000, MemoryBytes: 1 << 30})...)
	v.Now = noon
	if _, share := join(v, v.Peers[2].Room); share < 0.85 || share > 1.1 {
		t.Errorf("the joiner has %.2f of its share", share)
	}
}
