package sketch

import "errors"

var (
	// ErrGarbage says that symbols came that no set makes.
	ErrGarbage = errors.New("sketch: symbols that no set makes")
	// ErrTooMany says that the difference needs more than MaxSymbols: use smaller parts.
	ErrTooMany = errors.New("sketch: a difference too large for one list of symbols")
	// ErrStale says that the set here has changed too often since the round began: begin anew.
	ErrStale = errors.New("sketch: too many changes since the comparison began")
)

// Decoder finds the difference between a set here and one there from the symbols of the latter.
type Decoder struct {
	ours    *Sketch
	part    Part
	version uint64
	cells   []Symbol // of the difference, less what is found: there minus here
	counts  []int64  // of the first cells, as they came
	found   []found
	pure    []int // cells that may be pure
	done    bool
}

// found is an element of the difference; at is its first cell beyond those taken.
type found struct {
	id    ID
	at    walk
	check uint64
	n     int64 // 1: only there, -1: only here
}

// NewDecoder begins to compare a part of ours, as it is now, with the same part of another.
// Ours may change while the comparison goes on.
func NewDecoder(ours *Sketch, part Part) *Decoder {
	ours.Symbols(0, 1) // begins its record of changes
	return &Decoder{ours: ours, part: part, version: ours.Version()}
}

// Len is the number of symbols taken so far, and so the number of the next one.
func (d *Decoder) Len() int { return len(d.cells) }

// Done says whether all of the difference is found.
func (d *Decoder) Done() bool { return d.done }

// There returns the elements found that are only there, in the order in which they were found.
func (d *Decoder) There() []ID { return d.only(1) }

// Here returns the elements found that are only here.
func (d *Decoder) Here() []ID { return d.only(-1) }

func (d *Decoder) only(n int64) []ID {
	var ids []ID
	for i := range d.found {
		if d.found[i].n == n {
			ids = append(ids, d.found[i].id)
		}
	}
	return ids
}

// Take takes the next symbols from there, and decodes as far as they allow. After an error the
// Decoder is of no more use.
func (d *Decoder) Take(theirs []Symbol) error {
	if d.done || len(theirs) == 0 {
		return nil
	}
	first := len(d.cells)
	if first+len(theirs) > MaxSymbols {
		return ErrTooMany
	}
	ours, ok := d.ours.SymbolsAt(d.part, d.version, first, first+len(theirs))
	if !ok {
		return ErrStale
	}
	for i, t := range theirs {
		t.add(&ours[i].ID, ours[i].Check, -ours[i].Count)
		d.cells = append(d.cells, t)
		if len(d.counts) < estimateCells {
			d.counts = append(d.counts, t.Count)
		}
	}
	for i := range d.found {
		d.remove(&d.found[i])
	}
	for i := first; i < len(d.cells); i++ {
		d.suspect(i)
	}
	return d.peel()
}

// peel finds elements until no pure cell is left. Each makes a cell empty, so honest symbols give
// no more elements than there are cells.
func (d *Decoder) peel() error {
	for len(d.pure) > 0 {
		cell := d.cells[d.pure[len(d.pure)-1]]
		d.pure = d.pure[:len(d.pure)-1]
		check := checkOf(cell.ID)
		if cell.Count != 1 && cell.Count != -1 || cell.Check != check {
			continue
		}
		if len(d.found) == len(d.cells) || !d.part.Has(cell.ID) {
			return ErrGarbage
		}
		d.found = append(d.found, found{id: cell.ID, at: walkOf(cell.ID), check: check, n: cell.Count})
		d.remove(&d.found[len(d.found)-1])
	}
	if d.cells[0] != (Symbol{}) {
		return nil
	}
	for _, cell := range d.cells { // every element is in cell 0: nothing may be left
		if cell != (Symbol{}) {
			return ErrGarbage
		}
	}
	d.done = true
	return nil
}

// remove takes f out of all cells from f.at on.
func (d *Decoder) remove(f *found) {
	for ; f.at.index < uint64(len(d.cells)); f.at.next() {
		i := int(f.at.index)
		d.cells[i].add(&f.id, f.check, -f.n)
		d.suspect(i)
	}
}

func (d *Decoder) suspect(i int) {
	if n := d.cells[i].Count; n == 1 || n == -1 {
		d.pure = append(d.pure, i)
	}
}
