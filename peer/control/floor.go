package control

import (
	"bytes"
	"slices"
	"time"

	"shoal/crdt"
)

// Forgetting deletions takes two agreements, each of a mark that becomes a floor:
//
//	proposed ──▶ every registered peer attests it in its row ──▶ closed ──▶ applied
//
// A peer attests by the digest of what it holds at or below the mark. What it gives its word for is
// on disk before the row leaves. One that finds a floor closed to which it has not given its word
// is in doubt: see doubt.go. What is in force and applied is here, the way there in floormark.go.

const (
	mostFloors = 6   // floors in force together that are told apart; more are not taken
	mostWrites = 512 // own operations that may have to be written again
)

// forgetting is what a machine knows of marks and floors.
type forgetting struct {
	current []floor   // in force in the intent, by hash: more than one where two sides each closed one
	hash    floorHash // of current
	mark    *mark     // proposed for current, and not closed yet
	closed  crdt.Stamp

	applied     []floor
	appliedHash floorHash
	second      crdt.Seen // of applied
	common      crdt.Time // up to which all peers of the book knew what this one wrote when a floor was applied

	attested  [32]byte   // the mark that digests are about
	digests   [][32]byte // given for it, the newest last; void once an operation below the mark is added
	attestDue time.Duration
	stale     bool // the set has changed since the newest digest

	since   time.Duration // when current changed, or this program started
	readyAt time.Duration // since when all is there to propose or to close; 0: it is not
	due     time.Duration // when to look again; 0: when something happens
	looked  time.Duration // when that was last done

	doubt doubt
	lost  lostTimes
}

// floorChanged reads the Floor object anew.
func (m *Machine) floorChanged() {
	f := &m.floors
	object := m.objects[floorKey]
	before := f.hash
	f.current, f.mark, f.closed = nil, nil, crdt.Stamp{}
	if object != nil {
		m.readFloors(&object.merged)
	}
	f.hash = hashOf(f.current)
	if object != nil {
		m.readMark(&object.merged)
	}
	if f.hash != before {
		f.since = m.now.Elapsed
	}
	f.stale, f.readyAt = true, 0
	f.lookSoon(m.now.Elapsed)
	m.settleFloors()
}

// readFloors takes all floors that stand, those that lost by their stamp too.
func (m *Machine) readFloors(object *crdt.Object) {
	f := &m.floors
	for _, field := range object.Fields {
		if field.Path != pathFloor {
			continue
		}
		f.closed = field.Writer
		m.readFloor(field.Value, field.Writer.Writer)
		for _, rival := range field.Conflicts {
			m.readFloor(rival.Value, rival.Writer.Writer)
		}
	}
	slices.SortFunc(f.current, func(a, b floor) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	f.current = newest(slices.CompactFunc(f.current, func(a, b floor) bool { return a.hash == b.hash }))
	f.current = f.current[:min(len(f.current), mostFloors)]
}

// newest leaves out the floors on which others of the list were built: where two peers closed one floor, the
// operation of the second still stands when the next floor replaces that of the first.
func newest(floors []floor) []floor {
	return slices.DeleteFunc(slices.Clone(floors), func(old floor) bool {
		return slices.ContainsFunc(floors, func(f floor) bool { return f.hash != old.hash && len(old.second) > 0 && f.first.Covers(old.second) })
	})
}

func (m *Machine) readFloor(value []byte, by crdt.PeerID) {
	code, err := fieldCode(value)
	if err != nil || len(code) == 0 {
		return
	}
	read, err := decodeFloor(code)
	if err != nil {
		m.note(Note{Warning: true, Reason: "Invalid", Object: floorKey, Text: "a floor was set aside: " + err.Error()})
		return
	}
	read.by = by
	m.floors.current = append(m.floors.current, read)
	m.wroteUpTo(read.second[m.self])
}

// readMark takes the first mark that was proposed for the floors in force.
func (m *Machine) readMark(object *crdt.Object) {
	for _, field := range object.Fields {
		if field.Path != pathMark {
			continue
		}
		values := [][]byte{field.Value}
		for _, rival := range field.Conflicts {
			values = append(values, rival.Value)
		}
		for _, value := range values {
			code, err := fieldCode(value)
			if err != nil || len(code) == 0 {
				continue
			}
			if k, err := decodeMark(code); err == nil && k.base == m.floors.hash {
				m.floors.mark = &k
				m.wroteUpTo(k.vector[m.self])
				return
			}
		}
	}
}

// settleFloors applies the floors to which this peer gave its word, and doubts the others.
func (m *Machine) settleFloors() {
	f := &m.floors
	var accepted, doubted []floor
	for _, c := range f.current {
		if f.hasApplied(c.hash) || f.gaveWord(&c) {
			accepted = append(accepted, c)
		} else {
			doubted = append(doubted, c)
		}
	}
	if len(accepted) > 0 && hashOf(accepted) != f.appliedHash {
		m.applyFloors(accepted)
	}
	m.setDoubt(doubted)
	if f.mark == nil {
		m.set.Below(nil)
	}
}

func (f *forgetting) hasApplied(hash [32]byte) bool {
	return slices.ContainsFunc(f.applied, func(a floor) bool { return a.hash == hash })
}

func (f *forgetting) gaveWord(c *floor) bool {
	return f.attested == c.mark && slices.Contains(f.digests, c.digest)
}

// applyFloors drops what the floors let go.
func (m *Machine) applyFloors(floors []floor) {
	f := &m.floors
	f.applied, f.appliedHash = floors, hashOf(floors)
	first, second := joined(floors)
	f.second = second
	m.agreedWithAll()
	m.merged(m.set.Forget(first, second))
	m.spread.Applied(f.appliedHash)
	m.record(recordFloor, encodeFloors(floors))
	m.rowDirty = true
}
