package control

import (
	"time"

	"shoal/crdt"
	"shoal/peer/replication"
)

// The row held of a peer is proof that something runs there only if the peer said it after it last came: before, it
// may have lost its power, or changed in a cut. Rows that others pass on tell nothing of that, nor do those of its own that
// waited in a connection while the network was cut. So who comes is asked, and its answer names the version of its row:
//
//	p1 comes ──▶ ask 3 ──▶ p1 answers 3: "my row is 7.12" ──▶ fresh once a row 7.12 or later is held, from whomever
//
// The number is of that one coming: an answer from before a cut, which waited in a connection, is to another question. Where no answer
// comes it is asked again.
// Until then nothing that runs here is stopped because it is said to run there. Where so many are live that not all
// can ask each other, any newer row is taken for proof, and so is every row after a while.

// spokenFor says whether the row held of a peer that comes counts without asking: where many are live, one that has
// just come.
func (m *Machine) spokenFor(r *row, n *member) bool {
	return !m.asksAll() && r != nil && m.now.Elapsed-r.at < m.config.Tuning.Settle && r.version.Boot > n.leftBoot
}

func (m *Machine) asksAll() bool { return len(m.liveIDs) <= greetAll }

// askWord asks a peer for the version of its row, where that is not known, and tells it in the same question that it was missed.
func (m *Machine) askWord(id crdt.PeerID) {
	n := m.members[id]
	ask := !n.fresh && n.told == (replication.Version{}) && m.asksAll()
	if !n.live() || !m.tells(id, n) && !ask {
		return
	}
	if n.question == 0 {
		m.questions++
		n.question = m.config.Boot<<32 | m.questions
	}
	question := m.spread.Ask(id, n.question)
	question.Message.Digest.Missed = n.missed
	m.out.Send = append(m.out.Send, sends([]replication.Outgoing{question})...)
	if ask && n.wait != 0 {
		n.tell = m.now.Elapsed + askAgain
		m.list(id, n)
	}
}

// askAgain is how long a peer that is waited for has to answer before it is asked again: a message may be lost.
const askAgain = time.Second

// tells says whether a live peer is to be told now that it was missed, and sees to it that it is told again. Where all ask each other, the
// question for its row does that. Else those that greet it tell it until it answers, for flapOnce at most. What is known of its row has no part in that, for others pass on rows, and none
// of them says that it has heard of its loss.
func (m *Machine) tells(id crdt.PeerID, n *member) bool {
	if m.asksAll() {
		return false
	}
	n.missed = n.missed && m.greets(id) && m.now.Elapsed < n.tellUntil
	if n.tell = 0; n.missed {
		n.tell = m.now.Elapsed + m.config.Tuning.ReconcileEach
	}
	m.list(id, n)
	return n.missed
}

// toldMissed takes the answer of a peer: a question that told it that it was missed has come.
func (m *Machine) toldMissed(from crdt.PeerID, answer *replication.Digest) {
	if n := m.members[from]; n != nil && n.tell != 0 && answer.Question == n.question {
		n.missed, n.tell = false, 0
		m.list(from, n)
	}
}

// confirmFrom takes a peer's own word of which row is its newest.
func (m *Machine) confirmFrom(from crdt.PeerID, message replication.Message) {
	n := m.members[from]
	told, ok := message.OwnRow(from)
	if n == nil || n.fresh || !n.live() || !ok {
		return
	}
	if d := message.Digest; m.asksAll() && (d == nil || !d.Answer || n.question == 0 || d.Question != n.question) {
		m.askWord(from) // it is there: the question or the answer may have been lost
		return
	}
	n.told = told
	m.compareWord(from, n)
}

// compareWord compares the row held of a peer with what that said of it.
func (m *Machine) compareWord(id crdt.PeerID, n *member) {
	r := m.rows[id]
	if r != nil && n.told != (replication.Version{}) && r.version.Boot == n.told.Boot && r.version.Sequence >= n.told.Sequence {
		m.confirmed(id, n)
	}
}

func (m *Machine) confirmed(id crdt.PeerID, n *member) {
	if !n.fresh || n.wait != 0 {
		m.touched = true
		m.moved(id)
	}
	n.fresh, n.wait, n.confirm, n.gaveUp = true, 0, 0, false
	n.missed = n.missed && !m.asksAll()
	m.list(id, n)
	m.healRow(id)
}
