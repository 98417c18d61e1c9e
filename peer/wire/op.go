package wire

// Op is an operation as its writer signs it.
//
//	{1: kind, 2: namespace, 3: name, 4: time, 5: writer, 6: [[writer, time], …] by writer,
//	 7: verb, 8: manager, 9: user, 10: [[path, value or null], …]}
type Op struct {
	Kind      string   `cbor:"1,keyasint"`
	Namespace string   `cbor:"2,keyasint,omitempty"`
	Name      string   `cbor:"3,keyasint"`
	Time      uint64   `cbor:"4,keyasint"`
	Writer    Peer     `cbor:"5,keyasint"`
	Seen      []Seen   `cbor:"6,keyasint,omitempty"`
	Verb      uint8    `cbor:"7,keyasint,omitempty"`
	Manager   string   `cbor:"8,keyasint,omitempty"`
	User      string   `cbor:"9,keyasint,omitempty"`
	Changes   []Change `cbor:"10,keyasint,omitempty"`
}

// Seen is one entry of a version vector.
type Seen struct {
	_      struct{} `cbor:",toarray"`
	Writer Peer
	Time   uint64
}

// Change sets a field, or deletes it when Value is nil.
type Change struct {
	_     struct{} `cbor:",toarray"`
	Path  string
	Value []byte
}

// EncodeOp gives the bytes to sign. The order of Seen and Changes is the caller's.
func EncodeOp(op Op) []byte { return formOp.encode(op) }

// DecodeOp reads the bytes that were signed. Values point into them.
func DecodeOp(signed []byte) (Op, error) { return new(Reader).Op(signed) }

// Row is one peer's observation as it signs it.
//
//	{1: peer, 2: boot, 3: sequence, 4: body}
type Row struct {
	Peer     Peer   `cbor:"1,keyasint"`
	Boot     uint64 `cbor:"2,keyasint"`
	Sequence uint64 `cbor:"3,keyasint"`
	Body     []byte `cbor:"4,keyasint"`
}

// EncodeRow gives the bytes to sign.
func EncodeRow(row Row) []byte { return formRow.encode(row) }

// DecodeRow reads the bytes that were signed.
func DecodeRow(signed []byte) (Row, error) {
	var row Row
	err := formRow.decode(signed, &row)
	return row, err
}
