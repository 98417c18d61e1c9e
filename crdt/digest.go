package crdt

import (
	"crypto/sha256"
	"slices"
)

// Buckets is the number of parts that a Set is divided into for comparison with another.
const Buckets = 256

// Bucket returns the part of a Set that holds key: the first byte of the SHA-256 of its strings,
// each ended by a zero byte.
func (k Key) Bucket() uint16 {
	text := make([]byte, 0, 128)
	for _, part := range [...]string{k.Kind, k.Namespace, k.Name} {
		text = append(append(text, part...), 0)
	}
	return uint16(sha256.Sum256(text)[0])
}

// Digest is over all retained operations. Equal sets have equal digests, in whatever order they grew.
// It costs one bucket for each bucket that changed since it was last asked for; an empty set's is zero.
func (s *Set) Digest() [32]byte {
	s.tree.refresh()
	return s.tree.root
}

// BucketDigest is over the retained operations of the objects in one bucket; zero if there are none.
func (s *Set) BucketDigest(bucket uint16) [32]byte {
	s.tree.refresh()
	return s.tree.buckets[bucket].digest
}

// BucketKeys returns the keys in one bucket, sorted.
func (s *Set) BucketKeys(bucket uint16) []Key {
	keys := make([]Key, len(s.tree.buckets[bucket].objects))
	for i, o := range s.tree.buckets[bucket].objects {
		keys[i] = o.key
	}
	return keys
}

// ObjectDigest is over the retained operations of one object; zero if there are none.
func (s *Set) ObjectDigest(key Key) [32]byte {
	if o := s.objects[key]; o != nil {
		return o.digest
	}
	return [32]byte{}
}

// digestOf hashes the hashes of operations, which cover everything else in them.
func digestOf(ops []*entry) [32]byte {
	text := make([]byte, 0, 256)
	for _, e := range ops {
		text = append(text, e.op.Hash[:]...)
	}
	return sha256.Sum256(text)
}

// tree holds the digests of buckets, and which are out of date.
type tree struct {
	buckets [Buckets]bucket
	stale   []uint16
	root    [32]byte
	scratch []byte
}

type bucket struct {
	objects []*object // sorted by key
	stale   bool
	digest  [32]byte
}

func (t *tree) insert(o *object) {
	b := &t.buckets[o.key.Bucket()]
	at, _ := slices.BinarySearchFunc(b.objects, o.key, func(o *object, k Key) int { return o.key.Compare(k) })
	b.objects = slices.Insert(b.objects, at, o)
}

func (t *tree) touch(key Key) {
	number := key.Bucket()
	if b := &t.buckets[number]; !b.stale {
		b.stale = true
		t.stale = append(t.stale, number)
	}
}

func (t *tree) refresh() {
	if len(t.stale) == 0 {
		return
	}
	for _, number := range t.stale {
		b := &t.buckets[number]
		t.scratch = t.scratch[:0]
		for _, o := range b.objects {
			t.scratch = append(t.scratch, o.digest[:]...)
		}
		b.digest, b.stale = sha256.Sum256(t.scratch), false
	}
	t.stale = t.stale[:0]
	t.scratch = t.scratch[:0]
	for i := range t.buckets {
		t.scratch = append(t.scratch, t.buckets[i].digest[:]...)
	}
	t.root = sha256.Sum256(t.scratch)
}
