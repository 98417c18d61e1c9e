package sketch

import "encoding/binary"

// ID is an element: the first 16 bytes of a cryptographic hash.
type ID [16]byte

// Symbol is a sum of elements; the zero Symbol is the sum of none.
type Symbol struct {
	ID    ID     // exclusive or of the elements
	Check uint64 // exclusive or of their checks
	Count int64  // how many elements
}

// MaxSymbols is how many symbols of a set there are, and the most that one Decoder takes: enough
// for some 190,000 differences.
const MaxSymbols = 1 << 18

const (
	symbolsPerElement = 4       // one symbol is kept for so many elements, once symbols were asked for
	maxRecord         = 1 << 14 // changes that SymbolsAt can take back
	minRecord         = 64
)

// Part names the elements whose first Bits bits are Index; the zero Part names all. Bits is at
// most MaxBits, and Index below 1<<Bits.
type Part struct{ Bits, Index int }

// MaxBits is the finest Part.
const MaxBits = 16

// Has says whether id belongs to p.
func (p Part) Has(id ID) bool {
	return int(binary.BigEndian.Uint16(id[:]))>>(MaxBits-p.Bits) == p.Index
}

// Valid says whether there is such a part.
func (p Part) Valid() bool {
	return 0 <= p.Bits && p.Bits <= MaxBits && 0 <= p.Index && p.Index < 1<<p.Bits
}

// Sketch keeps the coded symbols of a set that changes. It holds no elements itself, and no symbol
// before one is asked for; then 8 bytes per element, at most 8 MiB. Not safe for concurrent use.
type Sketch struct {
	each    Each
	count   int
	symbols []Symbol
	version uint64
	record  []change // the latest, oldest first
}

type change struct {
	id ID
	n  int64 // 1: added, -1: removed
}

// Each gives the elements of one part of a set, as it is when called, in any order. It may
// give others besides.
type Each func(part Part, yield func(ID) bool)

// New returns the Sketch of a set, which tells of every later change by Add or Remove, after making it.
func New(each Each) *Sketch {
	s := &Sketch{each: each}
	each(Part{}, func(ID) bool { s.count++; return true })
	return s
}

// Count is the number of elements.
func (s *Sketch) Count() int { return s.count }

// Add says that id, which was not in the set, now is. It takes well below a microsecond.
func (s *Sketch) Add(id ID) { s.change(change{id, 1}) }

// Remove says that id, which was in the set, no longer is.
func (s *Sketch) Remove(id ID) { s.change(change{id, -1}) }

func (s *Sketch) change(c change) {
	s.version++
	s.count += int(c.n)
	if len(s.symbols) == 0 {
		return // nobody has asked, so nobody can ask for an earlier version
	}
	apply(s.symbols, 0, c)
	most := min(maxRecord, max(minRecord, s.count/symbolsPerElement))
	if len(s.record) >= 2*most {
		s.record = append(s.record[:0], s.record[len(s.record)-most:]...)
	}
	s.record = append(s.record, c)
}

// Rest drops the symbols until one is asked for, and with them what is known of earlier versions. It is for a small set that
// changes often and is seldom compared: making its symbols anew costs less than keeping them up.
func (s *Sketch) Rest() { s.symbols, s.record = nil, nil }

// Version counts the changes, from zero in each process.
func (s *Sketch) Version() uint64 { return s.version }

// Symbols returns the symbols from, from+1, ... to-1 of the set as it is; the caller owns them.
// It panics unless 0 <= from <= to <= MaxSymbols.
func (s *Sketch) Symbols(from, to int) []Symbol {
	if to > len(s.symbols) {
		s.extend(to)
	}
	return append([]Symbol(nil), s.symbols[from:to]...)
}

// SymbolsAt returns symbols of one part as it was at version; false if that is no longer known. It
// panics when there is no such part, and where Symbols does.
func (s *Sketch) SymbolsAt(part Part, version uint64, from, to int) ([]Symbol, bool) {
	if !part.Valid() {
		panic("sketch: no such part")
	}
	back := s.version - version // wraps around for a version of the future
	if back > uint64(len(s.record)) {
		return nil, false
	}
	symbols := s.symbolsOf(part, from, to)
	for _, c := range s.record[len(s.record)-int(back):] {
		if part.Has(c.id) {
			apply(symbols, from, change{c.id, -c.n})
		}
	}
	return symbols, true
}

func (s *Sketch) symbolsOf(part Part, from, to int) []Symbol {
	if part.Bits == 0 {
		return s.Symbols(from, to)
	}
	if to > MaxSymbols {
		panic("sketch: no such symbol")
	}
	if len(s.symbols) == 0 {
		s.extend(1) // begin the record
	}
	symbols := make([]Symbol, to-from)
	s.each(part, func(id ID) bool {
		if part.Has(id) {
			apply(symbols, from, change{id, 1})
		}
		return true
	})
	return symbols
}

// extend keeps symbols up to the one before to, and as many more as the set is worth.
func (s *Sketch) extend(to int) {
	if to > MaxSymbols {
		panic("sketch: no such symbol")
	}
	from := len(s.symbols)
	to = min(MaxSymbols, max(to, s.count/symbolsPerElement))
	s.symbols = append(s.symbols, make([]Symbol, to-from)...)
	s.each(Part{}, func(id ID) bool {
		apply(s.symbols[from:], from, change{id, 1})
		return true
	})
}

// apply adds c to those of symbols, the first of which has the number from, that its element falls into.
func apply(symbols []Symbol, from int, c change) {
	check := checkOf(c.id)
	end := uint64(from + len(symbols))
	for w := walkOf(c.id); w.index < end; w.next() {
		if w.index >= uint64(from) {
			symbols[w.index-uint64(from)].add(&c.id, check, c.n)
		}
	}
}

func (s *Symbol) add(id *ID, check uint64, n int64) {
	le := binary.LittleEndian
	le.PutUint64(s.ID[:8], le.Uint64(s.ID[:8])^le.Uint64(id[:8]))
	le.PutUint64(s.ID[8:], le.Uint64(s.ID[8:])^le.Uint64(id[8:]))
	s.Check ^= check
	s.Count += n
}
