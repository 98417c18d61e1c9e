package replication

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
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
	for _, writer := range slices.Sorted(maps.Keys(op.Seen)) {
		form.Seen = append(form.Seen, wire.Seen{Writer: wire.Peer(writer), Time: uint64(op.Seen[writer])})
	}
	for _, change := range op.Changes {
		form.Changes = append(form.Changes, wire.Change{Path: string(change.Path), Value: change.Value})
	}
	return form
}

func opFromSealed(sealed wire.Sealed) (crdt.Op, error) {
	form, err := wire.DecodeOp(sealed.Signed)
	if err != nil {
		return crdt.Op{}, err
	}
	op := crdt.Op{
		Key:   crdt.Key{Kind: form.Kind, Namespace: form.Namespace, Name: form.Name},
		Stamp: crdt.Stamp{Time: crdt.Time(form.Time), Writer: crdt.PeerID(form.Writer)},
		Seen:  make(crdt.Seen, len(form.Seen)),
		Verb:  crdt.Verb(form.Verb), Manager: form.Manager, User: form.User,
		Signed: sealed.Signed, Signature: sealed.Signature, Hash: hash(sealed),
	}
	for _, seen := range form.Seen {
		op.Seen[crdt.PeerID(seen.Writer)] = crdt.Time(seen.Time)
	}
	if len(op.Seen) != len(form.Seen) {
		return crdt.Op{}, errors.New("an operation that names a writer twice")
	}
	for _, change := range form.Changes {
		op.Changes = append(op.Changes, crdt.Change{Path: crdt.Path(change.Path), Value: change.Value})
	}
	return op, crdt.Check(op)
}

func hash(sealed wire.Sealed) [32]byte {
	h := sha256.New()
	h.Write(sealed.Signed)
	h.Write(sealed.Signature)
	return [32]byte(h.Sum(nil))
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

func messageToWire(m Message) wire.Message {
	var form wire.Message
	if m.Push != nil {
		form.Push = &wire.Push{Ops: each(m.Push.Ops, sealedOp), Ack: m.Push.Ack}
	}
	if m.Digest != nil {
		form.Digest = digestToWire(m.Digest)
	}
	if m.Objects != nil {
		form.Objects = &wire.Objects{}
		for _, object := range m.Objects.Objects {
			form.Objects.Objects = append(form.Objects.Objects, each(object.Ops, sealedOp))
		}
	}
	if m.Want != nil {
		form.Want = &wire.Want{
			Keys: each(m.Want.Keys, func(k crdt.Key) wire.Key {
				return wire.Key{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name}
			}),
			Rows: each(m.Want.Rows, func(id crdt.PeerID) wire.Peer { return wire.Peer(id) }),
		}
	}
	if m.Ack != nil {
		form.Ack = &wire.Ack{Ops: each(m.Ack.Ops, func(id crdt.OpID) []byte { return id[:] })}
	}
	if m.Rows != nil {
		form.Rows = &wire.Rows{Rows: each(m.Rows.Rows, sealedRow)}
	}
	return form
}

func digestToWire(d *Digest) *wire.Digest {
	form := &wire.Digest{Root: d.Root, RowRoot: d.RowRoot, InBuckets: d.InBuckets, AllRows: d.AllRows}
	if d.Buckets != nil {
		form.Buckets = make(map[uint16]wire.Sum, len(d.Buckets))
		for bucket, digest := range d.Buckets {
			form.Buckets[bucket] = digest
		}
	}
	form.Objects = each(d.Objects, func(o ObjectDigest) wire.ObjectDigest {
		return wire.ObjectDigest{Kind: o.Key.Kind, Namespace: o.Key.Namespace, Name: o.Key.Name, Digest: o.Digest}
	})
	for _, peer := range slices.Sorted(maps.Keys(d.Rows)) {
		version := d.Rows[peer]
		form.Rows = append(form.Rows, wire.RowVersion{Peer: wire.Peer(peer), Boot: version.Boot, Sequence: version.Sequence})
	}
	return form
}

func messageFromWire(form wire.Message) Message {
	var m Message
	if form.Push != nil {
		m.Push = &Push{Ops: readable(&m, form.Push.Ops, opFromSealed), Ack: form.Push.Ack}
	}
	if form.Digest != nil {
		m.Digest = digestFromWire(form.Digest)
	}
	if form.Objects != nil {
		m.Objects = &Objects{
			Objects: readable(&m, form.Objects.Objects, objectFromWire),
		}
	}
	if form.Want != nil {
		m.Want = &Want{
			Keys: each(form.Want.Keys, func(k wire.Key) crdt.Key { return crdt.Key{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name} }),
			Rows: each(form.Want.Rows, func(id wire.Peer) crdt.PeerID { return crdt.PeerID(id) }),
		}
	}
	if form.Ack != nil {
		m.Ack = &Ack{Ops: readable(&m, form.Ack.Ops, func(id []byte) (crdt.OpID, error) {
			if len(id) != len(crdt.OpID{}) {
				return crdt.OpID{}, errors.New("a name of an operation that is not 16 bytes long")
			}
			return crdt.OpID(id), nil
		})}
	}
	if form.Rows != nil {
		m.Rows = &Rows{Rows: readable(&m, form.Rows.Rows, rowFromSealed)}
	}
	return m
}

// objectFromWire takes an object whole or not at all.
func objectFromWire(sealed []wire.Sealed) (Object, error) {
	if len(sealed) == 0 {
		return Object{}, errors.New("an object without operations")
	}
	var object Object
	for _, s := range sealed {
		op, err := opFromSealed(s)
		if err != nil {
			return Object{}, err
		}
		if object.Ops != nil && op.Key != object.Key {
			return Object{}, fmt.Errorf("an object %s with an operation on %s", object.Key, op.Key)
		}
		object.Key = op.Key
		object.Ops = append(object.Ops, op)
	}
	return object, nil
}

func digestFromWire(form *wire.Digest) *Digest {
	d := &Digest{Root: form.Root, RowRoot: form.RowRoot, InBuckets: form.InBuckets, AllRows: form.AllRows}
	if form.Buckets != nil {
		d.Buckets = make(map[uint16][32]byte, len(form.Buckets))
		for bucket, digest := range form.Buckets {
			d.Buckets[bucket] = digest
		}
	}
	d.Objects = each(form.Objects, func(o wire.ObjectDigest) ObjectDigest {
		return ObjectDigest{Key: crdt.Key{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}, Digest: o.Digest}
	})
	if form.Rows != nil {
		d.Rows = make(map[crdt.PeerID]Version, len(form.Rows))
		for _, row := range form.Rows {
			d.Rows[crdt.PeerID(row.Peer)] = Version{row.Boot, row.Sequence}
		}
	}
	return d
}

func each[A, B any](list []A, convert func(A) B) []B {
	if list == nil {
		return nil
	}
	result := make([]B, len(list))
	for i, item := range list {
		result[i] = convert(item)
	}
	return result
}

// readable converts what can be, and counts in m what cannot.
func readable[A, B any](m *Message, list []A, convert func(A) (B, error)) []B {
	var result []B
	for _, item := range list {
		if converted, err := convert(item); err == nil {
			result = append(result, converted)
		} else {
			m.Skipped++
		}
	}
	return result
}

// Compare orders versions: boot first, then sequence.
func (v Version) Compare(other Version) int {
	return cmp.Or(cmp.Compare(v.Boot, other.Boot), cmp.Compare(v.Sequence, other.Sequence))
}
