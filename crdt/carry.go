package crdt

import "slices"

// maxCarried bounds what Carry adds to one operation.
const maxCarried = 256

// Carry returns paths that a new operation which writes these paths, having seen all that is retained of the
// object, should delete as well, sorted.
//
// An operation is retained whole. One that sets "b" and once set "a" too, which was deleted later,
// needs that deletion beside it. So of the operations that add one variable and remove the one
// before, each would need the next, for ever. A writer that repeats the deletions of those
// operations whose last values it overwrites makes them superfluous: one deletion each stays,
// in one operation. It deletes nothing that anybody sees: where a value lives, nothing is carried.
func (s *Set) Carry(key Key, writes []Path) []Path {
	o := s.objects[key]
	if o == nil || !o.deletes() {
		return nil
	}
	covered := func(p Path) bool {
		return slices.ContainsFunc(writes, func(w Path) bool { return w.Above(p) })
	}
	values := o.values()
	var carried []Path
	for _, e := range o.ops {
		if e.op.Verb != Update || e.valueBeyond(covered) {
			continue
		}
		for i, c := range e.changes {
			if c.Value == nil && e.lives(i) && !covered(c.Path) && masks(e, c.Path, values) {
				carried = append(carried, c.Path)
			}
		}
	}
	slices.Sort(carried)
	carried = slices.Compact(carried)
	return carried[:min(len(carried), maxCarried)]
}

// valueBeyond says whether a live value of e lies outside of covered.
func (e *entry) valueBeyond(covered func(Path) bool) bool {
	for i, c := range e.changes {
		if c.Value != nil && e.lives(i) && !covered(c.Path) {
			return true
		}
	}
	return false
}

// masks says whether e keeps dead values at or below p from living again, and no live value is near.
func masks(e *entry, p Path, values []value) bool {
	found := false
	for _, v := range atOrBelow(values, p) {
		if v.live {
			return false
		}
		found = found || v.from != e && e.saw(v.from)
	}
	for above, ok := p.parent(); ok; above, ok = above.parent() {
		for _, v := range at(values, above) {
			if v.live {
				return false
			}
		}
	}
	return found
}
