package crdt

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// leave takes a replica out of the registry; a mark that counts on it is void then, since it may have
// written at or below it what nobody else has.
func (p *parish) leave(t *rapid.T) {
	if len(p.registered()) < len(p.replicas) {
		t.Skip("one is away already")
	}
	r := p.here(t)
	p.away[r.id], p.left = true, r.id
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

// hear lets a replica that was forgotten be in touch again before it has come back: it takes what it is told, and writes.
func (p *parish) hear(t *rapid.T, r, partner *replica) {
	for range rapid.IntRange(0, 6).Draw(t, "news") {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			p.writeAt(t, r)
		case 1:
			p.writeAt(t, partner)
		case 2:
			key := rapid.SampledFrom(testKeys).Draw(t, "key")
			r.set.AddObject(key, partner.set.Ops(key))
		default:
			if len(p.ops) > 0 {
				r.set.Add(rapid.SampledFrom(p.ops).Draw(t, "op"))
			}
		}
	}
}

// shownOf is what a set shows.
func shownOf(s *Set) map[Key]Object {
	shows := map[Key]Object{}
	for _, key := range s.Keys() {
		shows[key], _ = s.Object(key)
	}
	return shows
}

// reread is a set that holds what s does and knows nothing of how that came.
func reread(s *Set) *Set {
	again := NewSet()
	again.Load(all(s))
	again.Forget(s.Floor())
	return again
}

func TestOneThatWasForgottenComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newParish(3)
		steps := p.steps()
		steps["leave"] = p.leave
		t.Repeat(steps)
		p.settle(t)
		p.settle(t)
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
		p.hear(t, wanderer, partner)
		written := slices.Clone(p.ops)
		p.comeBack(t, wanderer, partner)
		p.exchange(t)
		for _, r := range p.replicas {
			if p.strayed(t, r) {
				return
			}
		}
		for _, r := range p.replicas {
			if r.set.Digest() != partner.set.Digest() {
				t.Fatalf("%s and %s differ after the return of %s:\n%v\n%v\nfloors %v", r.id, partner.id, wanderer.id, names(all(r.set)), names(all(partner.set)), p.floors)
			}
			if diff := cmp.Diff(shownOf(reread(r.set)), shownOf(r.set), shown...); diff != "" {
				t.Fatalf("%s shows other than what it holds says (-reread +shown):\n%s", r.id, diff)
			}
			checkWritten(t, r.set, written, wanderer.id, second[wanderer.id])
		}
		p.replay(t)
	})
}

// TestShownBeforeItHasComeBack: one that was forgotten still holds a creation that all others have forgotten, and an update of it. It hears of a
// deletion by somebody who had seen a later operation of the update's writer, and knows of neither: the update is over, and what it
// had overwritten stays so here alone. Other than anywhere else what is shown depends on what was held before, until it has come back.
func TestShownBeforeItHasComeBack(t *testing.T) {
	a, b := two()
	c, away := &author{id: "c", set: NewSet()}, &author{id: "d", set: NewSet()}
	a.write(Create, set("x", "1"), set("y", "1"))
	b.hear(a)
	b.write(Update, set("x", "2"))
	away.hear(b)
	b.write(Delete)
	forgetAll(b.set)
	floor, _ := b.set.Floor()
	c.set.Forget(floor, floor)
	b.write(Create, set("x", "3"))
	c.hear(b)
	c.write(Delete)
	away.hear(c)
	if got, want := fields(away.set), map[Path]string{"y": "1"}; !maps.Equal(got, want) {
		t.Errorf("it shows %v, want %v", got, want)
	}
	if got, want := fields(reread(away.set)), map[Path]string{"x": "1", "y": "1"}; !maps.Equal(got, want) {
		t.Errorf("what it holds alone says %v, want %v", got, want)
	}
	away.set.Abandon(slices.DeleteFunc(away.set.AtOrBelow(floor), func(id OpID) bool { _, held := c.set.Op(id); return held }))
	away.hear(c)
	away.set.Forget(floor, floor)
	if diff := cmp.Diff(shownOf(c.set), shownOf(away.set)); diff != "" || away.set.Digest() != c.set.Digest() {
		t.Errorf("it has come back and differs (-other +it):\n%s", diff)
	}
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
