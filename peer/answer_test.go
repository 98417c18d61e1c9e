package peer

import (
	"testing"
	"testing/synctest"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/trust"
)

func namespaced(name string) control.Write {
	return control.Write{Key: crdt.Key{Kind: "Namespace", Name: name}, Verb: crdt.Create, Manager: "shoal"}
}

// TestAWriteWaitsForTheDiskAlone lets deciding take an hour, and the disk a second.
func TestAWriteWaitsForTheDiskAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := begin(t, nil)
		a.disk.fail = func() error { time.Sleep(time.Second); return nil }
		flush, slow := a.Peer.flushing, false
		a.Peer.flushing = func(now control.Clock) control.Output {
			if slow {
				time.Sleep(time.Hour)
			}
			return flush(now)
		}
		a.run()
		time.Sleep(time.Second)
		_ = a.Read(t.Context(), func(*control.Machine) { slow = true })
		began := time.Now()
		if _, err := a.Write(t.Context(), namespaced("soon")); err != nil || a.disk.len() != 1 {
			t.Errorf("%v, %d operations on disk when it was answered", err, a.disk.len())
		}
		if took := time.Since(began); took < time.Second || took > time.Minute {
			t.Errorf("it took %v", took)
		}
		known := false // who reads next sees what was written and what was decided about it
		_ = a.Read(t.Context(), func(m *control.Machine) { _, known = m.Object(namespaced("soon").Key) })
		if took := time.Since(began); !known || took < time.Hour {
			t.Errorf("read after %v: known %v", took, known)
		}
	})
}

// TestAnAnswerThatPanicsEndsNobody lets the first answer fail: the write comes out of the next try.
func TestAnAnswerThatPanicsEndsNobody(t *testing.T) {
	a := begin(t, nil)
	answer, failed := a.Peer.answering, 0
	a.Peer.answering = func(now control.Clock) control.Output {
		if failed++; failed == 1 {
			panic("planted")
		}
		return answer(now)
	}
	a.run()
	if _, err := a.Write(t.Context(), namespaced("first")); err != nil {
		t.Error(err)
	}
	a.handler.Receive("friend", Intent, seal(pushOf(opBy("writer", "good", 1)), certificate("writer", "root", trust.MayWrite)))
	a.until("the other operation", func() bool { return a.holds(2) })
	if n := a.counted(AuditSetAside); n != 1 {
		t.Errorf("set aside %d times, want once", n)
	}
}
