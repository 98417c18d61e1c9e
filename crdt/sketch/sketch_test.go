package sketch

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// number stands in for the hash of an operation.
func number(n int) ID {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	return ID(sum[:16])
}

// set is elements beside their sketch.
type set struct {
	ids    map[ID]bool
	sketch *Sketch
}

func newSet(from, to int) *set {
	s := &set{ids: make(map[ID]bool, to-from)}
	for n := from; n < to; n++ {
		s.ids[number(n)] = true
	}
	s.sketch = s.again()
	return s
}

// again returns a new sketch of the set as it is.
func (s *set) again() *Sketch {
	return New(func(_ Part, yield func(ID) bool) {
		for id := range s.ids {
			if !yield(id) {
				return
			}
		}
	})
}

func (s *set) add(n int) {
	s.ids[number(n)] = true
	s.sketch.Add(number(n))
}

func (s *set) remove(n int) {
	delete(s.ids, number(n))
	s.sketch.Remove(number(n))
}

// minus returns what s has and other has not, sorted.
func (s *set) minus(other *set) []ID {
	only := slices.Collect(maps.Keys(s.ids))
	return sorted(slices.DeleteFunc(only, func(id ID) bool { return other.ids[id] }))
}

func sorted(ids []ID) []ID {
	slices.SortFunc(ids, func(a, b ID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

func TestSipHashOfItsAuthors(t *testing.T) {
	var id ID
	for i := range id {
		id[i] = byte(i)
	}
	if got := sipHash(0x0706050403020100, 0x0f0e0d0c0b0a0908, id); got != 0x3f2acc7f57c29bdb {
		t.Errorf("got %#x", got)
	}
}

// What peers of all versions and machines must agree on.
func TestTheMappingStaysAsItIs(t *testing.T) {
	var got []uint64
	for w := walkOf(number(1)); len(got) < 8; w.next() {
		got = append(got, w.index)
	}
	if diff := cmp.Diff(goldenWalk, got); diff != "" {
		t.Error(diff)
	}
	if got := checkOf(number(1)); got != goldenCheck {
		t.Errorf("the check of an element is %#x", got)
	}
}

func TestDensityOfTheMapping(t *testing.T) {
	const elements = 20_000
	hits := make([]int, 200)
	for n := range elements {
		for w := walkOf(number(n)); w.index < uint64(len(hits)); w.next() {
			hits[w.index]++
		}
	}
	if hits[0] != elements {
		t.Errorf("symbol 0 holds %d of %d", hits[0], elements)
	}
	for i, got := range hits[1:] {
		i++
		p, of := hitRate(i)
		want := elements * int(p) / int(of)
		if off := got - want; off*off > 25*want {
			t.Errorf("symbol %d holds %d of %d elements, want about %d", i, got, elements, want)
		}
	}
}

func TestAWalkRisesAndEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		steps := 0
		for w := walkOf(id); w.index < MaxSymbols; steps++ {
			before := w.index
			if w.next(); w.index <= before {
				t.Fatalf("from %d to %d", before, w.index)
			}
		}
		if steps > 200 {
			t.Fatalf("%d steps", steps)
		}
	})
}

// However a sketch came to its set, and whenever it was asked, its symbols are those of the set.
func TestSymbolsFollowTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSet(0, rapid.IntRange(0, 300).Draw(t, "begin"))
		kept := map[uint64]map[ID]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				n := rapid.IntRange(0, 400).Draw(t, "element")
				if s.ids[number(n)] {
					s.remove(n)
				} else {
					s.add(n)
				}
			},
			"ask": func(t *rapid.T) {
				to := rapid.IntRange(1, 200).Draw(t, "to")
				from := rapid.IntRange(0, to).Draw(t, "from")
				if diff := cmp.Diff(s.again().Symbols(from, to), s.sketch.Symbols(from, to)); diff != "" {
					t.Fatal(diff)
				}
				kept[s.sketch.Version()] = maps.Clone(s.ids)
			},
			"ask of the past": func(t *rapid.T) {
				for version, ids := range kept {
					part := Part{Bits: rapid.IntRange(0, 3).Draw(t, "bits")}
					part.Index = rapid.IntRange(0, 1<<part.Bits-1).Draw(t, "index")
					then := &set{ids: map[ID]bool{}}
					for id := range ids {
						if part.Has(id) {
							then.ids[id] = true
						}
					}
					got, ok := s.sketch.SymbolsAt(part, version, 0, 50)
					if diff := cmp.Diff(then.again().Symbols(0, 50), got); ok && diff != "" {
						t.Fatal(diff)
					}
					if back := s.sketch.Version() - version; !ok && back <= minRecord {
						t.Fatalf("version %d is forgotten after %d changes", version, back)
					}
				}
			},
		})
		if s.sketch.Count() != len(s.ids) {
			t.Fatalf("%d elements, counted %d", len(s.ids), s.sketch.Count())
		}
	})
}

func TestAVersionOfAnotherTime(t *testing.T) {
	s := newSet(0, 10)
	s.sketch.Symbols(0, 1)
	for n := range 1000 {
		s.add(100 + n)
	}
	for _, version := range []uint64{0, 1, s.sketch.Version() + 1, 1 << 63} {
		if _, ok := s.sketch.SymbolsAt(Part{}, version, 0, 1); ok {
			t.Errorf("version %d is known", version)
		}
	}
	if len(s.sketch.record) > 2*max(minRecord, s.sketch.Count()/symbolsPerElement) {
		t.Errorf("%d changes are recorded", len(s.sketch.record))
	}
}

func TestSmallSetsAreSmallInMemory(t *testing.T) {
	s := newSet(0, 300)
	s.sketch.Symbols(0, 40)
	for n := range 10_000 {
		s.add(1000 + n)
		s.remove(1000 + n)
	}
	if symbols, changes := cap(s.sketch.symbols), cap(s.sketch.record); symbols > 128 || changes > 512 {
		t.Errorf("a set of 300 keeps %d symbols and %d changes", symbols, changes)
	}
}

func TestPartsMakeUpTheWhole(t *testing.T) {
	whole := Part{}
	for bits := range 5 {
		for n := range 100 {
			found := 0
			for index := range 1 << bits {
				if (Part{bits, index}).Has(number(n)) {
					found++
				}
			}
			if found != 1 || !whole.Has(number(n)) {
				t.Errorf("element %d is in %d parts of %d bits", n, found, bits)
			}
		}
	}
	for _, p := range []Part{{-1, 0}, {0, 1}, {3, 8}, {3, -1}, {MaxBits + 1, 0}} {
		if p.Valid() {
			t.Errorf("there is a part %v", p)
		}
	}
}

var goldenWalk = []uint64{0, 1, 2, 4, 6, 7, 10, 15}

const goldenCheck = 0xd4c28ea2a98e9e7b

// However many changes went by, the latest ones can be taken back, and each time rightly.
func TestTheLatestChangesCanBeTakenBack(t *testing.T) {
	s := newSet(0, 100)
	s.sketch.Symbols(0, 1)
	var versions []uint64
	var want [][]Symbol
	for n := range 500 {
		versions = append(versions, s.sketch.Version())
		want = append(want, s.sketch.Symbols(0, 40))
		s.add(1000 + n)
	}
	for back := 1; back <= len(versions); back++ {
		at := len(versions) - back
		got, ok := s.sketch.SymbolsAt(Part{}, versions[at], 0, 40)
		if !ok {
			if back <= minRecord {
				t.Fatalf("no way back over %d changes", back)
			}
			return
		}
		if diff := cmp.Diff(want[at], got); diff != "" {
			t.Fatalf("%d changes back: %s", back, diff)
		}
	}
	t.Error("the record has no end")
}

// What rests is made anew when it is asked for, and knows nothing of how it was before.
func TestASketchThatRests(t *testing.T) {
	s := newSet(0, 100)
	s.sketch.Symbols(0, 40)
	before := s.sketch.Version()
	s.add(100)
	s.sketch.Rest()
	s.add(101)
	s.remove(3)
	if diff := cmp.Diff(s.again().Symbols(0, 40), s.sketch.Symbols(0, 40)); diff != "" {
		t.Error(diff)
	}
	if _, known := s.sketch.SymbolsAt(Part{}, before, 0, 1); known {
		t.Error("a version from before it rested is known")
	}
	if s.sketch.Count() != 101 || s.sketch.Version() != before+3 {
		t.Errorf("counts %d, version %d after %d", s.sketch.Count(), s.sketch.Version(), before)
	}
}
