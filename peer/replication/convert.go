package replication

import (
	"crypto/sha256"
	"errors"
	"maps"
	"slices"

	"shoal/crdt"
	"shoal/peer/wire"
)

// opToWire orders what has an order, so that equal operations have equal bytes.
func opToWire(op crdt.Op) wire.Op {
	form := wire.Op{
		Kind: op.Key.Kind, Namespace: op.Key.Namespace, Name: op.Key.Name,
		Time: uint64(op.Stamp.Time), Writer: wire.Peer(op.Stamp.Writer),
		Verb: uint8(op.Verb), Manager: op.Manager, User: op.User,
	}
	form.Seen = seenToWire(op.Seen)
	for _, change := range op.Changes {
		form.Changes = append(form.Changes, wire.Change{Path: string(change.Path), Value: change.Value})
	}
	return form
}

func seenToWire(seen crdt.Seen) []wire.Seen {
	var list []wire.Seen
	for _, writer := range slices.Sorted(maps.Keys(seen)) {
		list = append(list, wire.Seen{Writer: wire.Peer(writer), Time: uint64(seen[writer])})
	}
	return list
}

func opFromSealed(reader *wire.Reader, sealed wire.Sealed) (crdt.Op, error) {
	form, err := reader.Op(sealed.Signed)
	if err != nil {
		return crdt.Op{}, err
	}
	op := crdt.Op{
		Key:   crdt.Key{Kind: form.Kind, Namespace: form.Namespace, Name: form.Name},
		Stamp: crdt.Stamp{Time: crdt.Time(form.Time), Writer: crdt.PeerID(form.Writer)},
		Verb:  crdt.Verb(form.Verb), Manager: form.Manager, User: form.User,
		Signed: sealed.Signed, Signature: sealed.Signature, Hash: hash(sealed),
	}
	if len(form.Seen) > 0 {
		op.Seen = make(crdt.Seen, len(form.Seen))
	}
	for _, seen := range form.Seen {
		op.Seen[crdt.PeerID(seen.Writer)] = crdt.Time(seen.Time)
	}
	if len(op.Seen) != len(form.Seen) {
		return crdt.Op{}, errors.New("an operation that names a writer twice")
	}
	if len(form.Changes) > 0 {
		op.Changes = make([]crdt.Change, len(form.Changes))
	}
	for i, change := range form.Changes {
		op.Changes[i] = crdt.Change{Path: crdt.Path(change.Path), Value: change.Value}
	}
	return op, crdt.Check(op)
}

func hash(sealed wire.Sealed) [32]byte {
	var space [512]byte // enough for most
	return sha256.Sum256(append(append(space[:0], sealed.Signed...), sealed.Signature...))
}

func sealedOp(op crdt.Op) wire.Sealed {
	return wire.Sealed{Signed: op.Signed, Signature: op.Signature}
}

func sealedRow(row Row) wire.Sealed {
	return wire.Sealed{Signed: row.Signed, Signature: row.Signature}
}

func rowToWire(row Row) wire.Row {
	return wire.Row{Peer: wire.Peer(row.Peer), Boot: row.Version.Boot, Sequence: row.Version.Sequence, Body: row.Body}
}

func rowFromSealed(sealed wire.Sealed) (Row, error) {
	form, err := wire.DecodeRow(sealed.Signed)
	if err != nil {
		return Row{}, err
	}
	if form.Peer == "" {
		return Row{}, errors.New("a row of nobody")
	}
	return Row{
		Peer: crdt.PeerID(form.Peer), Version: Version{form.Boot, form.Sequence},
		Body: form.Body, Signed: sealed.Signed, Signature: sealed.Signature,
	}, nil
}

// objectFromWire takes the operations up to the first that cannot be read. Those that come after that one may have
// seen it, and would claim that it is here.
func objectFromWire(m *Message, reader *wire.Reader, list wire.List) (object Object, ok bool) {
	for i, sealed := range list {
		op, err := opFromSealed(reader, sealed)
		if err == nil && i > 0 && op.Key != object.Key {
			err = errors.New("an operation on another object")
		}
		if err != nil {
			m.skip(sealed, err)
			m.Skipped += len(list) - i - 1
			break
		}
		object.Key = op.Key
		object.Ops = append(object.Ops, op)
	}
	return object, len(object.Ops) > 0
}

const unreadableAtMost = 16 // named for one message

// skip counts an operation that cannot be read, and names it where not just a newer version can.
func (m *Message) skip(sealed wire.Sealed, err error) {
	m.Skipped++
	if errors.Is(err, wire.ErrNewer) || len(m.Unreadable) >= unreadableAtMost {
		return
	}
	hash := hash(sealed)
	refusal := Refusal{Op: crdt.OpID(hash[:len(crdt.OpID{})]), Reason: Invalid}
	if len(sealed.Signed) > MaxOpBytes {
		refusal.Reason = Oversize
	}
	m.Unreadable = append(m.Unreadable, refusal)
}
