package placement

// softCost is the cost of a peer on which the replica failed again and again: more than all preferences together.
const softCost = 1 << 40

// terms are what one wanted replica asks that depends on what else is where, beside room.
type terms struct {
	*board
	*kind
	w    *Wanted
	own  []int32 // its incumbents on live peers
	hard []int32 // peers that refused it
	soft []int32 // peers on which it failed
	only int32   // the peer that it belongs to, or nowhere
}

// termsOf returns the terms of a wanted replica; nil where it is termless. They hold for the counts as they are
// when asked. The replica itself must not be put anywhere.
func (b *board) termsOf(i int32) *terms {
	if b.termless(i) {
		return nil
	}
	return b.newTerms(i)
}

// termless says whether the ground and the room of a wanted replica say all.
func (b *board) termless(i int32) bool {
	b.linkRules()
	w := &b.wanted[i]
	return len(b.refusals[w.Replica])+len(w.Ports)+len(w.Devices) == 0 && w.Only == "" && b.kindOf(i).plain()
}

func (b *board) newTerms(i int32) *terms {
	b.startCounts()
	b.groundOf(i) // what preferences about the peers cost is taken from it
	w := &b.wanted[i]
	t := &terms{board: b, kind: b.kindOf(i), w: w, only: nowhere}
	if peer, known := b.peerAt[w.Only]; known && w.Only != "" {
		t.only = peer
	}
	for at := b.firstOf[i]; at >= 0; at = b.next[at] {
		if p := b.heldBy[at]; p != nowhere && b.peers[p].Live {
			t.own = append(t.own, at)
		}
	}
	for _, r := range b.refusals[w.Replica] {
		peer, known := b.peerAt[r.Peer]
		switch {
		case !known || r.Revision != w.Revision:
		case r.Soft:
			t.soft = append(t.soft, peer)
		default:
			t.hard = append(t.hard, peer)
		}
	}
	return t
}

// plain says whether nothing about a kind depends on where other replicas are.
func (k *kind) plain() bool {
	return len(k.nearTo)+len(k.apartFrom)+len(k.preferred)+len(k.even)+len(k.uneven)+len(k.barredBy)+len(k.pulledBy) == 0
}

// allows says whether a peer that is open in the replica's ground may be given it, as far as other replicas, ports, devices,
// refusals and its being pinned go.
func (t *terms) allows(peer int32) bool {
	if t.w.Only != "" && t.only != peer || contains(t.hard, peer) {
		return false
	}
	for i := range t.nearTo {
		if !t.isNearTo(&t.nearTo[i], peer) {
			return false
		}
	}
	for i := range t.apartFrom {
		if t.besides(t.apartFrom[i].tally, peer, t.apartFrom[i].self) > 0 {
			return false
		}
	}
	for _, tally := range t.barredBy {
		if t.barring(tally, peer) > 0 {
			return false
		}
	}
	for _, e := range t.even {
		if e.domain[peer] == noDomain || e.excess(peer) > 0 {
			return false
		}
	}
	return t.portsFree(peer) && t.devicesLeft(peer)
}

// isNearTo says whether a peer is in a domain with a replica that a term selects. A term that selects the replica itself holds
// everywhere while there is no such replica at all, or the first could never start.
func (t *terms) isNearTo(a *asked, peer int32) bool {
	domain := a.domain[peer]
	return domain != noDomain && (a.assigned.of(domain) > 0 || a.self && a.assignedTotal == 0)
}

// besides counts the replicas that a term selects in a peer's domain, without those of the replica itself.
func (t *terms) besides(tally *tally, peer int32, self bool) int64 {
	domain := tally.domain[peer]
	if domain == noDomain {
		return 0
	}
	count := tally.present.of(domain)
	if self && count > 0 {
		count -= t.mine(tally.topology, domain)
	}
	return count
}

// barring counts the others in a peer's domain that must be apart from the replica.
func (t *terms) barring(tally *tally, peer int32) int64 {
	domain := tally.domain[peer]
	if domain == noDomain {
		return 0
	}
	count := tally.barred.of(domain)
	if count == 0 {
		return 0
	}
	for i := range t.apartFrom {
		if t.apartFrom[i].tally == tally {
			count -= t.mine(tally.topology, domain)
		}
	}
	return count
}

// mine counts the replica's own instances in a domain.
func (t *terms) mine(top *topology, domain int32) int64 {
	count := int64(0)
	for _, at := range t.own {
		if t.book.held[at] && top.domain[t.heldBy[at]] == domain {
			count++
		}
	}
	return count
}

// cost orders the peers that are allowed, the lower first: below 0 is better than nothing preferred. It includes that of
// the ground.
func (t *terms) cost(peer int32) int64 {
	cost := int64(0)
	if t.ground.cost != nil {
		cost = int64(t.ground.cost[peer])
	}
	if contains(t.soft, peer) {
		cost += softCost
	}
	for i := range t.preferred {
		cost -= costOfWeight * t.preferred[i].weight * t.preferring(&t.preferred[i], peer)
	}
	for _, tally := range t.pulledBy {
		if domain := tally.domain[peer]; domain != noDomain {
			cost -= costOfWeight * tally.pull.of(domain)
		}
	}
	for _, e := range t.uneven {
		cost += costOfSkew * e.unevenness(peer)
	}
	return cost
}

func (t *terms) preferring(w *weighed, peer int32) int64 {
	domain := w.domain[peer]
	switch {
	case domain == noDomain:
		return 0
	case w.weight > 0:
		return w.assigned.of(domain)
	}
	return t.besides(w.tally, peer, w.self)
}

func contains(peers []int32, peer int32) bool {
	for _, p := range peers {
		if p == peer {
			return true
		}
	}
	return false
}
