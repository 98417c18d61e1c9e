package peer

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
)

// delivery collects what an intake lets through.
type delivery struct {
	mu    sync.Mutex
	due   sync.WaitGroup      // messages that are to come
	got   map[sender][]string // the objects, by who sent them
	lanes []Lane              // of all messages, in order
}

func (d *delivery) take(lane Lane, in *inspection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.got == nil {
		d.got = map[sender][]string{}
	}
	d.lanes = append(d.lanes, lane)
	d.due.Done()
	if in.result.Push != nil {
		for _, op := range in.result.Push.Ops {
			name := sender{in.from, lane}
			d.got[name] = append(d.got[name], op.Key.Name)
		}
	}
}

func pushOf(ops ...crdt.Op) replication.Message {
	return replication.Message{Push: &replication.Push{Ops: ops}}
}

func spoilt(op crdt.Op) crdt.Op {
	op.Signature = append([]byte(nil), op.Signature...)
	op.Signature[0] ^= 1
	op.Hash[0] ^= 1
	return op
}

func TestMessagesOfOneSenderStayInOrder(t *testing.T) {
	g := cluster()
	var d delivery
	in := newIntake(g, d.take)
	const senders, messages = 5, 100
	coded := make([][]*inspection, senders)
	for s := range senders {
		for i := range messages {
			op := opBy("writer", fmt.Sprint(i), crdt.Time(1+s*messages+i))
			if (i+s)%7 == 0 {
				op = spoilt(op)
			}
			coded[s] = append(coded[s], g.inspect(trust.PeerID(fmt.Sprint("sender", s)), pushOf(op), 300))
		}
	}
	d.due.Add(senders*messages + 1)
	in.start(4)
	var group sync.WaitGroup
	for s := range senders {
		group.Go(func() {
			for _, message := range coded[s] {
				in.put(Intent, message)
			}
		})
	}
	group.Wait()
	in.put(Intent, g.inspect("sender0", pushOf(opBy("writer", "last", 1_000_000)), 300))
	d.due.Wait()
	in.stop()
	for s := range senders {
		want := 0
		for _, name := range d.got[sender{trust.PeerID(fmt.Sprint("sender", s)), Intent}] {
			for (want+s)%7 == 0 {
				want++
			}
			if name != fmt.Sprint(want) && name != "last" {
				t.Fatalf("sender %d: %s came where %d was due", s, name, want)
			}
			want++
		}
	}
	if len(in.senders) != 0 {
		t.Errorf("%d senders are remembered for nothing", len(in.senders))
	}
}

// TestAFloodMakesItsSenderWait fills up what may wait from one sender: it waits, others do not, and nothing is lost.
func TestAFloodMakesItsSenderWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := cluster()
		var d delivery
		in := newIntake(g, d.take)
		d.due.Add(3*waitMessages + 2)
		flooded := 0
		var group sync.WaitGroup
		group.Go(func() {
			for i := range 3 * waitMessages {
				in.put(Intent, g.inspect("flood", pushOf(opBy("writer", fmt.Sprint(i), crdt.Time(i+1))), 300))
				flooded++
			}
		})
		synctest.Wait()
		if flooded != waitMessages {
			t.Fatalf("%d messages of one sender wait, want %d", flooded, waitMessages)
		}
		in.put(Intent, g.inspect("calm", pushOf(opBy("writer", "calm", 1_000)), 300)) // does not wait
		in.put(Observation, g.inspect("flood", replication.Message{}, 300))           // nor does the other lane
		in.start(1)
		group.Wait()
		synctest.Wait()
		in.stop()
		if got := len(d.got[sender{"flood", Intent}]); got != 3*waitMessages {
			t.Errorf("%d of %d messages came", got, 3*waitMessages)
		}
		if at := slices.Index(d.lanes, Observation); len(d.got[sender{"calm", Intent}]) != 1 || at < waitMessages {
			t.Errorf("the calm sender's message did not come, or the observation as number %d, before intent", at)
		}
	})
}

func TestAForgerIsCheckedApart(t *testing.T) {
	g := cluster()
	in := newIntake(g, func(Lane, *inspection) {})
	in.put(Intent, g.inspect("forger", pushOf(spoilt(opBy("writer", "a", 1))), 300))
	hand := in.take()
	in.check(hand)
	in.giveBack(hand)
	for i := range 3 {
		in.put(Intent, g.inspect("forger", pushOf(opBy("writer", "b", crdt.Time(10+i))), 300))
		in.put(Intent, g.inspect("friend", pushOf(opBy("writer", "c", crdt.Time(20+i))), 300))
	}
	for range 2 {
		hand := in.take()
		if len(hand) != 1 {
			t.Fatalf("a forger is checked together with %d others", len(hand)-1)
		}
		in.giveBack(hand)
	}
}

// TestAFailureCostsOneMessage plants a message with which checking panics among good ones.
func TestAFailureCostsOneMessage(t *testing.T) {
	g := cluster()
	var d delivery
	in := newIntake(g, d.take)
	bad := g.inspect("mallory", pushOf(opBy("writer", "bad", 1)), 300)
	bad.verdict[0] = 99
	d.due.Add(1)
	in.put(Intent, bad)
	in.put(Intent, g.inspect("friend", pushOf(opBy("writer", "good", 2)), 300))
	in.start(1)
	d.due.Wait()
	in.stop()
	if len(d.got[sender{"mallory", Intent}]) != 0 {
		t.Error("the message that failed came through")
	}
	if counts := g.audit.report().Counts; len(counts) != 1 || counts[0].Reason != AuditSetAside || counts[0].Peer != "mallory" {
		t.Errorf("counted as %+v", counts)
	}
}

func TestRowsKeepTheNewestOfEachPeer(t *testing.T) {
	now := 7 * time.Second
	box := newRowBox(func() control.Clock { return control.Clock{Elapsed: now} })
	row := func(peer string, sequence uint64, size int) replication.Row {
		return replication.Row{Peer: crdt.PeerID(peer), Version: replication.Version{Boot: 1, Sequence: sequence}, Signed: make([]byte, size)}
	}
	put := func(from string, rows ...replication.Row) {
		box.put(trust.PeerID(from), replication.Message{Rows: &replication.Rows{Rows: rows}})
	}
	for i := range 1000 {
		put("a", row("a", uint64(i), 100), row("b", uint64(i/2), 100))
		put("c", row("a", uint64(i/3), 100))
	}
	now += 3 * time.Second
	events, more := box.take(10)
	if waited := receivedIn(events[0]).Waited; waited != 3*time.Second {
		t.Errorf("the row of its sender waited for %s, want 3s", waited)
	}
	if len(events) != 1 || more || box.bytes != 0 {
		t.Fatalf("%d events, more %v, %d bytes left", len(events), more, box.bytes)
	}
	rows := receivedIn(events[0]).Message.Rows.Rows
	if len(rows) != 2 || rows[0].Version.Sequence != 999 || rows[1].Version.Sequence != 499 {
		t.Fatalf("got %+v", rows)
	}
	for i := range 100 {
		put("a", row(fmt.Sprint("p", i), 1, rowsWaitBytes/50))
	}
	if box.bytes > rowsWaitBytes || box.lost() < 50 {
		t.Fatalf("%d bytes wait, %d dropped", box.bytes, box.lost())
	}
	if events, more := box.take(5); len(receivedIn(events[0]).Message.Rows.Rows) != 5 || !more {
		t.Fatal("not five rows and more to come")
	}
	for range 10 * rowTalkAtMost {
		box.put("a", replication.Message{Want: &replication.Want{}})
	}
	if len(box.talk) != rowTalkAtMost {
		t.Fatalf("%d other messages wait", len(box.talk))
	}
}

func TestAuditIsBounded(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	a := newAudit(func() time.Time { return now })
	for i := range 3000 {
		a.add(entry(AuditForged, fmt.Sprint("peer", i), "one"))
	}
	for range 10_000 {
		a.add(entry(AuditForged, "peer7", "flood"))
	}
	for i := range 1000 {
		a.add(entry(fmt.Sprint("reason", i), "peer8", string(make([]byte, 4096))))
	}
	r := a.report()
	if len(r.Entries) != auditEntries || len(a.peers) != auditPeers || len(a.reasons) != auditReasons {
		t.Fatalf("%d entries, %d peers, %d reasons", len(r.Entries), len(a.peers), len(a.reasons))
	}
	flood, total := 0, uint64(0)
	for _, e := range r.Entries {
		if e.Text == "flood" {
			flood++
		}
		if len(e.Text) > auditText || e.At != now {
			t.Fatalf("an entry of %d bytes at %v", len(e.Text), e.At)
		}
	}
	for _, c := range r.Counts {
		total += c.Count
	}
	if flood > auditEach || total != 14_000 {
		t.Fatalf("%d entries are the flood's, %d counted", flood, total)
	}
}
