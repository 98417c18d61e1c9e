package replication

import (
	"errors"
	"math"

	"shoal/crdt"
	"shoal/crdt/sketch"
	"shoal/peer/wire"
)

// Encode gives the form in which a message is sent.
func Encode(message Message) []byte { return wire.EncodeMessage(messageToWire(message)) }

// Decode reads what Encode gave; signatures are not checked. Sizes are checked before allocation. An
// operation or row that cannot be read is left out and counted, so that it costs no other.
func Decode(data []byte) (Message, error) {
	form, err := wire.DecodeMessage(data)
	if err != nil {
		return Message{}, err
	}
	return messageFromWire(form)
}

func messageToWire(m Message) wire.Message {
	form := wire.Message{
		Digest: digestToWire(m.Digest), Symbols: symbolsToWire(m.Symbols), More: moreToWire(m.More), Want: wantToWire(m.Want),
		RowSymbols: symbolsToWire(m.RowSymbols), RowMore: moreToWire(m.RowMore), RowWant: rowWantToWire(m.RowWant),
		Lease: leaseToWire(m.Lease),
	}
	if m.Push != nil {
		form.Push = &wire.Push{Ops: each(m.Push.Ops, sealedOp), Ack: m.Push.Ack}
	}
	if m.Objects != nil {
		form.Objects = &wire.Objects{
			Objects: each(m.Objects.Objects, sealedOps), Left: uint32(m.Objects.Left), Paused: m.Objects.Paused,
			Part: uint32(m.Objects.Part), Gone: names(m.Objects.Gone),
		}
	}
	if m.Page != nil {
		form.Page = &wire.Page{After: placeToWire(m.Page.After), Until: placeToWire(m.Page.Until), Last: m.Page.Last,
			Objects: each(m.Page.Objects, sealedOps)}
	}
	if m.Fill != nil {
		form.Fill = &wire.Fill{After: placeToWire(m.Fill.After)}
	}
	if m.Ack != nil {
		form.Ack = &wire.Ack{}
		if list := names(m.Ack.Ops); list != nil {
			form.Ack.Ops = *list
		}
	}
	if m.Rows != nil {
		form.Rows = &wire.Rows{Rows: each(m.Rows.Rows, sealedRow)}
	}
	return form
}

func sealedOps(object Object) wire.List { return each(object.Ops, sealedOp) }

func digestToWire(d *Digest) *wire.Digest {
	if d == nil {
		return nil
	}
	form := &wire.Digest{
		Root: d.Root, Count: d.Count, RowRoot: d.RowRoot, RowCount: d.RowCount, Floor: d.Floor,
		Own: wire.Version{Boot: d.Own.Boot, Sequence: d.Own.Sequence}, Answer: d.Answer, Busy: d.Busy, Missed: d.Missed, Question: d.Question,
	}
	if d.Doubted != (FloorHash{}) {
		doubted := wire.Short(d.Doubted)
		form.Doubted = &doubted
	}
	return form
}

func symbolsToWire(s *Symbols) *wire.Symbols {
	if s == nil {
		return nil
	}
	return &wire.Symbols{
		Count: s.Count, Version: s.Version, Bits: uint8(s.Part.Bits), Index: uint32(s.Part.Index), From: uint32(s.From),
		Symbols: sketch.Append(nil, s.Symbols, s.From, countOf(s.Count, s.Part.Bits)), Floor: s.Floor,
	}
}

// countOf is about how many elements a part has.
func countOf(all uint64, bits int) int { return int(min(all, 1<<40)) >> bits }

func moreToWire(more *More) *wire.More {
	if more == nil {
		return nil
	}
	return &wire.More{Version: more.Version, Bits: uint8(more.Part.Bits), Index: uint32(more.Part.Index), From: uint32(more.From), Number: uint32(more.Number)}
}

func wantToWire(want *Want) *wire.Want {
	if want == nil {
		return nil
	}
	form := &wire.Want{Ops: names(want.Ops), Left: uint32(want.Left)}
	for _, known := range want.Unseen {
		form.Unseen = append(form.Unseen, wire.Known{
			Kind: known.Key.Kind, Namespace: known.Key.Namespace, Name: known.Key.Name, Seen: seenToWire(known.Seen),
		})
	}
	return form
}

func placeToWire(p Place) wire.Place {
	return wire.Place{Kind: p.Key.Kind, Namespace: p.Key.Namespace, Name: p.Key.Name, Time: uint64(p.Stamp.Time), Writer: wire.Peer(p.Stamp.Writer)}
}

func rowWantToWire(want *RowWant) *wire.RowWant {
	if want == nil {
		return nil
	}
	return &wire.RowWant{
		Names: names(want.Names),
		Held: each(want.Held, func(h Held) wire.RowVersion {
			return wire.RowVersion{Peer: wire.Peer(h.Peer), Boot: h.Version.Boot, Sequence: h.Version.Sequence}
		}),
		Peers: each(want.Peers, func(id crdt.PeerID) wire.Peer { return wire.Peer(id) }),
	}
}

// names is nil for an empty list, which is not written.
func names[T ~[wire.NameBytes]byte](list []T) *wire.Names {
	if len(list) == 0 {
		return nil
	}
	result := make(wire.Names, len(list))
	for i, id := range list {
		result[i] = id
	}
	return &result
}

func namesFrom[T ~[wire.NameBytes]byte](list *wire.Names) []T {
	if list == nil || len(*list) == 0 {
		return nil
	}
	result := make([]T, len(*list))
	for i, id := range *list {
		result[i] = id
	}
	return result
}

func messageFromWire(form wire.Message) (m Message, err error) {
	switch {
	case form.Push != nil:
		m.Push = &Push{Ops: m.ops(form.Push.Ops), Ack: form.Push.Ack}
	case form.Digest != nil:
		m.Digest = digestFromWire(form.Digest)
	case form.Symbols != nil:
		m.Symbols, err = symbolsFromWire(form.Symbols)
	case form.More != nil:
		m.More, err = moreFromWire(form.More)
	case form.Objects != nil:
		o := form.Objects
		m.Objects = &Objects{Objects: m.objects(o.Objects), Left: int(o.Left), Paused: o.Paused, Part: int(o.Part), Gone: namesFrom[crdt.OpID](o.Gone)}
	case form.Want != nil:
		m.Want = wantFromWire(form.Want)
	case form.Page != nil:
		m.Page = &Page{After: placeFromWire(form.Page.After), Until: placeFromWire(form.Page.Until), Last: form.Page.Last, Objects: m.objects(form.Page.Objects)}
	case form.Fill != nil:
		m.Fill = &Fill{After: placeFromWire(form.Fill.After)}
	case form.Ack != nil:
		m.Ack = &Ack{Ops: namesFrom[crdt.OpID](&form.Ack.Ops)}
	case form.Rows != nil:
		m.Rows = &Rows{Rows: m.rows(form.Rows.Rows)}
	case form.RowSymbols != nil:
		m.RowSymbols, err = symbolsFromWire(form.RowSymbols)
	case form.RowMore != nil:
		m.RowMore, err = moreFromWire(form.RowMore)
	case form.RowWant != nil:
		m.RowWant = rowWantFromWire(form.RowWant)
	case form.Lease != nil:
		m.Lease = leaseFromWire(form.Lease)
	default:
		m.Skipped = 1
	}
	return m, err
}

func (m *Message) ops(list wire.List) []crdt.Op {
	var ops []crdt.Op
	var reader wire.Reader
	for _, sealed := range list {
		if op, err := opFromSealed(&reader, sealed); err == nil {
			ops = append(ops, op)
		} else {
			m.skip(sealed, err)
		}
	}
	return ops
}

func (m *Message) objects(list wire.Lists) []Object {
	var objects []Object
	var reader wire.Reader
	for _, sealed := range list {
		if object, ok := objectFromWire(m, &reader, sealed); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

func (m *Message) rows(list wire.List) []Row {
	var rows []Row
	for _, sealed := range list {
		if row, err := rowFromSealed(sealed); err == nil {
			rows = append(rows, row)
		} else {
			m.Skipped++
		}
	}
	return rows
}

func digestFromWire(form *wire.Digest) *Digest {
	d := &Digest{
		Root: form.Root, Count: form.Count, RowRoot: form.RowRoot, RowCount: form.RowCount, Floor: form.Floor,
		Own: Version{form.Own.Boot, form.Own.Sequence}, Answer: form.Answer, Busy: form.Busy, Missed: form.Missed, Question: form.Question,
	}
	if form.Doubted != nil {
		d.Doubted = FloorHash(*form.Doubted)
	}
	return d
}

var errNoSuchPart = errors.New("symbols of a part that there is not")

func partFrom(bits uint8, index, from uint32) (sketch.Part, int, error) {
	part := sketch.Part{Bits: int(bits), Index: int(index)}
	if !part.Valid() || from > sketch.MaxSymbols {
		return sketch.Part{}, 0, errNoSuchPart
	}
	return part, int(from), nil
}

func symbolsFromWire(form *wire.Symbols) (*Symbols, error) {
	part, from, err := partFrom(form.Bits, form.Index, form.From)
	if err != nil {
		return nil, err
	}
	list, err := sketch.Parse(form.Symbols, from, countOf(form.Count, part.Bits))
	if err != nil {
		return nil, err
	}
	return &Symbols{Count: form.Count, Version: form.Version, Part: part, From: from, Symbols: list, Floor: form.Floor}, nil
}

func moreFromWire(form *wire.More) (*More, error) {
	part, from, err := partFrom(form.Bits, form.Index, form.From)
	if err != nil {
		return nil, err
	}
	return &More{Version: form.Version, Part: part, From: from, Number: int(min(form.Number, sketch.MaxSymbols))}, nil
}

func wantFromWire(form *wire.Want) *Want {
	want := &Want{Ops: namesFrom[crdt.OpID](form.Ops), Left: int(min(form.Left, math.MaxInt32))}
	for _, known := range form.Unseen {
		seen := make(crdt.Seen, len(known.Seen))
		for _, s := range known.Seen {
			seen[crdt.PeerID(s.Writer)] = crdt.Time(s.Time)
		}
		want.Unseen = append(want.Unseen, Known{crdt.Key{Kind: known.Kind, Namespace: known.Namespace, Name: known.Name}, seen})
	}
	return want
}

func placeFromWire(form wire.Place) Place {
	return Place{
		Key:   crdt.Key{Kind: form.Kind, Namespace: form.Namespace, Name: form.Name},
		Stamp: crdt.Stamp{Time: crdt.Time(form.Time), Writer: crdt.PeerID(form.Writer)},
	}
}

func rowWantFromWire(form *wire.RowWant) *RowWant {
	return &RowWant{
		Names: namesFrom[sketch.ID](form.Names),
		Held: each(form.Held, func(h wire.RowVersion) Held {
			return Held{crdt.PeerID(h.Peer), Version{h.Boot, h.Sequence}}
		}),
		Peers: each(form.Peers, func(id wire.Peer) crdt.PeerID { return crdt.PeerID(id) }),
	}
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
