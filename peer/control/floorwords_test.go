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
	op := replication.Seal(crdt.Op{Key: key, Verb: verb, Seen: p.machine.set.Seen(key), Changes: changes,
		Stamp: crdt.Stamp{Time: at, Writer: peerID("p2")}}, sign)
	p.machine.Step(Received{From: peerID("p2"), Message: pushOf(op)})
	p.do("flush")
	if _, held := p.machine.set.Op(op.ID()); !held {
		p.t.Fatalf("%s was not taken: %+v", key, p.audited)
	}
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

// TestOtherDigestClosesNoFloor has two peers that hold different things below the mark: nothing is agreed on, and the one
// who differs is named.
func TestOtherDigestClosesNoFloor(t *testing.T) {
	p := newPair(t)
	p.attests([]byte("something else.."))
	p.do("wait 60s")
	s := p.machine.FloorStatus()
	if s.Closed != (crdt.Stamp{}) || !s.Pending || s.Forgettable == 0 {
		t.Errorf("a floor was closed: %+v", s)
	}
	if len(s.Waiting) != 1 || s.Waiting[0].Peer != peerID("p2") || s.Waiting[0].Why != "it holds something else below the mark than this peer" {
		t.Errorf("it waits for %+v", s.Waiting)
	}
	p.agrees()
}

// TestWordIsVoidOnceMoreCame closes a floor by the word that this peer gave before an operation below the mark came:
// what it holds now is not what the others agreed on, so it must not apply the floor, also not in its next life.
func TestWordIsVoidOnceMoreCame(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		p := newPair(t)
		k := *p.machine.floors.mark
		digest := p.machine.floors.digests[0]
		p.writes(deploymentKey("late"), p.latest, crdt.Create, crdt.Change{Path: "x", Value: []byte("1")})
		if restarts {
			p.do("crash", "start", "member p2 alive", "flush")
		}
		f := floor{mark: k.hash, digest: digest, first: crdt.Seen{}, second: k.vector}
		p.writes(floorKey, crdt.Next(p.latest, p.machine.set.Seen(floorKey), p.wall), crdt.Update,
			crdt.Change{Path: pathFloor, Value: fieldValue(f.encode())}, crdt.Change{Path: pathMark, Value: fieldValue(nil)})
		if s := p.machine.FloorStatus(); s.Applied || !s.Doubtful {
			t.Errorf("restarts %v: it applied a floor for which others held less: %+v", restarts, s)
		}
		p.do("wait 3s")
		if !p.machine.live(deploymentKey("late")) {
			t.Errorf("restarts %v: the operation is gone", restarts)
		}
	}
}

// TestFloorStandsAfterRestart restarts a peer that has given its word on a further mark already: it still knows the floor
// that it applied.
func TestFloorStandsAfterRestart(t *testing.T) {
	p := newPair(t)
	p.agrees()
	p.applies()
	first, second := p.machine.set.Floor()
	p.forgettable()
	p.do("crash", "start", "flush")
	if s := p.machine.FloorStatus(); !s.Applied || s.Doubtful || !s.Pending {
		t.Errorf("it does not know its floor any more: %+v", s)
	}
	if f, s := p.machine.set.Floor(); !f.Covers(first) || !s.Covers(second) {
		t.Errorf("its floor was %v and %v, and is %v and %v", first, second, f, s)
	}
}

// TestMarkOfAnotherBaseIsVoid proposes a mark for floors that are not in force any more, as one does who has not heard of
// the newest: nobody gives a word on it.
func TestMarkOfAnotherBaseIsVoid(t *testing.T) {
	p := newPair(t)
	p.agrees()
	late := mark{base: floorHash{}, vector: p.machine.set.Heard()}
	p.writes(floorKey, crdt.Next(p.latest, p.machine.set.Seen(floorKey), p.wall), crdt.Update,
		crdt.Change{Path: pathMark, Value: fieldValue(late.encode())})
	p.do("wait 15s")
	if s := p.machine.FloorStatus(); s.Pending || p.word() != nil {
		t.Errorf("a mark for no floor is taken for one for the floor in force: %+v, word %x", s, p.word())
	}
	late.base = p.machine.floors.hash
	p.writes(floorKey, crdt.Next(p.latest, p.machine.set.Seen(floorKey), p.wall), crdt.Update,
		crdt.Change{Path: pathMark, Value: fieldValue(late.encode())})
	p.do("wait 5s")
	if s := p.machine.FloorStatus(); !s.Pending || p.word() == nil {
		t.Errorf("a mark for the floor in force is not taken: %+v", s)
	}
}

// TestAllApplyBeforeTheNextMark keeps one peer from applying a floor: nothing further is proposed until it has.
func TestAllApplyBeforeTheNextMark(t *testing.T) {
	p := newPair(t)
	p.agrees()
	p.do("apply web", "flush", "delete web", "wait 60s")
	s := p.machine.FloorStatus()
	if !s.Applied || s.Pending || s.Forgettable == 0 || len(s.Waiting) != 1 || s.Waiting[0].Why != "it has not applied the last floor yet" {
		t.Errorf("a mark was proposed before all had applied the floor: %+v", s)
	}
	p.applies()
	p.do("wait 15s")
	if s := p.machine.FloorStatus(); !s.Pending {
		t.Errorf("all have applied the floor, and nothing is proposed: %+v", s)
	}
}
