package replication

import (
	"math/bits"
	"slices"

	"shoal/crdt"
)

const (
	pushTo        = 3       // peers that are told at once
	smallPush     = 4 << 10 // bytes that are worth telling more peers
	remindTo      = 16
	rumoursAtOnce = 64  // more operations than these in one message are no news but a transfer: they are not pushed on
	refusedAtMost = 256 // named for one message
)

// Machine is the replication of one peer: pure, without clock or I/O. It changes the Set it was given. Not safe for concurrent use.
type Machine struct {
	self crdt.PeerID
	set  *crdt.Set
	pick func(n int) int
	live []crdt.PeerID // sorted, without self
	rows *rows

	applied FloorHash
	doubted FloorHash
	doubt   crdt.Seen // nil: none

	// What may be lost at any time: the next round repairs it.
	round    *round
	rowRound *rowRound
	fill     *fill
	inbound  inbound
	giving   []giving
	parts    map[crdt.PeerID]part
	rowNews  []crdt.PeerID // rows to pass on
}

// New returns a machine that replicates set. pick returns a random number below n.
func New(self crdt.PeerID, set *crdt.Set, pick func(n int) int) *Machine {
	return &Machine{self: self, set: set, pick: pick, rows: newRows(), parts: map[crdt.PeerID]part{}}
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
	return delta, pushes(delta.Added, m.some(max(m.fanOut(delta.Added), acks), m.self), acks > 0)
}

// Remind pushes operations again, each to live peers that have not acked it, and asks for an Ack. It leaves out what is no
// longer retained here. One call tells at most 16 peers.
func (m *Machine) Remind(ids []crdt.OpID, acked func(op crdt.OpID, by crdt.PeerID) bool) []Outgoing {
	behind := func(peer crdt.PeerID) (ops []crdt.Op) {
		for _, id := range ids {
			if op, ok := m.set.Op(id); ok && !acked(id, peer) {
				ops = append(ops, op)
			}
		}
		return ops
	}
	var send []Outgoing
	told := 0
	for _, peer := range m.some(len(m.live), m.self) {
		if ops := behind(peer); len(ops) > 0 && told < remindTo {
			told++
			send = append(send, pushes(ops, []crdt.PeerID{peer}, true)...)
		}
	}
	return send
}

// Receive takes a message in.
func (m *Machine) Receive(from crdt.PeerID, message Message) Received {
	received := m.dispatch(from, message)
	for _, refusal := range message.Unreadable {
		received.refuse(refusal, from)
	}
	return received
}

func (m *Machine) dispatch(from crdt.PeerID, message Message) Received {
	switch {
	case message.Push != nil:
		return m.receivePush(from, message.Push)
	case message.Digest != nil:
		return m.receiveDigest(from, message.Digest)
	case message.Symbols != nil:
		return m.receiveSymbols(from, message.Symbols)
	case message.More != nil:
		return Received{Send: m.moreSymbols(from, message.More)}
	case message.Objects != nil:
		return m.receiveObjects(from, message.Objects)
	case message.Want != nil:
		return Received{Send: m.receiveWant(from, message.Want)}
	case message.Page != nil:
		return m.receivePage(from, message.Page)
	case message.Fill != nil:
		return Received{Send: m.page(from, message.Fill.After)}
	case message.Ack != nil:
		return Received{Acked: message.Ack.Ops}
	case message.Rows != nil:
		return m.receiveRows(from, message.Rows)
	case message.RowSymbols != nil:
		return Received{Send: m.receiveRowSymbols(from, message.RowSymbols)}
	case message.RowMore != nil:
		return Received{Send: m.moreRowSymbols(from, message.RowMore)}
	case message.RowWant != nil:
		return Received{Send: m.receiveRowWant(from, message.RowWant)}
	}
	return Received{}
}

func (m *Machine) receivePush(from crdt.PeerID, push *Push) Received {
	ops := slices.Clone(push.Ops)
	slices.SortStableFunc(ops, func(a, b crdt.Op) int { return a.Stamp.Compare(b.Stamp) })
	var received Received
	var news gathered
	var missing []Known
	var held []crdt.OpID
	asked := map[crdt.Key]bool{}
	for _, op := range ops {
		result, delta := m.set.Add(op)
		news.add(delta)
		switch result {
		case crdt.Applied, crdt.Known, crdt.Obsolete:
			held = append(held, op.ID())
			continue
		case crdt.Gap:
			if !asked[op.Key] && len(asked) < unseenAtMost {
				asked[op.Key] = true
				missing = append(missing, Known{op.Key, m.set.Seen(op.Key)})
			}
		}
		received.refuse(refusal(op, result), from)
	}
	m.passOn(&received, news.delta(), from)
	if len(missing) > 0 {
		received.send(from, Message{Want: &Want{Unseen: missing}})
	}
	if push.Ack && len(held) > 0 {
		received.send(from, Message{Ack: &Ack{Ops: held}})
	}
	return received
}

// passOn reports a change, and pushes on what was new, except to who sent it.
func (m *Machine) passOn(received *Received, delta crdt.Delta, from crdt.PeerID) {
	received.Delta = delta
	if n := len(delta.Added); n > 0 && n <= rumoursAtOnce {
		received.Send = append(received.Send, pushes(delta.Added, m.some(m.fanOut(delta.Added), from), false)...)
	}
}

func (r *Received) send(to crdt.PeerID, messages ...Message) {
	for _, message := range messages {
		r.Send = append(r.Send, Outgoing{to, message})
	}
}

func (r *Received) refuse(refusal Refusal, from crdt.PeerID) {
	if len(r.Refused) < refusedAtMost {
		refusal.From = from
		r.Refused = append(r.Refused, refusal)
	}
}

func refusal(op crdt.Op, result crdt.Result) Refusal {
	refusal := Refusal{Op: op.ID(), Key: op.Key, Writer: op.Stamp.Writer, Reason: Invalid}
	switch result {
	case crdt.Gap:
		refusal.Reason = Gap
	case crdt.Forgotten:
		refusal.Reason = Forgotten
	case crdt.Contradicted:
		refusal.Reason = Contradicts
	}
	return refusal
}

func pushes(ops []crdt.Op, to []crdt.PeerID, ack bool) []Outgoing {
	var messages []Message
	for _, batch := range batches(ops, opBytes) {
		messages = append(messages, Message{Push: &Push{Ops: batch, Ack: ack}})
	}
	return toEach(to, messages)
}

// fanOut is to how many peers news goes. Each peer tells so many once, so a peer is missed with probability e^-n; with
// ln(live) + 5 nearly no write waits for a reconciliation anywhere. What is large is left to that sooner.
func (m *Machine) fanOut(ops []crdt.Op) int {
	if sum(ops, opBytes) > smallPush {
		return pushTo
	}
	return pushTo + 3 + bits.Len(uint(len(m.live)))*7/10
}

func (m *Machine) isLive(peer crdt.PeerID) bool {
	_, live := slices.BinarySearch(m.live, peer)
	return live
}

// some picks n live peers.
func (m *Machine) some(n int, except crdt.PeerID) []crdt.PeerID {
	if 4*n < len(m.live) {
		return m.few(n, except)
	}
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

// few is some for few of many: what was picked already is passed over.
func (m *Machine) few(n int, except crdt.PeerID) []crdt.PeerID {
	picked := make([]crdt.PeerID, 0, n)
	for range n {
		i := m.pick(len(m.live))
		for m.live[i] == except || slices.Contains(picked, m.live[i]) {
			i = (i + 1) % len(m.live)
		}
		picked = append(picked, m.live[i])
	}
	return picked
}
