package crdt

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
)

// effect is one change of a retained operation that nobody has overwritten.
type effect struct {
	change *Change
	from   *entry
	hidden bool // by a write below it that had seen it
}

// effects returns all effects on fields, sorted by path, the highest stamp first within a path.
func (o *object) effects() []effect {
	var all []effect
	for _, e := range o.ops {
		for i := range e.changes {
			if e.lives(i) {
				all = append(all, effect{change: &e.changes[i], from: e})
			}
		}
	}
	slices.SortFunc(all, func(a, b effect) int {
		return cmp.Or(cmp.Compare(a.change.Path, b.change.Path), b.from.compare(a.from))
	})
	return all
}

// settle picks the winner of each field and lists the others with it, sorted by path.
func settle(effects []effect) []Field {
	if overlap(effects) {
		return settleTree(effects)
	}
	fields := make([]Field, 0, len(effects))
	for _, e := range effects {
		if last := len(fields) - 1; last >= 0 && fields[last].Path == e.change.Path {
			fields[last].rival(e)
		} else {
			fields = append(fields, e.field())
		}
	}
	return fields
}

// overlap hides the leaves that have become trees, and says whether any path lies above another.
func overlap(effects []effect) bool {
	found := false
	var alone Path // where nothing lies, nor above it; most siblings come one after another
	checked := false
	for i := range effects {
		below := &effects[i]
		nearest, ok := below.change.Path.parent()
		if checked && nearest == alone && !found {
			continue
		}
		alone, checked = nearest, ok
		for p := nearest; ok; p, ok = p.parent() {
			at := sort.Search(len(effects), func(i int) bool { return effects[i].change.Path >= p })
			for ; at < len(effects) && effects[at].change.Path == p; at++ {
				found = true
				above := &effects[at]
				if below.from == above.from || below.from.saw(above.from) {
					above.hidden = true
				}
			}
		}
	}
	return found
}

// settleTree is settle for paths that may lie above each other: the highest stamp of all takes its
// place, and so on down; what finds its place taken, or a winner above or below, is the rival of that one.
// Deletions are not in each other's way: each takes its place unless a value has it.
func settleTree(effects []effect) []Field {
	effects = slices.DeleteFunc(effects, func(e effect) bool { return e.hidden })
	slices.SortStableFunc(effects, func(a, b effect) int { return b.from.compare(a.from) })
	w := winners{at: map[Path]int{}, below: map[Path]int{}, valued: map[Path]int{}}
	for _, e := range effects {
		if at := w.inTheWay(e); at < len(w.fields) {
			w.fields[at].rival(e)
		} else {
			w.add(e)
		}
	}
	slices.SortFunc(w.fields, func(a, b Field) int { return cmp.Compare(a.Path, b.Path) })
	return w.fields
}

// winners have taken their places, the highest stamp first.
type winners struct {
	fields []Field
	at     map[Path]int // which has this path
	below  map[Path]int // the first below this path
	valued map[Path]int // the same, of those with a value
}

// inTheWay returns the first winner that stands in the way of e; the number of all if none does.
func (w *winners) inTheWay(e effect) int {
	p, first := e.change.Path, len(w.fields)
	consider := func(places map[Path]int, p Path) {
		if at, ok := places[p]; ok && at < first && (e.change.Value != nil || w.fields[at].Value != nil || p == e.change.Path) {
			first = at
		}
	}
	if e.change.Value == nil {
		consider(w.valued, p)
	} else {
		consider(w.below, p)
	}
	for more := true; more; p, more = p.parent() {
		consider(w.at, p)
	}
	return first
}

func (w *winners) add(e effect) {
	at := len(w.fields)
	w.fields = append(w.fields, e.field())
	w.at[e.change.Path] = at
	for p, ok := e.change.Path.parent(); ok; p, ok = p.parent() {
		if _, known := w.below[p]; !known {
			w.below[p] = at
		}
		if _, known := w.valued[p]; !known && e.change.Value != nil {
			w.valued[p] = at
		}
	}
}

func (e effect) field() Field {
	op := &e.from.op
	return Field{Path: e.change.Path, Value: e.change.Value, Writer: op.Stamp, Manager: op.Manager, User: op.User}
}

// rival lists e as having lost to f. Who wrote the same value lost nothing, nor did one deletion to another.
func (f *Field) rival(e effect) {
	if f.Value == nil || e.change.Value == nil {
		if f.Value == nil && e.change.Value == nil {
			return
		}
	} else if f.Path == e.change.Path && bytes.Equal(f.Value, e.change.Value) {
		return
	}
	op := &e.from.op
	f.Conflicts = append(f.Conflicts, Rival{Path: e.change.Path, Value: e.change.Value, Writer: op.Stamp, Manager: op.Manager, User: op.User})
}
