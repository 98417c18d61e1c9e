package crdt

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
)

// entry is a retained operation with what is left of its effects.
type entry struct {
	op      Op
	of      *object  // that retains it, or did
	changes []Change // of op, sorted by path, the last of equal paths; none for a Delete
	dead    []bool   // which of changes are overwritten; nil: none
	live    int32    // effects that are not overwritten, existence included
	deletes bool     // is a Delete, or deletes a field
	gone    bool     // let go by the forgetting that is under way
}

func newEntry(op Op) *entry {
	e := &entry{op: op, deletes: op.Verb == Delete}
	if op.Verb != Delete {
		e.changes = sorted(op.Changes)
	}
	for i := range e.changes {
		e.deletes = e.deletes || e.changes[i].Value == nil
	}
	e.reset()
	return e
}

// clone is e for another object, which may overwrite it there.
func (e *entry) clone() *entry {
	clone := *e
	clone.dead = slices.Clone(e.dead)
	return &clone
}

// reset makes all effects live again.
func (e *entry) reset() {
	clear(e.dead)
	e.live = int32(len(e.changes))
	if e.op.Verb != Update {
		e.live++
	}
}

// sorted returns changes in the order of paths, each path once. Sealed operations mostly come
// in that order, and are not copied then.
func sorted(changes []Change) []Change {
	rises := true
	for i := 1; i < len(changes) && rises; i++ {
		rises = changes[i-1].Path < changes[i].Path
	}
	if rises {
		return changes
	}
	result := slices.Clone(changes)
	slices.SortStableFunc(result, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	kept := result[:0]
	for i, c := range result {
		if i+1 == len(result) || result[i+1].Path != c.Path {
			kept = append(kept, c)
		}
	}
	return kept
}

func (e *entry) compare(other *entry) int {
	return cmp.Or(e.op.Stamp.Compare(other.op.Stamp), bytes.Compare(e.op.Hash[:], other.op.Hash[:]))
}

func (e *entry) saw(other *entry) bool { return e.op.Seen.Has(other.op.Stamp) }

// lives says whether change i is not overwritten.
func (e *entry) lives(i int) bool { return e.dead == nil || !e.dead[i] }

// overwrite marks what e overwrites of other.
func (e *entry) overwrite(other *entry) {
	if !e.saw(other) {
		return
	}
	if e.op.Verb != Update {
		other.live = 0
		return
	}
	for i, c := range other.changes {
		if other.lives(i) && e.covers(c.Path) {
			if other.dead == nil {
				other.dead = make([]bool, len(other.changes))
			}
			other.dead[i] = true
			other.live--
		}
	}
}

// covers says whether e writes p or a path above it.
func (e *entry) covers(p Path) bool {
	if len(e.changes) == 1 {
		return e.changes[0].Path.Above(p)
	}
	for ok := true; ok; p, ok = p.parent() {
		i := sort.Search(len(e.changes), func(i int) bool { return e.changes[i].Path >= p })
		if i < len(e.changes) && e.changes[i].Path == p {
			return true
		}
	}
	return false
}
