package replication

import (
	"fmt"
	"slices"
	"testing"

	"shoal/crdt"

	"github.com/google/go-cmp/cmp"
)

func TestAcksAreAskedOfAsManyAsAreWanted(t *testing.T) {
	m := newMachine("a")
	var live []crdt.PeerID
	for i := range 100 {
		live = append(live, crdt.PeerID(fmt.Sprintf("p%03d", i)))
	}
	m.Live(live)
	for _, test := range []struct{ acks, least, most int }{{0, 10, 12}, {1, 10, 12}, {40, 40, 40}, {500, 100, 100}} {
		_, send := m.Write(sealedUpdate(m, web, fmt.Sprint(test.acks)), test.acks)
		to := map[crdt.PeerID]bool{}
		for _, o := range send {
			to[o.To] = true
			if o.Message.Push.Ack != (test.acks > 0) {
				t.Errorf("%d acks: asks for one: %v", test.acks, o.Message.Push.Ack)
			}
		}
		if len(to) != len(send) || len(to) < test.least || len(to) > test.most {
			t.Errorf("%d acks: %d pushes to %d peers", test.acks, len(send), len(to))
		}
	}
}

func TestWhatIsHeldOrOvertakenIsAcked(t *testing.T) {
	a, b := newMachine("a", "b"), newMachine("b", "a")
	older := sealedUpdate(a, web, "1")
	a.Write(older, 0)
	op := sealedUpdate(a, web, "2")
	_, send := a.Write(op, 1)
	ask := func(ops ...crdt.Op) []Outgoing {
		return b.Receive("a", Message{Push: &Push{Ops: ops, Ack: true}}).Send
	}
	if answer := ask(send[0].Message.Push.Ops...); len(answer) != 1 || answer[0].Message.Ack != nil {
		t.Fatalf("acks what left a gap: %+v", answer)
	}
	want := []Outgoing{{"a", Message{Ack: &Ack{Ops: []crdt.OpID{older.ID(), op.ID()}}}}}
	for range 2 {
		if diff := cmp.Diff(want, ask(older, op)); diff != "" {
			t.Errorf("answers %s", diff)
		}
	}
	if received := a.Receive("b", want[0].Message); !slices.Equal(received.Acked, want[0].Message.Ack.Ops) {
		t.Errorf("acked: %v", received.Acked)
	}
	if send := b.Receive("a", Message{Push: &Push{Ops: []crdt.Op{op}}}).Send; send != nil {
		t.Errorf("acks unasked: %+v", send)
	}
}

func TestRemindAsksThoseThatDidNotAck(t *testing.T) {
	m := newMachine("a")
	var live []crdt.PeerID
	for i := range 40 {
		live = append(live, crdt.PeerID(fmt.Sprintf("p%03d", i)))
	}
	m.Live(live)
	one, other := sealedUpdate(m, web, "1"), sealedUpdate(m, FloorKey, "1")
	m.Write(one, 1)
	m.Write(other, 1)
	ids := []crdt.OpID{one.ID(), other.ID(), {9}}
	acked := func(op crdt.OpID, by crdt.PeerID) bool { return by < "p030" || op == one.ID() }
	send := m.Remind(ids, acked)
	if len(send) != 10 {
		t.Fatalf("%d pushes", len(send))
	}
	for _, o := range send {
		if o.To < "p030" || !o.Message.Push.Ack || len(o.Message.Push.Ops) != 1 || o.Message.Push.Ops[0].ID() != other.ID() {
			t.Errorf("pushes %+v", o)
		}
	}
	if send := m.Remind(ids, func(crdt.OpID, crdt.PeerID) bool { return false }); len(send) != remindTo {
		t.Errorf("tells %d peers at once", len(send))
	}
}

func TestRefusalsAreNamed(t *testing.T) {
	m := newMachine("a", "b")
	held, replay := smallOp(1, "w"), smallOp(2, "w")
	add(t, m, held)
	m.set.Forget(crdt.Seen{}, crdt.Seen{"w": replay.Stamp.Time})
	contradicting := held
	contradicting.Hash = [32]byte{0xff}
	gap := smallOp(3, "x")
	gap.Seen = crdt.Seen{"y": 5}
	invalid := smallOp(4, "w")
	invalid.Stamp.Time = 0
	want := map[string]crdt.Op{Forgotten: replay, Contradicts: contradicting, Invalid: invalid}
	check := func(refused []Refusal, want map[string]crdt.Op) {
		t.Helper()
		if len(refused) != len(want) {
			t.Errorf("refused: %+v", refused)
		}
		for _, r := range refused {
			if op, ok := want[r.Reason]; !ok || r.Op != op.ID() || r.Key != op.Key || r.Writer != op.Stamp.Writer || r.From != "b" {
				t.Errorf("%+v", r)
			}
		}
	}
	check(m.Receive("b", Message{Objects: &Objects{Objects: []Object{
		{replay.Key, []crdt.Op{replay}}, {held.Key, []crdt.Op{contradicting}}, {invalid.Key, []crdt.Op{invalid}},
	}}}).Refused, want)
	want[Gap] = gap
	check(m.Receive("b", Message{Push: &Push{Ops: []crdt.Op{held, replay, contradicting, gap, invalid}}}).Refused, want)
}

func TestManyRefusalsAreBounded(t *testing.T) {
	m := newMachine("a", "b")
	var ops []crdt.Op
	for i := range 2 * refusedAtMost {
		op := smallOp(i, "w")
		op.Stamp.Time = 0
		ops = append(ops, op)
	}
	if n := len(m.Receive("b", Message{Push: &Push{Ops: ops}}).Refused); n != refusedAtMost {
		t.Errorf("%d refusals", n)
	}
}

func TestOfManyFewArePickedOnce(t *testing.T) {
	m := newMachine("a")
	var live []crdt.PeerID
	for i := range 100 {
		live = append(live, crdt.PeerID(fmt.Sprintf("p%03d", i)))
	}
	m.Live(live)
	for _, n := range []int{1, 3, 24, 25, 99, 100, 200} {
		picked := m.some(n, "p000")
		slices.Sort(picked)
		if len(slices.Compact(picked)) != min(n, 99) || slices.Contains(picked, "p000") {
			t.Errorf("%d: picked %v", n, picked)
		}
	}
}

func TestSiftAsksAboutEachOnce(t *testing.T) {
	for name, message := range sampleMessages() {
		ops, rows := 0, 0
		all := message.Sift(func(crdt.Op) bool { ops++; return true }, func(Row) bool { rows++; return true })
		if diff := cmp.Diff(message, all); diff != "" {
			t.Errorf("%s: keeping all leaves out something: %s", name, diff)
		}
		carries := map[string]int{"push": 1, "objects": 1, "page": 1}[name]
		if ops != carries || (rows == 1) != (name == "rows") {
			t.Errorf("%s: asked about %d operations and %d rows", name, ops, rows)
		}
		none := message.Sift(func(crdt.Op) bool { return false }, func(Row) bool { return false })
		ops = 0
		none.Sift(func(crdt.Op) bool { ops++; return true }, func(Row) bool { ops++; return true })
		if ops != 0 {
			t.Errorf("%s: something is left", name)
		}
	}
	op := Seal(sampleOp(), testSign)
	kept := Message{Objects: &Objects{Objects: []Object{{web, []crdt.Op{op, op}}}}}.Sift(func() func(crdt.Op) bool {
		asked := 0
		return func(crdt.Op) bool { asked++; return asked == 2 }
	}(), nil)
	if len(kept.Objects.Objects) != 0 {
		t.Error("a part of an object is kept")
	}
}
