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

	// Skipped counts the operations, objects and rows that Decode left out because it could not read
	// them, most likely because a newer version made them.
	Skipped int
}

// Push spreads what is new: operations and rows that the receiver may not have.
type Push struct {
	Ops  []crdt.Op
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
	Rows    []Row
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
	Delta crdt.Delta
	Rows  []Row // newer than what was held
	Send  []Outgoing
}
