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
	Buckets   map[uint16][32]byte // by the first bits of the key's hash
	Objects   []ObjectDigest      // of the buckets named in InBuckets, all of them
	InBuckets []uint16
	Rows      map[crdt.PeerID]Version
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

// Machine is the replication of one peer: pure, without clock or I/O. It changes the Set it was given. Not safe for concurrent use.
type Machine struct{}

// New returns a machine that replicates set. pick returns a random number below n.
func New(self crdt.PeerID, set *crdt.Set, pick func(n int) int) *Machine { panic("unwritten") }

// Live tells the machine which other peers can be reached now.
func (m *Machine) Live(peers []crdt.PeerID) { panic("unwritten") }

// Write adds this peer's own sealed operation and returns its pushes.
func (m *Machine) Write(op crdt.Op) (crdt.Delta, []Outgoing) { panic("unwritten") }

// Observe sets this peer's own sealed row and returns its pushes.
func (m *Machine) Observe(row Row) []Outgoing { panic("unwritten") }

// Receive takes a message in.
func (m *Machine) Receive(from crdt.PeerID, message Message) Received { panic("unwritten") }

// Reconcile begins a round with one live peer.
func (m *Machine) Reconcile() []Outgoing { panic("unwritten") }

// Row returns the newest row of a peer.
func (m *Machine) Row(peer crdt.PeerID) (Row, bool) { panic("unwritten") }

// Forget drops the row of a peer that left, and remembers its version so that an old copy is not taken again.
func (m *Machine) Forget(peer crdt.PeerID) { panic("unwritten") }

// Seal fills in Signed, Signature and Hash.
func Seal(op crdt.Op, sign func([]byte) []byte) crdt.Op { panic("unwritten") }

// SealRow fills in Signed and Signature.
func SealRow(row Row, sign func([]byte) []byte) Row { panic("unwritten") }

// EncodeOp gives the form in which an operation is stored.
func EncodeOp(op crdt.Op) []byte { panic("unwritten") }

// DecodeOp reads what EncodeOp gave; the signature is not checked.
func DecodeOp(data []byte) (crdt.Op, error) { panic("unwritten") }

// Encode gives the form in which a message is sent.
func Encode(message Message) []byte { panic("unwritten") }

// Decode reads what Encode gave; signatures are not checked. Sizes are checked before allocation.
func Decode(data []byte) (Message, error) { panic("unwritten") }
