package crdt

import (
	"crypto/sha256"
	"slices"

	"shoal/crdt/sketch"
)

// OpID names one operation: the first 16 bytes of its Hash.
type OpID [16]byte

// ID returns the name of op.
func (o Op) ID() OpID { return OpID(o.Hash[:16]) }

// Count returns the number of retained operations.
func (s *Set) Count() int { return int(s.index.root.count) }

// Compare orders IDs as bytes. Many are looked up fastest in this order.
func (id OpID) Compare(other OpID) int {
	switch {
	case id.less(&other):
		return -1
	case id == other:
		return 0
	}
	return 1
}

// Op returns a retained operation.
func (s *Set) Op(id OpID) (Op, bool) {
	if op := s.Find(id); op != nil {
		return *op, true
	}
	return Op{}, false
}

// Find returns a retained operation as the set holds it, not to be changed; nil for an unknown one.
func (s *Set) Find(id OpID) *Op {
	if e := s.index.get(id); e != nil {
		return &e.op
	}
	return nil
}

// ByObject finds operations, as Find does, and puts those on one object together, in the order of stamps; objects in
// the order in which they are named first. It also returns the names of those that are not retained, or not to be found.
func (s *Set) ByObject(ids []OpID, hidden func(Stamp) bool) (found []*Op, missing []OpID) {
	type placed struct {
		e     *entry
		place int // of the object
	}
	places := make(map[*object]int, len(ids))
	entries := make([]placed, 0, len(ids))
	for _, id := range ids {
		e := s.index.get(id)
		if e == nil || hidden(e.op.Stamp) {
			missing = append(missing, id)
			continue
		}
		at, known := places[e.of]
		if !known {
			at = len(places)
			places[e.of] = at
		}
		entries = append(entries, placed{e, at})
	}
	slices.SortFunc(entries, func(a, b placed) int {
		if a.place != b.place {
			return a.place - b.place
		}
		return a.e.compare(b.e)
	})
	for i := range entries {
		if i == 0 || entries[i].e != entries[i-1].e {
			found = append(found, &entries[i].e.op)
		}
	}
	return found, missing
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

// KeysAfter returns up to most keys that follow after in the order of (bucket, key), dead objects
// included; from the beginning for the zero Key, which is no object's.
func (s *Set) KeysAfter(after Key, most int) []Key {
	var keys []Key
	for _, o := range s.pages.after(after, most) {
		keys = append(keys, o.key)
	}
	return keys
}

// Seen returns the version vector of an object: what a new operation on it has seen. The caller
// owns it.
func (s *Set) Seen(key Key) Seen {
	if o := s.objects[key]; o != nil {
		return s.seen(o)
	}
	return Seen{}
}

// seen is what o has seen. When that was all settled two floors ago then every peer retains the
// same operations of o, and naming these says it all: so vectors do not grow for ever with
// the number of writers.
func (s *Set) seen(o *object) Seen {
	seen := o.seen()
	if len(s.first) == 0 || !s.first.Covers(seen) {
		return seen
	}
	heads := o.late.Clone()
	for _, e := range o.ops {
		heads.raise(e.op.Stamp.Writer, e.op.Stamp.Time)
	}
	return heads
}

// Sketch returns the coded symbols over the IDs of all retained operations. It follows every
// change of the set. Only the set may call its Add and Remove.
func (s *Set) Sketch() *sketch.Sketch {
	if s.sketch == nil {
		s.sketch = sketch.New(func(part sketch.Part, yield func(sketch.ID) bool) {
			s.index.prefix(part.Bits, part.Index, func(x slot) bool { return yield(sketch.ID(x.id)) })
		})
	}
	return s.sketch
}

// Digest is over the IDs of all retained operations. Equal sets have equal digests, in whatever
// order they grew; an empty set's is zero. It costs a few hashes for each change since it was last asked for.
func (s *Set) Digest() [32]byte { return s.index.sum() }

// ObjectDigest is over the hashes of the retained operations of one object; zero if there are none.
func (s *Set) ObjectDigest(key Key) [32]byte {
	o := s.objects[key]
	if o == nil {
		return [32]byte{}
	}
	text := make([]byte, 0, 256)
	for _, e := range o.ops {
		text = append(text, e.op.Hash[:]...)
	}
	return sha256.Sum256(text)
}
