package peer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
	"shoal/runtime"
)

func entry(reason, from, text string) control.AuditEntry {
	return control.AuditEntry{Reason: reason, From: crdt.PeerID(from), Text: text}
}

func receivedIn(event control.Event) control.Received { return event.(control.Received) }

// counted is how often the peer's audit has a reason.
func (a *alone) counted(reason string) (n uint64) {
	report, _ := a.Audit(context.Background())
	for _, c := range report.Counts {
		if c.Reason == reason {
			n += c.Count
		}
	}
	return n
}

// TestAMachineThatPanicsEndsNobody lets the machine fail whenever a certain object comes in, however often it comes:
// all else goes on, and the object is named.
func TestAMachineThatPanicsEndsNobody(t *testing.T) {
	a := begin(t, nil)
	bad := false
	flush := a.Peer.flushing
	a.Peer.flushing = func(now control.Clock) control.Output {
		if bad {
			bad = false
			panic("planted")
		}
		return flush(now)
	}
	seen := 0
	step := a.Peer.stepping
	a.Peer.stepping = func(event control.Event) {
		if r, ok := event.(control.Received); ok && r.Message.Push.Ops[0].Key.Name == "poison" {
			bad, seen = true, seen+1
			return
		}
		step(event)
	}
	a.run()
	writer := certificate("writer", "root", trust.MayWrite)
	for i := range 5 {
		a.handler.Receive("friend", Intent, seal(pushOf(opBy("writer", "poison", 7)), writer))
		a.handler.Receive("friend", Intent, seal(pushOf(opBy("writer", fmt.Sprint("good", i), crdt.Time(10+i))), writer))
		a.until("the good operation", func() bool { return a.holds(i + 1) })
	}
	_ = a.Read(t.Context(), func(*control.Machine) {
		if seen > 2 { // once with others, once alone
			t.Errorf("the poison was taken in %d times", seen)
		}
	})
	report, _ := a.Audit(t.Context())
	for _, e := range report.Entries {
		if e.Key.Name == "poison" && e.Reason == AuditSetAside && strings.Contains(e.Text, "planted") {
			return
		}
	}
	t.Errorf("the object is not named: %+v", report.Entries)
}

// TestAMachineThatAlwaysPanics fails in every flush for a while, with and without events.
func TestAMachineThatAlwaysPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := begin(t, nil)
		flush, from := a.Peer.flushing, time.Now()
		a.Peer.flushing = func(now control.Clock) control.Output {
			if time.Since(from) < 10*time.Second {
				panic("planted")
			}
			return flush(now)
		}
		a.run()
		time.Sleep(11 * time.Second)
		if n := a.counted(AuditSetAside); n < 5 || n > 100 {
			t.Errorf("%d failures in ten seconds", n)
		}
		if _, err := a.Write(t.Context(), control.Write{Key: crdt.Key{Kind: "Namespace", Name: "late"}, Verb: crdt.Create, Manager: "shoal"}); err != nil {
			t.Error(err)
		}
	})
}

// TestAStoreThatPanics on one operation takes all others, and does not acknowledge that one.
func TestAStoreThatPanics(t *testing.T) {
	a := begin(t, nil)
	a.disk.trip = func(op crdt.Op) {
		if op.Key.Name == "poison" {
			panic("planted")
		}
	}
	a.run()
	writer := certificate("writer", "root", trust.MayWrite)
	a.handler.Receive("friend", Intent, seal(pushOf(opBy("writer", "good", 1), opBy("writer", "poison", 2), opBy("writer", "fine", 3)), writer))
	a.until("the good operations", func() bool { return a.holds(2) })
	if _, err := a.Write(t.Context(), control.Write{Key: crdt.Key{Kind: "Namespace", Name: "after"}, Verb: crdt.Create, Manager: "shoal"}); err != nil {
		t.Error(err)
	}
	if a.counted(AuditSetAside) != 2 {
		t.Errorf("set aside %d times, want the batch and the operation", a.counted(AuditSetAside))
	}
	if _, err := a.Write(t.Context(), namespaced("poison")); err == nil {
		t.Error("a command was acknowledged that the store did not take")
	}
}

// TestStreamsThatPanicEndNobody: what could not be sent is named, and writing goes on.
func TestStreamsThatPanicEndNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := begin(t, func(_ *Config, ports *Ports) {
			ports.Streams = func(StreamHandler) (Streams, error) { return panicking{&nowhere{dropped: map[trust.PeerID]int{}}}, nil }
		}).run()
		a.box.member(member("friend", 9, gossip.Alive))
		time.Sleep(time.Second)
		if _, err := a.Write(t.Context(), namespaced("x")); err != nil || a.disk.len() != 1 {
			t.Errorf("%v, %d operations on disk", err, a.disk.len())
		}
		synctest.Wait()
		report, _ := a.Audit(t.Context())
		for _, e := range report.Entries {
			if e.Reason == AuditSetAside && e.Subject == "friend" && strings.Contains(e.Text, "planted") {
				return
			}
		}
		t.Errorf("it is not named: %+v", report.Entries)
	})
}

// panicking are streams that fail to send.
type panicking struct{ *nowhere }

func (panicking) Send(trust.PeerID, netip.AddrPort, Lane, []byte) { panic("planted") }

// TestARuntimeThatPanicsAnswers: every action comes back as failed, and the next of the same instance is carried out.
func TestARuntimeThatPanicsAnswers(t *testing.T) {
	answers := make(chan control.Done, 8)
	x := newExecutor(struct{ runtime.Runtime }{}, func(d control.Done) { answers <- d }) // every method of it is a nil pointer's
	for _, kind := range []control.ActionKind{control.Prepare, control.Start, control.Stop, control.Remove} {
		x.run(t.Context(), control.Action{Kind: kind, Instance: "i", Spec: &runtime.Spec{}})
	}
	x.wait()
	close(answers)
	failed := 0
	for d := range answers {
		if d.Err != nil && d.Err.Subject == "i" && strings.Contains(d.Err.Error(), "panic") {
			failed++
		}
	}
	if failed != 4 {
		t.Errorf("%d of 4 actions came back as failed", failed)
	}
}

// TestAFullDisk refuses commands and goes on reading; what was merged is written, and sent, once there is room.
func TestAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := begin(t, nil)
		var full atomic.Bool
		full.Store(true)
		a.disk.fail = func() error {
			if full.Load() {
				return fmt.Errorf("commit: %w", ErrFull)
			}
			return nil
		}
		a.run()
		write := func(name string) error {
			_, err := a.Write(t.Context(), control.Write{Key: crdt.Key{Kind: "Namespace", Name: name}, Verb: crdt.Create, Manager: "shoal"})
			return err
		}
		for _, name := range []string{"first", "second"} {
			if err := write(name); !errors.Is(err, ErrFull) {
				t.Errorf("%s: %v", name, err)
			}
		}
		writer := certificate("writer", "root", trust.MayWrite)
		a.handler.Receive("friend", Intent, seal(pushOf(opBy("writer", "theirs", 1)), writer))
		time.Sleep(time.Minute)
		held := 0
		if err := a.Read(t.Context(), func(m *control.Machine) { held = len(m.Objects("Namespace", "")) }); err != nil || held != 1 {
			t.Errorf("%d objects are read, %v; want the one that was merged before the disk was known to be full", held, err)
		}
		if a.disk.len() != 0 || a.counted(AuditFull) != 1 {
			t.Errorf("%d operations are on a full disk, said %d times", a.disk.len(), a.counted(AuditFull))
		}
		full.Store(false)
		time.Sleep(2 * fullRetry)
		if err := write("third"); err != nil || a.disk.len() != 2 {
			t.Errorf("once there is room: %v, %d on disk", err, a.disk.len())
		}
	})
}

func TestAReaderThatPanicsGetsItBack(t *testing.T) {
	a := begin(t, nil).run()
	if err := a.Read(t.Context(), func(*control.Machine) { panic("planted") }); err == nil || !strings.Contains(err.Error(), "planted") {
		t.Errorf("got %v", err)
	}
	if err := a.Read(t.Context(), func(*control.Machine) {}); err != nil {
		t.Error(err)
	}
}

func TestUnreadableMessagesAreCounted(t *testing.T) {
	a := begin(t, nil).run()
	for _, data := range [][]byte{nil, {1, 2, 3}, []byte("GET / HTTP/1.1\r\n\r\n"), make([]byte, 1<<16)} {
		a.handler.Receive("mallory", Intent, data)
		a.handler.Receive("mallory", Observation, data)
	}
	if n := a.counted(AuditUnreadable); n != 8 {
		t.Errorf("%d of 8 unreadable messages counted", n)
	}
}

// TestASilentPartnerIsBegunAnew lets one of two live peers answer nothing.
func TestASilentPartnerIsBegunAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := begin(t, nil).run()
		silent, talker := trust.PeerID("silent"), trust.PeerID("talker")
		for _, id := range []trust.PeerID{silent, talker} {
			a.box.member(member(string(id), 9, gossip.Alive))
		}
		for range 60 {
			time.Sleep(time.Second)
			a.handler.Receive(talker, Intent, seal(replication.Message{Digest: &replication.Digest{Answer: true}}))
		}
		if a.streams.drops(silent) < 1 || a.streams.drops(silent) > 3 || a.streams.drops(talker) != 0 {
			t.Errorf("in a minute the silent peer's streams were begun anew %d times, the other's %d", a.streams.drops(silent), a.streams.drops(talker))
		}
		report, _ := a.Audit(t.Context())
		if report.Sync.LivePeers != 2 || report.Sync.Silent["silent"] < silentAfter || len(report.Sync.Silent) != 1 || report.Sync.Answered.IsZero() {
			t.Errorf("the watchdog says %+v", report.Sync)
		}
		a.box.member(member("talker", 9, gossip.Failed))
		time.Sleep(time.Minute)
		report, _ = a.Audit(t.Context())
		found := false
		for _, e := range report.Entries {
			found = found || strings.HasPrefix(e.Text, "none of 1 live peers")
		}
		if !found {
			t.Errorf("nobody answers, and that is not said: %+v", report.Entries)
		}
	})
}

// TestAStuckLoopIsSaid lets one turn take a minute. The audit can be read meanwhile.
func TestAStuckLoopIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := begin(t, nil)
		flush := a.Peer.flushing
		slow := make(chan struct{}, 1)
		a.Peer.flushing = func(now control.Clock) control.Output {
			select {
			case <-slow:
				time.Sleep(time.Minute)
			default:
			}
			return flush(now)
		}
		a.run()
		time.Sleep(time.Second)
		slow <- struct{}{}
		go a.Write(t.Context(), control.Write{Key: crdt.Key{Kind: "Namespace", Name: "x"}, Verb: crdt.Create, Manager: "shoal"})
		time.Sleep(30 * time.Second)
		report, _ := a.Audit(t.Context())
		if report.Sync.Stuck < stuckAfter || a.counted(AuditStuck) != 1 {
			t.Errorf("stuck for %v, said %d times", report.Sync.Stuck, a.counted(AuditStuck))
		}
		time.Sleep(time.Minute)
		if report, _ = a.Audit(t.Context()); report.Sync.Stuck != 0 {
			t.Errorf("still stuck for %v", report.Sync.Stuck)
		}
	})
}

func TestDamageOfTheStoreIsInTheAudit(t *testing.T) {
	a := begin(t, func(_ *Config, ports *Ports) {
		ports.Store = damaged{ports.Store}
	}).run()
	report, _ := a.Audit(t.Context())
	if len(report.Entries) != 1 || report.Entries[0].Reason != AuditDamage || !strings.Contains(report.Entries[0].Text, "page 17") {
		t.Errorf("got %+v", report.Entries)
	}
}

type damaged struct{ Store }

func (d damaged) Load() (Stored, error) {
	stored, err := d.Store.Load()
	stored.Damage = &Damage{At: time.Unix(1, 0), What: "page 17 is torn", Lost: "2 operations of 40", Aside: "store.db.damaged"}
	return stored, err
}

func TestAcksAreAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, stopped := newAcks(), make(chan struct{})
		one := crdt.OpID{1}
		a.take([]control.Ack{{Op: one, By: "b"}, {Op: one, By: "b"}}) // before anybody waits
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if held, err := a.await(ctx, stopped, one, 2); !errors.Is(err, context.DeadlineExceeded) || len(held) != 1 || held[0] != "b" {
			t.Errorf("held by %v, %v", held, err)
		}
		answer := make(chan []crdt.PeerID)
		go func() {
			held, _ := a.await(t.Context(), stopped, one, 2)
			answer <- held
		}()
		synctest.Wait()
		for i := range 3 * acksAtMost { // must not push out what is waited for
			a.take([]control.Ack{{Op: crdt.OpID{2, byte(i), byte(i >> 8)}, By: "c"}})
		}
		a.take([]control.Ack{{Op: one, By: "a"}})
		if held := <-answer; len(held) != 2 || held[0] != "a" || held[1] != "b" {
			t.Errorf("held by %v", held)
		}
		if len(a.ops) > acksAtMost || len(a.order) != len(a.ops) {
			t.Errorf("%d operations are remembered, %d in order", len(a.ops), len(a.order))
		}
		go func() {
			_, err := a.await(t.Context(), stopped, crdt.OpID{9}, 1)
			answer <- []crdt.PeerID{crdt.PeerID(err.Error())}
		}()
		synctest.Wait()
		close(stopped)
		if got := <-answer; got[0] != crdt.PeerID(ErrStopped.Error()) {
			t.Errorf("got %v", got)
		}
	})
}

// TestReadingThatPanicsEndsNobody spoils what the guard looks at when it reads a message: the message is dropped, and its
// sender named; the next one is read.
func TestReadingThatPanicsEndsNobody(t *testing.T) {
	a := begin(t, nil)
	h, book := handler{a.Peer}, a.trust.book
	a.trust.book = nil
	h.Receive("mallory", Intent, seal(pushOf(opBy("writer", "x", 1))))
	a.trust.book = book
	h.Receive("friend", Intent, seal(pushOf(opBy("writer", "x", 2))))
	if counts := a.audit.report().Counts; len(counts) != 1 || counts[0].Reason != AuditSetAside || counts[0].Peer != "mallory" {
		t.Errorf("counted as %+v", counts)
	}
	if len(a.intake.senders) != 1 {
		t.Errorf("messages of %d senders wait to be checked, want the good one's", len(a.intake.senders))
	}
}
