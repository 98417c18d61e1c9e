package crdt

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everything returns floors that cover all that s has heard.
func everything(s *Set) (first, second Seen) { return s.Heard(), s.Heard() }

func forgetAll(sets ...*Set) {
	all := Seen{}
	for _, s := range sets {
		for writer, at := range s.Heard() {
			all.raise(writer, at)
		}
	}
	for _, s := range sets {
		s.Forget(all, all)
	}
}

func TestADeletedObjectLeavesNothing(t *testing.T) {
	a, b := two()
	old := a.write(Create, set("x", "1"))
	a.write(Update, set("x", "2"))
	a.write(Delete)
	b.hear(a)
	if a.set.Forgettable() != 1 {
		t.Errorf("%d to forget", a.set.Forgettable())
	}
	forgetAll(a.set, b.set)
	if a.set.Count() != 0 || a.set.Len() != 0 || len(a.set.Keys()) != 0 || a.set.Digest() != ([32]byte{}) || a.set.Forgettable() != 0 {
		t.Errorf("after forgetting: %d operations on %d objects", a.set.Count(), a.set.Len())
	}
	if result, _ := a.set.Add(old); result != Forgotten {
		t.Errorf("the creation comes again: %v", result)
	}
	delta := a.set.AddObject(web, []Op{old})
	if len(delta.Added) != 0 || len(delta.Refused) != 1 || delta.Refused[0].Reason != Forgotten {
		t.Errorf("the creation comes again within its object: %+v", delta)
	}
	again := a.write(Create, set("x", "3"))
	if result, _ := b.set.Add(again); result != Applied || fields(b.set)["x"] != "3" {
		t.Errorf("creating anew: %v, %v", result, fields(b.set))
	}
}

// A deletion is forgotten only when the first floor covers it and all that it had seen.
func TestTheFirstFloorDecides(t *testing.T) {
	for _, c := range []struct {
		first Seen
		left  int
	}{{Seen{}, 1}, {Seen{"a": 9}, 1}, {Seen{"b": 9}, 1}, {Seen{"a": 1, "b": 1}, 1}, {Seen{"a": 1, "b": 2}, 0}} {
		a, b := two()
		a.write(Create, set("x", "1"))
		b.hear(a)
		b.write(Delete)
		b.set.Forget(c.first, Seen{"a": 9, "b": 9})
		if b.set.Count() != c.left {
			t.Errorf("with a first floor of %v %d operations stay, want %d", c.first, b.set.Count(), c.left)
		}
	}
}

func TestADeletionInConflictStays(t *testing.T) {
	a, b := two()
	a.write(Create, set("x", "1"), set("y", "1"))
	b.hear(a)
	a.write(Update, set("x", "2"))
	b.write(Update, Change{Path: "x"})
	a.hear(b)
	b.hear(a)
	before, _ := a.set.Object(web)
	forgetAll(a.set, b.set)
	after, _ := a.set.Object(web)
	if diff := cmp.Diff(before, after, shown...); diff != "" || len(after.Deleted)+len(after.Fields[0].Conflicts) == 0 {
		t.Errorf("forgetting changed a conflict: %s", diff)
	}
	a.write(Update, set("x", "3"))
	b.hear(a)
	forgetAll(a.set, b.set)
	if a.set.Count() != 2 || a.set.Forgettable() != 0 || a.set.Digest() != b.set.Digest() {
		t.Errorf("after the conflict is resolved %d operations stay", a.set.Count())
	}
}

// The deletion of a field stays while the operation that set the field does.
func TestADeletionKeepsAValueFromLivingAgain(t *testing.T) {
	a, b := two()
	a.write(Create, set("x", "1"), set("y", "1"))
	a.write(Update, Change{Path: "x"})
	forgetAll(a.set)
	b.hear(a)
	if diff := cmp.Diff(map[Path]string{"y": "1"}, fields(b.set)); diff != "" {
		t.Error(diff)
	}
	a.write(Delete)
	forgetAll(a.set)
	if a.set.Count() != 0 {
		t.Errorf("%d operations stay", a.set.Count())
	}
}

// A write after forgetting is no conflict with the deletion on a peer that has not forgotten yet.
func TestAWriteAfterForgettingHasSeenTheDeletion(t *testing.T) {
	a, b := two()
	a.write(Create, set("x", "1"))
	a.write(Update, set("y", "1"))
	a.write(Update, Change{Path: "y"})
	b.hear(a)
	a.set.Forget(everything(a.set))
	if a.set.Count() != 1 || b.set.Count() != 2 {
		t.Fatalf("a holds %d operations, b %d", a.set.Count(), b.set.Count())
	}
	a.write(Update, set("y", "4"))
	b.hear(a)
	if o, _ := b.set.Object(web); b.set.Count() != 2 || len(o.Fields) != 2 || len(o.Fields[1].Conflicts) != 0 {
		t.Errorf("b sees %+v", o)
	}
}

// A deletion below another hides it, and with it the other's conflict: also after forgetting.
func TestADeletionThatHidesAConflictStays(t *testing.T) {
	a, b := two()
	a.write(Create, set("image", "1"))
	b.hear(a)
	a.write(Update, Change{Path: "env"})
	b.write(Update, set("env/c", "1"))
	a.write(Update, Change{Path: "env/b"})
	a.hear(b)
	before, _ := a.set.Object(web)
	forgetAll(a.set)
	after, _ := a.set.Object(web)
	if diff := cmp.Diff(before, after, shown...); diff != "" {
		t.Error(diff)
	}
}

// One pass lets go what was needed only by what goes in the same pass.
func TestDeletionsGoTogether(t *testing.T) {
	a, _ := two()
	a.write(Create, set("image", "1"))
	a.write(Update, set("x", "1"), Change{Path: "y"})
	a.write(Update, Change{Path: "x"}, Change{Path: "z"})
	if a.set.Count() != 3 || a.set.Forgettable() != 2 {
		t.Fatalf("%d operations, %d to forget", a.set.Count(), a.set.Forgettable())
	}
	if forgetAll(a.set); a.set.Count() != 1 {
		t.Errorf("%d operations stay", a.set.Count())
	}
}

// The same after a restart, which forgets what had been seen: then the peers differ until the floor comes, and not after.
func TestAWriteAfterForgettingAndARestart(t *testing.T) {
	a, b := two()
	a.write(Create, set("x", "1"))
	b.hear(a)
	b.write(Update, Change{Path: "y"})
	a.hear(b)
	first, second := everything(a.set)
	a.set.Forget(first, second)
	stored := a.set.Ops(web)
	a.set = NewSet()
	a.set.Load(stored)
	a.set.Forget(first, second)
	a.write(Update, set("y", "4"))
	b.hear(a)
	b.set.Forget(first, second)
	if diff := cmp.Diff(a.set.Ops(web), b.set.Ops(web)); diff != "" {
		t.Error(diff)
	}
}

func TestVersionVectorsShrink(t *testing.T) {
	set1 := NewSet()
	for n := range 50 {
		writer := author{id: PeerID(fmt.Sprintf("w%02d", n)), set: set1}
		verb := Update
		if n == 0 {
			verb = Create
		}
		writer.write(verb, set("x", fmt.Sprint(n)))
	}
	if n := len(set1.Seen(web)); n != 50 {
		t.Fatalf("a vector of %d", n)
	}
	set1.Forget(everything(set1))
	if diff := cmp.Diff(Seen{"w00": 1, "w49": 50}, set1.Seen(web)); diff != "" {
		t.Error(diff)
	}
	late := author{id: "late", set: set1}
	if late.write(Update, set("x", "new")); set1.Count() != 2 {
		t.Errorf("%d operations after another write", set1.Count())
	}
}

func TestGapsBelowTheFloorAreNone(t *testing.T) {
	a, b := two()
	a.write(Create, set("x", "1"))
	a.write(Update, Change{Path: "z"})
	b.hear(a)
	b.set.Forget(everything(a.set))
	stored, floor := b.set.Ops(web), b.set.Heard()
	b.set = NewSet()
	b.set.Load(stored)
	next := a.write(Update, set("x", "2")) // has seen the deletion, which b does not know any more
	if result, _ := b.set.Add(next); result != Gap {
		t.Errorf("without floors: %v", result)
	}
	b.set.Forget(floor, floor)
	if result, _ := b.set.Add(next); result != Applied {
		t.Errorf("with floors: %v", result)
	}
}

func TestFloorsOnlyRise(t *testing.T) {
	s := NewSet()
	s.Forget(Seen{"a": 5}, Seen{"a": 9, "b": 3})
	s.Forget(Seen{"a": 4, "b": 2}, Seen{"a": 1})
	first, second := s.Floor()
	if diff := cmp.Diff(Seen{"a": 5, "b": 2}, first) + cmp.Diff(Seen{"a": 9, "b": 3}, second); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(second, s.Heard()); diff != "" {
		t.Error(diff)
	}
}

func TestBelowFollowsTheSet(t *testing.T) {
	a, _ := two()
	a.write(Create, set("x", "1"))
	mark := a.set.Seen(web)
	if len(a.set.AtOrBelow(mark)) != 1 {
		t.Fatal("the creation is not below the mark")
	}
	before := a.set.Below(mark)
	a.write(Update, set("y", "1"))
	if a.set.Below(mark) != before {
		t.Error("a later write changes what is below the mark")
	}
	fresh := NewSet()
	fresh.Load(a.set.Ops(web))
	if fresh.Below(mark) != before || fresh.Below(a.set.Seen(web)) == before {
		t.Error("the digest depends on more than what is below the mark")
	}
	a.write(Delete)
	if a.set.Below(mark) == before || len(a.set.AtOrBelow(mark)) != 0 {
		t.Error("the digest does not change with what is below the mark")
	}
	if a.set.Below(nil) != ([32]byte{}) || a.set.pending != nil {
		t.Error("an empty mark does not end it")
	}
}

func TestTrialChangesNothing(t *testing.T) {
	a, _ := two()
	a.write(Create, set("x", "1"))
	before, seen := a.set.Digest(), a.set.Seen(web)
	op := hashed(Op{Key: web, Stamp: Stamp{9, "b"}, Seen: seen, Changes: []Change{set("x", "2")}})
	o, ok := a.set.Trial(op)
	if !ok || string(o.Fields[0].Value) != "2" || o.Fields[0].Conflicts != nil {
		t.Errorf("the trial shows %+v", o)
	}
	if a.set.Digest() != before || fields(a.set)["x"] != "1" || a.set.audit() != "" {
		t.Error("the trial changed the set")
	}
	if _, ok := a.set.Trial(Op{Key: Key{Kind: "X", Name: "y"}}); ok {
		t.Error("an invalid operation makes an object")
	}
}

func TestAbandon(t *testing.T) {
	a, b := two()
	a.write(Create, set("x", "1"), set("y", "1"))
	b.hear(a)
	over := b.write(Update, set("x", "2"))
	b.set.Forget(everything(b.set))
	delta := b.set.Abandon([]OpID{over.ID(), {1, 2, 3}, over.ID()})
	if len(delta.Dropped) != 1 || b.set.Digest() != a.set.Digest() || fields(b.set)["x"] != "1" {
		t.Errorf("after abandoning: %v, %+v", fields(b.set), delta)
	}
	if first, second := b.set.Floor(); len(first)+len(second) != 0 {
		t.Error("the floors stay")
	}
}

// Two operations with one stamp: the lower hash stays, whichever comes first.
func TestContradictions(t *testing.T) {
	one := hashed(Op{Key: web, Stamp: Stamp{5, "a"}, Verb: Create, Changes: []Change{set("x", "1")}})
	two := hashed(Op{Key: web, Stamp: Stamp{5, "a"}, Verb: Create, Changes: []Change{set("y", "2")}})
	if string(one.Hash[:]) > string(two.Hash[:]) {
		one, two = two, one
	}
	s := NewSet()
	s.Add(one)
	if result, delta := s.Add(two); result != Contradicted || delta.Added != nil {
		t.Errorf("the higher hash second: %v", result)
	}
	if delta := s.AddObject(web, []Op{two}); len(delta.Refused) != 1 || delta.Refused[0].Reason != Contradicted {
		t.Errorf("the higher hash in its object: %+v", delta)
	}
	r := NewSet()
	r.Add(two)
	result, delta := r.Add(one)
	if result != Applied || len(delta.Dropped) != 1 || delta.Dropped[0].ID() != two.ID() {
		t.Errorf("the lower hash second: %v %+v", result, delta)
	}
	if r.Digest() != s.Digest() || r.audit() != "" || r.Count() != 1 {
		t.Error("the order matters")
	}
}
