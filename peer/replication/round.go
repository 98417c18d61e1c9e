package replication

import (
	"errors"
	"slices"

	"shoal/crdt"
	"shoal/crdt/sketch"
)

const (
	maxParts     = 1 << 6  // in which a large difference is found; beyond some 12,000,000 operations pages are fetched instead
	bulkSymbols  = 1 << 12 // a round that took so many is not begun again while it moves
	bulkWaiting  = 256     // the same, while it waits for so many operations
	symbolsSlack = 1 << 10
	symbolsLeast = 24
)

// round is what the peer that opened one remembers of it.
type round struct {
	partner  crdt.PeerID
	decoder  *sketch.Decoder // nil: no symbols are awaited any more, or none came yet
	version  uint64          // of the partner's set
	part     sketch.Part
	expected int       // differences in a part
	floor    FloorHash // applied by the partner

	waiting map[crdt.OpID]bool // asked for in this part
	surplus []crdt.OpID        // held here and not there, of which this peer is in doubt
	whole   bool               // the partner had the same floor all along

	below    int // operations that came of which this peer is in doubt
	withheld int // operations that the partner has no more, or gives nobody as it is in doubt itself

	again   int  // exchanges of the same doubt just before this one
	crossed bool // another round waited for this one
	begins  int  // how often first symbols came
	idle    int  // calls of Reconcile since anything came
}

const (
	beginsAtMost = 32 // then the partner's set changes too fast, or it plays
	idleAtMost   = 5  // calls of Reconcile, for what is bulk; one for what is small
)

func (r *round) bulk() bool {
	return len(r.waiting) > bulkWaiting || r.part.Bits > 0 || r.decoder != nil && r.decoder.Len() > bulkSymbols
}

// firstSymbols answers an opening where something differs.
func (m *Machine) firstSymbols(d *Digest) *Symbols {
	return m.symbols(sketch.Part{}, m.set.Sketch().Version(), 0, sketch.First(m.set.Count(), int(min(d.Count, 1<<40))))
}

// symbols are those of the set as it was at version; if that is no longer known the first ones of the set as it is.
func (m *Machine) symbols(part sketch.Part, version uint64, from, number int) *Symbols {
	number = min(number, symbolsAtOnce, sketch.MaxSymbols-from)
	s := m.set.Sketch()
	list, ok := s.SymbolsAt(part, version, from, from+number)
	if !ok {
		version, from, number = s.Version(), 0, min(from+number, symbolsAtOnce)
		list, _ = s.SymbolsAt(part, version, from, number)
	}
	return &Symbols{Count: uint64(s.Count()), Version: version, Part: part, From: from, Symbols: list,
		Floor: m.applied}
}

func (m *Machine) moreSymbols(from crdt.PeerID, more *More) []Outgoing {
	return []Outgoing{{from, Message{Symbols: m.symbols(more.Part, more.Version, more.From, more.Number)}}}
}

// receiveSymbols takes the next symbols of the round that is open with their sender; any others are late, and ignored.
func (m *Machine) receiveSymbols(from crdt.PeerID, s *Symbols) Received {
	var received Received
	r := m.round
	if r == nil || r.partner != from || s.Part != r.part || len(r.waiting) > 0 || len(s.Symbols) == 0 || !m.takes(r, s) {
		return received
	}
	r.idle = 0
	err := r.decoder.Take(s.Symbols)
	switch want := r.decoder.Want(); {
	case errors.Is(err, sketch.ErrStale):
		r.decoder = nil
		received.send(from, Message{More: &More{Version: r.version, Part: r.part, Number: len(s.Symbols)}})
	case err != nil && !errors.Is(err, sketch.ErrTooMany):
		m.round = nil
	case err == nil && r.decoder.Done():
		m.found(&received)
	case r.decoder.Len() > 4*(m.set.Count()+int(min(s.Count, sketch.MaxSymbols)))+symbolsSlack:
		m.round = nil // nobody's sets need so many: names were chosen to be hard to find
		m.beginFill(&received, from)
	case err != nil || want == 0:
		m.split(&received, s.Count)
	default:
		received.send(from, Message{More: &More{r.version, r.part, r.decoder.Len(), min(want, symbolsAtOnce)}})
	}
	return received
}

// takes says whether the symbols are the next ones, and begins a decoder with the first ones.
func (m *Machine) takes(r *round, s *Symbols) bool {
	if s.From > 0 {
		return r.decoder != nil && s.Version == r.version && s.From == r.decoder.Len()
	}
	if r.decoder != nil && s.Version == r.version {
		return false // repeated
	}
	if r.begins++; r.begins > beginsAtMost+1<<r.part.Bits {
		m.round = nil
		return false
	}
	r.whole = r.whole && (r.begins == 1 || s.Floor == r.floor)
	r.floor, r.version = s.Floor, s.Version
	r.decoder = sketch.NewDecoder(m.set.Sketch(), r.part)
	return true
}

// split goes on with parts of what is too large for one decoder.
func (m *Machine) split(received *Received, theirs uint64) {
	r := m.round
	bits := max(sketch.Parts(r.decoder.Estimate()), r.part.Bits+1)
	if 1<<bits > maxParts {
		m.round = nil
		m.beginFill(received, r.partner)
		return
	}
	r.expected = r.decoder.Estimate() >> (bits - r.part.Bits)
	r.part = sketch.Part{Bits: bits, Index: r.part.Index << (bits - r.part.Bits)}
	m.beginPart(received)
}

func (m *Machine) beginPart(received *Received) {
	r := m.round
	r.decoder = nil
	number := min(r.expected*21/16+symbolsLeast, symbolsAtOnce)
	received.send(r.partner, Message{More: &More{Version: r.version, Part: r.part, Number: number}})
}

// found gives what the partner lacks, and asks for what is lacking here.
func (m *Machine) found(received *Received) {
	r := m.round
	var lacking, give []crdt.OpID
	for _, id := range sortedNames(r.decoder.There()) {
		if m.set.Find(id) == nil {
			lacking = append(lacking, id)
		}
	}
	for _, id := range sortedNames(r.decoder.Here()) {
		op := m.set.Find(id)
		switch {
		case op == nil:
		case m.doubts(op.Stamp):
			r.surplus = append(r.surplus, id)
		default:
			give = append(give, id)
		}
	}
	r.decoder = nil
	messages, _ := m.give(r.partner, give)
	received.send(r.partner, messages...)
	if len(lacking) == 0 {
		m.advance(received)
		return
	}
	r.waiting = make(map[crdt.OpID]bool, len(lacking))
	for _, id := range lacking {
		r.waiting[id] = true
	}
	received.send(r.partner, Message{Want: &Want{Ops: lacking}})
}

// sortedNames puts names in the order in which sets look them up fastest, here and where they are asked for.
func sortedNames(found []sketch.ID) []crdt.OpID {
	ids := each(found, func(id sketch.ID) crdt.OpID { return crdt.OpID(id) })
	slices.SortFunc(ids, crdt.OpID.Compare)
	return ids
}

// arrived goes on with the round when all that was asked for has come.
func (m *Machine) arrived(received *Received, from crdt.PeerID, objects *Objects) {
	r := m.round
	if r == nil || r.partner != from || len(r.waiting) == 0 {
		return
	}
	for _, object := range objects.Objects {
		for _, op := range object.Ops {
			delete(r.waiting, op.ID())
			if m.doubts(op.Stamp) {
				r.below++
			}
		}
	}
	for _, id := range objects.Gone {
		if r.waiting[id] {
			r.withheld++
		}
		delete(r.waiting, id)
	}
	r.idle = 0
	if len(r.waiting) == 0 {
		m.advance(received)
	}
}

// advance goes on with the next part, or ends the round.
func (m *Machine) advance(received *Received) {
	r := m.round
	if r.part.Index+1 < 1<<r.part.Bits {
		r.part.Index++
		m.beginPart(received)
		return
	}
	m.round = nil
	if r.whole && m.trusts(r.floor) {
		m.settle(received, r)
	}
}
