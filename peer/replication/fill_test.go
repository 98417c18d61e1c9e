package replication

import (
	"testing"

	"shoal/crdt"
)

// fillFrom lets an empty peer fetch pages from one partner until stop says so.
func (l *line) until(stop func() bool) {
	for !stop() && l.step() {
	}
}

func TestNearlyEmptyPeersFetchPages(t *testing.T) {
	const objects = 12_000
	for opener := range 2 {
		full, empty := newMachine("full"), newMachine("empty")
		snapshot := 0
		for i := range objects {
			op := smallOp(i, "w")
			add(t, full, op)
			snapshot += sealedBytes(op)
		}
		own := smallOp(objects, "e")
		add(t, empty, own)
		l := newLine(t, full, empty)
		l.round(opener)
		t.Logf("%d bytes of %d: %.3f; %v messages", l.total(), snapshot, float64(l.total())/float64(snapshot), l.messages)
		if !l.equal() || l.total() > snapshot*11/10 || empty.fill != nil || full.set.Count() != objects+1 {
			t.Errorf("opened by %s: equal %v, %d bytes for %d", l.ends[opener].self, l.equal(), l.total(), snapshot)
		}
		if l.largest > splitBytes+splitBytes/8 {
			t.Errorf("a message of %d bytes", l.largest)
		}
	}
}

func TestAFillGoesOnWithAnotherPartnerAfterACut(t *testing.T) {
	const objects = 24_000
	one, other, empty := newMachine("one"), newMachine("other"), newMachine("empty")
	snapshot := 0
	for i := range objects {
		op := smallOp(i, "w")
		add(t, one, op)
		add(t, other, op)
		snapshot += sealedBytes(op)
	}
	first := newLine(t, one, empty)
	first.send(1, empty.Reconcile())
	first.until(func() bool { return empty.set.Count() > objects/2 })
	if empty.fill == nil {
		t.Fatal("no fill")
	}
	last := newLine(t, other, empty)
	for i := 0; i < 10 && empty.fill != nil; i++ {
		last.round(1)
	}
	sent := first.total() + last.total()
	if t.Logf("%d and then %d of %d bytes", first.total(), last.total(), snapshot); !last.equal() || sent > snapshot*11/10+2*splitBytes {
		t.Errorf("equal %v after %d and %d bytes of %d", last.equal(), first.total(), last.total(), snapshot)
	}
}

func TestWhoIsBeingFilledIsNotFilledByOthers(t *testing.T) {
	empty, one, other := newMachine("empty", "one", "other"), newMachine("one", "empty"), newMachine("other", "empty")
	for i := range 2 * fillLeast {
		add(t, one, smallOp(i, "w"))
		add(t, other, smallOp(i, "w"))
	}
	asked := 0
	count := func(from *Machine, send []Outgoing) {
		for _, o := range send {
			if o.Message.Fill != nil || o.Message.Want != nil {
				asked++
			}
			if o.Message.Symbols != nil || o.Message.Page != nil {
				t.Errorf("%s sends %+v", from.self, o.Message)
			}
		}
	}
	for _, from := range []*Machine{one, other, one, other} {
		answer := empty.Receive(from.self, from.Reconcile()[0].Message)
		count(empty, answer.Send)
		for _, o := range answer.Send {
			if o.Message.Digest != nil {
				count(from, from.Receive("empty", o.Message).Send)
			}
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAFillEndsWhenItsPartnersFallSilent(t *testing.T) {
	empty := newMachine("empty", "one")
	if send := empty.Receive("one", Message{Digest: &Digest{Root: [32]byte{1}, Count: 1 << 20, Answer: true}}).Send; len(send) != 1 || send[0].Message.Fill == nil {
		t.Fatalf("sends %+v", send)
	}
	asked := 0
	for range waitForPartner + 1 {
		for _, o := range empty.Reconcile() {
			if o.Message.Fill != nil {
				asked++
			}
		}
	}
	if empty.fill != nil || asked != 1 {
		t.Errorf("still waiting: %v; asked again %d times", empty.fill != nil, asked)
	}
	empty.Receive("one", Message{Digest: &Digest{Root: [32]byte{1}, Count: 1 << 20, Answer: true}})
	for range 6 {
		empty.Reconcile()
	}
	if empty.Receive("one", Message{Digest: &Digest{Answer: true, Root: [32]byte{1}}}); empty.fill != nil {
		t.Error("waits for peers that hold no more than it does")
	}
}

func TestPagesThatLeadNowhereEndAFill(t *testing.T) {
	begin := func() *Machine {
		m := newMachine("m", "one")
		m.Receive("one", Message{Digest: &Digest{Root: [32]byte{1}, Count: 1 << 20, Answer: true}})
		return m
	}
	large := []Object{{web, largeObject(1, 900<<10)}}
	for name, test := range map[string]struct {
		page Page
		ends bool
	}{
		"empty":            {Page{Until: Place{Key: web}}, true},
		"in a circle":      {Page{Objects: large}, true},
		"of another place": {Page{After: Place{Key: web}, Until: Place{Key: FloorKey}, Objects: large}, false},
		"a good one":       {Page{Until: Place{Key: web}, Objects: large}, false},
		"the last":         {Page{Last: true}, true},
	} {
		m := begin()
		m.Receive("other", Message{Page: &test.page})
		if m.set.Count() != 0 || m.fill == nil {
			t.Errorf("%s: taken from another peer", name)
		}
		m.Receive("one", Message{Page: &test.page})
		if (m.fill == nil) != test.ends {
			t.Errorf("%s: the fill ends: %v", name, m.fill == nil)
		}
		if name == "of another place" && m.set.Count() != 0 {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestAFillCarriesObjectsAboveTheMessageLimit(t *testing.T) {
	full, empty := newMachine("full"), newMachine("empty")
	for i := range 2 * fillLeast {
		add(t, full, smallOp(i, "w"))
	}
	add(t, full, largeObject(14, 900<<10)...)
	l := newLine(t, full, empty)
	l.round(1)
	if !l.equal() || l.largest > partBytes+splitBytes || len(empty.set.Ops(web)) != 14 {
		t.Errorf("equal %v, a message of %d bytes", l.equal(), l.largest)
	}
	snapshot := 0
	for _, key := range full.set.KeysAfter(crdt.Key{}, 1<<20) {
		snapshot += sealedBytes(full.set.Ops(key)...)
	}
	if l.total() > snapshot*11/10 {
		t.Errorf("%d bytes for %d", l.total(), snapshot)
	}
}

func TestPlacesAreInTheOrderOfPages(t *testing.T) {
	m := newMachine("m")
	for i := range 1000 {
		add(t, m, smallOp(i, "w"))
	}
	last := Place{}
	for _, key := range m.set.KeysAfter(crdt.Key{}, 1000) {
		inside := Place{key, crdt.Stamp{Time: 5, Writer: "a"}}
		for _, next := range []Place{inside, {key, crdt.Stamp{Time: 5, Writer: "b"}}, {Key: key}} {
			if next.compare(last) != 1 || last.compare(next) != -1 || next.compare(next) != 0 {
				t.Fatalf("%v does not come after %v", next, last)
			}
			last = next
		}
	}
}

// The rest of an object comes from who sent its beginning: operations of another may have seen others.
func TestAFillGoesOnElsewhereAtTheEndOfAnObject(t *testing.T) {
	m := newMachine("a", "b", "c")
	whole := crdt.Key{Kind: "ConfigMap", Name: "whole"}
	m.fill = &fill{at: Place{Key: web, Stamp: crdt.Stamp{Time: 5, Writer: "w"}}, whole: whole}
	var received Received
	m.considerFill(&received, "c", &Digest{Count: 1_000_000})
	if len(received.Send) != 1 || received.Send[0].Message.Fill == nil || received.Send[0].Message.Fill.After != (Place{Key: whole}) {
		t.Errorf("sends %+v", received.Send)
	}
}
