package heap

import (
	"cmp"
	"maps"
	"slices"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
)

// disk is what outlives a peer's program and the power of its machine.
type disk struct {
	boot uint64
	ops  map[opName]crdt.Op
	book map[gossip.PeerID]gossip.Member
}

type opName struct {
	key   crdt.Key
	stamp crdt.Stamp
}

func newDisk() *disk {
	return &disk{ops: map[opName]crdt.Op{}, book: map[gossip.PeerID]gossip.Member{}}
}

// load is the start of a program: it counts, and returns what was committed.
func (d *disk) load() (boot uint64, saved control.Saved) {
	d.boot++
	for _, name := range slices.SortedFunc(maps.Keys(d.ops), compareOpNames) {
		saved.Ops = append(saved.Ops, d.ops[name])
	}
	for _, id := range slices.Sorted(maps.Keys(d.book)) {
		saved.Book = append(saved.Book, d.book[id])
	}
	return d.boot, saved
}

// commit takes a batch whole.
func (d *disk) commit(p control.Persist) {
	for _, op := range p.Put {
		d.ops[opName{op.Key, op.Stamp}] = op
	}
	for _, op := range p.Drop {
		delete(d.ops, opName{op.Key, op.Stamp})
	}
	for _, m := range p.Book {
		d.book[m.ID] = m
	}
}

func compareOpNames(x, y opName) int {
	return cmp.Or(
		cmp.Compare(x.key.String(), y.key.String()),
		cmp.Compare(x.stamp.Time, y.stamp.Time),
		cmp.Compare(x.stamp.Writer, y.stamp.Writer),
	)
}
