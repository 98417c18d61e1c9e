package control

import (
	"fmt"

	"shoal/crdt"
	"shoal/peer/replication"
)

// sift leaves out of a message the operations that were set aside, and those that make the code fail now.
func (m *Machine) sift(from crdt.PeerID, message replication.Message) replication.Message {
	if m.config.Trip == nil && len(m.asides) == 0 {
		return message
	}
	return message.Sift(func(op crdt.Op) bool {
		name := mergeName(op)
		if m.isAside(siteMerge, name, op.Hash) {
			return false
		}
		failure := guard(func() { m.trip(siteMerge, op.Key.String()) })
		if failure != "" {
			m.asideOp(from, op, failure)
		}
		return failure == ""
	}, func(replication.Row) bool { return true })
}

// mergeName tells the operations on one object apart.
func mergeName(op crdt.Op) string { return fmt.Sprintf("%s %x", op.Key, op.Hash[:8]) }

func (m *Machine) asideOp(from crdt.PeerID, op crdt.Op, failure string) {
	m.setAside(aside{Site: siteMerge, Name: mergeName(op), Subject: opSubject(op.ID()) + " on " + op.Key.String(), Key: op.Key, Content: op.Hash, Writer: op.Stamp.Writer, From: from,
		Text: "merging it failed: " + failure + "; it came from " + m.peerName(from)})
}

// receiveApart takes in, one by one, the operations of a message that failed as a whole, and sets aside
// those that fail alone.
func (m *Machine) receiveApart(e Received, failure string) {
	var ops []crdt.Op
	e.Message.Sift(func(op crdt.Op) bool { ops = append(ops, op); return true }, func(replication.Row) bool { return true })
	if len(ops) == 0 {
		m.eventFailed(e, failure)
		return
	}
	for _, op := range ops {
		alone := Received{From: e.From, Message: replication.Message{Push: &replication.Push{Ops: []crdt.Op{op}}}}
		var received replication.Received
		if failure := guard(func() { received = m.spread.Receive(e.From, alone.Message) }); failure != "" {
			m.asideOp(e.From, op, failure)
			continue
		}
		m.received(alone, received)
	}
}
