package crdt

import "time"

// Set is the intent of one peer: every retained operation, by object. Not safe for concurrent use.
type Set struct{}

// NewSet returns an empty set.
func NewSet() *Set { panic("unwritten") }

// Delta is what an addition changed: operations that are now retained, and those that no
// longer are, because every field of them was overwritten by someone who had seen it.
type Delta struct {
	Added   []Op
	Dropped []Op
}

// Result says what became of an added operation.
type Result uint8

const (
	Applied  Result = iota
	Known           // retained already
	Obsolete        // overwritten already by operations that had seen it
	Gap             // it has seen operations that are not known here: the whole object is needed first
)

// Add merges one operation. After Gap nothing has changed.
func (s *Set) Add(op Op) (Result, Delta) { panic("unwritten") }

// AddObject merges all that another peer retains of one object. ops must be causally closed,
// as Ops returns them: then no gap is possible.
func (s *Set) AddObject(key Key, ops []Op) Delta { panic("unwritten") }

// Ops returns all retained operations of one object, oldest stamp first.
func (s *Set) Ops(key Key) []Op { panic("unwritten") }

// Keys returns the keys of all objects with retained operations, dead ones included, sorted.
func (s *Set) Keys() []Key { panic("unwritten") }

// Seen returns the version vector of an object; the caller owns it.
func (s *Set) Seen(key Key) Seen { panic("unwritten") }

// Object materialises one object; false if no operation of it is retained.
func (s *Set) Object(key Key) (Object, bool) { panic("unwritten") }

// Digest is over all retained operations. Equal sets have equal digests, in whatever order they grew. O(1).
func (s *Set) Digest() [32]byte { panic("unwritten") }

// ObjectDigest is over the retained operations of one object; zero if there are none.
func (s *Set) ObjectDigest(key Key) [32]byte { panic("unwritten") }

// Object is the merged form of one object.
type Object struct {
	Key      Key
	Live     bool    // created, and not deleted by someone who had seen that
	Fields   []Field // sorted by Path; without deleted ones
	Created  Stamp   // of the earliest live Create
	Modified Stamp   // the highest stamp retained
	Seen     Seen
}

// Field is the winning value of one field, with those that lost to it although their
// writers had not seen each other.
type Field struct {
	Path      Path
	Value     []byte
	Writer    Stamp
	Manager   string
	User      string
	Conflicts []Rival
}

// Rival is a value that lost among concurrent writes; nil Value: a deletion.
type Rival struct {
	Value   []byte
	Writer  Stamp
	Manager string
	User    string
}

// Next returns the time for a new operation: after last (the writer's own latest), after
// everything in seen, and not before wall where wall is within what a Time can hold.
func Next(last Time, seen Seen, wall time.Time) Time { panic("unwritten") }
