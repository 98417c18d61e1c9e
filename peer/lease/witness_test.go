package lease

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/crdt"
)

func always(Ask) Verdict { return Granted }

func asks(life, number uint64, next crdt.PeerID, names ...string) Message {
	m := Message{Life: life, Number: number, Term: Term}
	for _, name := range names {
		m.Asks = append(m.Asks, Ask{Name: name, Next: next})
	}
	return m
}

// said is the first answer that a witness gives.
func said(w *Witness, now time.Duration, from crdt.PeerID, m Message) Answer {
	answer, _ := w.Take(now, from, m, always)
	return answer.Answers[0]
}

// old is a time at which a witness has forgotten nothing any more.
const old = Term + Term

// TestOvertakenAskDoesNotOpenTheWayForAnOldRelease is what the schedules found: an ask came after a newer one, and then a release that
// was older than that.
func TestOvertakenAskDoesNotOpenTheWayForAnOldRelease(t *testing.T) {
	w := NewWitness(Term, "", nil)
	for _, number := range []uint64{18, 17} {
		if a := said(w, old, "p2", asks(5, number, "", "r")); a.Verdict != Granted {
			t.Fatalf("%+v", a)
		}
	}
	w.Take(old+1, "p2", Message{Life: 5, Number: 17, Frees: []string{"r"}}, always)
	if a := said(w, old+2, "p1", asks(1, 1, "", "r")); a.Verdict != Taken || a.Holder != "p2" {
		t.Errorf("round 18 still counts on the grant, and another got it: %+v", a)
	}
	w.Take(old+3, "p2", Message{Life: 4, Number: 99, Frees: []string{"r"}}, always)
	if a := said(w, old+4, "p1", asks(1, 2, "", "r")); a.Verdict != Taken {
		t.Errorf("a release of an earlier life was taken for one of this: %+v", a)
	}
	_, hints := w.Take(old+5, "p2", Message{Life: 5, Number: 18, Frees: []string{"r"}}, always)
	want := []Outgoing{{"p1", Message{Answers: []Answer{{Name: "r", Verdict: Free}}}}}
	if diff := cmp.Diff(want, hints); diff != "" {
		t.Errorf("who waits is told: (-want +got)\n%s", diff)
	}
}

// TestSuccessorWithConsent has a share beside the holder's, and all of it when the holder lets go; nobody else gets any.
func TestSuccessorWithConsent(t *testing.T) {
	w := NewWitness(Term, "", nil)
	steps := []struct {
		from crdt.PeerID
		next crdt.PeerID
		want Verdict
	}{{"p1", "", Granted}, {"p2", "", Taken}, {"p1", "p2", Granted}, {"p3", "", Taken}, {"p2", "", Granted}, {"p3", "", Taken}, {"p1", "p3", Granted}, {"p3", "", Taken}}
	for i, step := range steps {
		if a := said(w, old, step.from, asks(1, uint64(i+1), step.next, "r")); a.Verdict != step.want {
			t.Fatalf("step %d: %+v, want %d", i, a, step.want)
		}
	}
	w.Take(old, "p1", Message{Life: 1, Number: 99, Frees: []string{"r"}}, always)
	if a := said(w, old, "p1", asks(1, 100, "", "r")); a.Verdict != Taken || a.Holder != "p2" {
		t.Errorf("the one who let go is as any other: %+v", a)
	}
}

// TestWitnessAfterItsStart grants only what it may.
func TestWitnessAfterItsStart(t *testing.T) {
	before := NewWitness(Term, "s1", nil)
	disk := map[string][]byte{}
	drain := func(w *Witness) {
		for name, value := range w.Records() {
			if disk[name] = value; value == nil {
				delete(disk, name)
			}
		}
	}
	if a := said(before, Term, "p1", asks(1, 1, "", "r")); a.Verdict != Young || a.Wait != Kept(Term)-Term {
		t.Errorf("a new witness: %+v", a)
	}
	said(before, old, "p1", asks(1, 2, "p2", "r"))
	said(before, old, "p2", asks(1, 2, "", "r"))
	drain(before)

	same := NewWitness(Term, "s1", disk)
	for _, step := range []struct {
		from crdt.PeerID
		name string
		want Verdict
	}{{"p3", "r", Taken}, {"p1", "r", Granted}, {"p2", "r", Granted}, {"p3", "other", Granted}} {
		if a := said(same, 1, step.from, asks(9, 1, "p2", step.name)); a.Verdict != step.want {
			t.Errorf("in the same session %s asks for %s: %+v, want %d", step.from, step.name, a, step.want)
		}
	}
	other := NewWitness(Term, "s2", disk)
	if a := said(other, 1, "p1", asks(9, 1, "", "r")); a.Verdict != Young {
		t.Errorf("in another session: %+v", a)
	}
	drain(other)
	if _, kept := disk[RecordPrefix+"r"]; kept {
		t.Error("a record of another session is kept")
	}
}

// TestDoubt lasts for a term, and longer than the program; who has a grant keeps it.
func TestDoubt(t *testing.T) {
	disk := map[string][]byte{RecordPrefix: []byte("s")}
	w := NewWitness(Term, "s", disk)
	said(w, 1, "p1", asks(1, 1, "", "r"))
	w.Doubt(2)
	for name, value := range w.Records() {
		if disk[name] = value; value == nil {
			delete(disk, name)
		}
	}
	if a := said(w, 3, "p1", asks(1, 2, "", "r", "s")); a.Verdict != Granted {
		t.Errorf("what was granted: %+v", a)
	}
	for at, want := range map[time.Duration]Verdict{3: Young, Kept(Term) + 1: Young, Kept(Term) + 2: Granted} {
		fresh := NewWitness(Term, "s", map[string][]byte{RecordPrefix: []byte("s")})
		fresh.Doubt(2)
		if a := said(fresh, at, "p2", asks(1, 1, "", "s")); a.Verdict != want {
			t.Errorf("at %v: %+v", at, a)
		}
	}
	again := NewWitness(Term, "s", disk)
	if a := said(again, 1, "p2", asks(1, 1, "", "s")); a.Verdict != Young {
		t.Errorf("in the next life: %+v", a)
	}
}

// TestWitnessIsBounded in what it keeps, whatever it is asked.
func TestWitnessIsBounded(t *testing.T) {
	w := NewWitness(Term, "s", nil)
	full := 0
	for i := range 3 * MostGrants / 100 {
		var names []string
		for j := range 100 {
			names = append(names, fmt.Sprint(i, ".", j))
		}
		answer, _ := w.Take(old, "p1", asks(1, uint64(i+1), "", names...), always)
		for _, a := range answer.Answers {
			if a.Verdict == Full {
				full++
			}
		}
	}
	if len(w.grants) != MostGrants || full == 0 {
		t.Errorf("%d grants, %d refused", len(w.grants), full)
	}
	if a := said(w, old+Kept(Term)+1, "p2", asks(1, 1, "", "new")); a.Verdict != Granted || len(w.grants) != 1 {
		t.Errorf("what is over makes room: %+v, %d grants", a, len(w.grants))
	}
	answer, _ := w.Take(old, "p1", asks(1, 1, "", make([]string, 5000)...), always)
	if len(answer.Answers) != mostNames {
		t.Errorf("%d answers to one message", len(answer.Answers))
	}
}
