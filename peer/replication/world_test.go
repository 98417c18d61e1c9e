package replication

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"

	"shoal/crdt"
	"shoal/peer/wire"
)

// smallOp is the sealed creation of the i-th of many small objects, with what a real signature takes.
func smallOp(i int, writer crdt.PeerID) crdt.Op {
	return Seal(crdt.Op{
		Key:   crdt.Key{Kind: "ConfigMap", Namespace: "default", Name: fmt.Sprintf("settings-%d", i)},
		Stamp: crdt.Stamp{Time: crdt.Time(1_790_000_000_000+i) << 16, Writer: writer}, Verb: crdt.Create, Manager: "shoal", User: "ops",
		Changes: []crdt.Change{{Path: "data/a", Value: fmt.Appendf(nil, `"value %d"`, i)}, {Path: "data/b", Value: []byte(`"another value"`)}},
	}, longSign)
}

func longSign(message []byte) []byte { return append(fakeSign(message), fakeSign(message)...) }

// bareOp is smallOp where only identity matters.
func bareOp(i int, writer crdt.PeerID) crdt.Op {
	return crdt.Op{
		Key:   crdt.Key{Kind: "ConfigMap", Name: fmt.Sprint(i)},
		Stamp: crdt.Stamp{Time: crdt.Time(i + 1), Writer: writer}, Verb: crdt.Create,
		Hash: sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(writer), uint64(i))),
	}
}

func sealedBytes(ops ...crdt.Op) int {
	total := 0
	for _, op := range ops {
		total += len(EncodeOp(op))
	}
	return total
}

// line carries messages between two machines, coded, and accounts for them.
type line struct {
	t        testing.TB
	ends     [2]*Machine
	queue    []queued
	messages [2]int // sent by each
	bytes    [2]int
	largest  int
	turns    int // how often the direction changed: two are a round trip
	last     int
	results  []Received
	cut      func(message Message) bool // says which messages are lost
}

type queued struct {
	from int
	data []byte
}

func newLine(t testing.TB, a, b *Machine) *line {
	a.Live([]crdt.PeerID{b.self})
	b.Live([]crdt.PeerID{a.self})
	return &line{t: t, ends: [2]*Machine{a, b}, last: -1}
}

func (l *line) send(from int, outgoing []Outgoing) {
	for _, o := range outgoing {
		if o.To != l.ends[1-from].self {
			continue
		}
		data := Encode(o.Message)
		if len(data) > wire.MaxMessage {
			l.t.Fatalf("a message of %d bytes", len(data))
		}
		l.messages[from]++
		l.bytes[from] += len(data)
		l.largest = max(l.largest, len(data))
		if l.last != from {
			l.turns++
			l.last = from
		}
		l.queue = append(l.queue, queued{from, data})
	}
}

// step hands one message over; false if none is on its way.
func (l *line) step() bool {
	if len(l.queue) == 0 {
		return false
	}
	next := l.queue[0]
	l.queue = l.queue[1:]
	message, err := Decode(next.data)
	if err != nil || message.Skipped > 0 {
		l.t.Fatalf("a message cannot be read: %v, %d skipped", err, message.Skipped)
	}
	if l.cut != nil && l.cut(message) {
		return true
	}
	to := 1 - next.from
	received := l.ends[to].Receive(l.ends[next.from].self, message)
	l.results = append(l.results, received)
	l.send(to, received.Send)
	return true
}

// round lets one end open a round and runs it to its end.
func (l *line) round(opener int) {
	l.send(opener, l.ends[opener].Reconcile())
	for l.step() {
	}
}

func (l *line) total() int { return l.bytes[0] + l.bytes[1] }

func (l *line) clear() {
	l.messages, l.bytes, l.turns, l.last, l.largest, l.results = [2]int{}, [2]int{}, 0, -1, 0, nil
}

func (l *line) equal() bool { return l.ends[0].set.Digest() == l.ends[1].set.Digest() }

func (l *line) settled() (by []int) {
	for i, r := range l.results {
		if r.Settled {
			by = append(by, i)
		}
	}
	return by
}

// writeAt adds an operation to one machine as if it had come long ago.
func add(t testing.TB, m *Machine, ops ...crdt.Op) {
	for _, op := range ops {
		if result, _ := m.set.Add(op); result != crdt.Applied {
			t.Fatalf("%s does not take an operation: %d", m.self, result)
		}
	}
}

// largeObject is operations of many writers on one object, none of which overwrites another.
func largeObject(n, size int) []crdt.Op {
	value := append(append([]byte{'"'}, bytes.Repeat([]byte("v"), size)...), '"')
	var ops []crdt.Op
	for i := range n {
		ops = append(ops, Seal(crdt.Op{
			Key: web, Stamp: crdt.Stamp{Time: crdt.Time(i + 1), Writer: crdt.PeerID(fmt.Sprintf("w%03d", i))},
			Changes: []crdt.Change{{Path: crdt.Path(fmt.Sprintf("f%d", i)), Value: value}},
		}, longSign))
	}
	return ops
}
