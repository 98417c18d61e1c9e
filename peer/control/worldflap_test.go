package control

import (
	"fmt"
	"testing"
	"time"

	"shoal/peer/replication"
	"shoal/peer/wire"
)

// missedVerb is the word of peers that they had lost p1.
func (w *world) missedVerb(names []string) error {
	for _, name := range names {
		w.machine.Step(Received{From: peerID(name), Message: replication.Message{Digest: &replication.Digest{
			Busy: true, Missed: true, Own: replication.Version{Boot: 1, Sequence: w.sequences[name]}}}})
	}
	return nil
}

// passesVerb is a newer row of a peer, passed on by another or said by itself, and no answer to anything.
func (w *world) passesVerb(args []string) error {
	by, name := args[0], args[1]
	w.sequences[name]++
	row := replication.SealRow(replication.Row{Peer: peerID(name), Version: replication.Version{Boot: 1, Sequence: w.sequences[name]},
		Body: wire.EncodeObservation(*w.rows[name])}, sign)
	w.machine.Step(Received{From: peerID(by), Message: replication.Message{Rows: &replication.Rows{Rows: []replication.Row{row}}}})
	return nil
}

// answersVerb is the answer of peers to the question which row of them is the newest.
func (w *world) answersVerb(names []string) error {
	for _, name := range names {
		w.giveWord(name, 1)
	}
	return nil
}

// answeredBefore is an answer of peers to a question from before they last came, which waited in a connection.
func (w *world) answeredBefore(names []string) error {
	for _, name := range names {
		w.answerTo(peerID(name), 1, w.machine.config.Boot<<32|1)
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

// toldMissed prints the questions that were sent since it last did with the word that their receiver had been lost.
func (w *world) toldMissed([]string) error {
	for _, line := range w.tells {
		w.print("%s", line)
	}
	w.tells = nil
	return nil
}

// keepTells keeps those of one flush for toldMissed.
func (w *world) keepTells() {
	for _, send := range w.last.Send {
		if d := send.Message.Digest; d != nil && d.Missed {
			w.tells = append(w.tells, fmt.Sprintf("%v: tells %s that it was lost", w.elapsed, send.To))
		}
	}
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
