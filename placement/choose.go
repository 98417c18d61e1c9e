package placement

import "slices"

// firstChoices is among how many of the first peers of the hash order the best fitting is chosen when room is tight.
const firstChoices = 8

// lifted is the tier of a peer that has its share of a workload or more.
const lifted = 2

// round places replicas one after the other and keeps count of each workload's replicas per peer.
type round struct {
	*board
	members  map[WorkloadID][]int32 // of each workload with something to place: its replicas
	workload WorkloadID             // the one that count is for
	count    []int32                // of peers
	bestFit  bool
}

// candidate is a peer on which a replica fits.
type candidate struct {
	peer         int32
	tier         int
	hash, weight uint64
}

func (c candidate) before(d candidate) bool {
	if c.tier != d.tier {
		return c.tier < d.tier
	}
	return earlier(c.hash, c.weight, d.hash, d.weight)
}

// placeRest places what keep left over; and again by best fit if room turns out to be tight.
func (b *board) placeRest() {
	order := b.rest()
	if len(order) == 0 {
		return
	}
	b.sow()
	members := b.members(order)
	sites := slices.Clone(b.sites)
	pending := b.run(order, &round{board: b, members: members})
	if pending == 0 || !b.tight(order) {
		return
	}
	sitesByHash, placeByHash, ruleByHash := b.sites, slices.Clone(b.place), slices.Clone(b.rule)
	b.sites = sites
	for _, at := range order {
		b.place[at] = nowhere
	}
	if b.run(order, &round{board: b, members: members, bestFit: true}) >= pending {
		b.sites, b.place, b.rule = sitesByHash, placeByHash, ruleByHash
	}
}

// members lists the replicas of each workload that has something to place.
func (b *board) members(order []int32) map[WorkloadID][]int32 {
	members := make(map[WorkloadID][]int32)
	for _, at := range order {
		members[b.wanted[at].Workload] = nil
	}
	for i, w := range b.wanted {
		if list, asked := members[w.Workload]; asked {
			members[w.Workload] = append(list, int32(i))
		}
	}
	return members
}

// run places the replicas in order and returns how many stay pending.
func (b *board) run(order []int32, r *round) int {
	r.count = make([]int32, len(b.peers))
	pending := 0
	for n, at := range order {
		w := &b.wanted[at]
		if n == 0 || w.Workload != r.workload {
			r.recount(w.Workload)
		}
		b.place[at], b.rule[at] = r.choose(w)
		if b.place[at] == nowhere {
			pending++
			continue
		}
		s := &b.sites[b.place[at]]
		s.left = s.left.less(w.Request)
		r.count[b.place[at]]++
	}
	return pending
}

// recount turns to another workload.
func (r *round) recount(workload WorkloadID) {
	for _, at := range r.members[r.workload] {
		if p := r.place[at]; p != nowhere {
			r.count[p] = 0
		}
	}
	r.workload = workload
	for _, at := range r.members[workload] {
		if p := r.place[at]; p != nowhere {
			r.count[p]++
		}
	}
}

func (r *round) choose(w *Wanted) (int32, Rule) {
	if r.bestFit {
		return r.chooseBestFit(w)
	}
	if peer := r.first(w); peer != nowhere {
		return peer, Hash
	}
	return nowhere, ""
}

// first is the first of each's candidates. It is the loop in which a plan spends its time: it works out a
// logarithm only for a peer that can still win.
func (r *round) first(w *Wanted) int32 {
	f := r.fieldOf(w.NodeSelector)
	seed := seedOf(string(w.Replica))
	cpu, memory := need(w.Request.CPUMillis), need(w.Request.MemoryBytes)
	replicas := uint64(len(r.members[w.Workload]))
	picky := len(r.refusals) > 0 && len(r.refusals[w.Replica]) > 0
	best, bestLog := candidate{peer: nowhere, tier: lifted + 1, weight: 1}, uint64(0)
	for _, i := range f.peers {
		s := &r.sites[i]
		if s.left.CPUMillis < cpu || s.left.MemoryBytes < memory {
			continue
		}
		tier := tierOf(uint64(r.count[i]), replicas*s.weight, f.weight)
		if tier > best.tier {
			continue
		}
		c := candidate{i, tier, mix(seed ^ s.seed), s.weight}
		if tier == best.tier && (leastLog(c.hash)*best.weight > bestLog*c.weight || !c.before(best)) {
			continue
		}
		if picky && r.isRefused(w, i) {
			continue
		}
		best, bestLog = c, negLog2(c.hash)
	}
	return best.peer
}

func (r *round) isRefused(w *Wanted, peer int32) bool {
	_, refused := r.refused(w, r.peers[peer].ID)
	return refused
}

// chooseBestFit takes, of the first choices, the peer with the least left afterwards.
func (r *round) chooseBestFit(w *Wanted) (int32, Rule) {
	var first []candidate // by order
	r.each(w, func(c candidate) int {
		at := len(first)
		for at > 0 && c.before(first[at-1]) {
			at--
		}
		if at < firstChoices {
			first = slices.Insert(first[:min(len(first), firstChoices-1)], at, c)
		}
		if len(first) == firstChoices {
			return first[firstChoices-1].tier
		}
		return lifted
	})
	best, least := int32(nowhere), int64(0)
	for _, c := range first {
		left := r.sites[c.peer].left.less(w.Request)
		room := r.peers[c.peer].Room
		waste := share(left.CPUMillis, room.CPUMillis) + share(left.MemoryBytes, room.MemoryBytes)
		if best == nowhere || waste < least {
			best, least = c.peer, waste
		}
	}
	switch {
	case best == nowhere:
		return nowhere, ""
	case best == first[0].peer:
		return best, Hash
	}
	return best, BestFit
}

// each calls found for every peer on which w fits. found returns the highest tier that it still asks for.
func (r *round) each(w *Wanted, found func(candidate) int) {
	f := r.fieldOf(w.NodeSelector)
	seed := seedOf(string(w.Replica))
	cpu, memory := need(w.Request.CPUMillis), need(w.Request.MemoryBytes)
	replicas := uint64(len(r.members[w.Workload]))
	picky := len(r.refusals) > 0 && len(r.refusals[w.Replica]) > 0
	most := lifted
	for _, i := range f.peers {
		s := &r.sites[i]
		if s.left.CPUMillis < cpu || s.left.MemoryBytes < memory {
			continue
		}
		tier := tierOf(uint64(r.count[i]), replicas*s.weight, f.weight)
		if tier > most {
			continue
		}
		if picky && r.isRefused(w, i) {
			continue
		}
		most = found(candidate{i, tier, mix(seed ^ s.seed), s.weight})
	}
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

// tight says whether a pending replica would fit on an empty peer.
func (b *board) tight(order []int32) bool {
	for _, at := range order {
		if b.place[at] != nowhere {
			continue
		}
		w := &b.wanted[at]
		for _, i := range b.fieldOf(w.NodeSelector).peers {
			if w.Request.fits(b.peers[i].Room) {
				return true
			}
		}
	}
	return false
}
