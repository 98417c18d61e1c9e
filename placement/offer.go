package placement

import (
	"cmp"
	"slices"
	"strings"
)

// barren says that a giver had nothing for a taker. Then it has nothing later either: with each move there is less that may be given, the
// giver has less and the taker more. Only terms look at other peers too, and what they refused is asked again.
type barren struct {
	sparing bool // while the giver was spared
	at      bool // at all
}

func (b barren) knows(sparing bool) bool { return b.at || sparing && b.sparing }

// offer is a replica that a giver could give, and how early it is to go.
type offer struct {
	i    int32
	rank int
	hash uint64
}

// pick returns the replica that best goes from one peer to another, or -1: an old one before a young one, for what just fled a peer is not
// to go back to it, and then the one for which that peer comes first. Sparing: see leaves.
func (m *balancing) pick(from, to int32, sparing bool) int32 {
	m.sow()
	found := m.found[:0]
	m.could[from] = slices.DeleteFunc(m.could[from], func(i int32) bool { return !m.mayMove(i) })
	for _, i := range m.could[from] {
		if m.movable(i, from, to) && m.leaves(m.loads[i], from, to, sparing) {
			rank := 2*truth(m.stay[i].young) + truth(m.skews(i, to))
			found = append(found, offer{i, rank, m.seedAt(i).hash(m.sites[to].seed)})
		}
	}
	m.found = found
	slices.SortFunc(found, func(x, y offer) int {
		if c := cmp.Or(cmp.Compare(x.rank, y.rank), cmp.Compare(y.hash, x.hash)); c != 0 {
			return c
		}
		return strings.Compare(string(m.wanted[x.i].Replica), string(m.wanted[y.i].Replica))
	})
	again := false
	for _, o := range found {
		if m.suits(o.i, from, to) {
			return o.i
		}
		again = again || !m.termless(o.i)
	}
	m.barren[to][from].at = !again && !sparing
	m.barren[to][from].sparing = !again
	return -1
}

// skews says whether a peer would be filled with one of CPU and memory yet more beyond the other.
func (m *balancing) skews(i, to int32) bool {
	s := &m.sites[to]
	return s.skew(m.loads[i]) > max(s.skew(load{}), deadBand)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mayMove says whether a replica may be moved for the balance at all.
func (m *balancing) mayMove(i int32) bool {
	w, s := &m.wanted[i], &m.stay[i]
	return m.rule[i] == Stays && !s.soft && w.Only == "" && m.moving[m.groups.of[i]] < max(1, w.MostMoving) && m.incumbents[s.at].Ready
}

// movable says whether a replica could go from one peer to another, and that would be a gain.
func (m *balancing) movable(i, from, to int32) bool {
	return (m.sick || m.incumbents[m.stay[i].at].Since.Before(m.peers[to].Came)) && m.wanted[i].Request.fits(m.sites[to].left) && m.sites[to].fullness(m.loads[i]) < m.full[from] &&
		m.groundOf(i).open[to] && m.holderBeside(i, from) == nowhere
}

// leaves says whether a move leaves a giver enough, its share or at least as much of it as the taker then has, and brings the taker much nearer to
// its own. Sparing: the giver has its share, and the taker no more than that of anything.
func (m *balancing) leaves(with load, from, to int32, sparing bool) bool {
	s := &m.sites[from]
	left := s.fullness(load{}.minus(with))
	if sparing {
		return left >= whole-deadBand && m.sites[to].surplus(with) == 0
	}
	before, after := m.full[to], m.sites[to].fullness(with)
	return m.sick || (left >= whole-deadBand || left >= after) && (after <= whole+deadBand || after-whole < (whole-before)/2)
}

// suits looks at what else speaks against a move: the terms, the preferences, and how the workload's replicas are spread.
func (m *balancing) suits(i, from, to int32) bool {
	g := m.groundOf(i)
	there, here := m.count(i, to), m.count(i, from)
	if there >= here && tierOf(uint64(there), uint64(len(m.groups.members[m.groups.of[i]]))*m.sites[to].weight, g.weight) == lifted {
		return false
	}
	if m.termsOf(i) == nil {
		return g.cost == nil || g.cost[to] <= g.cost[from]
	}
	m.take(i, from, true)
	defer m.put(i, from, true)
	t := m.termsOf(i)
	return t.allows(to) && t.cost(to) <= t.cost(from)
}

// count is how many replicas of the same workload have their place on a peer.
func (m *balancing) count(i, peer int32) (count int) {
	for _, other := range m.on[peer] {
		if m.groups.of[other] == m.groups.of[i] {
			count++
		}
	}
	return count
}
