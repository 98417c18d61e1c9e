package crdt

import "slices"

// object is what is retained of one object. Apart from late it depends on the retained
// operations alone.
type object struct {
	key     Key
	ops     []*entry // oldest stamp first
	late    Seen     // what was known of operations that were forgotten lately; nil: nothing
	waiting int      // operations that wait for a floor to be forgotten
	place   int      // in its bucket
	bucket  uint16
	listed  bool // among the objects of its set
	watched bool // the same, among those with something to forget
}

// seen returns the version vector of all that is known of o.
func (o *object) seen() Seen {
	seen := o.late.Clone()
	for _, e := range o.ops {
		seen.add(&e.op)
	}
	return seen
}

// knows says whether all of seen is known. Mostly one of the latest operations shows it.
func (o *object) knows(seen, floor Seen) bool {
	for writer, at := range seen {
		if at > floor[writer] && at > o.late[writer] && !o.heard(writer, at) {
			return false
		}
	}
	return true
}

func (o *object) heard(writer PeerID, at Time) bool {
	for i := len(o.ops) - 1; i >= 0; i-- {
		op := &o.ops[i].op
		if op.Stamp.Writer == writer && at <= op.Stamp.Time || at <= op.Seen[writer] {
			return true
		}
	}
	return false
}

// contradiction returns the retained operation with the same stamp as e, if there is one.
func (o *object) contradiction(e *entry) *entry {
	for _, r := range o.ops {
		if r.op.Stamp == e.op.Stamp {
			return r
		}
	}
	return nil
}

// overwrites marks what the retained operations overwrite of e, and says whether nothing of it is left.
func (o *object) overwrites(e *entry) bool {
	for _, r := range o.ops {
		r.overwrite(e)
	}
	return e.live <= 0
}

// insert adds e, lets it overwrite, and takes out what has no effect left.
func (o *object) insert(e *entry) {
	kept := o.ops[:0]
	for _, r := range o.ops {
		if e.overwrite(r); r.live > 0 {
			kept = append(kept, r)
		}
	}
	clear(o.ops[len(kept):])
	at, _ := slices.BinarySearchFunc(kept, e, (*entry).compare)
	o.ops = slices.Insert(kept, at, e)
}

// rebuild works out anew what overwrites what, after operations were taken out.
func (o *object) rebuild(ops []*entry) {
	o.ops = nil
	for _, e := range ops {
		e.reset()
	}
	for _, e := range ops { // oldest first: what has seen e comes after it
		if !o.overwrites(e) {
			o.insert(e)
		}
	}
}
