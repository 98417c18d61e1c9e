package control

import (
	"slices"
	"time"

	"shoal/crdt"
)

const (
	mostAwaited = 1024             // writes whose acknowledgements are asked for again; the oldest beyond go first
	remindEach  = time.Second      // how often
	remindFor   = 60 * time.Second // and for how long
)

// AcksWanted asks for the acknowledgements of an operation that this peer holds already. They come in Output.Acks.
type AcksWanted struct {
	Op   crdt.OpID
	Acks int // other peers
}

func (AcksWanted) event() {}

// awaited is a write of which acknowledgements are wanted.
type awaited struct {
	op    crdt.OpID
	want  int
	by    []crdt.PeerID // who has acknowledged it
	until time.Duration
}

// await begins to ask for acknowledgements.
func (m *Machine) await(op crdt.OpID, want int) {
	if want <= 0 {
		return
	}
	until := m.now.Elapsed + remindFor
	if at := m.awaiting(op); at >= 0 {
		m.acks[at].want, m.acks[at].until = max(want, m.acks[at].want), until
		return
	}
	if len(m.acks) == mostAwaited {
		m.acks = slices.Delete(m.acks, 0, 1)
	}
	if len(m.acks) == 0 {
		m.remindDue = m.now.Elapsed + remindEach
	}
	m.acks = append(m.acks, awaited{op: op, want: want, until: until})
}

func (m *Machine) awaiting(op crdt.OpID) int {
	return slices.IndexFunc(m.acks, func(a awaited) bool { return a.op == op })
}

func (m *Machine) acksWanted(e AcksWanted) {
	if _, held := m.set.Op(e.Op); held {
		m.awaitAll([]crdt.OpID{e.Op}, e.Acks)
	}
}

// awaitAll asks for acknowledgements of operations that were written before.
func (m *Machine) awaitAll(ops []crdt.OpID, want int) {
	if want <= 0 {
		return
	}
	for _, op := range ops {
		m.await(op, want)
	}
	m.out.Send = append(m.out.Send, sends(m.spread.Remind(ops, m.acked))...)
}

// acknowledged takes another peer's word that it holds operations on disk.
func (m *Machine) acknowledged(by crdt.PeerID, ops []crdt.OpID) {
	if len(m.acks) == 0 {
		return
	}
	for _, op := range ops {
		at := m.awaiting(op)
		if at < 0 || slices.Contains(m.acks[at].by, by) {
			continue
		}
		m.out.Acks = append(m.out.Acks, Ack{Op: op, By: by})
		if m.acks[at].by = append(m.acks[at].by, by); len(m.acks[at].by) >= m.acks[at].want {
			m.acks = slices.Delete(m.acks, at, at+1)
		}
	}
}

func (m *Machine) acked(op crdt.OpID, by crdt.PeerID) bool {
	at := m.awaiting(op)
	return at < 0 || slices.Contains(m.acks[at].by, by)
}

// remind asks again for what is missing.
func (m *Machine) remind() {
	if len(m.acks) == 0 || m.now.Elapsed < m.remindDue {
		return
	}
	m.remindDue = m.now.Elapsed + remindEach
	m.acks = slices.DeleteFunc(m.acks, func(a awaited) bool { return a.until <= m.now.Elapsed })
	ids := make([]crdt.OpID, len(m.acks))
	for i := range m.acks {
		ids[i] = m.acks[i].op
	}
	if len(ids) > 0 {
		m.out.Send = append(m.out.Send, sends(m.spread.Remind(ids, m.acked))...)
	}
}

func (m *Machine) ackDeadlines(at func(time.Duration)) {
	if len(m.acks) > 0 {
		at(m.remindDue)
	}
}
