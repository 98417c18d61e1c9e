package crdt

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// someID returns one of many IDs, some of which share long beginnings.
func someID(n int) OpID {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	id := OpID(sum[:16])
	if n%3 == 0 {
		copy(id[:n%15], make([]byte, 15))
	}
	return id
}

// The shape of an index, and so its digest, depends on what is in it alone.
func TestIndexDigestDependsOnContentAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		model := map[OpID]*entry{}
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			id := someID(rapid.IntRange(0, 150).Draw(t, "id"))
			if model[id] != nil {
				delete(model, id)
				x.drop(id)
			} else {
				model[id] = &entry{}
				x.put(id, model[id])
			}
			if rapid.IntRange(0, 9).Draw(t, "ask") == 0 {
				x.sum()
			}
		}
		var fresh index
		for id, e := range model {
			fresh.put(id, e)
			if x.get(id) != e {
				t.Fatalf("%x is not found", id)
			}
		}
		if x.sum() != fresh.sum() || int(x.root.count) != len(model) {
			t.Fatalf("the digest depends on history; %d entries, want %d", x.root.count, len(model))
		}
		if unknown := someID(1000); x.get(unknown) != nil {
			t.Fatal("an unknown entry is found")
		}
		checkPrefixes(t, &x, model)
	})
}

func checkPrefixes(t *rapid.T, x *index, model map[OpID]*entry) {
	bits := rapid.IntRange(0, 16).Draw(t, "bits")
	first := rapid.IntRange(0, 1<<bits-1).Draw(t, "first")
	has := func(id OpID) bool { return int(binary.BigEndian.Uint16(id[:]))>>(16-bits) == first }
	found := map[OpID]bool{}
	x.prefix(bits, first, func(s slot) bool {
		if found[s.id] {
			t.Fatalf("%x came twice", s.id)
		}
		found[s.id] = true
		return true
	})
	for id := range model {
		if has(id) && !found[id] {
			t.Fatalf("%x is missing among those that begin with the %d bits of %d", id, bits, first)
		}
	}
}

func TestIndexDigestTellsSetsApart(t *testing.T) {
	seen := map[[32]byte]int{}
	var x index
	for n := range 200 {
		if before, ok := seen[x.sum()]; ok {
			t.Fatalf("sets of %d and %d have one digest", before, n)
		}
		seen[x.sum()] = n
		x.put(someID(n), &entry{})
	}
	if (&index{}).sum() != ([32]byte{}) {
		t.Error("the digest of nothing is not zero")
	}
}

func TestPagesGoThroughAllKeys(t *testing.T) {
	s := filled(700)
	s.Forget(Seen{"p1": 1 << 30}, Seen{"p1": 1 << 30})
	var paged []Key
	for at, more := (Key{}), true; more; {
		page := s.KeysAfter(at, 64)
		if more = len(page) > 0; more {
			paged, at = append(paged, page...), page[len(page)-1]
		}
	}
	inOrder := slices.IsSortedFunc(paged, func(a, b Key) int {
		if x, y := a.Bucket(), b.Bucket(); x != y {
			return int(x) - int(y)
		}
		return a.Compare(b)
	})
	if !inOrder {
		t.Error("pages are not in the order of bucket and key")
	}
	slices.SortFunc(paged, Key.Compare)
	if diff := cmp.Diff(s.Keys(), paged); diff != "" {
		t.Error(diff)
	}
	if got := s.KeysAfter(Key{}, 0); len(got) != 0 {
		t.Errorf("a page of none has %d", len(got))
	}
}

// A page begins after a key also when that object is gone.
func TestAPageAfterAnObjectThatIsGone(t *testing.T) {
	s := filled(50)
	order := s.KeysAfter(Key{}, 50)
	gone := s.Ops(order[20])[0]
	s.Abandon([]OpID{gone.ID()})
	if got := s.KeysAfter(order[20], 3); !cmp.Equal(got, order[21:24]) {
		t.Errorf("after an object that is gone: %v, want %v", got, order[21:24])
	}
	if len(s.KeysAfter(order[49], 3)) != 0 {
		t.Error("something follows the last")
	}
}

// What the set says about its operations as a whole is what a walk through its objects says.
func (s *Set) audit() string {
	ids := map[OpID]bool{}
	for _, key := range s.Keys() {
		for _, op := range s.Ops(key) {
			ids[op.ID()] = true
			if held, ok := s.Op(op.ID()); !ok || held.Stamp != op.Stamp {
				return "an operation is not found by its ID"
			}
		}
	}
	inSketch := s.Sketch().Symbols(0, 1)[0]
	var sum OpID
	for id := range ids {
		for i := range sum {
			sum[i] ^= id[i]
		}
	}
	switch {
	case s.Count() != len(ids):
		return "Count is wrong"
	case OpID(inSketch.ID) != sum || inSketch.Count != int64(len(ids)):
		return "the sketch is of another set"
	case s.Len() != len(slices.Collect(maps.Keys(s.objects))):
		return "Len is wrong"
	}
	return ""
}
