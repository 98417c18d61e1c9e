package control

import (
	"bytes"
	"testing"

	"shoal/crdt"
	"shoal/peer/replication"
	"shoal/peer/wire"
)

// pair is p1 with a member p2 that exists only in what the test says of it.
type pair struct {
	*world
	t      *testing.T
	other  wire.Observation // what p2's row says
	latest crdt.Time        // up to where p2 says that it wrote
}

// newPair has deleted an object, and gave its word on the mark proposed for that just now. The mark covers a write of p2
// that has not come yet.
func newPair(t *testing.T) *pair {
	w := newWorld()
	w.quiet, w.tuning = true, soon
	p := &pair{world: w, t: t, latest: crdt.Next(0, nil, w.wall)}
	p.other = wire.Observation{CPUMillis: 4000, Memory: 4 << 30, Latest: uint64(p.latest)}
	p.do("book p2", "start", "member p2 alive")
	p.says()
	p.forgettable()
	return p
}

func (p *pair) do(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		if err := p.world.do(words(line)); err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
	}
}

// forgettable makes something to forget, and waits for the mark.
func (p *pair) forgettable() {
	p.t.Helper()
	p.do("apply web", "flush", "delete web", "flush")
	for range 600 {
		if p.do("wait 100ms"); p.word() != nil {
			return
		}
	}
	p.t.Fatalf("no word was given: %+v", p.machine.FloorStatus())
}

// word is the digest that p1's row gives on the pending mark; nil for none.
func (p *pair) word() []byte {
	row, _ := p.machine.spread.Row(p.machine.self)
	o, err := wire.DecodeObservation(row.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return o.MarkDigest
}

// says sends p2's row as it is now.
func (p *pair) says() {
	p.sequences["p2"]++
	p.sendRow("p2", 1, wire.EncodeObservation(p.other))
	p.giveWord("p2", 1)
	p.do("flush")
}

// attests lets p2's row give a word on the pending mark.
func (p *pair) attests(digest []byte) {
	p.other.Mark, p.other.MarkDigest = bytes.Clone(p.machine.floors.mark.hash[:8]), bytes.Clone(digest)
	p.says()
}

// writes brings an operation of p2 that has seen all of the object.
func (p *pair) writes(key crdt.Key, at crdt.Time, verb crdt.Verb, changes ...crdt.Change) {
	p.t.Helper()
	p.writesHaving(p.machine.set.Seen(key), key, at, verb, changes...)
}

func (p *pair) writesHaving(seen crdt.Seen, key crdt.Key, at crdt.Time, verb crdt.Verb, changes ...crdt.Change) {
	p.t.Helper()
	op := replication.Seal(crdt.Op{Key: key, Verb: verb, Seen: seen, Changes: changes,
		Stamp: crdt.Stamp{Time: at, Writer: peerID("p2")}}, sign)
	p.machine.Step(Received{From: peerID("p2"), Message: pushOf(op)})
	p.do("flush")
	if _, held := p.machine.set.Op(op.ID()); !held {
		p.t.Fatalf("%s was not taken: %+v", key, p.audited)
	}
}

// next is a stamp's time that p2 may give to its next write to the floor.
func (p *pair) next() crdt.Time { return crdt.Next(p.latest, p.machine.set.Seen(floorKey), p.wall) }

// closes lets p2 close a floor.
func (p *pair) closes(f floor) {
	p.t.Helper()
	p.writes(floorKey, p.next(), crdt.Update,
		crdt.Change{Path: pathFloor, Value: fieldValue(f.encode())}, crdt.Change{Path: pathMark, Value: fieldValue(nil)})
}

// proposes lets p2 propose a mark.
func (p *pair) proposes(k mark) {
	p.t.Helper()
	p.writes(floorKey, p.next(), crdt.Update, crdt.Change{Path: pathMark, Value: fieldValue(k.encode())})
}

// agrees lets p2 hold what p1 holds, until a floor is closed and applied here.
func (p *pair) agrees() {
	p.t.Helper()
	p.attests(p.word())
	p.do("wait 15s")
	if s := p.machine.FloorStatus(); s.Closed == (crdt.Stamp{}) || !s.Applied {
		p.t.Fatalf("all hold the same, and no floor was closed: %+v", s)
	}
}

// applies lets p2's row say that it has applied the floor in force.
func (p *pair) applies() {
	hash := p.machine.floors.hash
	p.other.Applied, p.other.Mark, p.other.MarkDigest = hash[:], nil, nil
	p.says()
}
