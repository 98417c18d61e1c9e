package replication

import (
	"slices"

	"shoal/crdt"
)

const (
	pushTo        = 3  // peers that are told at once
	rowsToAll     = 16 // live peers up to which rows go to all of them
	remindTo      = 16
	rumoursAtOnce = 64 // more operations than these in one message are no news but a transfer: they are not pushed on
)

// Machine is the replication of one peer: pure, without clock or I/O. It changes the Set it was given. Not safe for concurrent use.
type Machine struct {
	self crdt.PeerID
	set  *crdt.Set
	pick func(n int) int
	live []crdt.PeerID
	rows rows

	applied [8]byte   // hash of the floor that is applied here
	doubt   crdt.Seen // nil: none
	doubted [8]byte
}

// New returns a machine that replicates set. pick returns a random number below n.
func New(self crdt.PeerID, set *crdt.Set, pick func(n int) int) *Machine {
	return &Machine{self: self, set: set, pick: pick, rows: newRows()}
}

// Live tells the machine which other peers can be reached now.
func (m *Machine) Live(peers []crdt.PeerID) {
	m.live = slices.DeleteFunc(slices.Clone(peers), func(id crdt.PeerID) bool { return id == m.self })
	slices.Sort(m.live)
	m.live = slices.Compact(m.live)
}

// Write adds this peer's own sealed operation and returns its pushes. The delta is empty when the operation cannot be
// taken: it is larger than MaxOpBytes, crdt.Check refuses it, or it has seen what is not here. With acks above zero it goes to
// that many live peers, if there are so many, and each is asked for an Ack.
func (m *Machine) Write(op crdt.Op, acks int) (crdt.Delta, []Outgoing) {
	if len(op.Signed) > MaxOpBytes {
		return crdt.Delta{}, nil
	}
	_, delta := m.set.Add(op)
	return delta, m.pushOps(delta.Added, m.some(max(pushTo, acks), m.self), acks > 0)
}

// Remind pushes operations again, each to live peers that have not acked it, and asks for an Ack. It leaves out what is no
// longer retained here. One call tells at most 16 peers.
func (m *Machine) Remind(ids []crdt.OpID, acked func(op crdt.OpID, by crdt.PeerID) bool) []Outgoing {
	var send []Outgoing
	for _, peer := range m.some(remindTo, m.self) {
		var ops []crdt.Op
		for _, id := range ids {
			if op, ok := m.set.Op(id); ok && !acked(id, peer) {
				ops = append(ops, op)
			}
		}
		send = append(send, m.pushOps(ops, []crdt.PeerID{peer}, true)...)
	}
	return send
}

// Doubt says that a floor was closed which this peer did not attest. Until Received.Settled it gives nobody what it holds
// at or below floor; it compares itself with peers that have applied the floor with that hash, and drops what
// those do not hold at or below it. A nil floor ends the doubt.
func (m *Machine) Doubt(floor crdt.Seen, hash [8]byte) { m.doubt, m.doubted = floor, hash }

// Applied says which floor is applied here.
func (m *Machine) Applied(hash [8]byte) { m.applied = hash }

// Observe sets this peer's own sealed row and returns its pushes; none if it is not newer than the one held.
func (m *Machine) Observe(row Row) []Outgoing {
	if row.Peer != m.self || !m.rows.take(row) {
		return nil
	}
	return m.pushRows([]Row{row}, m.self)
}

// Row returns the newest row of a peer.
func (m *Machine) Row(peer crdt.PeerID) (Row, bool) {
	row, ok := m.rows.held[peer]
	return row, ok
}

// Forget drops the row of a peer that left, and remembers its version so that an old copy is not taken again.
func (m *Machine) Forget(peer crdt.PeerID) { m.rows.forget(peer) }

// Receive takes a message in.
func (m *Machine) Receive(from crdt.PeerID, message Message) Received {
	switch {
	case message.Push != nil:
		return m.receivePush(from, message.Push)
	case message.Objects != nil:
		return m.receiveObjects(from, message.Objects)
	case message.Digest != nil:
		return Received{Send: m.compare(from, message.Digest)}
	case message.Want != nil:
		return Received{Send: m.give(from, message.Want)}
	case message.Rows != nil:
		return m.receiveRows(from, message.Rows)
	case message.Ack != nil:
		return Received{Acked: message.Ack.Ops}
	}
	return Received{}
}

func (m *Machine) receivePush(from crdt.PeerID, push *Push) Received {
	ops := slices.Clone(push.Ops)
	slices.SortStableFunc(ops, func(a, b crdt.Op) int { return a.Stamp.Compare(b.Stamp) })
	var news gathered
	var missing []crdt.Key
	var held []crdt.OpID
	for _, op := range ops {
		result, delta := m.set.Add(op)
		news.add(delta)
		switch result {
		case crdt.Applied, crdt.Known, crdt.Obsolete:
			held = append(held, op.ID())
		case crdt.Gap:
			if !slices.Contains(missing, op.Key) {
				missing = append(missing, op.Key)
			}
		}
	}
	received := m.finish(from, news.delta())
	received.Send = append(received.Send, wants(from, missing, nil)...)
	if push.Ack && len(held) > 0 {
		received.Send = append(received.Send, Outgoing{from, Message{Ack: &Ack{Ops: held}}})
	}
	return received
}

func (m *Machine) receiveObjects(from crdt.PeerID, objects *Objects) Received {
	var news gathered
	for _, object := range objects.Objects {
		news.add(m.set.AddObject(object.Key, object.Ops))
	}
	return m.finish(from, news.delta())
}

// finish pushes on what was new, except to who sent it.
func (m *Machine) finish(from crdt.PeerID, delta crdt.Delta) Received {
	received := Received{Delta: delta}
	if n := len(delta.Added); n > 0 && n <= rumoursAtOnce {
		received.Send = m.pushOps(delta.Added, m.some(pushTo, from), false)
	}
	return received
}

func (m *Machine) receiveRows(from crdt.PeerID, rows *Rows) Received {
	received := Received{Rows: m.takeRows(rows.Rows)}
	own := m.rows.held[m.self].Version
	for _, row := range rows.Rows {
		if row.Peer == m.self && row.Version.Compare(own) > 0 && row.Version.Compare(received.Ahead) > 0 {
			received.Ahead = row.Version
		}
	}
	if len(m.live) > rowsToAll && len(received.Rows) <= rumoursAtOnce {
		received.Send = m.pushRows(received.Rows, from)
	}
	return received
}

// takeRows returns those that are newer than what was held.
func (m *Machine) takeRows(rows []Row) []Row {
	var taken []Row
	for _, row := range rows {
		if row.Peer != m.self && m.rows.take(row) {
			taken = append(taken, row)
		}
	}
	return taken
}

func (m *Machine) pushOps(ops []crdt.Op, to []crdt.PeerID, ack bool) []Outgoing {
	var messages []Message
	for _, batch := range batches(ops, opBytes) {
		messages = append(messages, Message{Push: &Push{Ops: batch, Ack: ack}})
	}
	return toEach(to, messages)
}

func (m *Machine) pushRows(rows []Row, except crdt.PeerID) []Outgoing {
	if len(rows) == 0 {
		return nil
	}
	to := m.live
	if len(to) > rowsToAll {
		to = m.some(pushTo, except)
	}
	var messages []Message
	for _, batch := range batches(rows, rowBytes) {
		messages = append(messages, Message{Rows: &Rows{Rows: batch}})
	}
	return toEach(to, messages)
}

// some picks n live peers.
func (m *Machine) some(n int, except crdt.PeerID) []crdt.PeerID {
	left := slices.DeleteFunc(slices.Clone(m.live), func(id crdt.PeerID) bool { return id == except })
	n = min(n, len(left))
	for i := range n { // Fisher and Yates, as far as needed
		if rest := len(left) - i; rest > 1 {
			j := i + m.pick(rest)
			left[i], left[j] = left[j], left[i]
		}
	}
	return left[:n]
}
