package replication

import (
	"fmt"
	"testing"

	"shoal/crdt"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var web = crdt.Key{Kind: "Deployment", Namespace: "default", Name: "web"}

func first(int) int { return 0 }

func newMachine(self crdt.PeerID, live ...crdt.PeerID) *Machine {
	m := New(self, crdt.NewSet(), first)
	m.Live(live)
	return m
}

func sealedUpdate(m *Machine, key crdt.Key, value string) crdt.Op {
	seen := m.set.Seen(key)
	return Seal(crdt.Op{
		Key: key, Seen: seen, Stamp: crdt.Stamp{Time: seen.Latest() + 1, Writer: m.self},
		Changes: []crdt.Change{{Path: "x", Value: []byte(value)}},
	}, fakeSign)
}

func sealedRowOf(peer crdt.PeerID, boot, sequence uint64) Row {
	return SealRow(Row{Peer: peer, Version: Version{boot, sequence}, Body: []byte("body")}, fakeSign)
}

func TestGapAsksTheSenderForTheObject(t *testing.T) {
	a, b := newMachine("a"), newMachine("b")
	var last crdt.Op
	for i := range 3 {
		last = sealedUpdate(a, web, fmt.Sprint(i))
		a.Write(last, 0)
	}
	received := b.Receive("a", Message{Push: &Push{Ops: []crdt.Op{last}}})
	want := []Outgoing{{"a", Message{Want: &Want{Unseen: []Known{{Key: web}}}}}}
	if diff := cmp.Diff(want, received.Send, cmpopts.EquateEmpty()); diff != "" || b.set.Len() != 0 {
		t.Fatalf("after a gap: %s", diff)
	}
	answer := a.Receive("b", received.Send[0].Message)
	if got := b.Receive("a", answer.Send[0].Message); len(got.Delta.Added) != 1 || b.set.Digest() != a.set.Digest() {
		t.Errorf("after the object came: %+v", got.Delta)
	}
}

func TestOneMessageInAnyOrderLeavesNoGap(t *testing.T) {
	a, b := newMachine("a"), newMachine("b")
	first := sealedUpdate(a, web, "1")
	a.Write(first, 0)
	second := sealedUpdate(a, web, "2")
	a.Write(second, 0)
	received := b.Receive("a", Message{Push: &Push{Ops: []crdt.Op{second, first}}})
	if len(received.Delta.Added) != 1 || received.Delta.Added[0].Hash != second.Hash || received.Delta.Dropped != nil {
		t.Errorf("the delta is %+v; the first operation came and went", received.Delta)
	}
}

func TestNewsIsPushedOnOnceAndNotBack(t *testing.T) {
	a, b := newMachine("a", "b", "c", "d"), newMachine("b", "a", "c", "d")
	op := sealedUpdate(a, web, "1")
	_, pushes := a.Write(op, 0)
	if len(pushes) != pushTo {
		t.Fatalf("%d pushes", len(pushes))
	}
	passed := b.Receive("a", pushes[0].Message).Send
	if len(passed) != 2 {
		t.Errorf("pushed on to %d", len(passed))
	}
	for _, push := range passed {
		if push.To == "a" || push.To == "b" {
			t.Errorf("pushed on to %s", push.To)
		}
	}
	if again := b.Receive("c", pushes[0].Message); again.Send != nil || again.Delta.Added != nil {
		t.Errorf("known operations had an effect: %+v", again)
	}
}

// So many operations at once are a transfer: everybody gets them in their own.
func TestATransferIsNotPushedOn(t *testing.T) {
	for n, pushes := range map[int]bool{rumoursAtOnce: true, rumoursAtOnce + 1: false} {
		m := newMachine("a", "b", "c", "d")
		push := &Push{}
		for i := range n {
			push.Ops = append(push.Ops, smallOp(i, "w"))
		}
		received := m.Receive("b", Message{Push: push})
		if len(received.Delta.Added) != n || (len(received.Send) > 0) != pushes {
			t.Errorf("of %d operations %d are new, and %d messages follow", n, len(received.Delta.Added), len(received.Send))
		}
	}
}

func TestRows(t *testing.T) {
	m := newMachine("a", "b")
	take := func(row Row) int {
		return len(m.Receive("b", Message{Rows: &Rows{Rows: []Row{row}}}).Rows)
	}
	for _, step := range []struct {
		name string
		row  Row
		want int
	}{
		{"the first", sealedRowOf("b", 1, 5), 1},
		{"the same", sealedRowOf("b", 1, 5), 0},
		{"an older one", sealedRowOf("b", 1, 4), 0},
		{"a newer one", sealedRowOf("b", 1, 6), 1},
		{"one of a later boot", sealedRowOf("b", 2, 1), 1},
		{"one of an earlier boot", sealedRowOf("b", 1, 9), 0},
		{"one about this peer", sealedRowOf("a", 9, 9), 0},
	} {
		if got := take(step.row); got != step.want {
			t.Errorf("%s: %d taken, want %d", step.name, got, step.want)
		}
	}
	m.Forget("b")
	if _, ok := m.Row("b"); ok || take(sealedRowOf("b", 2, 1)) != 0 {
		t.Error("a forgotten row came back")
	}
	if take(sealedRowOf("b", 3, 1)) != 1 {
		t.Error("a peer that came back under a later boot is not heard")
	}
	if m.Observe(sealedRowOf("b", 9, 9)) != nil {
		t.Error("spoke for another peer")
	}
}

func TestRowsGoToAllOfASmallCluster(t *testing.T) {
	for _, test := range []struct{ live, now, later int }{{1, 1, 0}, {16, 16, 0}, {17, 0, pushTo}} {
		m := newMachine("a")
		var live []crdt.PeerID
		for i := range test.live {
			live = append(live, crdt.PeerID(fmt.Sprintf("p%02d", i)))
		}
		m.Live(live)
		m.Observe(sealedRowOf("a", 1, 1))
		if now, later := len(m.Observe(sealedRowOf("a", 1, 2))), len(m.PassRows()); now != test.now || later != test.later {
			t.Errorf("%d live: told %d and later %d, want %d and %d", test.live, now, later, test.now, test.later)
		}
		if again := m.PassRows(); again != nil {
			t.Errorf("%d live: told again: %v", test.live, again)
		}
	}
}

func TestManyNewRowsTravelTogether(t *testing.T) {
	m := newMachine("a")
	var live []crdt.PeerID
	for i := range 100 {
		live = append(live, crdt.PeerID(fmt.Sprintf("p%03d", i)))
	}
	m.Live(live)
	for _, peer := range live {
		if sent := m.Receive("p000", Message{Rows: &Rows{Rows: []Row{sealedRowOf(peer, 1, 1)}}}).Send; sent != nil {
			t.Fatalf("passed on at once: %v", sent)
		}
	}
	sent := m.PassRows()
	if len(sent) != pushTo || len(sent[0].Message.Rows.Rows) != 100 || sent[0].To == sent[1].To {
		t.Errorf("%d messages", len(sent))
	}
}

// talk runs a conversation that begin opens to its end, and returns all that came of it.
func talk(a, b *Machine, begin func() []Outgoing) []Received {
	type sent struct {
		from *Machine
		Outgoing
	}
	var queue []sent
	var all []Received
	add := func(from *Machine, list []Outgoing) {
		for _, o := range list {
			queue = append(queue, sent{from, o})
		}
	}
	for add(a, begin()); len(queue) > 0; queue = queue[1:] {
		to := b
		if queue[0].from == b {
			to = a
		}
		received := to.Receive(queue[0].from.self, queue[0].Message)
		all = append(all, received)
		add(to, received.Send)
	}
	return all
}

func TestTooLargeOrInvalidWritesAreRefused(t *testing.T) {
	m := newMachine("a", "b")
	for name, op := range map[string]crdt.Op{
		"too large": sealedUpdate(m, web, string(make([]byte, MaxOpBytes))),
		"invalid":   Seal(crdt.Op{Key: web, Stamp: crdt.Stamp{Time: 1, Writer: "a"}}, fakeSign),
		"gap": Seal(crdt.Op{Key: web, Stamp: crdt.Stamp{Time: 9, Writer: "a"}, Seen: crdt.Seen{"z": 5},
			Changes: []crdt.Change{{Path: "x"}}}, fakeSign),
	} {
		if delta, send := m.Write(op, 0); delta.Added != nil || send != nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestLonelyPeerSaysNothing(t *testing.T) {
	m := newMachine("a", "a")
	if _, send := m.Write(sealedUpdate(m, web, "1"), 0); send != nil || m.Reconcile() != nil {
		t.Error("a peer without others sends messages")
	}
}

func TestOneRoundBringsRowsBothWays(t *testing.T) {
	for _, opener := range []int{0, 1} {
		a, b := newMachine("a", "b"), newMachine("b", "a")
		machines := []*Machine{a, b}
		a.Observe(sealedRowOf("a", 1, 1))
		b.Observe(sealedRowOf("b", 1, 1))
		a.Receive("c", Message{Rows: &Rows{Rows: []Row{sealedRowOf("c", 1, 2), sealedRowOf("d", 1, 1)}}})
		b.Receive("c", Message{Rows: &Rows{Rows: []Row{sealedRowOf("c", 1, 1), sealedRowOf("d", 2, 1)}}})
		talk(machines[opener], machines[1-opener], machines[opener].Reconcile)
		if a.rows.digest() != b.rows.digest() || len(a.rows.held) != 4 {
			t.Errorf("opened by %s: %v and %v", machines[opener].self, a.rows.held, b.rows.held)
		}
	}
}

// A peer whose disk was set back finds newer rows of itself with others: they are not its own word any more, and
// it must count on from them.
func TestNewerRowsOfOneselfAreReportedAndNotTaken(t *testing.T) {
	for _, opener := range []int{0, 1} {
		a, b := newMachine("a", "b"), newMachine("b", "a")
		a.Observe(sealedRowOf("a", 1, 1))
		b.Receive("a", Message{Rows: &Rows{Rows: []Row{sealedRowOf("a", 5, 3)}}})
		machines := []*Machine{a, b}
		var ahead Version
		for _, r := range talk(machines[opener], machines[1-opener], machines[opener].Reconcile) {
			if r.Ahead != (Version{}) {
				ahead = r.Ahead
			}
		}
		if row, _ := a.Row("a"); row.Version != (Version{1, 1}) || ahead != (Version{5, 3}) {
			t.Errorf("opened by %s: holds %v of itself, and heard of %v", machines[opener].self, row.Version, ahead)
		}
	}
}

func TestForgottenRowsAreNotFetchedAgain(t *testing.T) {
	a, b := newMachine("a", "b"), newMachine("b", "a")
	for _, m := range []*Machine{a, b} {
		m.Receive("c", Message{Rows: &Rows{Rows: []Row{sealedRowOf("c", 1, 1)}}})
	}
	a.Forget("c")
	for _, r := range append(talk(a, b, a.Reconcile), talk(b, a, b.Reconcile)...) {
		for _, o := range r.Send {
			if o.Message.Rows != nil {
				t.Error("the row was sent")
			}
		}
	}
}
