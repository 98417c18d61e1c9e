package replication

import (
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/peer/wire"
)

// MaxOpBytes is how large the signed form of an operation may be. Machine.Write refuses what is larger.
const MaxOpBytes = wire.MaxOp

// Seal puts the changes in the order of their paths and fills in Signed, Signature and Hash.
func Seal(op crdt.Op, sign func([]byte) []byte) crdt.Op {
	op.Changes = slices.Clone(op.Changes)
	slices.SortStableFunc(op.Changes, func(a, b crdt.Change) int { return strings.Compare(string(a.Path), string(b.Path)) })
	op.Signed = wire.EncodeOp(opToWire(op))
	op.Signature = sign(op.Signed)
	op.Hash = hash(sealedOp(op))
	return op
}

// SealRow fills in Signed and Signature.
func SealRow(row Row, sign func([]byte) []byte) Row {
	row.Signed = wire.EncodeRow(rowToWire(row))
	row.Signature = sign(row.Signed)
	return row
}

// EncodeOp gives the form in which an operation is stored.
func EncodeOp(op crdt.Op) []byte { return wire.EncodeSealed(sealedOp(op)) }

// EncodeRow gives the form in which a row is stored.
func EncodeRow(row Row) []byte { return wire.EncodeSealed(sealedRow(row)) }

// DecodeRow reads what EncodeRow gave; the signature is not checked.
func DecodeRow(data []byte) (Row, error) {
	sealed, err := wire.DecodeSealed(data)
	if err != nil {
		return Row{}, err
	}
	return rowFromSealed(sealed)
}

// DecodeOp reads what EncodeOp gave; the signature is not checked.
func DecodeOp(data []byte) (crdt.Op, error) {
	sealed, err := wire.DecodeSealed(data)
	if err != nil {
		return crdt.Op{}, err
	}
	return opFromSealed(new(wire.Reader), sealed)
}
