package crdt

import (
	"fmt"
	"testing"
)

// cycle lets some authors, each with a set of its own, write in turns, and forgets after each round.
type cycle struct {
	authors []*author
	floors  []Seen
}

func newCycle(n int) *cycle {
	c := &cycle{}
	for i := range n {
		c.authors = append(c.authors, &author{id: PeerID(fmt.Sprintf("p%d", i)), set: NewSet()})
		c.authors[i].set.Sketch().Symbols(0, 1) // which must follow from now on
	}
	return c
}

// spread lets everybody hear everything.
func (c *cycle) spread() {
	for range 2 {
		for _, a := range c.authors {
			for _, b := range c.authors {
				for _, key := range b.set.Keys() {
					a.set.AddObject(key, b.set.Ops(key))
				}
			}
		}
	}
}

// floor agrees on one more floor.
func (c *cycle) floor() {
	c.spread()
	second := Seen{}
	for _, a := range c.authors {
		second[a.id] = a.last
	}
	first := Seen{}
	if n := len(c.floors); n > 0 {
		first = c.floors[n-1]
	}
	c.floors = append(c.floors, second)
	for _, a := range c.authors {
		a.set.Forget(first, second)
	}
}

// fresh is a set with the live objects of s, each made by one operation.
func fresh(s *Set) *Set {
	result := NewSet()
	for n, key := range s.Keys() {
		o, _ := s.Object(key)
		if !o.Live {
			continue
		}
		op := Op{Key: key, Stamp: Stamp{Time(n + 1), "fresh"}, Verb: Create}
		for _, f := range o.Fields {
			op.Changes = append(op.Changes, Change{f.Path, f.Value})
		}
		result.Add(hashed(op))
	}
	return result
}

// size counts what a set keeps: operations, changes in them, entries of version vectors.
func size(s *Set) (ops, changes, seen int) {
	for _, key := range s.Keys() {
		for _, op := range s.Ops(key) {
			ops++
			changes += len(op.Changes)
			seen += len(op.Seen)
		}
		seen += len(s.objects[key].late)
	}
	return ops, changes, seen
}

// check compares with a fresh set: at most 1.3 times as much, and beyond that so much for each object.
func (c *cycle) check(t *testing.T, moreOps, moreChanges int) {
	t.Helper()
	for _, a := range c.authors {
		want := fresh(a.set)
		ops, changes, seen := size(a.set)
		freshOps, freshChanges, _ := size(want)
		if ops > freshOps*13/10+moreOps*want.Len() || changes > freshChanges*13/10+moreChanges*want.Len() || seen > 4*ops {
			t.Errorf("%s keeps %d operations with %d changes and %d stamps seen; a fresh set %d with %d", a.id, ops, changes, seen, freshOps, freshChanges)
		}
		if a.set.Digest() != c.authors[0].set.Digest() || a.set.Forgettable() != 0 || a.set.audit() != "" {
			t.Errorf("%s differs, or has %d to forget: %s", a.id, a.set.Forgettable(), a.set.audit())
		}
		if len(a.set.watched) > 3*want.Len()+1 {
			t.Errorf("%s watches %d objects", a.id, len(a.set.watched))
		}
	}
}

func (a *author) at(key Key, verb Verb, changes ...Change) {
	seen := a.set.Seen(key)
	a.last++
	a.last = max(a.last, seen.Latest()+1)
	a.set.Add(hashed(Op{Key: key, Stamp: Stamp{a.last, a.id}, Seen: seen, Verb: verb, Changes: changes}))
}

func TestCreatingAndDeletingForEver(t *testing.T) {
	c := newCycle(3)
	stays := Key{"Deployment", "default", "stays"}
	c.authors[0].at(stays, Create, set("x", "1"))
	for round := range 60 {
		for i := range 5 {
			a := c.authors[(round+i)%3]
			key := Key{"Job", "default", fmt.Sprintf("run-%d-%d", round, i)}
			a.at(key, Create, set("image", "a"), set("command", "b"))
			c.spread()
			c.authors[(round+i+1)%3].at(key, Delete)
		}
		web := Key{"Deployment", "default", "web"} // always the same, and concurrently
		for _, a := range c.authors {
			if a.set.seenLive(web) {
				a.at(web, Delete)
			}
		}
		c.spread()
		c.authors[round%3].at(web, Create, set("image", fmt.Sprint(round)))
		c.floor()
	}
	c.floor()
	c.floor()
	c.check(t, 0, 0)
}

func (s *Set) seenLive(key Key) bool {
	o, _ := s.Object(key)
	return o.Live
}

// One variable is added and the one before removed, in one operation, for ever: writers carry what Carry says.
func TestAddingAndRemovingFieldsForEver(t *testing.T) {
	c := newCycle(3)
	for i := range 4 {
		key := Key{"Deployment", "default", fmt.Sprintf("web-%d", i)}
		c.authors[0].at(key, Create, set("env/first", "1"), set("image", "a"), set("replicas", "1"))
	}
	previous := "first"
	for round := range 40 {
		next := fmt.Sprintf("env-%03d", round)
		c.spread()
		for _, key := range c.authors[0].set.Keys() {
			a := c.authors[round%3]
			changes := []Change{{Path: Path("env/" + previous)}, set(Path("env/"+next), "1")}
			for _, p := range a.set.Carry(key, []Path{changes[0].Path, changes[1].Path}) {
				changes = append(changes, Change{Path: p})
			}
			a.at(key, Update, changes...)
			if o, _ := a.set.Object(key); len(o.Fields) != 3 {
				t.Fatalf("%s has %d fields after round %d", key, len(o.Fields), round)
			}
		}
		previous = next
		if round%4 == 3 {
			c.floor()
		}
	}
	c.floor()
	c.floor()
	c.check(t, 1, 6) // one operation beside the creation, with what it carries since the floor before
}

// Without Carry the first such operation would need the second, and so on: the test above can fail.
func TestWithoutCarryingOperationsAddUp(t *testing.T) {
	c := newCycle(1)
	a, key := c.authors[0], Key{"Deployment", "default", "web"}
	a.at(key, Create, set("env/0", "1"), set("image", "a"))
	for round := range 20 {
		a.at(key, Update, Change{Path: Path(fmt.Sprintf("env/%d", round))}, set(Path(fmt.Sprintf("env/%d", round+1)), "1"))
		c.floor()
	}
	if n := a.set.Count(); n < 15 {
		t.Errorf("%d operations stay", n)
	}
}

// Carrying deletes nothing that anybody sees.
func TestCarryLeavesConflictsAlone(t *testing.T) {
	a, b := two()
	a.write(Create, set("x", "1"), set("y", "1"))
	b.hear(a)
	a.write(Update, Change{Path: "x"})
	b.write(Update, set("x", "2"))
	a.hear(b)
	if carried := a.set.Carry(web, []Path{"y"}); carried != nil {
		t.Errorf("carries %v, which somebody set meanwhile", carried)
	}
	c := &author{id: "c", set: NewSet()}
	c.write(Create, set("x", "1"), set("y", "1"))
	c.write(Update, Change{Path: "x"})
	if carried := c.set.Carry(web, []Path{"y"}); len(carried) != 1 || carried[0] != "x" {
		t.Errorf("carries %v, want x", carried)
	}
	if carried := c.set.Carry(web, []Path{""}); carried != nil {
		t.Errorf("carries %v beside a write of everything", carried)
	}
}
