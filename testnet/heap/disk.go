package heap

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
)

// disk is what outlives a peer's program and the power of its machine. A batch is on it whole or not at all.
type disk struct {
	boot    uint64
	ops     map[opName]crdt.Op
	book    map[gossip.PeerID]gossip.Member
	records map[string][]byte

	// What a disk that does not do what it says still has in its cache: batches that were said to be written and are
	// gone when the power fails. Only planted faults fill it.
	cache []control.Persist
}

// opName tells operations apart. Two may have one stamp, where a writer contradicts itself.
type opName struct {
	key   crdt.Key
	stamp crdt.Stamp
	hash  [32]byte
}

func nameOf(op crdt.Op) opName { return opName{op.Key, op.Stamp, op.Hash} }

func newDisk() *disk {
	return &disk{ops: map[opName]crdt.Op{}, book: map[gossip.PeerID]gossip.Member{}, records: map[string][]byte{}}
}

// load is the start of a program: it counts, and returns what was committed.
func (d *disk) load() (boot uint64, saved control.Saved) {
	for _, b := range d.cache {
		d.commit(b)
	}
	d.cache = nil
	d.boot++
	for _, name := range slices.SortedFunc(maps.Keys(d.ops), compareOpNames) {
		saved.Ops = append(saved.Ops, d.ops[name])
	}
	for _, id := range slices.Sorted(maps.Keys(d.book)) {
		saved.Book = append(saved.Book, d.book[id])
	}
	saved.Records = maps.Clone(d.records)
	return d.boot, saved
}

// commit takes a batch whole.
func (d *disk) commit(p control.Persist) {
	for _, op := range p.Put {
		d.ops[nameOf(op)] = op
	}
	for _, op := range p.Drop {
		delete(d.ops, nameOf(op))
	}
	for _, m := range p.Book {
		d.book[m.ID] = m
	}
	for name, value := range p.Records { // in any order: each name comes once
		if value == nil {
			delete(d.records, name)
		} else {
			d.records[name] = value
		}
	}
}

func compareOpNames(x, y opName) int {
	return cmp.Or(
		cmp.Compare(x.key.String(), y.key.String()),
		cmp.Compare(x.stamp.Time, y.stamp.Time),
		cmp.Compare(x.stamp.Writer, y.stamp.Writer),
		bytes.Compare(x.hash[:], y.hash[:]),
	)
}

// powerLost is what the power takes with it.
func (d *disk) powerLost() { d.cache = nil }

func (d *disk) clone() *disk {
	return &disk{boot: d.boot, ops: maps.Clone(d.ops), book: maps.Clone(d.book), records: maps.Clone(d.records)}
}
