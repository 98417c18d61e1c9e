package control

import (
	"testing"
	"time"

	"shoal/peer/replication"
)

// missedVerb is the word of peers that they had lost p1.
func (w *world) missedVerb(names []string) error {
	for _, name := range names {
		w.machine.Step(Received{From: peerID(name), Message: replication.Message{Digest: &replication.Digest{
			Busy: true, Missed: true, Own: replication.Version{Boot: 1, Sequence: w.sequences[name]}}}})
	}
	return nil
}

// flapVerb prints what p1's own row says of its coming and going, and the penalty behind it.
func (w *world) flapVerb([]string) error {
	f := &w.machine.flap
	o := w.machine.rows[w.machine.self].observation
	w.print("penalty %d damped %v steady %v came %v", decayed(f.penalty, w.machine.now.Elapsed-f.at), o.Damped, o.Steady, o.Came != 0)
	return nil
}

// toldMissed counts questions that were sent with the word that their receiver had been lost.
func (w *world) toldMissed([]string) error {
	for _, send := range w.last.Send {
		if d := send.Message.Digest; d != nil && d.Missed {
			w.print("tells %s that it was lost", send.To)
		}
	}
	return nil
}

// TestPenaltyDecays compares the straight lines with the curve at a few points, and fallsTo with decayed.
func TestPenaltyDecays(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{{0, 1000}, {5 * time.Minute, 750}, {10 * time.Minute, 500}, {15 * time.Minute, 375}, {20 * time.Minute, 250}, {1000 * time.Hour, 0}} {
		if got := decayed(1000, c.after); got != c.want {
			t.Errorf("of 1000 %d are left after %v, want %d", got, c.after, c.want)
		}
	}
	for penalty := int64(1); penalty <= flapMost; penalty += 7 {
		after := fallsTo(penalty, flapFree)
		if decayed(penalty, after) >= flapFree {
			t.Errorf("%d is still %d after %v", penalty, decayed(penalty, after), after)
		}
		if early := after - 2*time.Second; early > 0 && decayed(penalty, early) < flapFree {
			t.Errorf("%d is below already %v before", penalty, 2*time.Second)
		}
		if after > 31*time.Minute {
			t.Errorf("%d takes %v", penalty, after)
		}
	}
}
