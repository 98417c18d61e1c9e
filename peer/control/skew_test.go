package control

import (
	"fmt"
	"testing"
	"time"

	"shoal/peer/replication"
	"shoal/peer/wire"
)

// rowFrom brings the next row of a peer by way of another, or from itself; at is what the peer's clock said, against
// that of p1, when it made the row.
func (w *world) rowFrom(by, name string, at time.Duration) {
	w.sequences[name]++
	row := replication.SealRow(replication.Row{Peer: peerID(name), Version: replication.Version{Boot: 1, Sequence: w.sequences[name]},
		Body: wire.EncodeObservation(wire.Observation{CPUMillis: 4000, Memory: 4 << 30, At: w.wall.Add(at).UnixMilli()})}, sign)
	w.machine.Step(Received{From: peerID(by), Message: replication.Message{Rows: &replication.Rows{Rows: []replication.Row{row}}}})
	w.flush()
}

func (w *world) mustWait(t *testing.T, span string) {
	t.Helper()
	if err := w.wait([]string{span}); err != nil {
		t.Fatal(err)
	}
}

// skewOf is how far a peer's clock is taken to be ahead; false if that is not known.
func (w *world) skewOf(name string) (time.Duration, bool) {
	for _, s := range w.machine.Skews().Members {
		if s.Peer == peerID(name) {
			return s.Ahead, true
		}
	}
	return 0, false
}

// noted counts the notes of one reason.
func (w *world) noted(reason string) (n int) {
	for _, note := range w.machine.Notes() {
		if note.Reason == reason {
			n += max(note.Count, 1)
		}
	}
	return n
}

// TestRelayedRowsMeasureNoClock checks that a row which came by way of another peer, and is as old as that way was long, is no
// measure of its maker's clock.
func TestRelayedRowsMeasureNoClock(t *testing.T) {
	w := startedWorld(t, "member p2 p3 alive", "row p2", "row p3", "wait 10s")
	w.rowFrom("p3", "p2", -40*time.Second)
	w.mustWait(t, "10s")
	if ahead, known := w.skewOf("p2"); known {
		t.Errorf("p2 is said to be %s ahead, by a row that p3 passed on", ahead)
	}
	w.rowFrom("p2", "p2", -100*time.Millisecond)
	w.rowFrom("p3", "p2", -time.Hour)
	w.mustWait(t, "10s")
	if ahead, known := w.skewOf("p2"); !known || ahead != -100*time.Millisecond {
		t.Errorf("p2 is said to be %s ahead (known: %v), it is 100 ms behind", ahead, known)
	}
	if w.noted("ClockSkew") != 0 {
		t.Error("a late row was taken for a wrong clock")
	}
}

// TestLateRowsMeasureNoClock checks that of several rows the one that was least late counts, however late the others were.
func TestLateRowsMeasureNoClock(t *testing.T) {
	for prompt := range skewRows {
		t.Run(fmt.Sprint("prompt ", prompt), func(t *testing.T) {
			w := startedWorld(t, "member p2 alive", "row p2", "wait 10s")
			for i := range skewRows {
				late := -time.Duration(i+1) * 20 * time.Second
				if i == prompt {
					late = 0
				}
				w.rowFrom("p2", "p2", late)
			}
			w.mustWait(t, "10s")
			if ahead, known := w.skewOf("p2"); !known || ahead != 0 || w.noted("ClockSkew") != 0 {
				t.Errorf("p2 is said to be %s ahead (known: %v, %d notes), it is right", ahead, known, w.noted("ClockSkew"))
			}
		})
	}
}

// TestRowsFromBeforeAHealMeasureNoClock checks that a row which its maker gives only after a cut, and that was made
// within it, is not measured, nor is the first one of another life of the program.
func TestRowsFromBeforeAHealMeasureNoClock(t *testing.T) {
	w := startedWorld(t, "member p2 alive", "row p2", "wait 10s", "member p2 failed", "wait 10m", "member p2 alive", "wait 2s")
	w.rowFrom("p2", "p2", -9*time.Minute)
	w.mustWait(t, "20s")
	if err := w.row([]string{"p2", "boot", "2", "at", "-5m"}); err != nil {
		t.Fatal(err)
	}
	w.mustWait(t, "10s")
	if ahead, known := w.skewOf("p2"); known || w.noted("ClockSkew") != 0 {
		t.Errorf("p2 is said to be %s ahead, by a row that is from before", ahead)
	}
}

// TestClockThatIsWrongIsFound checks that what is no lateness is shown, on the right peer, and gone when it is over.
func TestClockThatIsWrongIsFound(t *testing.T) {
	w := startedWorld(t, "member p2 p3 p4 alive", "row p2", "row p3", "row p4", "wait 10s")
	for range skewRows {
		for name, ahead := range map[string]time.Duration{"p2": 0, "p3": time.Hour, "p4": -10 * time.Millisecond} {
			w.rowFrom(name, name, ahead)
		}
	}
	w.mustWait(t, "10s")
	report := w.machine.Skews()
	if ahead, _ := w.skewOf("p3"); ahead != time.Hour || report.Own.Abs() > time.Second || w.noted("ClockSkew") != 0 {
		t.Errorf("p3 is an hour ahead and p1 is right: %+v", report)
	}
	for range skewRows {
		w.rowFrom("p3", "p3", 0)
	}
	if ahead, _ := w.skewOf("p3"); ahead != 0 {
		t.Errorf("p3 is right again, and said to be %s ahead", ahead)
	}
	if n := len(report.Members); n != 3 || report.Members[0].Peer != peerID("p2") {
		t.Errorf("members %+v", report.Members)
	}
}
