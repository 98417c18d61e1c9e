package placement

// decideStay works out where a wanted replica stays. Nothing about other replicas counts.
func (b *board) decideStay(i int32) {
	b.stay[i] = stay{peer: nowhere, at: -1}
	best, waits := int32(-1), int32(-1)
	for at := b.firstOf[i]; at >= 0; at = b.next[at] {
		switch {
		case b.mayStay(i, at):
			if best < 0 || b.staysBefore(i, at, best) {
				best = at
			}
		case b.mayWait(i, at) && (waits < 0 || b.staysBefore(i, at, waits)):
			waits = at
		}
	}
	switch {
	case best >= 0:
		b.stay[i] = b.stayOf(i, best)
	case waits >= 0:
		b.stay[i] = stay{peer: b.heldBy[waits], at: waits, rule: Waits}
	}
}

func (b *board) stayOf(i, at int32) stay {
	held := &b.incumbents[at]
	s := stay{peer: b.heldBy[at], at: at, rule: Stays, young: held.Young}
	if held.Arriving && b.holderBeside(i, s.peer) != nowhere {
		s.rule = Moving
	}
	if !held.Ready && len(b.refusals) > 0 {
		_, s.soft = b.refused(&b.wanted[i], held.Peer)
	}
	return s
}

// mayStay says whether an incumbent may stay where it is.
func (b *board) mayStay(i, at int32) bool {
	w, held, peer := &b.wanted[i], &b.incumbents[at], b.heldBy[at]
	if held.Revision != w.Revision || held.Stopping || peer == nowhere || w.Only != "" && w.Only != held.Peer || !b.groundOf(i).stays[peer] {
		return false
	}
	if held.Ready || len(b.refusals) == 0 {
		return true
	}
	refused, known := b.refused(w, held.Peer)
	return !known || refused.Soft
}

// mayWait says whether an incumbent is on a lost peer that is waited for.
func (b *board) mayWait(i, at int32) bool {
	w, held, peer := &b.wanted[i], &b.incumbents[at], b.heldBy[at]
	return peer != nowhere && !b.peers[peer].Live && w.LostWait > b.peers[peer].LostFor && held.Revision == w.Revision && !held.Stopping
}

// staysBefore orders two incumbents of one replica: one that arrives first, then ready ones, then by the replica's hash order. Nothing
// about other replicas counts: while surplus ones go one by one, peers see different stages of it, and
// must not change their minds because of that, or two peers would each leave a replica to the other.
func (b *board) staysBefore(i, x, y int32) bool {
	if b.incumbents[x].Arriving != b.incumbents[y].Arriving {
		return b.incumbents[x].Arriving
	}
	if b.incumbents[x].Ready != b.incumbents[y].Ready {
		return b.incumbents[x].Ready
	}
	if b.heldBy[x] == b.heldBy[y] {
		return b.incumbents[y].Young && !b.incumbents[x].Young
	}
	return b.before(i, b.heldBy[x], b.heldBy[y])
}

// holderBeside returns the live peer, other than one, that holds a replica and does not stop it: where it comes from. Of several
// a ready one, and then the first in the replica's hash order.
func (b *board) holderBeside(i, peer int32) int32 {
	best := int32(-1)
	for at := b.firstOf[i]; at >= 0; at = b.next[at] {
		p, held := b.heldBy[at], &b.incumbents[at]
		if p == nowhere || p == peer || held.Stopping || !b.peers[p].Live {
			continue
		}
		if best < 0 || held.Ready && !b.incumbents[best].Ready || held.Ready == b.incumbents[best].Ready && b.before(i, p, b.heldBy[best]) {
			best = at
		}
	}
	if best < 0 {
		return nowhere
	}
	return b.heldBy[best]
}

// before says whether peer x comes before peer y in the hash order of a wanted replica.
func (b *board) before(i, x, y int32) bool {
	b.sow()
	s := b.seedAt(i)
	return b.earlier(s.hash(b.sites[x].seed), x, s.hash(b.sites[y].seed), y)
}

// earlier orders peers x and y by their hashes of one replica.
func (b *board) earlier(hx uint64, x int32, hy uint64, y int32) bool {
	wx, wy := b.sites[x].weight, b.sites[y].weight
	if hx == hy && wx == wy {
		return x < y
	}
	return earlier(hx, wx, hy, wy)
}

// keep gives their places to those that stay or are waited for.
func (b *board) keep() {
	for _, i := range b.order {
		if s := &b.stay[i]; s.peer != nowhere && !s.soft {
			b.place[i], b.rule[i] = s.peer, s.rule
		}
	}
}
