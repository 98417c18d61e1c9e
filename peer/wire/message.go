package wire

import "errors"

// Message is what one peer's replication says to another's: one field is set. A message without any is of a kind that
// this version does not know.
//
//	{1: push} or {2: digest} or {3: symbols} or {4: more} or {5: objects} or {6: want} or {7: page} or {8: fill} or
//	{9: ack} or {10: rows} or {11: symbols of rows} or {12: more of those} or {13: want rows} or
//	{14: lease}
type Message struct {
	Push       *Push    `cbor:"1,keyasint,omitempty"`
	Digest     *Digest  `cbor:"2,keyasint,omitempty"`
	Symbols    *Symbols `cbor:"3,keyasint,omitempty"`
	More       *More    `cbor:"4,keyasint,omitempty"`
	Objects    *Objects `cbor:"5,keyasint,omitempty"`
	Want       *Want    `cbor:"6,keyasint,omitempty"`
	Page       *Page    `cbor:"7,keyasint,omitempty"`
	Fill       *Fill    `cbor:"8,keyasint,omitempty"`
	Ack        *Ack     `cbor:"9,keyasint,omitempty"`
	Rows       *Rows    `cbor:"10,keyasint,omitempty"`
	RowSymbols *Symbols `cbor:"11,keyasint,omitempty"`
	RowMore    *More    `cbor:"12,keyasint,omitempty"`
	RowWant    *RowWant `cbor:"13,keyasint,omitempty"`
	Lease      *Lease   `cbor:"14,keyasint,omitempty"`
}

// Push spreads operations.
//
//	{1: [sealed, …], 2: an ack is asked for}
type Push struct {
	Ops List `cbor:"1,keyasint,omitzero"`
	Ack bool `cbor:"2,keyasint,omitempty"`
}

// Digest opens a comparison of what two peers hold, or answers one that does.
//
//	{1: root, 2: count, 3: root of rows, 4: count of rows, 5: hash of the floor applied,
//	 6: [boot, sequence] of the sender's own row, 7: it is an answer, 8: do not compare intent now,
//	 9: hash of the floor that the sender doubts, 10: the sender had lost the receiver}
type Digest struct {
	Root     Sum     `cbor:"1,keyasint"`
	Count    uint64  `cbor:"2,keyasint,omitempty"`
	RowRoot  Sum     `cbor:"3,keyasint"`
	RowCount uint64  `cbor:"4,keyasint,omitempty"`
	Floor    Short   `cbor:"5,keyasint"`
	Own      Version `cbor:"6,keyasint"`
	Answer   bool    `cbor:"7,keyasint,omitempty"`
	Busy     bool    `cbor:"8,keyasint,omitempty"`
	Doubted  *Short  `cbor:"9,keyasint,omitempty"`
	Missed   bool    `cbor:"10,keyasint,omitempty"`
	Question uint64  `cbor:"11,keyasint,omitempty"`
}

// Version is that of a row.
type Version struct {
	_        struct{} `cbor:",toarray"`
	Boot     uint64
	Sequence uint64
}

// Symbols are coded symbols of the names of what the sender holds, in one part by the first bits of the names.
//
//	{1: count, 2: version, 3: bits, 4: index, 5: from, 6: symbols, 7: hash of the floor applied}
//
// Each symbol takes 16 bytes of names, 8 of checks, and a varint (zigzag, as in encoding/binary) of its count less
// 2 count/(2+i), rounded down, of symbol i, where count is that of the part on average: count >> bits.
type Symbols struct {
	Count   uint64 `cbor:"1,keyasint,omitempty"`
	Version uint64 `cbor:"2,keyasint,omitempty"`
	Bits    uint8  `cbor:"3,keyasint,omitempty"`
	Index   uint32 `cbor:"4,keyasint,omitempty"`
	From    uint32 `cbor:"5,keyasint,omitempty"`
	Symbols []byte `cbor:"6,keyasint"`
	Floor   Short  `cbor:"7,keyasint"`
}

// More asks for symbols.
//
//	{1: version, 2: bits, 3: index, 4: from, 5: number}
type More struct {
	Version uint64 `cbor:"1,keyasint,omitempty"`
	Bits    uint8  `cbor:"2,keyasint,omitempty"`
	Index   uint32 `cbor:"3,keyasint,omitempty"`
	From    uint32 `cbor:"4,keyasint,omitempty"`
	Number  uint32 `cbor:"5,keyasint,omitempty"`
}

// Objects carries operations, those on one object together.
//
//	{1: [[sealed, …], …], 2: operations left, 3: ask for what is left, 4: part of one large object, from 1,
//	 5: names of those that were asked for and are not there}
type Objects struct {
	Objects Lists  `cbor:"1,keyasint,omitzero"`
	Left    uint32 `cbor:"2,keyasint,omitempty"`
	Paused  bool   `cbor:"3,keyasint,omitempty"`
	Part    uint32 `cbor:"4,keyasint,omitempty"`
	Gone    *Names `cbor:"5,keyasint,omitempty"`
}

// Want asks for operations: by their names, or for all of an object that was not seen; or for what is left of the
// last answer.
//
//	{1: names, 2: [[kind, namespace, name, [[writer, time], …]], …], 3: operations left}
type Want struct {
	Ops    *Names  `cbor:"1,keyasint,omitempty"`
	Unseen []Known `cbor:"2,keyasint,omitempty"`
	Left   uint32  `cbor:"3,keyasint,omitempty"`
}

// Known is an object and what was seen of it.
type Known struct {
	_         struct{} `cbor:",toarray"`
	Kind      string
	Namespace string
	Name      string
	Seen      []Seen
}

// Page carries all that the sender holds between two places, in the order of pages.
//
//	{1: after, 2: until, 3: nothing follows, 4: [[sealed, …], …]}
type Page struct {
	After   Place `cbor:"1,keyasint"`
	Until   Place `cbor:"2,keyasint"`
	Last    bool  `cbor:"3,keyasint,omitempty"`
	Objects Lists `cbor:"4,keyasint,omitzero"`
}

// Fill asks for the page after a place.
//
//	{1: place}
type Fill struct {
	After Place `cbor:"1,keyasint"`
}

// Place is an object, or where the time is not zero one of its operations.
type Place struct {
	_         struct{} `cbor:",toarray"`
	Kind      string
	Namespace string
	Name      string
	Time      uint64
	Writer    Peer
}

// Ack names operations that the sender has on its disk.
//
//	{1: names}
type Ack struct {
	Ops Names `cbor:"1,keyasint"`
}

// Rows carries rows.
//
//	{1: [sealed, …]}
type Rows struct {
	Rows List `cbor:"1,keyasint,omitzero"`
}

// RowWant asks for rows: by the names of their versions, less those that are older than what is held; or by peer.
//
//	{1: names, 2: [[peer, boot, sequence], …] held, 3: [peer, …]}
type RowWant struct {
	Names *Names       `cbor:"1,keyasint,omitempty"`
	Held  []RowVersion `cbor:"2,keyasint,omitempty"`
	Peers []Peer       `cbor:"3,keyasint,omitempty"`
}

// RowVersion says which row of a peer is held.
type RowVersion struct {
	_        struct{} `cbor:",toarray"`
	Peer     Peer
	Boot     uint64
	Sequence uint64
}

// Names are names of operations, or of versions of rows: on the wire one byte string of 16 bytes each.
type Names [][NameBytes]byte

// NameBytes is the length of a name.
const NameBytes = 16

// MarshalCBOR writes a byte string.
func (n Names) MarshalCBOR() ([]byte, error) {
	data := make([]byte, 0, len(n)*NameBytes)
	for i := range n {
		data = append(data, n[i][:]...)
	}
	return encoding.Marshal(data)
}

// UnmarshalCBOR reads what MarshalCBOR wrote, and nothing else.
func (n *Names) UnmarshalCBOR(data []byte) error {
	var names []byte
	if err := decoding.Unmarshal(data, &names); err != nil || len(names)%NameBytes != 0 {
		return errors.New("names that are not 16 bytes long each")
	}
	*n = make(Names, len(names)/NameBytes)
	for i := range *n {
		copy((*n)[i][:], names[i*NameBytes:])
	}
	return nil
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

// Lease is what holders and witnesses of leases say to each other; see peer/lease.
//
//	{1: life, 2: number, 3: term in ms, 4: [[name, workload, terms, next or null], …] asks, 5: [name, …] freed,
//	 6: [[name, verdict, holder or null, wait in ms], …] answers}
type Lease struct {
	Life    uint64        `cbor:"1,keyasint,omitempty"`
	Number  uint64        `cbor:"2,keyasint,omitempty"`
	Term    uint64        `cbor:"3,keyasint,omitempty"`
	Asks    []LeaseAsk    `cbor:"4,keyasint,omitempty"`
	Frees   []string      `cbor:"5,keyasint,omitempty"`
	Answers []LeaseAnswer `cbor:"6,keyasint,omitempty"`
}

// LeaseAsk asks for one lease.
type LeaseAsk struct {
	_        struct{} `cbor:",toarray"`
	Name     string
	Workload string
	Terms    Short
	Next     *Peer
}

// LeaseAnswer answers a LeaseAsk.
type LeaseAnswer struct {
	_       struct{} `cbor:",toarray"`
	Name    string
	Verdict uint8
	Holder  *Peer
	Wait    uint64
}
