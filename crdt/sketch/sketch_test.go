package sketch

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
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
	s.sketch = New(func(_ Part, yield func(ID) bool) {
		for id := range s.ids {
			if !yield(id) {
				return
			}
		}
	})
	return s
}

func (s *set) add(n int) {
	s.ids[number(n)] = true
	s.sketch.Add(number(n))
}

func (s *set) remove(n int) {
	delete(s.ids, number(n))
	s.sketch.Remove(number(n))
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

func TestSymbolsPerDifference(t *testing.T) {
	for _, d := range []int{1, 10, 100, 1_000, 10_000, 100_000} {
		here, there := newSet(d/2, 2*d), newSet(0, 2*d-d/2)
		dec := NewDecoder(here.sketch, Part{})
		rounds := 0
		for !dec.Done() {
			rounds++
			if err := dec.Take(there.sketch.Symbols(dec.Len(), dec.Len()+dec.Want())); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d differences: %d symbols in %d rounds, estimate %d, there %d, here %d", d, dec.Len(), rounds, dec.Estimate(), len(dec.There()), len(dec.Here()))
	}
}
