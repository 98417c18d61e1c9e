package crdt

import (
	"bytes"
	"slices"

	"shoal/crdt/sketch"
)

// Set is the intent of one peer: every retained operation, by object. Not safe for concurrent use.
type Set struct {
	objects map[Key]*object
	index   index
	pages   pages
	sketch  *sketch.Sketch // nil before it is asked for
	names   map[string]string

	first, second Seen // the floors
	heard         Seen
	watched       map[*object]struct{} // objects with something to forget, now or later
	waiting       int                  // operations that wait for a floor to be forgotten
	pending       *marked              // what lies below the mark last asked about; nil: none
}

// NewSet returns an empty set.
func NewSet() *Set {
	return &Set{objects: map[Key]*object{}, names: map[string]string{}, first: Seen{}, second: Seen{}, heard: Seen{},
		watched: map[*object]struct{}{}}
}

// Delta is what an addition changed.
type Delta struct {
	Added   []Op      // operations that are now retained
	Dropped []Op      // operations that no longer are: overwritten by who had seen them, contradicted or forgotten
	Refused []Refusal // of AddObject: operations that were not taken, and not because they are known or overwritten
}

// Refusal is an operation that AddObject did not take.
type Refusal struct {
	Op     Op
	Reason Result // Forgotten, Contradicted or Invalid
}

// Result says what became of an added operation.
type Result uint8

const (
	Applied      Result = iota
	Known               // retained already
	Obsolete            // overwritten already by operations that had seen it
	Gap                 // it has seen operations that are not known here: the whole object is needed first
	Invalid             // no peer can take it, see Check
	Forgotten           // it is at or below the second floor and not retained here: a replay, or from a forgotten peer
	Contradicted        // its writer signed two operations with this stamp, and the one with the lower hash is retained
)

// Add merges one operation. After all but Applied nothing has changed. An operation that contradicts
// a retained one and has the lower hash replaces it: Applied, and the other is in Dropped.
func (s *Set) Add(op Op) (Result, Delta) {
	if Check(op) != nil {
		return Invalid, Delta{}
	}
	if s.index.get(op.ID()) != nil {
		return Known, Delta{}
	}
	o := s.objects[op.Key]
	if o == nil {
		o = newObject(op.Key)
	}
	e := newEntry(op)
	if result := s.refuse(o, e); result != Applied {
		return result, Delta{}
	}
	if !o.knows(op.Seen, s.second) {
		return Gap, Delta{}
	}
	return Applied, s.change(o, func() { o.take(e) })
}

// refuse says why e, which is not retained, cannot be; Applied if it can. It marks what is overwritten of e.
func (s *Set) refuse(o *object, e *entry) Result {
	rival := o.contradiction(e)
	switch {
	case rival != nil && bytes.Compare(rival.op.Hash[:], e.op.Hash[:]) < 0:
		return Contradicted
	case rival == nil && o.overwrites(e):
		return Obsolete
	case s.second.Has(e.op.Stamp):
		return Forgotten
	}
	return Applied
}

// take adds e, in place of one that it contradicts.
func (o *object) take(e *entry) {
	rival := o.contradiction(e)
	if rival == nil {
		o.insert(e)
		return
	}
	others := slices.DeleteFunc(slices.Clone(o.ops), func(r *entry) bool { return r == rival })
	at, _ := slices.BinarySearchFunc(others, e, (*entry).compare)
	o.rebuild(slices.Insert(others, at, e))
}

// AddObject merges all that another peer retains of one object. ops must be causally closed,
// as Ops returns them: then no gap is possible. Operations on other objects are left out.
func (s *Set) AddObject(key Key, ops []Op) Delta {
	o := s.objects[key]
	if o == nil {
		o = newObject(key)
	}
	arrived, refused := arrived(key, ops)
	delta := s.change(o, func() {
		for _, e := range arrived {
			if _, known := slices.BinarySearchFunc(o.ops, e, (*entry).compare); known {
				continue
			}
			switch result := s.refuse(o, e); result {
			case Applied:
				o.take(e)
			case Forgotten, Contradicted:
				refused = append(refused, Refusal{e.op, result})
			}
		}
	})
	delta.Refused = refused
	return delta
}

// arrived returns entries for those of ops that can be taken, oldest stamp first: an operation
// then comes after all that it had seen.
func arrived(key Key, ops []Op) (entries []*entry, refused []Refusal) {
	entries = make([]*entry, 0, len(ops))
	for _, op := range ops {
		switch {
		case op.Key != key:
		case Check(op) != nil:
			refused = append(refused, Refusal{op, Invalid})
		default:
			entries = append(entries, newEntry(op))
		}
	}
	slices.SortFunc(entries, (*entry).compare)
	return entries, refused
}

// Load merges operations of any objects, which must be causally closed, as all of a set are. It
// returns those that are not retained. Load what was stored first, and raise the floors then.
func (s *Set) Load(ops []Op) (superfluous []Op) {
	if len(s.objects) == 0 {
		s.objects = make(map[Key]*object, creates(ops))
	}
	order := make([]int, len(ops))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return ops[a].Stamp.Compare(ops[b].Stamp) })
	before := s.Count()
	for _, i := range order {
		s.load(&ops[i])
	}
	if s.Count()-before == len(ops) {
		return nil
	}
	for i := range ops {
		if s.index.get(ops[i].ID()) == nil {
			superfluous = append(superfluous, ops[i])
		}
	}
	return superfluous
}

// creates counts what makes objects, which is about how many objects there are.
func creates(ops []Op) int {
	n := 0
	for i := range ops {
		if ops[i].Verb == Create {
			n++
		}
	}
	return n
}

func (s *Set) load(op *Op) {
	if Check(*op) != nil || s.index.get(op.ID()) != nil {
		return
	}
	o := s.objects[op.Key]
	if o == nil {
		o = newObject(op.Key)
	}
	e := newEntry(*op)
	if s.refuse(o, e) == Applied {
		s.change(o, func() { o.take(e) })
	}
}

// Trial returns what the object of op would be after op; false if nothing of it would be retained.
// The set stays as it is.
func (s *Set) Trial(op Op) (Object, bool) {
	o := &object{key: op.Key}
	if now := s.objects[op.Key]; now != nil {
		o.late = now.late
		for _, e := range now.ops {
			o.ops = append(o.ops, e.clone())
		}
	}
	if e := newEntry(op); Check(op) == nil && s.refuse(o, e) == Applied {
		o.take(e)
	}
	return s.merged(o)
}
