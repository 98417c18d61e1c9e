package placement

import "math"

// firstChoices is among how many of the first peers of the hash order with room the best is chosen. Choosing the least loaded of a few is nearly as
// even as of all (the power of d choices; Azar, Broder, Karlin, Upfal 1994).
const firstChoices = 8

// lifted is the tier of a peer that has its share of a workload or more.
const lifted = 2

// walkLeast is the number of peers from which on walking along the hash order costs less than a look at all of them.
const walkLeast = 600

// manner is how much a pass gives up to place more.
type manner uint8

const (
	byHash manner = iota // the first of the hash order within bounds
	byFit                // the best fitting of those with less than their share of the workload, then of the others
	packed               // the best fitting of all
)

// round places replicas one after the other and keeps count of the current workload's replicas per peer.
type round struct {
	*board
	manner manner
	group  int32          // the workload that count is for, or -1
	count  []int32        // of peers
	victim map[int32]bool // those that had to make room

	asked  asking
	noRoom struct { // what found no room on all of a ground: what needs no less finds none either, for room only goes
		ground *ground
		needs  Resources
	}
	choices  []near
	heaviest uint64 // weight of a peer
}

func (b *board) newRound(m manner) *round {
	r := &round{board: b, manner: m, group: -1, count: make([]int32, len(b.peers))}
	for i := range b.sites {
		r.heaviest = max(r.heaviest, b.sites[i].weight)
	}
	return r
}

// asking is one replica that is to be placed, and what its candidates are judged by.
type asking struct {
	i        int32
	w        *Wanted
	seed     *seed
	ground   *ground
	terms    *terms
	load     burden
	needs    Resources // the least that must be left
	replicas uint64    // of its workload
	avoid    int32     // the peer where it is and fails, or nowhere
}

// candidate is a peer on which a replica fits. The one that comes first is chosen.
type candidate struct {
	peer   int32
	cost   int64
	tier   int   // by its share of the workload
	growth int64 // by its share of everything, where the first will do
	waste  int64 // by what is left, where room is tight
	hash   uint64
}

var none = candidate{peer: nowhere}

func (r *round) before(c, d *candidate) bool {
	switch {
	case d.peer == nowhere || c.peer == nowhere:
		return d.peer == nowhere && c.peer != nowhere
	case c.cost != d.cost:
		return c.cost < d.cost
	case c.tier != d.tier && r.manner != packed:
		return c.tier < d.tier
	case c.waste != d.waste:
		return c.waste < d.waste
	case c.growth != d.growth:
		return c.growth < d.growth
	}
	return r.earlier(c.hash, c.peer, d.hash, d.peer)
}

func (r *round) ask(i int32) *asking {
	w := &r.wanted[i]
	r.turnTo(r.groups.of[i])
	r.sow()
	a := &r.asked
	*a = asking{i: i, w: w, seed: r.seedAt(i), ground: r.groundOf(i), terms: r.termsOf(i), load: r.burdenOf(r.loads[i]), avoid: nowhere}
	a.needs = w.Request.needs()
	a.replicas = uint64(len(r.groups.members[r.group]))
	if s := &r.stay[i]; s.peer != nowhere && s.soft {
		a.avoid = s.peer
	}
	return a
}

// turnTo turns to another workload, and counts where its replicas are.
func (r *round) turnTo(group int32) {
	if group == r.group {
		return
	}
	if r.group >= 0 {
		r.recount(-1)
	}
	r.group = group
	r.recount(1)
}

func (r *round) recount(sign int32) {
	for _, i := range r.groups.members[r.group] {
		if p := r.place[i]; p != nowhere {
			r.count[p] += sign
		}
	}
}

// choose returns where a replica goes, and why there.
func (r *round) choose(i int32) (int32, Rule) {
	a := r.ask(i)
	rule := Hash
	var best candidate
	switch {
	case a.w.Only != "":
		best, rule = r.pinned(a), Pinned
	case r.noRoom.ground == a.ground && r.noRoom.needs.within(&a.needs):
		best = none
	case r.manner == byHash:
		best = r.first(a)
	default:
		var first candidate
		if best, first = r.best(a); best.peer != first.peer && r.manner != byHash {
			rule = BestFit
		}
	}
	switch {
	case a.avoid != nowhere && (best.peer == nowhere || best.cost >= softCost):
		return a.avoid, Stays
	case best.peer == nowhere:
		if a.terms == nil {
			r.noRoom.ground, r.noRoom.needs = a.ground, a.needs
		}
		return nowhere, ""
	}
	return best.peer, rule
}

// fits says whether a peer that is open to a replica has room for it, and nothing else against it.
func (r *round) fits(a *asking, peer int32) bool {
	return a.needs.within(&r.sites[peer].left) && peer != a.avoid && (a.terms == nil || a.terms.allows(peer))
}

// judge makes a candidate of a peer on which a replica fits.
func (r *round) judge(a *asking, peer int32, hash uint64) candidate {
	s := &r.sites[peer]
	c := candidate{peer: peer, hash: hash, tier: tierOf(uint64(r.count[peer]), a.replicas*s.weight, a.ground.weight)}
	c.cost = a.costOn(peer)
	if r.manner == byHash {
		c.growth = s.growth(&a.load)
	} else {
		c.waste = waste(s.left.less(a.w.Request), r.peers[peer].Room)
	}
	return c
}

// waste is how badly what is left on a peer could be used: the sum of squares of the shares of its room, so that the fuller
// peer is filled first, and of two as full that one on which CPU and memory are left in proportion.
func waste(left, room Resources) int64 {
	cpu, memory := share(left.CPUMillis, room.CPUMillis), share(left.MemoryBytes, room.MemoryBytes)
	return cpu*cpu + memory*memory
}

// pinned is the one peer that a replica of "one on each" belongs to. What of it runs there in an older revision makes room for it.
func (r *round) pinned(a *asking) candidate {
	peer, known := r.peerAt[a.w.Only]
	if !known || !a.ground.open[peer] {
		return none
	}
	left := r.sites[peer].left
	for at := r.firstOf[a.i]; at >= 0; at = r.next[at] {
		if r.heldBy[at] == peer && !r.victim[a.i] { // what made room has given it away
			left = left.more(r.incumbents[at].Request)
		}
	}
	if !a.needs.within(&left) || a.terms != nil && !a.terms.allows(peer) {
		return none
	}
	return candidate{peer: peer}
}

// best is the best of all peers with room, and the first of them in the hash order.
func (r *round) best(a *asking) (best, first candidate) {
	best, first = none, none
	for _, peer := range a.ground.peers {
		if !r.fits(a, peer) {
			continue
		}
		c := r.judge(a, peer, a.seed.hash(r.sites[peer].seed))
		if r.before(&c, &best) {
			best = c
		}
		if first.peer == nowhere || r.earlier(c.hash, c.peer, first.hash, first.peer) {
			first = c
		}
	}
	return best, first
}

// first is the best of the first choices, of those peers with room that cost the least; of all of those if the first have their share of the
// workload.
func (r *round) first(a *asking) candidate {
	if best, found := r.drawnTo(a); found {
		return best
	}
	if best, enough := r.remembered(a); enough {
		return r.unlifted(a, best)
	}
	if 8*len(a.ground.peers) >= len(r.peers) && len(r.peers) >= walkLeast {
		if best, enough := r.walk(a); enough {
			return r.unlifted(a, best)
		}
	}
	return r.among(a, a.ground.peers)
}

// among is the best of the first choices of some peers.
func (r *round) among(a *asking, peers []int32) candidate {
	choices := r.firstFit(a, peers)
	best := r.bestOf(a, choices)
	if len(choices) < firstChoices {
		return best // of all
	}
	return r.unlifted(a, best)
}

// drawnTo is the best of the few peers that the replica is drawn to, if it costs less than any other could.
func (r *round) drawnTo(a *asking) (candidate, bool) {
	peers, few := a.drawn()
	if !few {
		return none, false
	}
	best := r.among(a, peers)
	return best, best.peer != nowhere && best.cost < a.floorBeside()
}

// unlifted looks at all peers if the best of the first choices has its share of the workload.
func (r *round) unlifted(a *asking, best candidate) candidate {
	if best.tier == lifted {
		best, _ = r.best(a)
	}
	return best
}

func (r *round) bestOf(a *asking, choices []near) candidate {
	best := none
	for _, n := range choices {
		if c := r.judge(a, n.peer, n.hash); r.before(&c, &best) {
			best = c
		}
	}
	return best
}

// near is a peer with room, and its hash.
type near struct {
	peer int32
	hash uint64
}

// firstFit looks at some peers, in order, for the first choices.
func (r *round) firstFit(a *asking, peers []int32) []near {
	first, least, prefers := r.choices[:0], int64(math.MaxInt64), a.prefers()
	for _, peer := range peers {
		if !a.ground.open[peer] || !a.needs.within(&r.sites[peer].left) {
			continue
		}
		cost := int64(0)
		if prefers {
			cost = a.costOn(peer)
		}
		if cost > least {
			continue
		}
		n := near{peer, a.seed.hash(r.sites[peer].seed)}
		full := cost == least && len(first) == firstChoices
		if full && !r.earlier(n.hash, peer, first[firstChoices-1].hash, first[firstChoices-1].peer) || !r.fits(a, peer) {
			continue
		}
		if cost < least {
			first, least = first[:0], cost
		}
		first = r.insert(first, n)
	}
	r.choices = first
	return first
}

// insert keeps the first choices in order.
func (r *round) insert(first []near, n near) []near {
	if len(first) < firstChoices {
		first = append(first, n)
	}
	at := len(first) - 1
	for at > 0 && r.earlier(n.hash, n.peer, first[at-1].hash, first[at-1].peer) {
		first[at] = first[at-1]
		at--
	}
	first[at] = n
	return first
}

// tierOf says how a peer that holds count replicas of a workload stands to its share, which is
// replicas*weight/total: 0 below it also with one more, 1 below it, lifted at or above it.
func tierOf(count, replicasTimesWeight, total uint64) int {
	switch {
	case (count+1)*total <= replicasTimesWeight:
		return 0
	case count*total < replicasTimesWeight:
		return 1
	}
	return lifted
}
