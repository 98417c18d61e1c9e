package crdt

import (
	"cmp"
	"slices"

	"shoal/crdt/sketch"
)

// Set is the intent of one peer: every retained operation, by object. Not safe for concurrent use.
type Set struct {
	objects map[Key]*object
	ops     map[OpID]*entry // the retained ones
	tree    tree
	sketch  *sketch.Sketch // nil before it is asked for
	first   Seen
	second  Seen
}

// object is what is retained of one object.
type object struct {
	key    Key
	ops    []*entry // oldest stamp first
	seen   Seen
	digest [32]byte
}

// NewSet returns an empty set.
func NewSet() *Set {
	return &Set{objects: map[Key]*object{}, ops: map[OpID]*entry{}, first: Seen{}, second: Seen{}}
}

func (s *Set) hold(e *entry) {
	id := e.op.ID()
	s.ops[id] = e
	if s.sketch != nil {
		s.sketch.Add(sketch.ID(id))
	}
}

func (s *Set) release(e *entry) {
	id := e.op.ID()
	delete(s.ops, id)
	if s.sketch != nil {
		s.sketch.Remove(sketch.ID(id))
	}
}

// Delta is what an addition changed: operations that are now retained, and those that no
// longer are, because every field of them was overwritten by someone who had seen it.
type Delta struct {
	Added   []Op
	Dropped []Op
}

// Result says what became of an added operation.
type Result uint8

const (
	Applied      Result = iota
	Known               // retained already
	Obsolete            // overwritten already by operations that had seen it
	Gap                 // it has seen operations that are not known here: the whole object is needed first
	Invalid             // no peer can take it, see Check
	Forgotten           // it lies at or below the second floor and is not retained here: a replay, or from a peer that was forgotten
	Contradicted        // its writer has signed another operation with the same stamp, and that one is kept
)

// Add merges one operation. After Gap and Invalid nothing has changed.
func (s *Set) Add(op Op) (Result, Delta) {
	if Check(op) != nil {
		return Invalid, Delta{}
	}
	e := newEntry(op)
	o := s.objects[op.Key]
	if o == nil {
		if len(op.Seen) > 0 {
			return Gap, Delta{}
		}
		o = s.newObject(op.Key)
	}
	at, known := o.find(e)
	if known {
		return Known, Delta{}
	}
	if o.overwrites(e) {
		return Obsolete, Delta{}
	}
	if !o.seen.Covers(op.Seen) {
		return Gap, Delta{}
	}
	dropped := o.insert(at, e)
	s.hold(e)
	for _, op := range dropped {
		s.release(s.ops[op.ID()])
	}
	s.changed(o)
	return Applied, Delta{Added: []Op{op}, Dropped: dropped}
}

// AddObject merges all that another peer retains of one object. ops must be causally closed,
// as Ops returns them: then no gap is possible. Operations on other objects and those that
// Check refuses are left out.
func (s *Set) AddObject(key Key, ops []Op) Delta {
	arrived := s.arrived(key, ops)
	if len(arrived) == 0 {
		return Delta{}
	}
	o := s.objects[key]
	if o == nil {
		o = s.newObject(key)
	}
	var delta Delta
	added := map[*entry]bool{}
	for _, e := range arrived {
		o.seen.add(&e.op)
		at, known := o.find(e)
		if known || o.overwrites(e) {
			continue
		}
		added[e] = true
		o.ops = slices.Insert(o.ops, at, e)
		for _, gone := range o.prune(e) {
			if !added[gone] {
				s.release(gone)
				delta.Dropped = append(delta.Dropped, gone.op)
			}
			delete(added, gone)
		}
	}
	for _, e := range o.ops {
		if added[e] {
			s.hold(e)
			delta.Added = append(delta.Added, e.op)
		}
	}
	s.changed(o)
	return delta
}

// Load merges operations of any objects, which must be causally closed, as all of a set are.
func (s *Set) Load(ops []Op) Delta {
	byKey := map[Key][]Op{}
	var keys []Key
	for _, op := range ops {
		if _, ok := byKey[op.Key]; !ok {
			keys = append(keys, op.Key)
		}
		byKey[op.Key] = append(byKey[op.Key], op)
	}
	var all Delta
	for _, key := range keys {
		delta := s.AddObject(key, byKey[key])
		all.Added = append(all.Added, delta.Added...)
		all.Dropped = append(all.Dropped, delta.Dropped...)
	}
	return all
}

// arrived returns entries for those of ops that can be taken, oldest stamp first: an operation
// then comes after all that it had seen.
func (s *Set) arrived(key Key, ops []Op) []*entry {
	entries := make([]*entry, 0, len(ops))
	for _, op := range ops {
		if op.Key == key && Check(op) == nil {
			entries = append(entries, newEntry(op))
		}
	}
	slices.SortFunc(entries, (*entry).compare)
	return entries
}

func (s *Set) newObject(key Key) *object {
	o := &object{key: key, seen: Seen{}}
	s.objects[key] = o
	s.tree.insert(o)
	return o
}

func (s *Set) changed(o *object) {
	o.digest = digestOf(o.ops)
	s.tree.touch(o.key)
}

// find returns where e is, or belongs.
func (o *object) find(e *entry) (at int, known bool) {
	return slices.BinarySearchFunc(o.ops, e, (*entry).compare)
}

// overwrites marks what the retained operations overwrite of e, and says whether nothing of it is left.
func (o *object) overwrites(e *entry) bool {
	for _, r := range o.ops {
		r.overwrite(e)
	}
	return e.live <= 0
}

// insert adds e and returns the operations that it made superfluous.
func (o *object) insert(at int, e *entry) []Op {
	o.seen.add(&e.op)
	o.ops = slices.Insert(o.ops, at, e)
	var dropped []Op
	for _, gone := range o.prune(e) {
		dropped = append(dropped, gone.op)
	}
	return dropped
}

// prune lets e overwrite, and takes out what has no effect left.
func (o *object) prune(e *entry) (gone []*entry) {
	kept := o.ops[:0]
	for _, r := range o.ops {
		e.overwrite(r)
		if r.live > 0 {
			kept = append(kept, r)
		} else {
			gone = append(gone, r)
		}
	}
	clear(o.ops[len(kept):])
	o.ops = kept
	return gone
}

// Ops returns all retained operations of one object, oldest stamp first.
func (s *Set) Ops(key Key) []Op {
	o := s.objects[key]
	if o == nil {
		return nil
	}
	ops := make([]Op, len(o.ops))
	for i, e := range o.ops {
		ops[i] = e.op
	}
	return ops
}

// Len returns the number of objects with retained operations, dead ones included.
func (s *Set) Len() int { return len(s.objects) }

// Keys returns the keys of all objects with retained operations, dead ones included, sorted.
func (s *Set) Keys() []Key {
	keys := make([]Key, 0, len(s.objects))
	for key := range s.objects {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, Key.Compare)
	return keys
}

// Seen returns the version vector of an object; the caller owns it.
func (s *Set) Seen(key Key) Seen {
	if o := s.objects[key]; o != nil {
		return o.seen.Clone()
	}
	return Seen{}
}

// Compare orders keys by kind, namespace and name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Kind, other.Kind), cmp.Compare(k.Namespace, other.Namespace), cmp.Compare(k.Name, other.Name))
}
