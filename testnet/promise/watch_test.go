package promise

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// story tells a Watch a short healthy life: b creates an object, a has seen that and writes a field of it, both hold
// both; b deletes it, and both hold that.
type story struct {
	*Watch
	found []Violation
}

func (s *story) tell(v []Violation) { s.found = append(s.found, v...) }

var (
	creation = Op{ID: "w1", Object: "Deployment/default/web", Writer: "b", Time: 10, Create: true, Fields: map[string]string{"image": "1", "replicas": "2"}}
	change   = Op{ID: "w2", Object: creation.Object, Writer: "a", Time: 11, Saw: map[string]uint64{"b": 10}, Fields: map[string]string{"image": "2"}}
	deletion = Op{ID: "w3", Object: creation.Object, Writer: "b", Time: 12, Saw: map[string]uint64{"b": 10, "a": 11}, Delete: true}
	second   = Op{ID: "w4", Object: creation.Object, Writer: "a", Time: 11, Saw: map[string]uint64{"b": 10}, Fields: map[string]string{"image": "9"}}
	forged   = Op{ID: "w5", Object: creation.Object, Writer: "a", Time: 13, Fields: map[string]string{"image": "0"}}
)

func written() *story {
	s := &story{Watch: NewWatch()}
	for _, peer := range []string{"a", "b"} {
		s.Join(peer)
	}
	s.tell(s.Make(creation))
	s.tell(s.Make(change))
	for _, peer := range []string{"a", "b"} {
		s.tell(s.Take(peer, creation))
		s.tell(s.Take(peer, change))
	}
	return s
}

func deleted() *story {
	s := written()
	s.tell(s.Make(deletion))
	for _, peer := range []string{"a", "b"} {
		s.tell(s.Take(peer, deletion))
		s.tell(s.Drop(peer, "w1"))
		s.tell(s.Drop(peer, "w2"))
	}
	return s
}

func web(live bool, fields ...string) Object {
	o := Object{Key: creation.Object, Live: live}
	for _, field := range fields {
		path, value, _ := strings.Cut(field, "=")
		o.Fields = append(o.Fields, Field{Path: path, Value: value})
	}
	return o
}

func TestWatchFindsWhatIsBroken(t *testing.T) {
	cases := []struct {
		name  string
		begin func() *story
		then  func(s *story)
		want  string // promise and part of the text; empty for none
	}{
		{"a healthy life", deleted, func(s *story) { s.tell(s.Start("a", []string{"w3"})) }, ""},
		{"all forget a deletion that all have had", deleted, func(s *story) { s.tell(s.Drop("a", "w3")); s.tell(s.Drop("b", "w3")) }, ""},
		{"a deletion is forgotten before one has heard of it", deleted, func(s *story) { s.Join("c"); s.tell(s.Drop("a", "w3")) }, "P4: a forgot the deletion w3"},
		{"the one is forgotten itself", deleted, func(s *story) { s.Join("c"); s.Gone("c"); s.tell(s.Drop("a", "w3")) }, ""},
		{"what was deleted comes back", deleted, func(s *story) { s.tell(s.Take("a", creation)) }, "P4: a took w1"},
		{"it comes back with a backup, which counts as catching up", deleted, func(s *story) { s.Wipe("a"); s.tell(s.Take("a", creation)) }, ""},
		{"a write is dropped without a reason", written, func(s *story) { s.tell(s.Drop("a", "w2")) }, "P2: a dropped w2"},
		{"a write is dropped although a part of it stands", written, func(s *story) { s.tell(s.Drop("a", "w1")) }, "P2: a dropped w1"},
		{"a disk has lost a write", written, func(s *story) { s.tell(s.Start("b", []string{"w1"})) }, "P2: b had w2"},
		{"a stamp is used twice", written, func(s *story) { s.tell(s.Make(second)) }, "P2: a used the stamp 11 for two writes"},
		{"a stolen machine uses a stamp twice", written, func(s *story) {
			s.Misuse(second)
			s.tell(s.Take("b", second))
			s.tell(s.Drop("b", "w2"))
		}, ""},
		{"an acknowledgement comes too early", written, func(s *story) { s.tell(s.Make(deletion)); s.tell(s.Acknowledge("b", "w3")) }, "P2: b acknowledged w3"},
		{"an acknowledgement comes in time", written, func(s *story) { s.tell(s.Acknowledge("b", "w2")) }, ""},
		{"a forged write is taken", written, func(s *story) { s.tell(s.Take("b", forged)) }, "P11: b took w5"},
		{"two see the same", written, func(s *story) {
			s.tell(s.Show("a", web(true, "image=2", "replicas=2")))
			s.tell(s.Show("b", web(true, "replicas=2", "image=2")))
		}, ""},
		{"two see the same writes otherwise", written, func(s *story) {
			s.tell(s.Show("a", web(true, "image=2", "replicas=2")))
			s.tell(s.Show("b", web(true, "image=1", "replicas=2")))
		}, "P3: b shows Deployment/default/web otherwise"},
		{"all see a value that lost", written, func(s *story) { s.tell(s.Show("a", web(true, "image=1", "replicas=2"))) }, "P3: a shows Deployment/default/web image=\"1\""},
		{"all see a dead object alive", deleted, func(s *story) { s.tell(s.Show("a", web(true))) }, "P3: a shows that Deployment/default/web lives: true"},
		{"a peer says two things", written, func(s *story) {
			s.tell(s.Say("a", RowVersion{1, 1}, "x"))
			s.tell(s.Say("a", RowVersion{1, 1}, "y"))
		}, "P3: a said two things"},
		{"rows rise", written, func(s *story) {
			s.tell(s.Say("a", RowVersion{1, 1}, "x"))
			s.tell(s.Say("a", RowVersion{1, 2}, "y"))
			s.tell(s.Hold("b", "a", RowVersion{1, 1}))
			s.tell(s.Hold("b", "a", RowVersion{1, 2}))
		}, ""},
		{"a row falls back", written, func(s *story) {
			s.tell(s.Say("a", RowVersion{1, 2}, "y"))
			s.tell(s.Hold("b", "a", RowVersion{1, 2}))
			s.tell(s.Hold("b", "a", RowVersion{1, 1}))
		}, "P3: b held row 1.2 of a and now holds 1.1"},
		{"a program that began anew holds older rows", written, func(s *story) {
			s.tell(s.Say("a", RowVersion{1, 2}, "y"))
			s.tell(s.Hold("b", "a", RowVersion{1, 2}))
			s.Forgot("b")
			s.tell(s.Hold("b", "a", RowVersion{1, 1}))
		}, ""},
		{"a row was never said", written, func(s *story) { s.tell(s.Hold("b", "a", RowVersion{7, 1})) }, "P3: b holds a row of a as 7.1"},
		{"a queue grows", written, func(s *story) { s.tell(s.Bound("a", "notes", 11, 10)) }, "P12: a holds 11 notes"},
		{"a queue is full", written, func(s *story) { s.tell(s.Bound("a", "notes", 10, 10)) }, ""},
		{"a bad value is met", written, func(s *story) { s.trips(MostTrips) }, ""},
		{"a bad value is tried again and again", written, func(s *story) { s.trips(MostTrips + 1) }, "P13: a failed 4 times at read of web"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := c.begin()
			c.then(s)
			expect(t, s.found, c.want)
		})
	}
}

func (s *story) trips(n int) {
	for range n {
		s.tell(s.Trip("a", "read", "web"))
	}
}

func TestWatchNamesThoseForWhomNobodyWaited(t *testing.T) {
	s := deleted()
	for _, peer := range []string{"c", "d", "e"} {
		s.Join(peer)
	}
	s.Take("c", deletion)
	s.Gone("c")
	s.Gone("d")
	s.Excuse("e", true)
	s.tell(s.Drop("a", "w3"))
	s.tell(s.Drop("b", "w3"))
	expect(t, s.found, "")
	if got := s.Unheard("w3"); !slices.Equal(got, []string{"d"}) || s.Unheard("w1") != nil {
		t.Errorf("%v had not heard of the deletion", got)
	}
}

func TestWatchRemembersNoMoreThanItsBounds(t *testing.T) {
	w := NewWatch()
	for n := range mostViews + 10 {
		w.Say("a", RowVersion{1, uint64(n)}, "x")
		w.views[fmt.Sprint(n)] = "x"
		if len(w.rows) > mostViews {
			t.Fatalf("%d rows are remembered", len(w.rows))
		}
	}
	w.Make(creation)
	w.Take("a", creation)
	w.Show("a", web(true, "image=1", "replicas=2"))
	if len(w.views) > mostViews {
		t.Errorf("%d views are remembered", len(w.views))
	}
}
