package crdt

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// index holds entries by their ID, in a trie with sixteen branches per level whose shape depends on the IDs alone.
// So its digest does too, and costs a few hashes for each change since it was last asked for.
//
//	branch  more than leafSize IDs    SHA-256 over 1 and the digests of sixteen nodes, zeros for an empty one
//	leaf    leafSize IDs or fewer     SHA-256 over 0 and the IDs, sorted
type index struct{ root node }

const leafSize = 32

type node struct {
	count  int32
	fresh  bool // digest is up to date
	kids   *[16]node
	slots  []slot // of a leaf, sorted
	digest [32]byte
}

type slot struct {
	id OpID
	e  *entry
}

func (id *OpID) nibble(depth int) byte { return id[uint(depth)/2] >> (4 - uint(depth)%2*4) & 15 }

func (id *OpID) less(other *OpID) bool {
	be := binary.BigEndian // of eight bytes at once, in the order of bytes
	if a, b := be.Uint64(id[:8]), be.Uint64(other[:8]); a != b {
		return a < b
	}
	return be.Uint64(id[8:]) < be.Uint64(other[8:])
}

// place is where id is among the slots of a leaf, or would be.
func (n *node) place(id *OpID) int {
	from, to := 0, len(n.slots)
	for from < to {
		if middle := (from + to) / 2; n.slots[middle].id.less(id) {
			from = middle + 1
		} else {
			to = middle
		}
	}
	return from
}

// get returns nil for an unknown id.
func (x *index) get(id OpID) *entry {
	n := &x.root
	for depth := 0; n.kids != nil; depth++ {
		n = &n.kids[id.nibble(depth)]
	}
	if at := n.place(&id); at < len(n.slots) && n.slots[at].id == id {
		return n.slots[at].e
	}
	return nil
}

// put adds an id that is not there.
func (x *index) put(id OpID, e *entry) {
	n, depth := &x.root, 0
	for ; n.kids != nil; depth++ {
		n.count++
		n.fresh = false
		n = &n.kids[id.nibble(depth)]
	}
	n.add(slot{id, e}, depth)
}

func (n *node) add(s slot, depth int) {
	n.count++
	n.fresh = false
	switch {
	case n.kids != nil:
		n.kids[s.id.nibble(depth)].add(s, depth+1)
	case len(n.slots) < leafSize:
		n.slots = slices.Insert(n.slots, n.place(&s.id), s)
	default:
		n.kids = new([16]node)
		for _, old := range n.slots {
			n.kids[old.id.nibble(depth)].add(old, depth+1)
		}
		n.slots = nil
		n.kids[s.id.nibble(depth)].add(s, depth+1)
	}
}

// drop removes an id that is there.
func (x *index) drop(id OpID) { x.root.drop(id, 0) }

func (n *node) drop(id OpID, depth int) {
	n.count--
	n.fresh = false
	if n.kids == nil {
		at := n.place(&id)
		n.slots = slices.Delete(n.slots, at, at+1)
		return
	}
	n.kids[id.nibble(depth)].drop(id, depth+1)
	if n.count <= leafSize {
		slots := make([]slot, 0, leafSize)
		n.each(func(s slot) bool { slots = append(slots, s); return true })
		n.kids, n.slots = nil, slots
	}
}

// each goes through all entries in the order of their IDs.
func (n *node) each(yield func(slot) bool) bool {
	for _, s := range n.slots {
		if !yield(s) {
			return false
		}
	}
	if n.kids != nil {
		for i := range n.kids {
			if !n.kids[i].each(yield) {
				return false
			}
		}
	}
	return true
}

// prefix goes through the entries whose ID begins with these bits, and maybe a few more.
func (x *index) prefix(bits, first int, yield func(slot) bool) {
	x.root.prefix(bits, first, yield)
}

func (n *node) prefix(bits, first int, yield func(slot) bool) bool {
	if n.kids == nil || bits == 0 {
		return n.each(yield)
	}
	from, to, rest := 0, 0, max(0, bits-4)
	if bits >= 4 {
		from = first >> rest
		to = from + 1
	} else {
		from, to = first<<(4-bits), (first+1)<<(4-bits)
	}
	for i := from; i < to; i++ {
		if !n.kids[i].prefix(rest, first&(1<<rest-1), yield) {
			return false
		}
	}
	return true
}

// sum returns the digest; zero of an empty index.
func (x *index) sum() [32]byte { return x.root.sum() }

func (n *node) sum() [32]byte {
	switch {
	case n.count == 0:
		return [32]byte{}
	case n.fresh:
		return n.digest
	}
	var text [1 + 16*32]byte
	used := 1
	if n.kids != nil {
		text[0] = 1
		for i := range n.kids {
			digest := n.kids[i].sum()
			used += copy(text[used:], digest[:])
		}
	} else {
		for i := range n.slots {
			used += copy(text[used:], n.slots[i].id[:])
		}
	}
	n.digest, n.fresh = sha256.Sum256(text[:used]), true
	return n.digest
}
