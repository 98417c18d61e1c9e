package wire

// Message is what one peer's replication says to another's: one field is set.
//
//	{1: push} or {2: digest} or {3: objects} or {4: want}
type Message struct {
	Push    *Push    `cbor:"1,keyasint,omitempty"`
	Digest  *Digest  `cbor:"2,keyasint,omitempty"`
	Objects *Objects `cbor:"3,keyasint,omitempty"`
	Want    *Want    `cbor:"4,keyasint,omitempty"`
	Ack     *Ack     `cbor:"5,keyasint,omitempty"`
	Rows    *Rows    `cbor:"6,keyasint,omitempty"`
}

// Push spreads operations and rows.
//
//	{1: [sealed, …], 2: [sealed, …]}
type Push struct {
	Ops []Sealed `cbor:"1,keyasint,omitempty"`
	Ack bool     `cbor:"2,keyasint,omitempty"`
}

type Ack struct {
	Ops [][]byte `cbor:"1,keyasint,omitempty"`
}

type Rows struct {
	Rows []Sealed `cbor:"1,keyasint,omitempty"`
}

// Digest compares what two peers hold. Buckets is null unless all digests of buckets are told, of which the
// missing ones are empty.
//
//	{1: root, 2: root of rows, 3: {bucket: digest, …} or null, 4: [bucket, …],
//	 5: [[kind, namespace, name, digest], …], 6: [[peer, boot, sequence], …], 7: all rows are named}
type Digest struct {
	Root      Sum            `cbor:"1,keyasint"`
	RowRoot   Sum            `cbor:"2,keyasint"`
	Buckets   map[uint16]Sum `cbor:"3,keyasint"`
	InBuckets []uint16       `cbor:"4,keyasint,omitempty"`
	Objects   []ObjectDigest `cbor:"5,keyasint,omitempty"`
	Rows      []RowVersion   `cbor:"6,keyasint,omitempty"`
	AllRows   bool           `cbor:"7,keyasint,omitempty"`
}

// ObjectDigest is one object and the digest of all that is held of it.
type ObjectDigest struct {
	_         struct{} `cbor:",toarray"`
	Kind      string
	Namespace string
	Name      string
	Digest    Sum
}

// RowVersion says which row of a peer is held.
type RowVersion struct {
	_        struct{} `cbor:",toarray"`
	Peer     Peer
	Boot     uint64
	Sequence uint64
}

// Objects carries whole objects, each as all operations held of it, and rows.
//
//	{1: [[sealed, …], …], 2: [sealed, …]}
type Objects struct {
	Objects [][]Sealed `cbor:"1,keyasint,omitempty"`
}

// Want asks for whole objects and rows.
//
//	{1: [[kind, namespace, name], …], 2: [peer, …]}
type Want struct {
	Keys []Key  `cbor:"1,keyasint,omitempty"`
	Rows []Peer `cbor:"2,keyasint,omitempty"`
}

// Key names an object.
type Key struct {
	_         struct{} `cbor:",toarray"`
	Kind      string
	Namespace string
	Name      string
}

// EncodeMessage gives the form in which a message is sent.
func EncodeMessage(m Message) []byte { return formMessage.encode(m) }

// DecodeMessage reads what EncodeMessage gave. It does not look into sealed forms.
func DecodeMessage(data []byte) (Message, error) {
	var m Message
	err := formMessage.decode(data, &m)
	return m, err
}

// Envelope is what a stream carries: a message, and the certificates of those who signed what is
// in it, in whatever order.
//
//	{1: [certificate, …], 2: message}
type Envelope struct {
	Certificates [][]byte `cbor:"1,keyasint,omitempty"`
	Message      []byte   `cbor:"2,keyasint"`
}

// EncodeEnvelope gives the bytes for a stream.
func EncodeEnvelope(e Envelope) []byte { return formEnvelope.encode(e) }

// DecodeEnvelope reads what EncodeEnvelope gave.
func DecodeEnvelope(data []byte) (Envelope, error) {
	var e Envelope
	err := formEnvelope.decode(data, &e)
	return e, err
}
