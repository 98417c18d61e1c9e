package crdt

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"shoal/crdt/sketch"
)

// OpID names one operation: the first 16 bytes of its Hash.
type OpID [16]byte

// ID returns the name of op.
func (o Op) ID() OpID { return OpID(o.Hash[:16]) }

// Count returns the number of retained operations.
func (s *Set) Count() int { return len(s.ops) }

// Op returns a retained operation.
func (s *Set) Op(id OpID) (Op, bool) {
	if e := s.ops[id]; e != nil {
		return e.op, true
	}
	return Op{}, false
}

// Sketch returns the coded symbols over the IDs of all retained operations. It follows every
// change of the set. Only the set may call its Add and Remove.
func (s *Set) Sketch() *sketch.Sketch {
	if s.sketch == nil {
		s.sketch = sketch.New(func(yield func(sketch.ID) bool) {
			for id := range s.ops { // sums do not depend on the order
				if !yield(sketch.ID(id)) {
					return
				}
			}
		})
	}
	return s.sketch
}

// KeysAfter returns up to most keys that follow after in the order of (bucket, key), dead objects
// included; from the beginning for the zero Key.
func (s *Set) KeysAfter(after Key, most int) []Key {
	var keys []Key
	bucket, from := 0, 0
	if after != (Key{}) {
		bucket = int(after.Bucket())
		at, found := slices.BinarySearchFunc(s.tree.buckets[bucket].objects, after, func(o *object, k Key) int { return o.key.Compare(k) })
		if from = at; found {
			from++
		}
	}
	for ; bucket < Buckets; bucket, from = bucket+1, 0 {
		for _, o := range s.tree.buckets[bucket].objects[from:] {
			if len(keys) >= most {
				return keys
			}
			keys = append(keys, o.key)
		}
	}
	return keys
}

// Forget raises the floors, each to the pointwise maximum of what it was and what is given, and
// drops what they let go.
func (s *Set) Forget(first, second Seen) Delta {
	for writer, at := range first {
		s.first.raise(writer, at)
	}
	for writer, at := range second {
		s.second.raise(writer, at)
	}
	return Delta{}
}

// Floor returns the floors; the caller owns them.
func (s *Set) Floor() (first, second Seen) { return s.first.Clone(), s.second.Clone() }

// Abandon drops operations as if they had never come: a peer that was away drops what the others
// have forgotten meanwhile.
func (s *Set) Abandon(ids []OpID) Delta { return Delta{} }

// AtOrBelow returns the names of the retained operations whose stamp mark has seen, sorted.
func (s *Set) AtOrBelow(mark Seen) []OpID {
	var ids []OpID
	for id, e := range s.ops {
		if mark.Has(e.op.Stamp) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b OpID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// Below is a digest over AtOrBelow(mark).
func (s *Set) Below(mark Seen) [32]byte {
	sum := sha256.New()
	for _, id := range s.AtOrBelow(mark) {
		sum.Write(id[:])
	}
	return [32]byte(sum.Sum(nil))
}

// Heard returns for each writer the highest time of it that any retained operation, anything that
// one has seen, or a floor shows. The caller owns it.
func (s *Set) Heard() Seen {
	heard := s.second.Clone()
	for _, o := range s.objects {
		for writer, at := range o.seen {
			heard.raise(writer, at)
		}
	}
	return heard
}

// Forgettable returns the number of deletions, of objects and of fields, that are retained only because no floor
// covers them yet.
func (s *Set) Forgettable() int {
	n := 0
	for _, o := range s.objects {
		if len(o.ops) == 1 && o.ops[0].op.Verb == Delete {
			n++
		}
	}
	return n
}
