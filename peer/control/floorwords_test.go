package control

import (
	"bytes"
	"testing"
	"time"

	"shoal/crdt"
)

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
	p.other.Mark, p.other.MarkDigest = []byte("another."), p.word() // of which what both hold has the same digest
	p.says()
	p.do("wait 60s")
	if s := p.machine.FloorStatus(); s.Closed != (crdt.Stamp{}) {
		t.Errorf("a floor was closed by a word on another mark: %+v", s)
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
		p.closes(f)
		if s := p.machine.FloorStatus(); s.Applied || !s.Doubtful {
			t.Errorf("restarts %v: it applied a floor for which others held less: %+v", restarts, s)
		}
		p.do("wait 3s")
		if !p.machine.live(deploymentKey("late")) {
			t.Errorf("restarts %v: the operation is gone", restarts)
		}
	}
}

// TestWordStandsAfterRestart closes a floor while a peer that gave its word on it is off: it has not forgotten what it said.
func TestWordStandsAfterRestart(t *testing.T) {
	p := newPair(t)
	k := *p.machine.floors.mark
	f := floor{mark: k.hash, digest: p.machine.floors.digests[0], first: crdt.Seen{}, second: k.vector}
	p.do("crash", "start")
	p.closes(f)
	if s := p.machine.FloorStatus(); !s.Applied || s.Doubtful {
		t.Errorf("it does not know its word any more: %+v", s)
	}
}

// TestEarlierWordStands closes a floor by the first of two words that a peer gave: what came between them lies above the mark.
func TestEarlierWordStands(t *testing.T) {
	p := newPair(t)
	k := *p.machine.floors.mark
	f := floor{mark: k.hash, digest: p.machine.floors.digests[0], first: crdt.Seen{}, second: k.vector}
	p.do("apply web", "wait 3s") // overwrites the deletion, which lies below
	if bytes.Equal(p.word(), f.digest[:16]) {
		t.Fatal("it gave no other word")
	}
	p.closes(f)
	if s := p.machine.FloorStatus(); !s.Applied || s.Doubtful {
		t.Errorf("it does not stand by its word: %+v", s)
	}
}

// TestLostTimeOutlivesTheProgram loses a peer for longer than it is waited for, in two lives of this program, each of
// which is shorter.
func TestLostTimeOutlivesTheProgram(t *testing.T) {
	p := newPair(t)
	p.do("member p2 failed", "wait 45s")
	if s := p.machine.FloorStatus(); len(s.Forgotten) != 0 {
		t.Fatalf("it is forgotten too soon: %+v", s)
	}
	p.do("crash", "start", "member p2 failed", "wait 45s")
	if s := p.machine.FloorStatus(); len(s.Forgotten) != 1 {
		t.Errorf("the time before the restart was not counted: %+v", s)
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
	p.proposes(late)
	p.do("wait 15s")
	if s := p.machine.FloorStatus(); s.Pending || p.word() != nil {
		t.Errorf("a mark for no floor is taken for one for the floor in force: %+v, word %x", s, p.word())
	}
	late.base = p.machine.floors.hash
	p.proposes(late)
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

// TestReplacedFloorRaisesOneGeneration replaces a floor that nobody applied: what the one before it let go in its second
// part stays there for one floor more.
func TestReplacedFloorRaisesOneGeneration(t *testing.T) {
	p := newPair(t)
	p.agrees()
	p.applies()
	good := p.machine.floors.current[0]
	p.closes(floor{mark: [32]byte{1}, digest: [32]byte{2}, first: good.second, second: p.machine.set.Heard()})
	if s := p.machine.FloorStatus(); !s.Doubtful {
		t.Fatalf("it believes a floor that nobody gave a word for: %+v", s)
	}
	p.forgettable()
	p.attests(p.word())
	p.do("wait 15s")
	current := p.machine.floors.current
	if len(current) != 1 || !p.machine.floors.hasApplied(current[0].hash) {
		t.Fatalf("the floor was not replaced: %+v", p.machine.FloorStatus())
	}
	if first := current[0].first; !good.first.Covers(first) {
		t.Errorf("the first part was %v and is %v", good.first, first)
	}
}

// TestMissingCloserIsWaitedFor loses the peer that closed a floor which this one does not share: what that one has
// forgotten nobody else knows, so nothing is agreed on until it is back, or has left.
func TestMissingCloserIsWaitedFor(t *testing.T) {
	p := newPair(t)
	f, err := decodeFloor(floor{mark: [32]byte{1}, digest: [32]byte{2}, first: crdt.Seen{}, second: p.machine.set.Heard()}.encode())
	if err != nil {
		t.Fatal(err)
	}
	hash := hashOf([]floor{f})
	p.other.Applied = hash[:]
	p.says()
	p.closes(f)
	p.do("apply web", "flush", "delete web", "flush", "member p2 failed", "wait 200s")
	s := p.machine.FloorStatus()
	if s.Pending || !s.Doubtful || len(s.Forgotten) != 1 || s.Closed.Writer != peerID("p2") || len(s.Waiting) == 0 || s.Waiting[0].Peer != peerID("p2") {
		t.Errorf("it goes on without who closed the floor: %+v", s)
	}
	p.do("member p2 left", "wait 60s")
	if s := p.machine.FloorStatus(); !s.Applied || s.Doubtful || s.Closed.Writer != p.machine.self {
		t.Errorf("who closed the floor has left, and it does not go on: %+v", s)
	}
}

// TestWritesGoAboveMarks lets a mark cover what a peer wrote in an earlier life that it does not remember: its next write
// must not be taken for one that was agreed on.
func TestWritesGoAboveMarks(t *testing.T) {
	p := newPair(t)
	high := crdt.Next(0, nil, p.wall.Add(time.Hour))
	vector := p.machine.set.Heard()
	vector[p.machine.self] = high
	p.proposes(mark{vector: vector})
	p.do("apply own", "flush")
	o, _ := p.machine.set.Object(deploymentKey("own"))
	if !o.Live || o.Seen[p.machine.self] <= high {
		t.Errorf("it wrote at %v, and a mark covers its writes up to %d", o.Seen, high)
	}
}

// TestSecondClosingComesLate closes one floor twice, the second time by one who did not know; that arrives after the next
// floor was closed on top of it.
func TestSecondClosingComesLate(t *testing.T) {
	p := newPair(t)
	seen, at := p.machine.set.Seen(floorKey), p.next()
	p.agrees()
	p.applies()
	old := p.machine.floors.current[0]
	p.forgettable()
	p.agrees()
	p.writesHaving(seen, floorKey, at, crdt.Update, crdt.Change{Path: pathFloor, Value: fieldValue(old.code)})
	if s := p.machine.FloorStatus(); !s.Applied || s.Doubtful || len(p.machine.floors.current) != 1 {
		t.Errorf("%d floors are in force: %+v", len(p.machine.floors.current), s)
	}
}
