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
	changes []Change // of op, sorted by path, the last of equal paths; none for a Delete
	dead    []bool   // which of changes are overwritten
	live    int      // effects that are not overwritten, existence included
}

func newEntry(op Op) *entry {
	e := &entry{op: op}
	if op.Verb != Delete {
		e.changes = sorted(op.Changes)
	}
	e.dead = make([]bool, len(e.changes))
	e.live = len(e.changes)
	if op.Verb != Update {
		e.live++
	}
	return e
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
		if !other.dead[i] && e.covers(c.Path) {
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
