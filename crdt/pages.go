package crdt

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Buckets is the number of parts that the objects of a Set are divided into, for paging through them.
const Buckets = 256

// Hash names a key in 32 bytes: the SHA-256 of its strings, each after its length as an unsigned varint.
func (k Key) Hash() [32]byte {
	var space [128]byte
	text := space[:0]
	for _, part := range [...]string{k.Kind, k.Namespace, k.Name} {
		text = append(binary.AppendUvarint(text, uint64(len(part))), part...)
	}
	return sha256.Sum256(text)
}

// Bucket returns the part that holds key: the first byte of its hash. A store that keeps objects in the order of their hashes is
// therefore filled part by part by who goes through these pages.
func (k Key) Bucket() uint16 { return uint16(k.Hash()[0]) }

// Compare orders keys by kind, namespace and name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Kind, other.Kind), cmp.Compare(k.Namespace, other.Namespace), cmp.Compare(k.Name, other.Name))
}

// pages keeps objects in the order of (bucket, key). A bucket is sorted when it is read.
type pages [Buckets]struct {
	objects []*object
	sorted  bool
}

func (p *pages) insert(o *object) {
	b := &p[o.bucket]
	o.place = len(b.objects)
	b.objects = append(b.objects, o)
	b.sorted = false
}

func (p *pages) remove(o *object) {
	b := &p[o.bucket]
	last := b.objects[len(b.objects)-1]
	b.objects[o.place] = last
	last.place = o.place
	b.objects[len(b.objects)-1] = nil
	b.objects = b.objects[:len(b.objects)-1]
	b.sorted = false
}

// of returns a bucket, sorted.
func (p *pages) of(bucket int) []*object {
	b := &p[bucket]
	if !b.sorted {
		slices.SortFunc(b.objects, func(a, b *object) int { return a.key.Compare(b.key) })
		for i, o := range b.objects {
			o.place = i
		}
		b.sorted = true
	}
	return b.objects
}

// after returns up to most objects that follow key.
func (p *pages) after(key Key, most int) []*object {
	var page []*object
	bucket, from := 0, 0
	if key != (Key{}) {
		bucket = int(key.Bucket())
		at, found := slices.BinarySearchFunc(p.of(bucket), key, func(o *object, k Key) int { return o.key.Compare(k) })
		if from = at; found {
			from++
		}
	}
	for ; bucket < Buckets && len(page) < most; bucket, from = bucket+1, 0 {
		objects := p.of(bucket)[from:]
		page = append(page, objects[:min(len(objects), most-len(page))]...)
	}
	return page
}
