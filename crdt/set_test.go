package crdt

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var web = Key{"Deployment", "default", "web"}

// author writes to its own set, as a peer does.
type author struct {
	id   PeerID
	set  *Set
	last Time
}

func (a *author) write(verb Verb, changes ...Change) Op {
	seen := a.set.Seen(web)
	a.last = Next(a.last, seen, time.UnixMilli(0))
	op := hashed(Op{Key: web, Stamp: Stamp{a.last, a.id}, Seen: seen, Verb: verb, Changes: changes})
	a.set.Add(op)
	return op
}

func (a *author) hear(b *author) { a.set.AddObject(web, b.set.Ops(web)) }

func set(p Path, value string) Change { return Change{p, []byte(value)} }

func fields(s *Set) map[Path]string {
	o, _ := s.Object(web)
	result := map[Path]string{}
	for _, f := range o.Fields {
		result[f.Path] = string(f.Value)
	}
	return result
}

func two() (a, b *author) {
	return &author{id: "a", set: NewSet()}, &author{id: "b", set: NewSet()}
}

// TestDeletionsAreNotInEachOthersWay: who deletes a field does not keep the deletion, by another, of all around it from being listed or from
// winning, or that would change as soon as the smaller deletion is forgotten.
func TestDeletionsAreNotInEachOthersWay(t *testing.T) {
	for _, ids := range [][2]PeerID{{"a", "b"}, {"b", "a"}} {
		one, all := &author{id: ids[0], set: NewSet()}, &author{id: ids[1], set: NewSet()}
		all.write(Update, Change{Path: "spec"})
		one.write(Create, set("spec/replicas", "6"), set("spec/env", "x"))
		one.write(Update, set("spec/image", "y"))
		one.write(Update, Change{Path: "spec/image"})
		one.hear(all)
		before, _ := one.set.Object(web)
		rivals := 0
		for _, f := range append(slices.Clone(before.Fields), before.Deleted...) {
			rivals += len(f.Conflicts)
		}
		if want := 1 + len(before.Deleted); rivals != want {
			t.Errorf("%d rivals, want %d: %v", rivals, want, before)
		}
		count := one.set.Count()
		forgetAll(one.set)
		after, _ := one.set.Object(web)
		if diff := cmp.Diff(before, after, shown...); diff != "" || one.set.Count() == count {
			t.Errorf("forgetting %d operations changed what is shown (-before +after):\n%s", count-one.set.Count(), diff)
		}
	}
}

func TestWritesToDifferentFieldsBothHold(t *testing.T) {
	a, b := two()
	a.write(Create, set("spec/replicas", "6"), set("spec/env", `"x"`))
	b.hear(a)
	a.write(Update, set("spec/replicas", "8"))
	b.write(Update, set("spec/env", `"y"`))
	a.hear(b)
	if diff := cmp.Diff(map[Path]string{"spec/replicas": "8", "spec/env": `"y"`}, fields(a.set)); diff != "" {
		t.Error(diff)
	}
}

func TestConflictStaysUntilSomeoneWhoSawItWrites(t *testing.T) {
	a, b := two()
	a.write(Create, set("spec/replicas", "6"))
	b.hear(a)
	a.write(Update, set("spec/replicas", "8"))
	b.write(Update, set("spec/replicas", "9"))
	a.hear(b)
	o, _ := a.set.Object(web)
	want := []Rival{{Path: "spec/replicas", Value: []byte("8"), Writer: Stamp{2, "a"}}}
	if diff := cmp.Diff(want, o.Fields[0].Conflicts); diff != "" {
		t.Error(diff)
	}
	a.write(Update, set("spec/replicas", "8"))
	if o, _ = a.set.Object(web); o.Fields[0].Conflicts != nil || string(o.Fields[0].Value) != "8" {
		t.Errorf("after resolving: %+v", o.Fields[0])
	}
}

func TestADeletionThatWonShowsWhatItBeat(t *testing.T) {
	a, b := two()
	a.write(Create, set("x", "1"))
	b.hear(a)
	a.write(Update, set("x", "2"))
	b.write(Update, Change{Path: "x"})
	a.hear(b)
	o, _ := a.set.Object(web)
	if len(o.Fields) != 0 || len(o.Deleted) != 1 || string(o.Deleted[0].Conflicts[0].Value) != "2" {
		t.Errorf("got %+v", o)
	}
}

func TestDeadStayDead(t *testing.T) {
	a, b := two()
	first := a.write(Create, set("x", "1"))
	second := a.write(Update, set("x", "2"))
	b.hear(a)
	b.write(Delete)
	for _, op := range []Op{first, second} {
		if result, _ := b.set.Add(op); result != Obsolete {
			t.Errorf("an operation from before the deletion is %v", result)
		}
	}
	b.write(Create, set("y", "1"))
	for range 2 {
		b.hear(a)
		a.hear(b)
	}
	if diff := cmp.Diff(map[Path]string{"y": "1"}, fields(a.set)); diff != "" {
		t.Error(diff)
	}
	if got := len(a.set.Ops(web)); got != 1 {
		t.Errorf("%d operations retained; the new life needs one", got)
	}
}

func TestNewLifeStartsWithoutWhatDeleterMissed(t *testing.T) {
	a, b := two()
	a.write(Create, set("x", "1"))
	b.hear(a)
	a.write(Delete)
	b.write(Update, set("y", "1"))
	a.hear(b)
	if o, _ := a.set.Object(web); o.Live || len(o.Fields) != 1 {
		t.Errorf("deleted while another wrote: %+v", o)
	}
	a.write(Create, set("x", "2"))
	if diff := cmp.Diff(map[Path]string{"x": "2"}, fields(a.set)); diff != "" {
		t.Error(diff)
	}
}

func TestClockFarAheadDoesNotBeatCausality(t *testing.T) {
	a, b := two()
	a.last = Time(time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()) << 16
	a.write(Create, set("x", "1"))
	b.hear(a)
	b.write(Update, set("x", "2"))
	a.hear(b)
	if got := fields(a.set)["x"]; got != "2" {
		t.Errorf("x is %s; the later writer had seen the earlier", got)
	}
}

func TestUpdatesDoNotPileUp(t *testing.T) {
	a, _ := two()
	a.write(Create, set("x", "0"), set("y", "0"))
	for i := range 100 {
		a.write(Update, set("x", fmt.Sprint(i)), set("y", "1"))
	}
	if got := len(a.set.Ops(web)); got != 2 {
		t.Errorf("%d operations retained; the Create and the last update are enough", got)
	}
}

func TestNext(t *testing.T) {
	ms := func(n int64) time.Time { return time.UnixMilli(n) }
	for _, test := range []struct {
		name string
		last Time
		seen Seen
		wall time.Time
		want Time
	}{
		{"wall is ahead", 1, Seen{"a": 2}, ms(5), 5 << 16},
		{"own stamp is ahead", 6 << 16, nil, ms(5), 6<<16 + 1},
		{"others are ahead", 1, Seen{"a": 7 << 16, "b": 3}, ms(5), 7<<16 + 1},
		{"before 1970", 0, nil, ms(-5), 1},
		{"beyond what a Time can hold", 3, nil, ms(1 << 48), 4},
		{"the end of time", math.MaxUint64, nil, ms(5), math.MaxUint64},
	} {
		if got := Next(test.last, test.seen, test.wall); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	if got := Time(5 << 16).Wall(); !got.Equal(ms(5)) {
		t.Errorf("Wall is %v", got)
	}
}

func TestInvalidOperationsChangeNothing(t *testing.T) {
	good := Op{Key: web, Stamp: Stamp{5, "a"}, Changes: []Change{set("x", "1")}}
	for name, spoil := range map[string]func(*Op){
		"no kind":           func(o *Op) { o.Key.Kind = "" },
		"no name":           func(o *Op) { o.Key.Name = "" },
		"no writer":         func(o *Op) { o.Stamp.Writer = "" },
		"no time":           func(o *Op) { o.Stamp.Time = 0 },
		"unknown verb":      func(o *Op) { o.Verb = 3 },
		"no change":         func(o *Op) { o.Changes = nil },
		"saw itself":        func(o *Op) { o.Seen = Seen{"a": 5} },
		"saw what is later": func(o *Op) { o.Seen = Seen{"b": 6} },
	} {
		op := good
		spoil(&op)
		s := NewSet()
		if result, _ := s.Add(op); result != Invalid {
			t.Errorf("%s: %v", name, result)
		}
		if s.AddObject(op.Key, []Op{op}); s.Len() != 0 {
			t.Errorf("%s: AddObject took it", name)
		}
	}
	if result, _ := NewSet().Add(good); result != Applied {
		t.Errorf("the good one: %v", result)
	}
}

// deployment is an object of ordinary size: 24 fields.
func deployment(i int) Op {
	op := Op{Key: Key{"Deployment", "default", fmt.Sprintf("web-%d", i)}, Stamp: Stamp{Time(i + 1), "p1"}, Verb: Create}
	for n := range 24 {
		op.Changes = append(op.Changes, Change{Path(fmt.Sprintf("spec/template/spec/containers/name=web/field%02d", n)), []byte(`"some value"`)})
	}
	return hashed(op)
}

func filled(n int) *Set {
	s := NewSet()
	for i := range n {
		s.Add(deployment(i))
	}
	return s
}

func TestWhatCameAndWentIsInNoDelta(t *testing.T) {
	op := func(at Time, writer PeerID, seen Seen, paths ...Path) Op {
		op := Op{Key: web, Stamp: Stamp{at, writer}, Seen: seen}
		for _, p := range paths {
			op.Changes = append(op.Changes, set(p, "1"))
		}
		return hashed(op)
	}
	both := op(1, "a", nil, "x", "y")
	overX := op(2, "b", Seen{"a": 1}, "x")
	overY := op(3, "c", Seen{"a": 1}, "y")
	s := NewSet()
	s.AddObject(web, []Op{overX})
	delta := s.AddObject(web, []Op{overY, both})
	if len(delta.Added) != 1 || delta.Added[0].Stamp != overY.Stamp || delta.Dropped != nil {
		t.Errorf("the delta is %+v", delta)
	}
	if result, _ := s.Add(both); result != Obsolete || len(s.Ops(web)) != 2 {
		t.Errorf("an operation overwritten by two others is %v", result)
	}
}
