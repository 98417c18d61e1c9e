package placement

import (
	"maps"
	"slices"
	"time"
)

// Plan is the plan of all that was said. It is never changed afterwards, and the one before is returned where it still holds.
func (p *Planner) Plan(now time.Time) Plan {
	ended := !p.ends.IsZero() && (!now.Before(p.ends) || now.Before(p.at))
	if !p.changed && !ended {
		return p.last
	}
	p.at, p.refused = now, p.refused || ended
	if p.board == nil {
		p.build(now)
	}
	p.settleOrder()
	if p.refused {
		p.indexRefusals()
	}
	b := p.board
	for _, i := range p.dirty {
		b.decideStay(i)
	}
	b.startOver()
	b.solve()
	p.collect()
	for _, i := range p.dirty {
		p.touched[i] = false
	}
	p.free, p.gone, p.added = append(p.free, p.gone...), p.gone[:0], p.added[:0]
	p.dirty, p.changed, p.refused = p.dirty[:0], false, false
	return p.last
}

// build makes the board of all that was said.
func (p *Planner) build(now time.Time) {
	v := View{Now: now}
	for _, id := range slices.Sorted(maps.Keys(p.peers)) {
		v.Peers = append(v.Peers, p.peers[id])
	}
	for _, id := range slices.Sorted(maps.Keys(p.workloads)) {
		v.Wanted = append(v.Wanted, p.workloads[id]...)
	}
	p.heldAt = make(map[PeerID][]int32, len(p.rows))
	for _, id := range slices.Sorted(maps.Keys(p.rows)) {
		for _, in := range p.rows[id].incumbents {
			p.heldAt[id] = append(p.heldAt[id], int32(len(v.Incumbents)))
			v.Incumbents = append(v.Incumbents, in)
		}
	}
	p.board, p.refused = newBoard(v), true
	p.board.replans = true
	p.free, p.gone, p.added, p.freeHeld, p.dirty, p.sum = nil, nil, nil, nil, nil, digest{}
	p.touched, p.digests, p.places, p.rules = nil, nil, nil, nil
	p.grow(len(v.Wanted))
	for i := range v.Wanted {
		p.touch(int32(i))
	}
}

// settleOrder brings the order of the replicas up to date, and finds the incumbents of new ones.
func (p *Planner) settleOrder() {
	b := p.board
	if len(p.added)+len(p.gone) > 0 {
		b.order = p.merged()
	}
	if len(p.added) == 0 {
		return
	}
	for at := range b.incumbents {
		if b.heldFor[at] >= 0 {
			continue
		}
		if i, known := b.wantedAt[b.incumbents[at].Replica]; known {
			b.heldFor[at], b.next[at], b.firstOf[i] = i, b.firstOf[i], int32(at)
			p.touch(i)
		}
	}
}

// merged is the order without those that are gone, and with the new ones in their places.
func (p *Planner) merged() []int32 {
	b := p.board
	isGone := func(i int32) bool { return b.groups.of[i] == nowhere }
	old, added := slices.DeleteFunc(slices.Clone(b.order), isGone), slices.DeleteFunc(p.added, isGone)
	if len(added) == 0 {
		return old
	}
	slices.SortFunc(added, b.byReplica)
	order := make([]int32, 0, len(old)+len(added))
	for _, i := range added {
		at, _ := slices.BinarySearchFunc(old, i, b.byReplica)
		order, old = append(append(order, old[:at]...), i), old[at:]
	}
	return append(order, old...)
}

// indexRefusals finds the refusals that stand.
func (p *Planner) indexRefusals() {
	b := p.board
	var v View
	v.Now, p.ends = p.at, time.Time{}
	for _, id := range slices.Sorted(maps.Keys(p.refusing)) {
		v.Refusals = append(v.Refusals, p.rows[id].refusals...)
		if len(p.rows[id].refusals) == 0 {
			delete(p.refusing, id)
		}
	}
	for _, r := range v.Refusals {
		if v.Now.Before(r.Until) && (p.ends.IsZero() || r.Until.Before(p.ends)) {
			p.ends = r.Until
		}
	}
	before := b.refusals
	b.indexRefusals(v)
	for _, refusals := range []map[ReplicaID][]Refusal{before, b.refusals} {
		for replica := range refusals {
			if i, known := b.wantedAt[replica]; known {
				p.touch(i)
			}
		}
	}
}

// collect makes the plan of what the board says now, from the one before where that still says it.
func (p *Planner) collect() {
	b, all := p.board, edit{pages: p.last.Assignments.pages}
	all.resize(len(b.wanted))
	for _, i := range p.gone {
		all.set(i, &Assignment{})
	}
	p.last.Shifts = 0
	for n := range b.wanted {
		i := int32(n)
		if b.groups.of[i] == nowhere || !p.differs(i) {
			continue
		}
		a := b.assignment(i)
		if shifts(a.Rule) {
			p.last.Shifts++
		}
		all.set(i, &a)
		p.assign(i, &a)
	}
	p.last.Assignments, p.last.Digest = Assignments{all.pages, b.order}, p.sum.bytes()
	p.displaced = b.by
}

// differs says whether a replica's assignment may differ from that of the plan before.
func (p *Planner) differs(i int32) bool {
	b := p.board
	rule := b.rule[i]
	if p.touched[i] || b.place[i] != p.places[i] || rule != p.rules[i] || rule != Stays && rule != Waits {
		return true
	}
	if len(b.by)+len(p.displaced) == 0 {
		return false
	}
	_, displaced := b.by[i]
	_, before := p.displaced[i]
	return displaced || before
}

// assign notes what the plan says of a replica from now on.
func (p *Planner) assign(i int32, a *Assignment) {
	if p.touched[i] || p.board.place[i] != p.places[i] {
		p.sum.take(p.digests[i])
		p.digests[i] = digestOf(a)
		p.sum.add(p.digests[i])
	}
	p.places[i], p.rules[i] = p.board.place[i], p.board.rule[i]
}
