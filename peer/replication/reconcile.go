package replication

import "shoal/crdt"

// alsoWhenFloorsDiffer: a round in so many goes on although the applied floors differ, so that not even a floor that can
// never be applied keeps two peers apart for good.
const alsoWhenFloorsDiffer = 32

// Reconcile begins a round with one live peer. It also asks again for what seems to be lost of a transfer that is under
// way, and hands out what PassRows would.
func (m *Machine) Reconcile() []Outgoing { return m.reconcile(m.some(1, m.self)) }

// ReconcileWith is Reconcile with a live peer of the caller's choice.
func (m *Machine) ReconcileWith(partner crdt.PeerID) []Outgoing {
	return m.reconcile([]crdt.PeerID{partner})
}

func (m *Machine) reconcile(partner []crdt.PeerID) []Outgoing {
	if len(partner) == 0 {
		return nil
	}
	received := Received{Send: m.PassRows()}
	m.resume(&received)
	opening := m.digest()
	opening.Busy = m.busy()
	if !opening.Busy {
		m.round = &round{partner: partner[0], whole: true}
	}
	m.rowRound = &rowRound{partner: partner[0]}
	received.send(partner[0], Message{Digest: opening})
	return received.Send
}

// Ask makes a peer answer at once with the version of its own row and the number of the question, and begins no round with it.
func (m *Machine) Ask(peer crdt.PeerID, number uint64) Outgoing {
	question := m.digest()
	question.Busy, question.Question = true, number
	return Outgoing{peer, Message{Digest: question}}
}

// open begins a round with a peer that took part in one just now.
func (m *Machine) open(received *Received, partner crdt.PeerID) {
	m.round = &round{partner: partner, whole: true}
	received.send(partner, Message{Digest: m.digest()})
}

func (m *Machine) digest() *Digest {
	own, _ := m.rows.known(m.self)
	return &Digest{
		Root: m.set.Digest(), Count: uint64(m.set.Count()), RowRoot: m.rows.digest(), RowCount: uint64(len(m.rows.held)),
		Floor: m.applied, Doubted: m.doubted, Own: own,
	}
}

// busy says whether so much is coming in that another round would bring it a second time.
func (m *Machine) busy() bool {
	return m.fill != nil || m.inbound.from != "" || m.round != nil && m.round.begins > 0
}

// resume finds out whether what is under way has stopped. What stood still from one call to the next is asked for
// again, or given up for the next round.
func (m *Machine) resume(received *Received) {
	m.resumeFill(received)
	if m.inbound.idle++; m.inbound.idle > idleAtMost || !m.isLive(m.inbound.from) {
		m.inbound = inbound{}
	}
	if r := m.round; r != nil {
		if r.idle++; r.idle > idleAtMost || r.idle > 1 && !r.bulk() || !m.isLive(r.partner) {
			m.round = nil
		}
	}
}

func (m *Machine) receiveDigest(from crdt.PeerID, d *Digest) Received {
	var received Received
	mine := m.digest()
	received.Equal = d.Root == mine.Root
	if received.Equal && m.trusts(d.Floor) {
		m.endDoubt(&received)
	}
	if d.Answer {
		m.answered(&received, from, d, mine)
	} else {
		m.answer(&received, from, d, mine)
	}
	return received
}

// answer answers a digest that opens a round: always with something of the lane Intent.
func (m *Machine) answer(received *Received, from crdt.PeerID, d, mine *Digest) {
	if d.RowRoot != mine.RowRoot {
		received.send(from, Message{RowSymbols: m.firstRowSymbols(d.RowCount)})
	}
	mine.Answer, mine.Busy, mine.Question = true, m.busy(), d.Question
	if !received.Equal && !d.Busy && !mine.Busy && !m.crosses(from) && m.comparable(d) &&
		!nearlyEmpty(mine.Count, d.Count) && !nearlyEmpty(d.Count, mine.Count) {
		received.send(from, Message{Symbols: m.firstSymbols(d)})
		return
	}
	received.send(from, Message{Digest: mine})
	if !received.Equal {
		m.differs(received, from, d)
	}
}

// answered takes the answer of a partner that sends no symbols.
func (m *Machine) answered(received *Received, from crdt.PeerID, d, mine *Digest) {
	if m.round != nil && m.round.partner == from && m.round.begins == 0 {
		m.round = nil
	}
	if !received.Equal {
		m.differs(received, from, d)
	}
}

// differs does what both sides do where no symbols are called for: a peer that lacks nearly everything
// fetches it, and the newer floor goes to who has not applied it.
func (m *Machine) differs(received *Received, from crdt.PeerID, d *Digest) {
	if d.Floor != m.applied {
		messages, _ := m.give(from, idsOf(m.set.Ops(FloorKey)))
		received.send(from, messages...)
	}
	m.considerFill(received, from, d)
}

// crosses says whether a round with that peer is open that goes before the one that it opens now; of two that
// cross the one opened by the lower peer goes on.
func (m *Machine) crosses(from crdt.PeerID) bool {
	if m.round == nil || m.round.partner != from {
		return false
	}
	if m.self < from && !m.round.crossed {
		m.round.crossed = true // once: the opening of that round may be lost
		return true
	}
	m.round = nil
	return false
}

// comparable says whether it makes sense to compare with the sender of an opening. Where the floors that were applied
// differ, one side still holds what the other has forgotten: that passes as soon as the object that closes floors has
// come. A doubtful peer must compare all the same.
func (m *Machine) comparable(d *Digest) bool {
	doubtful := d.Doubted != FloorHash{} && d.Doubted == m.applied
	return d.Floor == m.applied || doubtful || m.pick(alsoWhenFloorsDiffer) == alsoWhenFloorsDiffer-1
}

func idsOf(ops []crdt.Op) []crdt.OpID {
	ids := make([]crdt.OpID, len(ops))
	for i := range ops {
		ids[i] = ops[i].ID()
	}
	return ids
}
