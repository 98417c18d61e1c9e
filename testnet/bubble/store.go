package bubble

import (
	"maps"
	"slices"
	"sync"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer"
	"shoal/peer/control"
)

// disk is a store in memory. It outlives the program of its peer.
type disk struct {
	mu           sync.Mutex
	boot         uint64
	ops          map[crdt.Key]map[crdt.Stamp]crdt.Op
	book         map[gossip.PeerID]gossip.Member
	certificates map[string]bool
	records      map[string][]byte
	history      []control.HistoryEntry
	written      func(crdt.Op) // told of every operation on this disk, when not nil
}

func newDisk() *disk {
	return &disk{
		ops:          map[crdt.Key]map[crdt.Stamp]crdt.Op{},
		book:         map[gossip.PeerID]gossip.Member{},
		certificates: map[string]bool{},
		records:      map[string][]byte{},
	}
}

func (d *disk) Load() (peer.Stored, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boot++
	stored := peer.Stored{Boot: d.boot, Records: maps.Clone(d.records)}
	for _, ops := range d.ops {
		for _, op := range ops {
			stored.Ops = append(stored.Ops, op)
		}
	}
	for _, member := range d.book {
		stored.Book = append(stored.Book, member)
	}
	for certificate := range d.certificates {
		stored.Certificates = append(stored.Certificates, []byte(certificate))
	}
	return stored, nil
}

func (d *disk) Commit(batch peer.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, op := range batch.Put {
		if d.ops[op.Key] == nil {
			d.ops[op.Key] = map[crdt.Stamp]crdt.Op{}
		}
		d.ops[op.Key][op.Stamp] = op
		if d.written != nil {
			d.written(op)
		}
	}
	for _, op := range batch.Drop {
		delete(d.ops[op.Key], op.Stamp)
	}
	for _, member := range batch.Book {
		d.book[member.ID] = member
	}
	for _, certificate := range batch.Certificates {
		d.certificates[string(certificate)] = true
	}
	for name, record := range batch.Records {
		if d.records[name] = record; record == nil {
			delete(d.records, name)
		}
	}
	d.history = append(d.history, batch.History...)
	return nil
}

// History reads all that was ever written: the worlds here live for minutes.
func (d *disk) History(key crdt.Key) ([]control.HistoryEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var entries []control.HistoryEntry
	for _, entry := range slices.Backward(d.history) {
		if entry.Key == key {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}

func (d *disk) Close() error { return nil }
