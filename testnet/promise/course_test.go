package promise

import (
	"strings"
	"testing"
	"time"
)

// course tells a Course a short life: web-0 to web-9 are ready on a, and b and c are there too.
type course struct {
	*Course
	now   time.Duration
	found []Violation
}

func newCourse() *course {
	c := &course{Course: NewCourse(15 * time.Second)}
	for _, n := range "0123456789" {
		c.begin("a", "web-"+string(n), func(*Copy) {})
		c.ready("a", "web-"+string(n))
	}
	c.now += time.Minute
	return c
}

func (c *course) begin(peer, replica string, with func(*Copy)) {
	x := Copy{Peer: peer, Replica: replica, Instance: replica + ".r", Revision: "r", Workload: "web"}
	with(&x)
	c.found = append(c.found, c.Begin(c.now, x)...)
}

func (c *course) ready(peer, replica string) {
	c.found = append(c.found, c.Runs(peer, replica, replica+".r")...)
	c.Serves(c.now, peer, replica, replica+".r")
}

func (c *course) stop(peer, replica string, with func(*Stop)) {
	s := Stop{Peer: peer, Replica: replica, Instance: replica + ".r", Wanted: func() bool { return true }, Reachable: func(string) bool { return true }}
	with(&s)
	c.found = append(c.found, c.Stops(c.now, s)...)
}

func balance(x *Copy) { x.Balance = true }

func plain(*Stop) {}

func TestCourse(t *testing.T) {
	cases := []struct {
		name string
		tell func(c *course)
		want string // promise and part of the text; empty for none
	}{
		{"a move for the balance", func(c *course) {
			c.begin("b", "web-0", balance)
			c.ready("b", "web-0")
			c.stop("a", "web-0", plain)
			c.begin("b", "web-1", balance)
		}, ""},
		{"two of ten on their way", func(c *course) {
			c.begin("b", "web-0", balance)
			c.begin("b", "web-1", balance)
		}, "P8: 2 replicas of web are on their way at once, at most 1 may be"},
		{"two of ten where that is asked for", func(c *course) {
			c.begin("b", "web-0", func(x *Copy) { x.Balance, x.MostMoving = true, 2 })
			c.begin("b", "web-1", func(x *Copy) { x.Balance, x.MostMoving = true, 2 })
		}, ""},
		{"two of ten, and one of them beyond a cut", func(c *course) {
			c.begin("b", "web-0", balance)
			c.begin("c", "web-1", func(x *Copy) { x.Balance, x.Knows = true, func(peer string) bool { return peer != "b" } })
		}, ""},
		{"the first was given up", func(c *course) {
			c.begin("b", "web-0", balance)
			c.Gone(c.now, "b", "web-0", "web-0.r")
			c.begin("b", "web-1", balance)
		}, ""},
		{"a copy for nothing", func(c *course) { c.begin("b", "web-0", func(*Copy) {}) }, "P8: web-0 is begun on b without need"},
		{"a copy of what is thought gone", func(c *course) { c.begin("b", "web-0", func(x *Copy) { x.Unaware = true }) }, ""},
		{"a copy of what must go", func(c *course) { c.begin("b", "web-0", func(x *Copy) { x.Needed = true }) }, ""},
		{"a copy of what was lost", func(c *course) {
			c.Fails(c.now, "a", "web-0", "web-0.r", false)
			c.begin("b", "web-0", func(*Copy) {})
		}, ""},
		{"another revision", func(c *course) { c.begin("b", "web-0", func(x *Copy) { x.Revision, x.Instance = "q", "web-0.q" }) }, ""},

		{"the only one stops", func(c *course) { c.stop("a", "web-0", plain) }, "P7: web-0 was ready on a alone"},
		{"the only one stops, and nobody wants it", func(c *course) {
			c.stop("a", "web-0", func(s *Stop) { s.Wanted = func() bool { return false } })
		}, ""},
		{"the only one makes room", func(c *course) { c.stop("a", "web-0", func(s *Stop) { s.Gives = true }) }, ""},
		{"it stops for one that is not ready", func(c *course) {
			c.begin("b", "web-0", balance)
			c.stop("a", "web-0", plain)
		}, "P7: web-0 was ready on a alone"},
		{"the other was just lost", func(c *course) {
			c.begin("b", "web-0", balance)
			c.ready("b", "web-0")
			c.Fails(c.now, "b", "web-0", "web-0.r", true)
			c.now += time.Second
			c.stop("a", "web-0", plain)
		}, ""},
		{"the other was lost long ago", func(c *course) {
			c.begin("b", "web-0", balance)
			c.ready("b", "web-0")
			c.Fails(c.now, "b", "web-0", "web-0.r", true)
			c.now += time.Minute
			c.stop("a", "web-0", plain)
		}, "P7: web-0 was ready on a alone"},
		{"it stops for one beyond a cut", func(c *course) {
			c.begin("b", "web-0", balance)
			c.ready("b", "web-0")
			c.Cut(c.now)
			c.now += time.Minute
			c.stop("a", "web-0", func(s *Stop) { s.Reachable = func(string) bool { return false } })
		}, "P5: web-0 is stopped on a"},
		{"the cut has just come", func(c *course) {
			c.begin("b", "web-0", balance)
			c.ready("b", "web-0")
			c.Cut(c.now)
			c.stop("a", "web-0", func(s *Stop) { s.Reachable = func(string) bool { return false } })
		}, ""},

		{"an exclusive one runs twice", func(c *course) {
			c.begin("b", "web-0", func(x *Copy) { x.Exclusive = true })
			c.ready("b", "web-0")
		}, "P9: web-0 runs on a and is started on b"},
		{"an exclusive one runs after the other", func(c *course) {
			c.begin("b", "web-0", func(x *Copy) { x.Exclusive = true })
			c.Fails(c.now, "a", "web-0", "web-0.r", false)
			c.ready("b", "web-0")
		}, ""},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			c := newCourse()
			test.tell(c)
			got := ""
			if len(c.found) > 0 {
				got = c.found[0].String()
			}
			if len(c.found) > 1 || (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("found %v, want %q", c.found, test.want)
			}
		})
	}
}

func TestTally(t *testing.T) {
	c := newCourse()
	c.Mark(c.now)
	c.now += 50 * time.Second
	c.Fails(c.now, "a", "web-0", "web-0.r", false)
	c.begin("b", "web-0", func(*Copy) {})
	c.now += 10 * time.Second
	c.ready("b", "web-0")
	c.Gone(c.now, "a", "web-0", "web-0.r")
	c.begin("a", "web-0", balance)
	c.ready("a", "web-0")
	c.now += 40 * time.Second
	got := c.Tally(c.now, 10)
	if want := (Tally{Begun: 2, MostMoves: 2, Moved: "web-0", Up: 0.99, MostMoving: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestExplain(t *testing.T) {
	w := NewWatch()
	for _, c := range []struct{ peer, view, text, want string }{
		{"a", "v1", "p1 stays", ""},
		{"b", "v1", "p1 stays", ""},
		{"b", "v2", "p2 stays", ""},
		{"a", "v2", "p1 stays", "P14: b and a have equal views"},
		{"a", "v3", "", "P14: a has nothing to say of web-0"},
	} {
		found := w.Explain(c.peer, c.view, "web-0", c.text)
		if len(found) > 1 || (c.want == "") != (len(found) == 0) || len(found) == 1 && !strings.Contains(found[0].String(), c.want) {
			t.Errorf("%+v: found %v", c, found)
		}
	}
}
