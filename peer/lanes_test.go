package peer

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
	"shoal/peer/wire"
)

// rowsIn counts the rows that events bring, and says whether anything else comes after one of them.
func rowsIn(events []control.Event) (rows int, mixed bool) {
	for _, event := range events {
		r, ok := event.(control.Received)
		if ok && r.Message.Rows != nil {
			rows += len(r.Message.Rows.Rows)
		} else if rows > 0 {
			mixed = true
		}
	}
	return rows, mixed
}

// TestATurnTakesIntentFirst lets more intent and more rows wait than one turn takes.
func TestATurnTakesIntentFirst(t *testing.T) {
	a := begin(t, nil)
	for i := range 2 * rowsPerTurn {
		row := replication.Row{Peer: crdt.PeerID(fmt.Sprint("p", i)), Version: replication.Version{Boot: 1}}
		a.rows.put("friend", replication.Message{Rows: &replication.Rows{Rows: []replication.Row{row}}})
	}
	<-a.rows.wake
	for range messagesPerTurn + 1 {
		a.writes <- namespaced("x")
	}
	left := 2 * rowsPerTurn
	for turn := 0; left > 0; turn++ {
		waits := len(a.writes)
		events := a.gather(nil, nil)
		waiting := len(a.writes)
		rows, mixed := rowsIn(events)
		if mixed || waits-waiting > messagesPerTurn {
			t.Errorf("turn %d: %d messages of intent; or some come after rows: %v", turn, waits-waiting, mixed)
		}
		if want := map[bool]int{true: rowsWhenBusy, false: min(left, rowsPerTurn)}[waiting > 0]; rows != want {
			t.Errorf("turn %d: %d rows while %d messages of intent are left waiting, want %d", turn, rows, waiting, want)
		}
		if turn == 0 && waiting == 0 {
			t.Error("all was taken in one turn")
		}
		if left -= rows; left > 0 {
			select {
			case <-a.rows.wake:
			default:
				t.Fatalf("turn %d: nobody says that %d rows are left", turn, left)
			}
		}
	}
}

// TestATurnIsBoundedByOperations lets messages of very many operations wait.
func TestATurnIsBoundedByOperations(t *testing.T) {
	a := begin(t, nil)
	for range 5 {
		a.received <- received{control.Received{From: "friend", Message: pushOf()}, operationsPerTurn / 2}
	}
	for i, want := range []int{2, 2, 1} {
		if events := a.gather(nil, nil); len(events) != want {
			t.Errorf("turn %d: %d messages, want %d", i, len(events), want)
		}
	}
}

// TestIntentWaitsForTheLoop lets the loop take nothing in: what was checked waits, on the lane of intent, and is not lost.
func TestIntentWaitsForTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := begin(t, nil)
		var delivered atomic.Int64
		go func() {
			for range receivedAtMost + 10 {
				a.deliver(Intent, &inspection{from: "friend", result: pushOf()})
				delivered.Add(1)
			}
		}()
		synctest.Wait()
		if n := delivered.Load(); n != receivedAtMost {
			t.Errorf("%d messages were delivered to a loop that takes none, want %d", n, receivedAtMost)
		}
		for range receivedAtMost + 10 {
			<-a.received
		}
		synctest.Wait()
		if n := delivered.Load(); n != receivedAtMost+10 {
			t.Errorf("%d messages came of %d", n, receivedAtMost+10)
		}
	})
}

// TestNothingLeavesBeforeItIsOnDisk lets the disk take a second, and be full for a while, with a live peer to push to.
func TestNothingLeavesBeforeItIsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := &pushes{nowhere: nowhere{dropped: map[trust.PeerID]int{}}}
		disk := &slowDisk{sent: sent}
		a := begin(t, func(_ *Config, ports *Ports) {
			disk.Store, ports.Store = ports.Store, disk
			ports.Streams = func(StreamHandler) (Streams, error) { return sent, nil }
		}).run()
		a.box.member(member("friend", 9, gossip.Alive))
		time.Sleep(time.Minute)
		disk.slow.Store(true)
		if _, err := a.Write(t.Context(), namespaced("kept")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if disk.early != 0 || sent.operations.Load() != 1 {
			t.Errorf("%d operations had left before their commit, %d after it", disk.early, sent.operations.Load())
		}
		disk.full.Store(true)
		if _, err := a.Write(t.Context(), namespaced("lost")); err == nil {
			t.Error("a full disk took it")
		}
		synctest.Wait()
		if n := sent.operations.Load(); n != 1 {
			t.Errorf("%d operations left a peer that could not write them", n-1)
		}
	})
}

// slowDisk takes a second for operations, or has no room for them, and notes whether one has been sent before.
type slowDisk struct {
	Store
	slow  atomic.Bool // set once the test begins to look
	full  atomic.Bool
	sent  *pushes
	early int64 // operations that had left when a commit ended
}

func (d *slowDisk) Commit(batch Batch) error {
	if !d.slow.Load() || len(batch.Put) == 0 {
		return d.Store.Commit(batch)
	}
	time.Sleep(time.Second)
	d.early += d.sent.operations.Load()
	if d.full.Load() {
		return ErrFull
	}
	return d.Store.Commit(batch)
}

// pushes are streams that count the operations that leave.
type pushes struct {
	nowhere
	operations atomic.Int64
}

func (p *pushes) Send(_ trust.PeerID, _ netip.AddrPort, _ Lane, data []byte) {
	envelope, err := wire.DecodeEnvelope(data)
	if err != nil {
		panic(err)
	}
	message, err := replication.Decode(envelope.Message)
	if err != nil {
		panic(err)
	}
	if message.Push != nil {
		p.operations.Add(int64(len(message.Push.Ops)))
	}
}

// TestCareEnds: the loop takes events in one by one for a while after a failure, and not for ever.
func TestCareEnds(t *testing.T) {
	a := begin(t, nil)
	flush, bad := a.Peer.flushing, true
	a.Peer.flushing = func(now control.Clock) control.Output {
		if bad {
			bad = false
			panic("planted")
		}
		return flush(now)
	}
	a.run()
	writer, careful := certificate("writer", "root", trust.MayWrite), 1
	for i := range 2 * carefulFor {
		a.handler.Receive("friend", Intent, seal(pushOf(opBy("writer", "good", crdt.Time(1+i))), writer))
		a.until("the operation", func() bool { return a.holds(1) })
		if _, err := a.Write(t.Context(), namespaced(fmt.Sprint("n", i))); err != nil {
			t.Fatal(err)
		}
		_ = a.Read(t.Context(), func(*control.Machine) { careful = a.faults.careful })
	}
	if careful != 0 {
		t.Errorf("still careful for %d turns", careful)
	}
}

// TestShunnedMessagesAreBounded shuns more messages than are remembered: the oldest are forgotten first.
func TestShunnedMessagesAreBounded(t *testing.T) {
	var f faults
	message := func(i int) control.Event {
		return control.Received{Message: pushOf(opBy("writer", "x", crdt.Time(1+i)))}
	}
	for i := range shunAtMost + 8 {
		f.shun(message(i))
		f.shun(message(i))
	}
	if len(f.shunned) != shunAtMost || len(f.order) != shunAtMost {
		t.Errorf("%d messages are shunned, %d in order", len(f.shunned), len(f.order))
	}
	if f.shuns(message(7)) || !f.shuns(message(8)) || !f.shuns(message(shunAtMost+7)) {
		t.Error("not the newest are shunned")
	}
	if f.shuns(control.Exited{}) {
		t.Error("an answer of this machine is shunned")
	}
}

// TestEachLaneIsApart sends and receives intent and rows: each stays on its lane, from the bytes on.
func TestEachLaneIsApart(t *testing.T) {
	a := begin(t, nil)
	h, lanes := handler{a.Peer}, &laneNotes{}
	a.Peer.streams, a.addrs["friend"] = lanes, member("friend", 9, gossip.Alive)
	row := replication.SealRow(replication.Row{Peer: crdt.PeerID(ID(keyOf("writer"))), Version: replication.Version{Boot: 1}}, signer(keyOf("writer")))
	writer := certificate("writer", "root", trust.MayWrite)
	for lane, message := range []replication.Message{
		Intent:      pushOf(opBy("writer", "x", 1)),
		Observation: {Rows: &replication.Rows{Rows: []replication.Row{row}}},
	} {
		h.Receive("friend", Intent, seal(message, writer)) // whatever the sender says of its lane
		if q := a.intake.senders[sender{"friend", Lane(lane)}]; q == nil || len(q.waiting) != 1 || len(a.intake.senders) != lane+1 {
			t.Errorf("%v: %d queues", Lane(lane), len(a.intake.senders))
		}
		a.send([]control.Send{{To: "friend", Message: message}})
		if n := len(lanes.sent); n != lane+1 || lanes.sent[lane] != Lane(lane) {
			t.Errorf("sent on %v", lanes.sent)
		}
	}
}

// laneNotes are streams that note on which lanes messages are sent.
type laneNotes struct {
	nowhere
	sent []Lane
}

func (n *laneNotes) Send(_ trust.PeerID, _ netip.AddrPort, lane Lane, _ []byte) {
	n.sent = append(n.sent, lane)
}

// TestAFullDiskVouchesForNothing: what is not on disk is neither pushed nor acknowledged to others, and all else is.
func TestAFullDiskVouchesForNothing(t *testing.T) {
	kept, lost := opBy("writer", "kept", 1), opBy("writer", "lost", 2)
	out := control.Output{Send: []control.Send{
		{Message: pushOf(kept, lost)},
		{Message: replication.Message{Ack: &replication.Ack{Ops: []crdt.OpID{lost.ID(), kept.ID()}}}},
	}, Replies: []control.Reply{{Stamp: kept.Stamp}, {Stamp: lost.Stamp}}}
	unwritten{lost.ID(): lost.Stamp}.strike(&out, ErrFull)
	if ops := out.Send[0].Message.Push.Ops; len(ops) != 1 || ops[0].ID() != kept.ID() {
		t.Errorf("pushed %+v", ops)
	}
	if acked := out.Send[1].Message.Ack.Ops; len(acked) != 1 || acked[0] != kept.ID() {
		t.Errorf("acknowledged %v", acked)
	}
	if out.Replies[0].Err != nil || out.Replies[1].Err != ErrFull {
		t.Errorf("answered %+v", out.Replies)
	}
}

// TestAuditKeepsTheNewest lets each entry come from somebody else.
func TestAuditKeepsTheNewest(t *testing.T) {
	a := newAudit(time.Now)
	for i := range auditEntries + 3 {
		a.add(entry(AuditForged, fmt.Sprint("peer", i), fmt.Sprint(i)))
	}
	entries := a.report().Entries
	if first, last := entries[0].Text, entries[len(entries)-1].Text; first != fmt.Sprint(auditEntries+2) || last != "3" {
		t.Errorf("from %s back to %s are kept", first, last)
	}
	for range 2 * auditEntries {
		a.add(entry(AuditForged, "flood", "flood"))
	}
	floods := 0
	for _, e := range a.report().Entries {
		if e.Text == "flood" {
			floods++
		}
	}
	if floods != auditEach {
		t.Errorf("%d of the entries are one culprit's, want %d", floods, auditEach)
	}
}
