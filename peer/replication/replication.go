package replication

import (
	"cmp"

	"shoal/crdt"
)

// FloorKey names the object whose operations close floors. Where two peers have applied different floors it
// travels before anything else.
var FloorKey = crdt.Key{Kind: "Floor", Name: "cluster"}

// FloorHash names a floor; zero: none.
type FloorHash = [8]byte

// Version orders the rows of one peer: boot first, then sequence.
type Version struct {
	Boot     uint64 // rises with every start of the peer's program
	Sequence uint64
}

// Compare orders versions: boot first, then sequence.
func (v Version) Compare(other Version) int {
	return cmp.Or(cmp.Compare(v.Boot, other.Boot), cmp.Compare(v.Sequence, other.Sequence))
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

// Lane says what a message may have to wait for. Intent never waits for observations.
type Lane uint8

const (
	Intent Lane = iota
	Observation
)

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
	Key    crdt.Key    // empty where the operation could not be read
	Writer crdt.PeerID // the same
	From   crdt.PeerID // who sent it
	Reason string      // one of the reasons below
}

// Why an operation was not taken.
const (
	Forgotten   = "forgotten"   // it is at or below the floor, and not retained here: a replay, or from a peer that was away too long
	Contradicts = "contradicts" // its writer wrote something else with the same stamp
	Invalid     = "invalid"     // no peer can take it
	Gap         = "gap"         // it has seen what is not here; that was asked for
	Oversize    = "oversize"
)
