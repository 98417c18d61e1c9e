package crdt

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Floor returns the floors; the caller owns them.
func (s *Set) Floor() (first, second Seen) { return s.first.Clone(), s.second.Clone() }

// Forget raises the floors, each to the pointwise maximum of what it was and what is given, and
// drops the deletions that they let go. Only a peer that holds, or held, every operation at or
// below second may do so, and only floors in the order in which they were agreed on.
func (s *Set) Forget(first, second Seen) Delta {
	previous := s.first.Clone()
	for writer, at := range first {
		s.first.raise(writer, at)
	}
	for writer, at := range second {
		s.second.raise(writer, at)
		s.heard.raise(writer, at)
	}
	var delta Delta
	for _, o := range s.sortedWatched() {
		dropped := s.change(o, func() { o.late = o.late.above(previous) }).Dropped
		delta.Dropped = append(delta.Dropped, dropped...)
	}
	return delta
}

func (s *Set) sortedWatched() []*object {
	return slices.SortedFunc(maps.Keys(s.watched), func(a, b *object) int { return a.key.Compare(b.key) })
}

// above returns the part of s that floor has not seen; nil if there is none.
func (s Seen) above(floor Seen) Seen {
	var rest Seen
	for writer, at := range s {
		if at > floor[writer] {
			if rest == nil {
				rest = Seen{}
			}
			rest[writer] = at
		}
	}
	return rest
}

// forget takes out of o what the floors let go. What o knew of that stays known for a while: peers that have not
// applied the floor yet must see that the next write here had seen the deletion.
func (s *Set) forget(o *object) {
	if len(s.first) == 0 || !o.deletes() {
		return
	}
	settled := func(e *entry) bool { return s.first.Has(e.op.Stamp) && s.first.Covers(e.op.Seen) }
	held := func(e *entry) bool { return s.second.Has(e.op.Stamp) }
	gone := o.forgettable(settled, held)
	if len(gone) == 0 {
		return
	}
	o.late = o.late.Clone()
	for _, e := range gone {
		e.gone = true
		o.late.add(&e.op)
	}
	o.rebuild(slices.DeleteFunc(slices.Clone(o.ops), func(e *entry) bool { return e.gone }))
}

// Forgettable returns the number of operations that are retained only because no floor covers
// them yet: they delete, and nothing that is retained needs their deletion.
func (s *Set) Forgettable() int { return s.waiting }

// forgettable returns the operations of o of which nothing is left but deletions that are settled,
// and that no retained operation needs. held says of which operations all peers know.
func (o *object) forgettable(settled, held func(*entry) bool) []*entry {
	var gone []*entry
	var values []value
	for i, e := range o.ops { // oldest first: a deletion is needed by older ones, or by such as stay for a value
		if !e.onlyDeletes() || !settled(e) {
			continue
		}
		if values == nil {
			values = o.values()
		}
		if !o.needs(e, values, held) {
			gone = append(gone, o.ops[i])
			e.gone = true
		}
	}
	for _, e := range gone {
		e.gone = false
	}
	return gone
}

// onlyDeletes says whether all live effects of e are deletions.
func (e *entry) onlyDeletes() bool {
	if !e.deletes || e.op.Verb == Create {
		return false
	}
	for i := range e.changes {
		if e.changes[i].Value != nil && e.lives(i) {
			return false
		}
	}
	return true
}

// value is a change of a retained operation that sets a field.
type value struct {
	path Path
	from *entry
	live bool
}

// values returns all values in the operations of o, overwritten ones too, sorted by path.
func (o *object) values() []value {
	all := []value{}
	for _, e := range o.ops {
		for i, c := range e.changes {
			if c.Value != nil {
				all = append(all, value{c.Path, e, e.lives(i)})
			}
		}
	}
	slices.SortFunc(all, func(a, b value) int { return cmp.Compare(a.path, b.path) })
	return all
}

// needs says whether one of the deletions that e consists of must stay:
//
//   - it keeps a value from living again that is part of an operation which stays for another reason,
//   - it is in conflict with a live value, which everybody knows, or
//   - it hides what it had seen above it: a live value, or a deletion that is in such a conflict.
//
// The deletion of an object is never needed: nothing of what it ends stays.
func (o *object) needs(e *entry, values []value, held func(*entry) bool) bool {
	for i := range e.changes {
		p := e.changes[i].Path
		if e.changes[i].Value == nil && e.lives(i) && (e.keeps(p, values) || e.contends(p, values, held) || o.hides(e, p, values, held)) {
			return true
		}
	}
	return false
}

// keeps says whether the deletion of p by e is what ended a value in an operation that stays.
func (e *entry) keeps(p Path, values []value) bool {
	return slices.ContainsFunc(atOrBelow(values, p), func(v value) bool { return e.saw(v.from) && !v.from.gone })
}

// contends says whether the deletion of p by e is in conflict with a live value.
func (e *entry) contends(p Path, values []value, held func(*entry) bool) bool {
	conflict := func(v value) bool { return v.live && v.from != e && !e.saw(v.from) && !v.from.saw(e) && held(v.from) }
	if slices.ContainsFunc(atOrBelow(values, p), conflict) {
		return true
	}
	for above, ok := p.parent(); ok; above, ok = above.parent() {
		if slices.ContainsFunc(at(values, above), conflict) {
			return true
		}
	}
	return false
}

// hides says whether the deletion of p by e keeps something above p out of sight.
func (o *object) hides(e *entry, p Path, values []value, held func(*entry) bool) bool {
	for above, ok := p.parent(); ok; above, ok = above.parent() {
		if slices.ContainsFunc(at(values, above), func(v value) bool { return v.live && e.saw(v.from) }) {
			return true
		}
		for _, r := range o.ops {
			if r != e && e.saw(r) && r.deletesAt(above) && r.contends(above, values, held) {
				return true
			}
		}
	}
	return false
}

// deletesAt says whether e deletes p, and nobody has overwritten that.
func (e *entry) deletesAt(p Path) bool {
	if !e.deletes {
		return false
	}
	i, found := slices.BinarySearchFunc(e.changes, p, func(c Change, p Path) int { return cmp.Compare(c.Path, p) })
	return found && e.changes[i].Value == nil && e.lives(i)
}

// at returns the values at p.
func at(values []value, p Path) []value {
	from, _ := slices.BinarySearchFunc(values, p, func(v value, p Path) int { return cmp.Compare(v.path, p) })
	to := from
	for to < len(values) && values[to].path == p {
		to++
	}
	return values[from:to]
}

// atOrBelow returns the values at p and below it.
func atOrBelow(values []value, p Path) []value {
	if p == "" {
		return values
	}
	from, _ := slices.BinarySearchFunc(values, p+"/", func(v value, p Path) int { return cmp.Compare(v.path, p) })
	to := from
	for to < len(values) && strings.HasPrefix(string(values[to].path), string(p)+"/") {
		to++
	}
	return append(slices.Clip(at(values, p)), values[from:to]...)
}

// Abandon drops retained operations as if they had never come, and what these had overwritten in
// others lives again. A peer that was forgotten drops so what the others have forgotten meanwhile.
// What they had overwritten whole must come again from those others: so Abandon also lowers the
// floors to nothing, and they are to be raised again after that. Until it is told what to abandon, what such a peer shows may depend on
// the order in which it heard: an operation may be over by one that names less as seen, and what it had overwritten stays so.
func (s *Set) Abandon(ids []OpID) Delta {
	s.first, s.second = Seen{}, Seen{}
	gone := map[Key][]*entry{}
	for _, id := range ids {
		if e := s.index.get(id); e != nil && !e.gone {
			e.gone = true
			gone[e.op.Key] = append(gone[e.op.Key], e)
		}
	}
	var delta Delta
	for _, key := range slices.SortedFunc(maps.Keys(gone), Key.Compare) {
		o := s.objects[key]
		rest := slices.DeleteFunc(slices.Clone(o.ops), func(e *entry) bool { return e.gone })
		change := s.change(o, func() { o.rebuild(rest) })
		delta.Dropped = append(delta.Dropped, change.Dropped...)
	}
	return delta
}

// Heard returns for each writer the highest time of it that any operation taken in, anything that
// one had seen, or a floor shows. The caller owns it.
func (s *Set) Heard() Seen { return s.heard.Clone() }

// marked holds the operations at or below a mark.
type marked struct {
	mark  Seen
	index index
}

// at lets s follow the operations at or below mark, so that asking again costs little.
func (s *Set) at(mark Seen) *index {
	if s.pending == nil || !maps.Equal(s.pending.mark, mark) {
		s.pending = &marked{mark: mark.Clone()}
		s.index.root.each(func(x slot) bool {
			if mark.Has(x.e.op.Stamp) {
				s.pending.index.put(x.id, x.e)
			}
			return true
		})
	}
	return &s.pending.index
}

// AtOrBelow returns the IDs of the retained operations at or below mark, sorted.
func (s *Set) AtOrBelow(mark Seen) []OpID {
	var ids []OpID
	s.at(mark).root.each(func(x slot) bool { ids = append(ids, x.id); return true })
	return ids
}

// Below is a digest over AtOrBelow(mark). The first call for a mark costs one pass over the set;
// after that the set follows it, until it is asked about another. An empty mark ends that.
func (s *Set) Below(mark Seen) [32]byte {
	if len(mark) == 0 {
		s.pending = nil
		return [32]byte{}
	}
	return s.at(mark).sum()
}
