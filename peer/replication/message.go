package replication

import (
	"shoal/crdt"
	"shoal/crdt/sketch"
	"shoal/peer/lease"
)

// Message is what one peer's replication says to another's: exactly one field is set, or none where a newer version
// sent what this one does not know.
type Message struct {
	Push       *Push
	Digest     *Digest
	Symbols    *Symbols
	More       *More
	Objects    *Objects
	Want       *Want
	Page       *Page
	Fill       *Fill
	Ack        *Ack
	Rows       *Rows
	RowSymbols *Symbols
	RowMore    *More
	RowWant    *RowWant
	Lease      *lease.Message // not replication's own: it passes through to who handles leases

	// Skipped counts the operations and rows that Decode left out because it could not read them, most likely
	// because a newer version made them, and 1 for a message of an unknown kind.
	Skipped int
	// Unreadable names some of those operations that no version can have made.
	Unreadable []Refusal
}

// Push spreads what is new: operations that the receiver may not have.
type Push struct {
	Ops []crdt.Op
	Ack bool // the sender asks for an Ack once they are on the receiver's disk
}

// Ack names operations that the sender of it has on its disk, or that others had overwritten there.
type Ack struct {
	Ops []crdt.OpID
}

// Digest opens a round, or answers one that does where no symbols are called for.
type Digest struct {
	Root     [32]byte // over all operations retained
	Count    uint64   // of those
	RowRoot  [32]byte // over the versions of all rows
	RowCount uint64
	Floor    FloorHash // applied by the sender
	Doubted  FloorHash // what the sender doubts; zero: nothing
	Own      Version   // of the sender's own row
	Answer   bool
	Busy     bool   // the sender is taking in a lot already: compare rows only
	Missed   bool   // the sender had lost the receiver
	Question uint64 // of who asks, in its own count; its answer has the same. 0: none
}

// Symbols are coded symbols of the operations that the sender retains in one part, or of the versions of its rows.
type Symbols struct {
	Count   uint64 // of elements in all parts
	Version uint64 // of the set that the symbols are of, in the sender's own count
	Part    sketch.Part
	From    int // number of the first symbol
	Symbols []sketch.Symbol
	Floor   FloorHash // applied by the sender
}

// More asks for more symbols of the same version.
type More struct {
	Version uint64
	Part    sketch.Part
	From    int
	Number  int
}

// Objects carries operations by object, each in the order of stamps.
type Objects struct {
	Objects []Object
	Left    int  // operations that are to follow these
	Paused  bool // they follow when the receiver sends a Want with the same Left
	Part    int  // above 0: the one object here is too large for a message, and this is its part of that number
	Gone    []crdt.OpID
}

// Object is operations on one object that the receiver lacks: all of them, so that they leave no gap.
type Object struct {
	Key crdt.Key
	Ops []crdt.Op
}

// Want asks for operations.
type Want struct {
	Ops    []crdt.OpID
	Unseen []Known // all of these objects that is not seen
	Left   int     // above 0: goes on with the Objects that had this Left
}

// Known is an object and what is known of it.
type Known struct {
	Key  crdt.Key
	Seen crdt.Seen
}

// Page carries all that the sender retains between two places, in the order of crdt.Set.KeysAfter.
type Page struct {
	After   Place
	Until   Place
	Last    bool // nothing follows
	Objects []Object
}

// Place is the end of an object, or, where Stamp is not zero, of one of its operations. The zero Place is
// before everything.
type Place struct {
	Key   crdt.Key
	Stamp crdt.Stamp
}

// Fill asks for the page after a place.
type Fill struct {
	After Place
}

// Rows spreads rows, or brings those that were asked for.
type Rows struct {
	Rows []Row
}

// RowWant asks for rows: of versions with these names, unless a newer one of that peer is held; and of peers.
type RowWant struct {
	Names []sketch.ID
	Held  []Held
	Peers []crdt.PeerID
}

// Held says which row of a peer is held.
type Held struct {
	Peer    crdt.PeerID
	Version Version
}

// Lane returns the lane of the message's queue and stream.
func (m Message) Lane() Lane {
	if m.Rows != nil || m.RowSymbols != nil || m.RowMore != nil || m.RowWant != nil {
		return Observation
	}
	return Intent
}

// OwnRow returns the version of the sender's own row, where the message tells it.
func (m Message) OwnRow(from crdt.PeerID) (Version, bool) {
	if m.Digest != nil && m.Digest.Own != (Version{}) {
		return m.Digest.Own, true
	}
	if m.Rows != nil {
		for _, row := range m.Rows.Rows {
			if row.Peer == from {
				return row.Version, true
			}
		}
	}
	return Version{}, false
}

// Sift returns the message with only the operations and rows that are to be kept. Each is asked about exactly once, in
// the same order each time. An object is kept whole or not at all: without one of its operations the rest would claim to
// have seen what is not there.
func (m Message) Sift(op func(crdt.Op) bool, row func(Row) bool) Message {
	whole := func(object Object) bool { return len(kept(object.Ops, op)) == len(object.Ops) }
	if m.Push != nil {
		m.Push = &Push{Ops: kept(m.Push.Ops, op), Ack: m.Push.Ack}
	}
	if m.Objects != nil {
		objects := *m.Objects
		objects.Objects = kept(objects.Objects, whole)
		m.Objects = &objects
	}
	if m.Page != nil {
		page := *m.Page
		page.Objects = kept(page.Objects, whole)
		m.Page = &page
	}
	if m.Rows != nil {
		m.Rows = &Rows{Rows: kept(m.Rows.Rows, row)}
	}
	return m
}

func kept[T any](list []T, keep func(T) bool) []T {
	result := make([]T, 0, len(list))
	for _, item := range list {
		if keep(item) {
			result = append(result, item)
		}
	}
	return result
}
