package sketch

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// compare runs a whole round, and returns how many answers it took.
func compare(t interface{ Fatal(...any) }, d *Decoder, theirs *Sketch, part Part) (answers int) {
	version := theirs.Version()
	for ; !d.Done(); answers++ {
		symbols, ok := theirs.SymbolsAt(part, version, d.Len(), d.Len()+d.Want())
		if !ok || len(symbols) == 0 {
			t.Fatal("no symbols to go on with")
		}
		if err := d.Take(symbols); err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

func TestDifferencesAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		common := rapid.IntRange(0, 200).Draw(t, "common")
		onlyHere, onlyThere := rapid.IntRange(0, 200).Draw(t, "only here"), rapid.IntRange(0, 200).Draw(t, "only there")
		here, there := newSet(0, common+onlyHere), newSet(0, common)
		for n := range onlyThere {
			there.add(1000 + n)
		}
		d := NewDecoder(here.sketch, Part{})
		compare(t, d, there.sketch, Part{})
		if diff := cmp.Diff(here.minus(there), sorted(d.Here()), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("only here:\n%s", diff)
		}
		if diff := cmp.Diff(there.minus(here), sorted(d.There()), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("only there:\n%s", diff)
		}
	})
}

// Both sets change between the answers: what is found is the difference as it was at the beginning.
func TestSetsChangeDuringARound(t *testing.T) {
	here, there := newSet(0, 2000), newSet(300, 2300)
	wantHere, wantThere := here.minus(there), there.minus(here)
	d := NewDecoder(here.sketch, Part{})
	there.sketch.Symbols(0, 1)
	version := there.sketch.Version()
	for next := 10_000; !d.Done(); next++ {
		symbols, ok := there.sketch.SymbolsAt(Part{}, version, d.Len(), d.Len()+d.Want())
		if err := d.Take(symbols); err != nil || !ok {
			t.Fatal(err, ok)
		}
		here.add(next)
		there.add(next)
		there.remove(next - 10_000 + 500)
		here.remove(next - 10_000)
	}
	if diff := cmp.Diff(wantHere, sorted(d.Here())) + cmp.Diff(wantThere, sorted(d.There())); diff != "" {
		t.Error(diff)
	}
}

func TestSymbolsPerDifference(t *testing.T) {
	for _, c := range []struct {
		differences, answers int
		most                 float64 // symbols per difference, with 24 more
	}{{0, 1, 0}, {1, 2, 2}, {10, 4, 2}, {100, 6, 1.75}, {1000, 7, 1.75}, {8_000, 9, 1.6}} {
		for seed := range 3 {
			n := c.differences
			here, there := newSet(seed*1_000_000+n/2, seed*1_000_000+2*n+50), newSet(seed*1_000_000, seed*1_000_000+2*n+50-(n+1)/2)
			d := NewDecoder(here.sketch, Part{})
			answers := compare(t, d, there.sketch, Part{})
			if len(d.Here())+len(d.There()) != n {
				t.Errorf("%d differences: found %d", n, len(d.Here())+len(d.There()))
			}
			if most := int(c.most*float64(n)) + 24; d.Len() > most || answers > c.answers {
				t.Errorf("%d differences took %d symbols in %d answers, want at most %d in %d", n, d.Len(), answers, most, c.answers)
			}
			if estimate := d.Estimate(); n >= 100 && (estimate < n*3/4 || estimate > n*5/4) {
				t.Errorf("%d differences were estimated as %d", n, estimate)
			}
		}
	}
}

func TestOneSidedDifferenceIsKnownAtOnce(t *testing.T) {
	here, there := newSet(0, 0), newSet(0, 3000)
	d := NewDecoder(here.sketch, Part{})
	first := First(here.sketch.Count(), there.sketch.Count())
	if err := d.Take(there.sketch.Symbols(0, first)); err != nil || !d.Done() || len(d.There()) != 3000 {
		t.Errorf("after %d symbols: %v, done %v, %d found", first, err, d.Done(), len(d.There()))
	}
}

// Also where one side has more of the differences than the other.
func TestEstimateOfUnevenDifferences(t *testing.T) {
	for _, c := range []struct{ here, there int }{{2000, 4000}, {0, 6000}, {5900, 100}} {
		here, there := newSet(c.there, c.there+c.here), newSet(0, c.there)
		for _, symbols := range []int{32, 128, 512} {
			d := NewDecoder(here.sketch, Part{})
			if err := d.Take(there.sketch.Symbols(0, symbols)); err != nil {
				t.Fatal(err)
			}
			if got := d.Estimate(); got < 3000 || got > 9500 || symbols > 100 && (got < 4800 || got > 7200) {
				t.Errorf("%d here and %d there are estimated as %d from %d symbols", c.here, c.there, got, symbols)
			}
		}
	}
}

func TestALargeDifferenceInParts(t *testing.T) {
	here, there := newSet(0, 6000), newSet(3000, 9000)
	bits := 3
	var onlyHere, onlyThere []ID
	for index := range 1 << bits {
		part := Part{bits, index}
		d := NewDecoder(here.sketch, part)
		compare(t, d, there.sketch, part)
		onlyHere, onlyThere = append(onlyHere, d.Here()...), append(onlyThere, d.There()...)
	}
	if diff := cmp.Diff(here.minus(there), sorted(onlyHere)) + cmp.Diff(there.minus(here), sorted(onlyThere)); diff != "" {
		t.Error(diff)
	}
	if got := []int{Parts(0), Parts(100_000), Parts(400_000), Parts(1_000_000), Parts(1 << 60)}; !cmp.Equal(got, []int{0, 0, 2, 3, MaxBits}) {
		t.Errorf("bits for parts: %v", got)
	}
}

func TestADifferenceTooLargeIsSeenEarly(t *testing.T) {
	here, there := newSet(0, 0), newSet(0, 1000)
	symbols := there.sketch.Symbols(0, 200)
	for i := range symbols {
		symbols[i].Count *= 1000 // as of a million
	}
	d := NewDecoder(here.sketch, Part{})
	if err := d.Take(symbols); err != nil {
		t.Fatal(err)
	}
	if d.Want() != 0 || Parts(d.Estimate()) < 2 {
		t.Errorf("wants %d more for %d differences", d.Want(), d.Estimate())
	}
}

func TestTooManyAndTooLate(t *testing.T) {
	s := newSet(0, 100)
	d := NewDecoder(s.sketch, Part{})
	if err := d.Take(make([]Symbol, MaxSymbols+1)); !errors.Is(err, ErrTooMany) {
		t.Errorf("too many symbols: %v", err)
	}
	for n := range 1000 {
		s.add(1000 + n)
	}
	if err := d.Take(make([]Symbol, 1)); !errors.Is(err, ErrStale) {
		t.Errorf("after a thousand changes: %v", err)
	}
}

func TestGarbageIsAnError(t *testing.T) {
	here := newSet(0, 0)
	one := Symbol{ID: number(1), Check: checkOf(number(1)), Count: 1}
	for name, symbols := range map[string][]Symbol{
		"the same pure element everywhere": {one, one, one, one, one, one, one, one},
		"nothing in 0, something after":    {{}, {}, one},
		"one that begets itself":           {one, {ID: number(1), Check: checkOf(number(1)), Count: 2}, one},
	} {
		d := NewDecoder(here.sketch, Part{})
		if err := d.Take(symbols); !errors.Is(err, ErrGarbage) && d.Done() {
			t.Errorf("%s: done, %v", name, err)
		}
	}
	other := NewDecoder(here.sketch, Part{Bits: 8, Index: int(number(1)[0]) ^ 1})
	if err := other.Take([]Symbol{one}); !errors.Is(err, ErrGarbage) {
		t.Errorf("an element of another part: %v", err)
	}
}

// Whatever comes, a decoder ends, and finds no more than it was given symbols.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add(Append(nil, newSet(0, 20).sketch.Symbols(0, 40), 0, 20), uint8(7))
	one := Symbol{ID: number(1), Check: checkOf(number(1)), Count: 1}
	f.Add(Append(nil, []Symbol{one, one, one}, 0, 0), uint8(1))
	here := newSet(5, 30)
	f.Fuzz(func(t *testing.T, text []byte, cut uint8) {
		symbols, err := Parse(text, 0, 20)
		if err != nil {
			return
		}
		for i := range symbols { // let more of them look pure
			if symbols[i].Check&1 == 1 {
				symbols[i].Check = checkOf(symbols[i].ID)
			}
		}
		d := NewDecoder(here.sketch, Part{})
		first := min(len(symbols), int(cut))
		if d.Take(symbols[:first]) == nil {
			err = d.Take(symbols[first:])
		}
		if found := len(d.Here()) + len(d.There()); found > len(symbols) {
			t.Fatalf("%d elements from %d symbols", found, len(symbols))
		}
		if want := d.Want(); want < 0 || d.Len()+want > MaxSymbols || d.Done() && want != 0 {
			t.Fatalf("wants %d more after %d", want, d.Len())
		}
		if n := d.Estimate(); n < 0 || n > maxEstimate {
			t.Fatalf("an estimate of %d", n)
		}
		_ = err
	})
}

func FuzzParse(f *testing.F) {
	f.Add(Append(nil, newSet(0, 50).sketch.Symbols(3, 20), 3, 50), 3, 50)
	f.Add([]byte{1}, 0, 0)
	f.Fuzz(func(t *testing.T, text []byte, from, count int) {
		symbols, err := Parse(text, from, count)
		if err != nil {
			return
		}
		again, err := Parse(Append(nil, symbols, from, count), from, count)
		if diff := cmp.Diff(symbols, again); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	})
}

func TestBytesOfSymbols(t *testing.T) {
	s := newSet(0, 100_000)
	symbols := s.sketch.Symbols(500, 900)
	text := Append(nil, symbols, 500, s.sketch.Count())
	if each := len(text) / len(symbols); each > 26 {
		t.Errorf("%d bytes each", each)
	}
	got, err := Parse(text, 500, s.sketch.Count())
	if diff := cmp.Diff(symbols, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, bad := range [][]byte{text[:20], text[:len(text)-1], append(text[:24:24], 0xff, 0xff)} {
		if _, err := Parse(bad, 500, s.sketch.Count()); !errors.Is(err, ErrGarbage) {
			t.Errorf("%d bytes are taken: %v", len(bad), err)
		}
	}
	if _, err := Parse(text, MaxSymbols, 0); !errors.Is(err, ErrGarbage) {
		t.Errorf("symbols beyond the last are taken: %v", err)
	}
}

// BenchmarkDecode is the work of the side that decodes, on symbols that both sides keep.
func BenchmarkDecode(b *testing.B) {
	here, there := newSet(0, 120_000), newSet(5_000, 125_000)
	symbols := there.sketch.Symbols(0, 15_000)
	here.sketch.Symbols(0, 15_000)
	for b.Loop() {
		d := NewDecoder(here.sketch, Part{})
		if err := d.Take(symbols); err != nil || !d.Done() {
			b.Fatal(err, d.Done())
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	s := New(func(Part, func(ID) bool) {})
	s.Symbols(0, MaxSymbols)
	var id ID
	for n := uint64(0); b.Loop(); n++ {
		binary.LittleEndian.PutUint64(id[:], n*0x9e3779b97f4a7c15)
		binary.LittleEndian.PutUint64(id[8:], ^n*0xbf58476d1ce4e5b9)
		s.Add(id)
	}
}
