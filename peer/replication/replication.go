package replication

import "shoal/crdt"

// Version orders the rows of one peer: boot first, then sequence.
type Version struct {
	Boot     uint64 // rises with every start of the peer's program
	Sequence uint64
}

// Row is the observation of one peer: one signed statement about itself and all its replicas.
// A newer row replaces an older one whole. Body is opaque here.
type Row struct {
	Peer      crdt.PeerID
	Version   Version
	Body      []byte
	Signed    []byte // exact bytes under the signature
	Signature []byte
}

// ObjectDigest is one object and the digest of all that is held of it.
type ObjectDigest struct {
	Key    crdt.Key
	Digest [32]byte
}

// Message is what one peer's replication says to another's: exactly one field is set.
type Message struct {
	Push    *Push
	Digest  *Digest
	Objects *Objects
	Want    *Want
	Ack     *Ack
	Rows    *Rows

	// Skipped counts the operations, objects and rows that Decode left out because it could not read
	// them, most likely because a newer version made them.
	Skipped int
}

// Lane says what a message may have to wait for. Intent never waits for observations.
type Lane uint8

const (
	Intent Lane = iota
	Observation
)

// Lane returns the lane of the message's queue and stream.
func (m Message) Lane() Lane {
	if m.Rows != nil {
		return Observation
	}
	return Intent
}

// OwnRow returns the version of the sender's own row, where the message tells it.
func (m Message) OwnRow(from crdt.PeerID) (Version, bool) {
	if m.Rows != nil {
		for _, row := range m.Rows.Rows {
			if row.Peer == from {
				return row.Version, true
			}
		}
	}
	if m.Digest != nil {
		version, ok := m.Digest.Rows[from]
		return version, ok
	}
	return Version{}, false
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

// Rows spreads rows, or brings those that were asked for.
type Rows struct {
	Rows []Row
}

// Digest opens or continues a reconciliation. A root digest that differs is answered with the
// digests of its buckets, those with the object digests of the buckets that differ.
type Digest struct {
	Root      [32]byte
	RowRoot   [32]byte            // over the versions of all rows
	Buckets   map[uint16][32]byte // by crdt.Key.Bucket; those missing are empty. Nil: not told
	Objects   []ObjectDigest      // of the buckets named in InBuckets, all of them
	InBuckets []uint16
	Rows      map[crdt.PeerID]Version
	AllRows   bool // Rows names every row held
}

// Want asks for whole objects, and rows.
type Want struct {
	Keys []crdt.Key
	Rows []crdt.PeerID
}

// Objects carries whole objects, each causally closed: all retained operations of it.
type Objects struct {
	Objects []Object
}

// Object is all that one peer retains of an object.
type Object struct {
	Key crdt.Key
	Ops []crdt.Op
}

// Outgoing is a message for one peer.
type Outgoing struct {
	To      crdt.PeerID
	Message Message
}

// Received is what a message changed, and what to send because of it.
type Received struct {
	Delta   crdt.Delta
	Rows    []Row // newer than what was held
	Send    []Outgoing
	Refused []Refusal
	Acked   []crdt.OpID // operations that the sender has on its disk
	Equal   bool        // the sender's intent equals the one here
	Settled bool        // the exchange that Doubt asked for is complete: the floor may be applied now
	Ahead   Version     // of a row of this peer that others hold and that is newer than its own; zero if there is none
}

// Refusal names an operation that was not taken.
type Refusal struct {
	Op     crdt.OpID
	Key    crdt.Key
	Writer crdt.PeerID
	From   crdt.PeerID // who sent it
	Reason string      // "forgotten", "contradicts", "invalid", "gap" or "oversize"
}

// Sift returns the message with only the operations and rows that are to be kept. An object is kept whole or not at
// all: without one of its operations the rest would claim to have seen what is not there.
func (m Message) Sift(op func(crdt.Op) bool, row func(Row) bool) Message {
	if m.Push != nil {
		m.Push = &Push{Ops: kept(m.Push.Ops, op), Ack: m.Push.Ack}
	}
	if m.Rows != nil {
		m.Rows = &Rows{Rows: kept(m.Rows.Rows, row)}
	}
	if m.Objects != nil {
		m.Objects = &Objects{Objects: kept(m.Objects.Objects, func(object Object) bool {
			return len(kept(object.Ops, op)) == len(object.Ops)
		})}
	}
	return m
}

func kept[T any](list []T, keep func(T) bool) []T {
	var result []T
	for _, item := range list {
		if keep(item) {
			result = append(result, item)
		}
	}
	return result
}
