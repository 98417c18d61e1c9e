package replication

import (
	"slices"

	"shoal/crdt"
)

const (
	pushTo        = 3  // peers that are told at once
	rowsToAll     = 16 // live peers up to which rows go to all of them
	rumoursAtOnce = 64 // more operations than these in one message are no news but a transfer: they are not pushed on
)

// Machine is the replication of one peer: pure, without clock or I/O. It changes the Set it was given. Not safe for concurrent use.
type Machine struct {
	self crdt.PeerID
	set  *crdt.Set
	pick func(n int) int
	live []crdt.PeerID
	rows rows
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
// taken: it is larger than MaxOpBytes, crdt.Check refuses it, or it has seen what is not here.
func (m *Machine) Write(op crdt.Op) (crdt.Delta, []Outgoing) {
	if len(op.Signed) > MaxOpBytes {
		return crdt.Delta{}, nil
	}
	_, delta := m.set.Add(op)
	return delta, m.pushOps(delta.Added, m.self)
}

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
	}
	return Received{}
}

func (m *Machine) receivePush(from crdt.PeerID, push *Push) Received {
	ops := slices.Clone(push.Ops)
	slices.SortStableFunc(ops, func(a, b crdt.Op) int { return a.Stamp.Compare(b.Stamp) })
	var news gathered
	var missing []crdt.Key
	for _, op := range ops {
		result, delta := m.set.Add(op)
		news.add(delta)
		if result == crdt.Gap && !slices.Contains(missing, op.Key) {
			missing = append(missing, op.Key)
		}
	}
	received := m.finish(from, news.delta(), m.takeRows(push.Rows))
	received.Send = append(received.Send, wants(from, missing, nil)...)
	return received
}

func (m *Machine) receiveObjects(from crdt.PeerID, objects *Objects) Received {
	var news gathered
	for _, object := range objects.Objects {
		news.add(m.set.AddObject(object.Key, object.Ops))
	}
	return m.finish(from, news.delta(), m.takeRows(objects.Rows))
}

// finish pushes on what was new, except to who sent it.
func (m *Machine) finish(from crdt.PeerID, delta crdt.Delta, rows []Row) Received {
	received := Received{Delta: delta, Rows: rows}
	if len(delta.Added) <= rumoursAtOnce {
		received.Send = append(received.Send, m.pushOps(delta.Added, from)...)
	}
	if len(m.live) > rowsToAll && len(rows) <= rumoursAtOnce {
		received.Send = append(received.Send, m.pushRows(rows, from)...)
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

func (m *Machine) pushOps(ops []crdt.Op, except crdt.PeerID) []Outgoing {
	if len(ops) == 0 {
		return nil
	}
	var messages []Message
	for _, batch := range batches(ops, opBytes) {
		messages = append(messages, Message{Push: &Push{Ops: batch}})
	}
	return toEach(m.some(pushTo, except), messages)
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
		messages = append(messages, Message{Push: &Push{Rows: batch}})
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
