package replication

import (
	"slices"

	"shoal/crdt"
)

// givingAtMost peers may have something left to ask for; the one that waited longest is forgotten for another.
const givingAtMost = 8

// giving is what a peer is still to get, when it asks for it.
type giving struct {
	to   crdt.PeerID
	ids  []crdt.OpID // those on one object together, in the order of stamps
	ops  []*crdt.Op  // the same, while nothing can have changed; nil later
	part int         // how many parts went of the object at the head
}

// part is the last part that came of an object too large for one message.
type part struct {
	key    crdt.Key
	number int
}

// inbound is a transfer in several answers that is under way.
type inbound struct {
	from crdt.PeerID
	idle int // calls of Reconcile since anything came
}

// give sends operations to a peer: at once as much as one answer holds, and the rest when it asks. It also returns the
// names of those that it cannot give.
func (m *Machine) give(to crdt.PeerID, ids []crdt.OpID) (messages []Message, gone []crdt.OpID) {
	ops, gone := m.set.ByObject(ids, m.doubts)
	return m.burst(giving{to: to, ids: each(ops, func(op *crdt.Op) crdt.OpID { return op.ID() }), ops: ops}), gone
}

// burst sends one answer's worth of g, and remembers what is left of it.
func (m *Machine) burst(g giving) []Message {
	var messages []*Objects
	batch, bytes, total := &Objects{}, 0, 0
	flush := func() {
		if len(batch.Objects) > 0 {
			batch.Left = len(g.ids)
			messages = append(messages, batch)
			batch, bytes = &Objects{}, 0
		}
	}
	for len(g.ids) > 0 && total < answerBytes {
		before := g
		object, whole := m.next(&g)
		size := objectBytes(object)
		if bytes > 0 && (bytes+size > splitBytes || !whole || before.part > 0) {
			after := g
			g = before // what is left after the batch
			flush()
			g = after
		}
		if len(object.Ops) > 0 {
			batch.Objects = append(batch.Objects, object)
		}
		bytes, total = bytes+size, total+size
		if before.part > 0 || !whole {
			batch.Part, g.part = before.part+1, before.part+1
			flush()
		}
		if whole {
			g.part = 0
		}
	}
	flush()
	if len(g.ids) > 0 && len(messages) > 0 {
		messages[len(messages)-1].Paused = true
		g.ops = nil
		m.giving = append(slices.DeleteFunc(m.giving, func(old giving) bool { return old.to == g.to }), g)
		m.giving = m.giving[max(0, len(m.giving)-givingAtMost):]
	}
	result := make([]Message, len(messages))
	for i, objects := range messages {
		result[i] = Message{Objects: objects}
	}
	return result
}

// next takes the first object from g, or as much of it as fits into one message. Operations that are gone meanwhile are left out.
func (m *Machine) next(g *giving) (object Object, whole bool) {
	bytes := 0
	for ; len(g.ids) > 0; g.skip() {
		op := m.head(g)
		switch {
		case op == nil:
			continue
		case len(object.Ops) > 0 && (op.Key.Name != object.Key.Name || op.Key != object.Key): // mostly the name tells
			return object, true
		case len(object.Ops) > 0 && bytes+opBytes(*op) > partBytes:
			return object, false
		}
		object.Key = op.Key
		object.Ops = append(object.Ops, *op)
		bytes += opBytes(*op)
	}
	return object, true
}

// head is the first operation of g; nil if it is gone.
func (m *Machine) head(g *giving) *crdt.Op {
	if g.ops != nil {
		return g.ops[0]
	}
	return m.set.Find(g.ids[0])
}

func (g *giving) skip() {
	g.ids = g.ids[1:]
	if g.ops != nil {
		g.ops = g.ops[1:]
	}
}

// receiveWant gives what was asked for.
func (m *Machine) receiveWant(from crdt.PeerID, want *Want) []Outgoing {
	var received Received
	if want.Left > 0 {
		at := slices.IndexFunc(m.giving, func(g giving) bool { return g.to == from && len(g.ids) == want.Left })
		if at >= 0 {
			g := m.giving[at]
			m.giving = slices.Delete(m.giving, at, at+1)
			received.send(from, m.burst(g)...)
		}
		return received.Send
	}
	ids := want.Ops
	for _, known := range want.Unseen {
		for _, op := range m.set.Ops(known.Key) {
			if !known.Seen.Has(op.Stamp) {
				ids = append(slices.Clip(ids), op.ID())
			}
		}
	}
	messages, gone := m.give(from, ids[:min(len(ids), namesAtOnce)])
	if len(want.Ops) > 0 && len(gone) > 0 {
		if len(messages) == 0 {
			messages = append(messages, Message{Objects: &Objects{}})
		}
		messages[len(messages)-1].Objects.Gone = gone
	}
	received.send(from, messages...)
	return received.Send
}

// receiveObjects merges what came, asks for what is left, and goes on with the round that it belongs to.
func (m *Machine) receiveObjects(from crdt.PeerID, objects *Objects) Received {
	if !m.follows(from, objects) {
		return Received{}
	}
	received := m.merge(from, objects.Objects)
	switch {
	case objects.Left > 0:
		m.inbound = inbound{from: from}
	case m.inbound.from == from:
		m.inbound = inbound{}
	}
	if objects.Paused && objects.Left > 0 {
		received.send(from, Message{Want: &Want{Left: objects.Left}})
	}
	m.arrived(&received, from, objects)
	return received
}

// follows says whether a part of a large object comes after the part before it. Without that one it would claim to
// have seen what is not here; with it, it does not, since operations come in the order of stamps.
func (m *Machine) follows(from crdt.PeerID, objects *Objects) bool {
	last := m.parts[from]
	delete(m.parts, from)
	if objects.Part == 0 || len(objects.Objects) == 0 {
		return true
	}
	key := objects.Objects[0].Key
	if len(objects.Objects) > 1 || objects.Part > 1 && (last.key != key || last.number != objects.Part-1) {
		return false
	}
	if len(m.parts) > len(m.live)+givingAtMost {
		clear(m.parts)
	}
	m.parts[from] = part{key, objects.Part}
	return true
}

// merge takes objects in, names what was refused of them, and pushes news on.
func (m *Machine) merge(from crdt.PeerID, objects []Object) Received {
	var received Received
	var news gathered
	news.added = make([]crdt.Op, 0, sum(objects, func(o Object) int { return len(o.Ops) }))
	for _, object := range objects {
		news.add(m.set.AddObject(object.Key, object.Ops))
	}
	for _, refused := range news.refused {
		received.refuse(refusal(refused.Op, refused.Reason), from)
	}
	m.passOn(&received, news.delta(), from)
	return received
}
