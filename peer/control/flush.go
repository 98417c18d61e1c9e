package control

import (
	"time"

	"shoal/crdt"
)

// Step records a fact. It never fails, plans nothing, and gives out nothing.
func (m *Machine) Step(event Event) { m.inbox = append(m.inbox, event) }

// mostRounds bounds how often one flush follows what its own decisions changed.
const mostRounds = 4

// Flush plans once for all facts since the last one, and returns everything to do.
func (m *Machine) Flush(now Clock) Output {
	m.now = now
	if m.begun && len(m.inbox) == 0 && (m.wake == 0 || now.Elapsed < m.wake) {
		return Output{Wake: m.wake, Version: m.version}
	}
	m.begin()
	m.takeIn()
	m.passTime()
	m.refreshObjects()
	m.decide()
	m.sealRow()
	m.tellLive()
	m.reconcile()
	m.answerLeaves()
	return m.finish()
}

func (m *Machine) begin() {
	m.out = Output{}
	if m.begun {
		return
	}
	m.begun = true
	m.startWaits()
	m.startAdopted()
	m.reconcileDue = m.now.Elapsed + m.jittered(m.config.Tuning.ReconcileEach)
}

func (m *Machine) takeIn() {
	for i, event := range m.inbox {
		m.inbox[i] = nil
		switch e := event.(type) {
		case Write:
			m.write(e)
		case MemberChanged:
			m.memberChanged(e.Member)
		case Received:
			m.receive(e)
		case Done:
			m.done(e)
		case Exited:
			m.exited(e)
		case Probed:
			m.probed(e)
		case SelfChanged:
			m.selfChanged(e)
		case LeaveAsked:
			m.leaveAsked(e)
		}
	}
	m.inbox = m.inbox[:0]
}

// decide plans, follows the plan and takes each instance a rung further, and does so again while
// that changed what this peer says of itself: the plan at the end is one of the view at the end.
func (m *Machine) decide() {
	for range mostRounds {
		m.observe()
		m.replan()
		m.follow()
		m.advance()
		if !m.rowDirty {
			return
		}
	}
	m.observe()
}

func (m *Machine) finish() Output {
	if m.touched {
		m.touched = false
		m.version++
	}
	m.out.Persist = tidy(m.out.Persist)
	m.out.Notes = m.notes.fresh()
	m.out.Version = m.version
	for i := range m.out.Replies {
		m.out.Replies[i].Version = m.version
	}
	m.wake = m.nextWake()
	m.out.Wake = m.wake
	out := m.out
	m.out = Output{}
	return out
}

// nextWake is the earliest of all deadlines.
func (m *Machine) nextWake() time.Duration {
	var next time.Duration
	at := func(t time.Duration) {
		t = max(t, m.now.Elapsed+1) // what is due already was dealt with, or must wait for an answer
		if next == 0 || t < next {
			next = t
		}
	}
	m.memberDeadlines(at)
	m.refusalDeadlines(at)
	m.instanceDeadlines(at)
	m.leaveDeadlines(at)
	if m.planner.stale {
		at(m.planner.due)
	}
	if m.peersLive() {
		at(m.reconcileDue)
	}
	return next
}

func (m *Machine) reconcile() {
	if m.now.Elapsed < m.reconcileDue || !m.peersLive() {
		return
	}
	m.reconcileDue = m.now.Elapsed + m.jittered(m.config.Tuning.ReconcileEach)
	m.out.Send = append(m.out.Send, sends(m.spread.Reconcile())...)
}

// jittered spreads a period evenly between half and one and a half of it.
func (m *Machine) jittered(each time.Duration) time.Duration {
	ms := int(each / time.Millisecond)
	if m.config.Pick == nil || ms < 2 {
		return each
	}
	return each/2 + time.Duration(m.config.Pick(ms))*time.Millisecond
}

func (m *Machine) receive(e Received) {
	defer func() {
		if r := recover(); r != nil {
			m.note(Note{Warning: true, Reason: "Invalid", Peer: e.From, Text: "a message was set aside: " + panicText(r)})
		}
	}()
	received := m.spread.Receive(e.From, e.Message)
	m.merged(received.Delta)
	for _, r := range received.Rows {
		m.takeRow(r)
	}
	m.spokeUp(e.From)
	m.confirmFrom(e.From, e.Message)
	m.out.Send = append(m.out.Send, sends(received.Send)...)
}

// merged notes what a change of the intent means for the disk and for the objects.
func (m *Machine) merged(delta crdt.Delta) {
	m.out.Persist.Put = append(m.out.Persist.Put, delta.Added...)
	m.out.Persist.Drop = append(m.out.Persist.Drop, delta.Dropped...)
	for _, op := range delta.Added {
		m.spokeUp(op.Stamp.Writer)
		m.objectsDirty[op.Key] = true
	}
	for _, op := range delta.Dropped {
		m.objectsDirty[op.Key] = true
	}
}
