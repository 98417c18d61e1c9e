package replication

import (
	"testing"

	"shoal/crdt"

	"github.com/google/go-cmp/cmp"
)

var (
	closed = FloorHash{1}
	above  = crdt.Time(1_000_000) << 40
)

// forgotten is what the others have forgotten, and what was written since at the peer that was away.
func away() (old, own crdt.Op) {
	old = Seal(crdt.Op{Key: web, Stamp: crdt.Stamp{Time: 5, Writer: "w"}, Verb: crdt.Create, Changes: []crdt.Change{{Path: "x", Value: []byte("1")}}}, longSign)
	own = Seal(crdt.Op{Key: crdt.Key{Kind: "ConfigMap", Name: "own"}, Stamp: crdt.Stamp{Time: above, Writer: "away"}, Verb: crdt.Create,
		Changes: []crdt.Change{{Path: "x", Value: []byte("2")}}}, longSign)
	return old, own
}

var second = crdt.Seen{"w": 1 << 60, "away": 100}

// returning is a peer that was away and one that has applied the floor meanwhile.
func returning(t testing.TB) (*line, crdt.Op, crdt.Op) {
	gone, home := newMachine("away"), newMachine("home")
	old, own := away()
	add(t, gone, old, own)
	for i := range 50 {
		op := smallOp(i, "w")
		if i < 30 {
			add(t, gone, op)
		}
		add(t, home, op)
	}
	home.set.Forget(crdt.Seen{}, second)
	home.Applied(closed)
	gone.Doubt(second, closed)
	return newLine(t, gone, home), old, own
}

func TestWhoWasForgottenDropsWhatTheOthersForgot(t *testing.T) {
	for opener := range 2 {
		l, old, own := returning(t)
		l.round(opener)
		l.round(0)
		gone, home := l.ends[0], l.ends[1]
		if len(l.settled()) != 1 || gone.doubt != nil || !l.equal() {
			t.Fatalf("opened by %s: settled %v, equal %v", l.ends[opener].self, l.settled(), l.equal())
		}
		if _, held := gone.set.Op(old.ID()); held {
			t.Error("still holds what was forgotten")
		}
		if _, held := home.set.Op(own.ID()); !held {
			t.Error("its own write was lost")
		}
		for _, r := range l.results {
			if r.Refused != nil {
				t.Errorf("gave what was forgotten: %+v", r.Refused)
			}
		}
		dropped := 0
		for _, r := range l.results {
			dropped += len(r.Delta.Dropped)
		}
		if dropped != 1 {
			t.Errorf("%d operations are said to be dropped", dropped)
		}
	}
}

// What came at or below the floor may have been refused here, or overwritten by what is to go: one more exchange shows that
// nothing is lacking.
func TestDoubtEndsOnlyWithAnExchangeThatBringsNothing(t *testing.T) {
	gone, home := newMachine("away"), newMachine("home")
	for i := range 50 {
		op := smallOp(i, "w")
		if i < 30 {
			add(t, gone, op)
		}
		add(t, home, op)
	}
	home.set.Forget(crdt.Seen{}, second)
	home.Applied(closed)
	gone.Doubt(second, closed)
	l := newLine(t, gone, home)
	openings := 0
	l.cut = func(m Message) bool {
		if m.Digest != nil && !m.Digest.Answer {
			openings++
		}
		return false
	}
	l.round(0)
	if openings != 2 || len(l.settled()) != 1 || gone.doubt != nil || !l.equal() {
		t.Errorf("%d exchanges; settled %v, equal %v", openings, l.settled(), l.equal())
	}
}

// A partner that is in doubt of another floor gives nobody what lies below that: who took that for all it holds would vouch for what is
// lacking to the next one, which then drops it.
func TestDoubtDoesNotEndWhileThePartnerWithholdsSomething(t *testing.T) {
	gone, home := newMachine("away"), newMachine("home")
	other := FloorHash{2}
	hidden := Seal(crdt.Op{Key: web, Stamp: crdt.Stamp{Time: 5, Writer: "v"}, Verb: crdt.Create, Changes: []crdt.Change{{Path: "x", Value: []byte("1")}}}, longSign)
	for i := range 50 {
		add(t, gone, smallOp(i, "w"))
		add(t, home, smallOp(i, "w"))
	}
	add(t, home, hidden)
	home.set.Forget(crdt.Seen{}, second)
	home.Applied(closed)
	home.Doubt(crdt.Seen{"v": 100}, other)
	gone.Doubt(second, closed)
	l := newLine(t, gone, home)
	l.round(0)
	if len(l.settled()) != 0 || gone.doubt == nil {
		t.Fatalf("settled %v while something was withheld", l.settled())
	}
	home.Doubt(nil, FloorHash{})
	l.round(0)
	l.round(0)
	if len(l.settled()) != 1 || gone.doubt != nil || !l.equal() {
		t.Errorf("settled %v, equal %v", l.settled(), l.equal())
	}
}

// A partner that applied the floor in the middle of a round gave symbols from before it too.
func TestARoundAcrossTwoFloorsSettlesNothing(t *testing.T) {
	l, old, _ := returning(t)
	gone, home := l.ends[0], l.ends[1]
	gone.round = &round{partner: home.self, whole: true}
	for version, floor := range []FloorHash{{9}, closed} {
		symbols := home.firstSymbols(gone.digest())
		symbols.Version, symbols.Floor = uint64(version), floor
		if !gone.takes(gone.round, symbols) {
			t.Fatal("first symbols are not taken")
		}
	}
	gone.round.surplus = []crdt.OpID{old.ID()}
	var received Received
	gone.advance(&received)
	if _, held := gone.set.Op(old.ID()); !held || received.Settled || gone.doubt == nil {
		t.Errorf("held %v, settled %v", held, received.Settled)
	}
}

// Nothing goes before all has come, wherever the exchange ends; the next one settles.
func TestAnExchangeMayEndAtAnyMessage(t *testing.T) {
	for lost := range 40 {
		l, old, _ := returning(t)
		seen := 0
		l.cut = func(Message) bool { seen++; return seen > lost }
		l.round(0)
		through := seen <= lost
		gone := l.ends[0]
		if _, held := gone.set.Op(old.ID()); !held && gone.set.Count() < 51 {
			t.Fatalf("dropped something after %d messages, with %d operations held", lost, gone.set.Count())
		}
		l.cut = nil
		for range 4 {
			l.round(0)
		}
		if len(l.settled()) != 1 || !l.equal() {
			t.Fatalf("cut after %d messages: settled %v, equal %v", lost, l.settled(), l.equal())
		}
		if through {
			return
		}
	}
	t.Fatal("an exchange does not end")
}

func TestWhoHasNotAppliedTheFloorSettlesNobody(t *testing.T) {
	for name, prepare := range map[string]func(home *Machine){
		"in doubt of the same": func(home *Machine) { home.Doubt(second, closed); home.applied = FloorHash{} },
		"of an older floor":    func(home *Machine) { home.applied = FloorHash{} },
		"of another floor":     func(home *Machine) { home.applied = FloorHash{9} },
	} {
		l, old, own := returning(t)
		prepare(l.ends[1])
		for range 3 {
			l.round(0)
			l.round(1)
		}
		if len(l.settled()) != 0 || l.ends[0].doubt == nil {
			t.Errorf("%s: settled", name)
		}
		if _, held := l.ends[0].set.Op(old.ID()); !held {
			t.Errorf("%s: something was dropped", name)
		}
		if _, held := l.ends[1].set.Op(old.ID()); held {
			t.Errorf("%s: gave what it doubts", name)
		}
		if _, held := l.ends[1].set.Op(own.ID()); name != "of another floor" && !held && name != "of an older floor" {
			t.Errorf("%s: did not give its own write", name)
		}
	}
}

func TestTwoSidesThatForgotEachOtherSettleEachOther(t *testing.T) {
	a, b := newMachine("a"), newMachine("b")
	floorA, floorB := crdt.Seen{"w": 1 << 60, "a": 50}, crdt.Seen{"w": 1 << 60, "b": 50}
	create := func(name string, writer crdt.PeerID, at crdt.Time) crdt.Op {
		return Seal(crdt.Op{Key: crdt.Key{Kind: "ConfigMap", Name: name}, Stamp: crdt.Stamp{Time: at, Writer: writer}, Verb: crdt.Create,
			Changes: []crdt.Change{{Path: "x", Value: []byte("1")}}}, longSign)
	}
	for i := range 20 {
		add(t, a, smallOp(i, "w"))
		add(t, b, smallOp(i, "w"))
	}
	forgottenByB, forgottenByA := create("held by a alone", "w", 7), create("held by b alone", "w", 8)
	newAtA, newAtB := create("new at a", "a", 60), create("new at b", "b", 60)
	add(t, a, forgottenByB, newAtA)
	add(t, b, forgottenByA, newAtB)
	for m, floor := range map[*Machine]crdt.Seen{a: floorA, b: floorB} {
		m.set.Forget(crdt.Seen{}, floor)
	}
	a.Applied(FloorHash{1})
	b.Applied(FloorHash{2})
	a.Doubt(floorB, FloorHash{2})
	b.Doubt(floorA, FloorHash{1})
	l := newLine(t, a, b)
	for range 3 {
		l.round(0)
		l.round(1)
	}
	if len(l.settled()) != 2 || !l.equal() || a.set.Count() != 22 {
		t.Errorf("settled %v, equal %v, %d operations", l.settled(), l.equal(), a.set.Count())
	}
}

func TestANewPeerIsFilledAndSettles(t *testing.T) {
	fresh, home := newMachine("fresh"), newMachine("home")
	for i := range 3 * fillLeast {
		add(t, home, smallOp(i, "w"))
	}
	home.set.Forget(crdt.Seen{}, second)
	home.Applied(closed)
	l := newLine(t, fresh, home)
	l.send(0, fresh.Reconcile())
	l.until(func() bool { return fresh.set.Count() > 0 })
	fresh.Doubt(second, closed) // the object that closes floors was in the page
	for range 3 {
		l.round(0)
	}
	if len(l.settled()) != 1 || !l.equal() {
		t.Errorf("settled %v, equal %v", l.settled(), l.equal())
	}
}

// What goes may have overwritten what came: that comes again before the doubt ends.
func TestWhatADroppedOperationHadOverwrittenComesAgain(t *testing.T) {
	l, old, _ := returning(t)
	gone, home := l.ends[0], l.ends[1]
	base := Seal(crdt.Op{Key: FloorKey, Stamp: crdt.Stamp{Time: 3, Writer: "w"}, Verb: crdt.Create, Changes: []crdt.Change{{Path: "x", Value: []byte("1")}}}, longSign)
	lost := Seal(crdt.Op{Key: FloorKey, Stamp: crdt.Stamp{Time: 9, Writer: "w"}, Seen: crdt.Seen{"w": 3}, Changes: []crdt.Change{{Path: "x", Value: []byte("2")}, {Path: "y", Value: []byte("2")}}}, longSign)
	over := Seal(crdt.Op{Key: FloorKey, Stamp: crdt.Stamp{Time: 4, Writer: "w"}, Seen: crdt.Seen{"w": 3}, Changes: []crdt.Change{{Path: "x", Value: []byte("3")}}}, longSign)
	gone.set.AddObject(FloorKey, []crdt.Op{base, over, lost})
	fresh := newMachine("home")
	fresh.set.AddObject(FloorKey, []crdt.Op{base, over})
	for _, key := range home.set.Keys() {
		fresh.set.AddObject(key, home.set.Ops(key))
	}
	fresh.set.Forget(crdt.Seen{}, second)
	fresh.Applied(closed)
	l = newLine(t, gone, fresh)
	for range 3 {
		l.round(0)
	}
	if len(l.settled()) != 1 || !l.equal() {
		t.Errorf("settled %v, equal %v:\n%s", l.settled(), l.equal(), cmp.Diff(gone.set.Ops(FloorKey), fresh.set.Ops(FloorKey)))
	}
	if _, held := gone.set.Op(old.ID()); held {
		t.Error("still holds what was forgotten")
	}
}

func TestWhereFloorsDifferTheirObjectTravelsFirst(t *testing.T) {
	a, b := newMachine("a"), newMachine("b")
	closing := Seal(crdt.Op{Key: FloorKey, Stamp: crdt.Stamp{Time: above, Writer: "b"}, Verb: crdt.Create,
		Changes: []crdt.Change{{Path: "floor", Value: []byte("1")}}}, longSign)
	add(t, b, closing)
	b.Applied(closed)
	for i := range 20 {
		add(t, a, smallOp(i, "w"))
	}
	for opener := range 2 {
		l := newLine(t, a, b)
		l.round(opener)
		if _, held := a.set.Op(closing.ID()); !held || b.set.Count() != 1 || a.set.Count() != 21 {
			t.Errorf("a holds %d and b %d", a.set.Count(), b.set.Count())
		}
	}
	a.Applied(closed)
	l := newLine(t, a, b)
	if l.round(0); !l.equal() {
		t.Error("not equal with equal floors")
	}
}

func TestFloorsThatStayApartDoNotPartPeersForGood(t *testing.T) {
	a, b := newMachine("a"), newMachine("b")
	a.Applied(closed)
	add(t, a, smallOp(1, "w"))
	b.pick = func(n int) int { return n - 1 }
	l := newLine(t, a, b)
	if l.round(0); !l.equal() {
		t.Error("never equal")
	}
}

func TestDoubtAgainOfTheSameChangesNothing(t *testing.T) {
	m := newMachine("a", "b")
	m.Doubt(second, closed)
	m.Reconcile()
	round := m.round
	m.Doubt(second.Clone(), closed)
	if m.round != round {
		t.Error("the exchange began anew")
	}
	m.Doubt(second, FloorHash{7})
	if m.round != nil {
		t.Error("the exchange goes on about another floor")
	}
	m.Doubt(nil, FloorHash{})
	if m.doubt != nil || m.digest().Doubted != (FloorHash{}) {
		t.Error("still in doubt")
	}
}
