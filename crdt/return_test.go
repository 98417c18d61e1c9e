package crdt

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// leave takes a replica out of the registry; a mark that counts on it is void then, since it may have
// written at or below it what nobody else has.
func (p *parish) leave(t *rapid.T) {
	if len(p.registered()) < len(p.replicas) {
		t.Skip("one is away already")
	}
	r := p.here(t)
	p.away[r.id] = true
	delete(p.rows, r.id)
	p.mark, p.touched = nil, nil
}

// comeBack joins a replica that was forgotten with one that has applied all floors: it takes what that one
// holds, drops what all have forgotten, gives what it wrote, and then applies the floors.
func (p *parish) comeBack(t *rapid.T, r, partner *replica) {
	_, second := partner.set.Floor()
	takeAll := func() {
		for _, key := range partner.set.Keys() {
			r.set.AddObject(key, partner.set.Ops(key))
		}
	}
	takeAll()
	gone := slices.DeleteFunc(r.set.AtOrBelow(second), func(id OpID) bool { _, held := partner.set.Op(id); return held })
	r.set.Abandon(gone)
	takeAll() // what was overwritten by operations that are abandoned now
	first, second := partner.set.Floor()
	r.set.Forget(first, second)
	for _, key := range r.set.Keys() {
		partner.set.AddObject(key, r.set.Ops(key))
	}
	p.applied[r.id] = len(p.floors)
	delete(p.away, r.id)
}

func TestOneThatWasForgottenComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newParish(3)
		steps := p.steps()
		steps["leave"] = p.leave
		t.Repeat(steps)
		p.settle(t)
		p.settle(t)
		written := slices.Clone(p.ops)
		var wanderer *replica
		for _, r := range p.replicas {
			if p.away[r.id] {
				wanderer = r
			}
		}
		if wanderer == nil {
			return
		}
		partner := p.registered()[0]
		_, second := partner.set.Floor()
		p.comeBack(t, wanderer, partner)
		p.exchange(t)
		for _, r := range p.replicas {
			if r.set.Digest() != partner.set.Digest() {
				t.Fatalf("%s and %s differ after the return of %s:\n%v\n%v\nfloors %v", r.id, partner.id, wanderer.id, names(all(r.set)), names(all(partner.set)), p.floors)
			}
			checkWritten(t, r.set, written, wanderer.id, second[wanderer.id])
		}
		p.replay(t)
	})
}

// checkWritten looks for what a forgotten replica wrote since the last floor that it had a part in:
// each operation is retained, or was overwritten by one that had seen it.
func checkWritten(t *rapid.T, s *Set, written []Op, writer PeerID, floor Time) {
	for _, op := range written {
		if op.Stamp.Writer != writer || op.Stamp.Time <= floor {
			continue
		}
		overwritten := slices.ContainsFunc(written, func(later Op) bool { return later.Key == op.Key && modelSaw(later, op) })
		if _, held := s.Op(op.ID()); !held && !overwritten {
			t.Fatalf("what %s wrote alone is lost: %v", writer, op)
		}
	}
}

func all(s *Set) (ops []Op) {
	for _, key := range s.Keys() {
		ops = append(ops, s.Ops(key)...)
	}
	return ops
}
