package crdt

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	testKeys  = []Key{{"Deployment", "default", "web"}, {"Namespace", "", "shop"}}
	testPaths = []Path{"a", "a/b", "a/b/c", "a/d", "a-b", "e", ""}
)

// replica is a Set beside all operations that it was ever given, directly or inside others.
type replica struct {
	id   PeerID
	set  *Set
	last Time
	all  map[Key]map[Stamp]Op
}

func newReplica(id PeerID) *replica {
	r := &replica{id: id, set: NewSet(), all: map[Key]map[Stamp]Op{}}
	for _, key := range testKeys {
		r.all[key] = map[Stamp]Op{}
	}
	return r
}

func (r *replica) String() string { return string(r.id) }

func (r *replica) model(key Key) model { return slices.Collect(maps.Values(r.all[key])) }

func (r *replica) check(t *rapid.T) {
	for _, key := range testKeys {
		m := r.model(key)
		if diff := cmp.Diff(m.retained(), r.set.Ops(key)); diff != "" {
			t.Fatalf("%s retains other operations of %s than the model (-model +set):\n%s", r.id, key, diff)
		}
		got, ok := r.set.Object(key)
		if ok != (len(m) > 0) {
			t.Fatalf("%s: Object(%s) is %v after %d operations", r.id, key, ok, len(m))
		}
		if diff := cmp.Diff(m.object(key), got); ok && diff != "" {
			t.Fatalf("%s merges %s otherwise than the model (-model +set):\n%s", r.id, key, diff)
		}
		checkNothingLost(t, m, got)
	}
}

// checkNothingLost is law 3, read from the merged object.
func checkNothingLost(t *rapid.T, m model, o Object) {
	shown := map[string]bool{}
	for _, f := range append(slices.Clone(o.Fields), o.Deleted...) {
		shown[fmt.Sprint(f.Writer, f.Path)] = true
		shown[fmt.Sprintf("%s=%q", f.Path, f.Value)] = true
		for _, rival := range f.Conflicts {
			shown[fmt.Sprint(rival.Writer, rival.Path)] = true
		}
	}
	for _, op := range m {
		for p, value := range modelChanges(op) {
			accounted := value == nil || m.overwritten(op, p) || m.hidden(op, p) ||
				shown[fmt.Sprint(op.Stamp, p)] || shown[fmt.Sprintf("%s=%q", p, value)]
			if !accounted {
				t.Fatalf("the write of %q at %q by %v disappeared", value, p, op.Stamp)
			}
		}
	}
}

// world is some replicas and every operation ever written.
type world struct {
	replicas []*replica
	ops      []Op
	touched  *replica // by the last step
}

func newWorld(n int) *world {
	w := &world{}
	for i := range n {
		w.replicas = append(w.replicas, newReplica(PeerID(fmt.Sprintf("p%d", i))))
	}
	return w
}

func (w *world) one(t *rapid.T) *replica {
	w.touched = rapid.SampledFrom(w.replicas).Draw(t, "replica")
	return w.touched
}

// write makes one operation, by a wall clock anywhere between 1969 and far ahead.
func (w *world) write(t *rapid.T) { w.writeAt(t, w.one(t)) }

func (w *world) writeAt(t *rapid.T, r *replica) {
	key := rapid.SampledFrom(testKeys).Draw(t, "key")
	seen := r.set.Seen(key)
	wall := time.UnixMilli(rapid.Int64Range(-1000, 50).Draw(t, "wall"))
	r.last = Next(r.last, seen, wall)
	op := Op{Key: key, Stamp: Stamp{r.last, r.id}, Seen: seen, Manager: "m" + string(r.id)}
	op.Verb = rapid.SampledFrom([]Verb{Update, Update, Update, Update, Create, Delete}).Draw(t, "verb")
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(testPaths), 1, 3, rapid.ID).Draw(t, "paths") {
		value := []byte(rapid.SampledFrom([]string{"1", "2", "3", ""}).Draw(t, "value"))
		if len(value) == 0 {
			value = nil
		}
		op.Changes = append(op.Changes, Change{p, value})
	}
	op = hashed(op)
	if result, delta := r.set.Add(op); result != Applied || len(delta.Added) != 1 {
		t.Fatalf("%s cannot take its own write: %v", r.id, result)
	}
	r.all[key][op.Stamp] = op
	w.ops = append(w.ops, op)
}

// deliver hands one operation to one replica, in any order and as often as it comes.
func (w *world) deliver(t *rapid.T) {
	if len(w.ops) == 0 {
		t.Skip("nothing written")
	}
	r, op := w.one(t), rapid.SampledFrom(w.ops).Draw(t, "op")
	all := r.all[op.Key]
	_, had := all[op.Stamp]
	complete := true
	for _, other := range w.ops {
		_, known := all[other.Stamp]
		complete = complete && (other.Key != op.Key || !modelSaw(op, other) || known)
	}
	before := r.set.Digest()
	result, delta := r.set.Add(op)
	switch {
	case had && result != Known && result != Obsolete:
		t.Fatalf("%s says %v to an operation that it has taken before", r.id, result)
	case !had && complete != (result == Applied), !had && !complete && result != Gap:
		t.Fatalf("%s says %v to a new operation, all seen by it known: %v", r.id, result, complete)
	case result == Applied:
		all[op.Stamp] = op
	case before != r.set.Digest() || delta.Added != nil || delta.Dropped != nil:
		t.Fatalf("%s changed although it said %v", r.id, result)
	}
}

// transfer hands one object of one replica to another.
func (w *world) transfer(t *rapid.T) {
	w.copyObject(t, w.one(t), w.one(t), rapid.SampledFrom(testKeys).Draw(t, "key"))
}

func (w *world) copyObject(t *rapid.T, from, to *replica, key Key) {
	before := to.set.Ops(key)
	delta := to.set.AddObject(key, from.set.Ops(key))
	maps.Copy(to.all[key], from.all[key])
	held := map[Stamp]bool{}
	for _, op := range before {
		held[op.Stamp] = true
	}
	for _, op := range delta.Added {
		held[op.Stamp] = true
	}
	for _, op := range delta.Dropped {
		if !held[op.Stamp] {
			t.Fatalf("dropped %v, which was not held", op.Stamp)
		}
		delete(held, op.Stamp)
	}
	if after := to.set.Ops(key); len(after) != len(held) {
		t.Fatalf("the delta leads to %d operations, the set holds %d", len(held), len(after))
	}
}

func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(3)
		t.Repeat(map[string]func(*rapid.T){
			"write":    w.write,
			"deliver":  w.deliver,
			"transfer": w.transfer,
			"": func(t *rapid.T) {
				if w.touched != nil {
					w.touched.check(t)
				}
			},
		})
		w.meet(t)
	})
}

// meet lets all replicas exchange everything, and checks that they agree.
func (w *world) meet(t *rapid.T) {
	for range 2 {
		for _, from := range w.replicas {
			for _, to := range w.replicas {
				for _, key := range testKeys {
					w.copyObject(t, from, to, key)
				}
			}
		}
	}
	for _, r := range w.replicas {
		r.check(t)
		if r.set.Digest() != w.replicas[0].set.Digest() {
			t.Fatal("replicas that hold the same writes have different digests")
		}
	}
}

func setOf(sets ...*Set) *Set {
	result := NewSet()
	for _, s := range sets {
		for _, key := range s.Keys() {
			result.AddObject(key, s.Ops(key))
		}
	}
	return result
}

func TestMergeIsCommutativeAssociativeIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(3)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			if len(w.ops) == 0 || rapid.Bool().Draw(t, "write") {
				w.write(t)
			} else {
				w.transfer(t)
			}
		}
		a, b, c := w.replicas[0].set, w.replicas[1].set, w.replicas[2].set
		want := setOf(a, b, c).Digest()
		for name, other := range map[string]*Set{
			"commutative": setOf(c, b, a),
			"associative": setOf(a, setOf(b, c)),
			"idempotent":  setOf(a, b, c, a, c, b, setOf(a, b, c)),
		} {
			if other.Digest() != want {
				t.Fatalf("merging is not %s", name)
			}
		}
	})
}

func TestLoadTakesAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(2)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			w.write(t)
		}
		w.meet(t)
		set := w.replicas[0].set
		var ops []Op
		for _, key := range set.Keys() {
			ops = append(ops, set.Ops(key)...)
		}
		loaded := NewSet()
		superfluous := loaded.Load(rapid.Permutation(ops).Draw(t, "order"))
		if loaded.Digest() != set.Digest() || len(superfluous) != 0 {
			t.Fatal("a set that was stored and loaded differs")
		}
		for _, key := range testKeys {
			if diff := cmp.Diff(set.Seen(key), loaded.Seen(key)); diff != "" {
				t.Fatalf("seen differs after loading:\n%s", diff)
			}
		}
	})
}

// Writers that lie about what they saw may spoil their objects, but not keep peers apart for ever.
func TestLiarsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, key := NewSet(), NewSet(), testKeys[0]
		for range rapid.IntRange(1, 30).Draw(t, "ops") {
			op := Op{Key: key, Verb: rapid.SampledFrom([]Verb{Update, Create, Delete}).Draw(t, "verb"), Seen: Seen{}}
			op.Stamp = Stamp{Time(rapid.IntRange(5, 9).Draw(t, "time")), PeerID(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "writer"))}
			op.Seen[PeerID(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "saw"))] = Time(rapid.IntRange(0, 4).Draw(t, "seen"))
			op.Seen["z"] = Time(rapid.IntRange(0, int(op.Stamp.Time)-1).Draw(t, "seen z"))
			op.Changes = []Change{{rapid.SampledFrom(testPaths).Draw(t, "path"), []byte("1")}}
			rapid.SampledFrom([]*Set{a, b}).Draw(t, "set").AddObject(key, []Op{hashed(op)})
		}
		for range 3 {
			b.AddObject(key, a.Ops(key))
			a.AddObject(key, b.Ops(key))
		}
		if a.Digest() != b.Digest() {
			t.Fatalf("sets that exchanged everything differ:\n%v\n%v", a.Ops(key), b.Ops(key))
		}
	})
}
