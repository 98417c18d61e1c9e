package control

import (
	"fmt"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/replication"
)

// Step records a fact. It never fails, plans nothing, and gives out nothing.
func (m *Machine) Step(event Event) { m.inbox = append(m.inbox, event) }

// mostRounds bounds how often one flush follows what its own decisions changed.
const mostRounds = 4

// Flush plans once for all facts since the last one, and returns everything to do.
func (m *Machine) Flush(now Clock) Output {
	m.now = now
	if m.begun && !m.answered && len(m.inbox) == 0 && (m.wake == 0 || now.Elapsed < m.wake) {
		return Output{Wake: m.wake, Version: m.version}
	}
	m.begin()
	m.answered = false
	m.watchClock()
	m.takeIn()
	m.stage("passing the time", m.passTime)
	m.stage("reading what changed", m.refreshObjects)
	m.stage("forgetting", m.forget)
	m.stage("deciding", m.decide)
	m.stage("telling what runs here", m.sealRow)
	m.stage("telling who is here", m.tellLive)
	m.stage("reminding", m.remind)
	m.stage("passing rows on", m.passRows)
	m.stage("reconciling", m.reconcile)
	m.stage("answering", m.answerLeaves)
	m.stage("healing", m.heal)
	m.stage("keeping what happened", m.saveEvents)
	m.stage("keeping who is away", m.saveAway)
	m.stage("keeping rows", m.saveRows)
	return m.finish()
}

// begin keeps what an earlier flush gathered and could not hand out.
func (m *Machine) begin() {
	if m.begun {
		return
	}
	m.begun = true
	m.lookForDeletions()
	m.startWaits()
	m.startRows()
	m.startFlap()
	m.startTaints()
	m.startAdopted()
	m.reconcileDue = m.now.Elapsed + m.jittered(m.config.Tuning.ReconcileEach)
}

func (m *Machine) takeIn() {
	rows, most := 0, m.rowsNow()
	later := m.inbox[:0]
	for i, event := range m.inbox {
		m.inbox[i] = nil
		if e, ok := event.(Received); ok && e.Message.Lane() == replication.Observation {
			if rows++; rows > most {
				later = append(later, event)
				continue
			}
		}
		if failure := guard(func() { m.takeEvent(event) }); failure != "" {
			m.eventFailed(event, failure)
		}
	}
	m.inbox = later
}

// mostRows bounds the messages with rows that one flush takes in, so that intent never waits for a
// flood of them; the rest waits for the next flush. Where there is no intent more are taken.
const (
	mostRows      = 128
	mostRowsAlone = 4096
)

func (m *Machine) rowsNow() int {
	for _, event := range m.inbox {
		switch e := event.(type) {
		case Write, AcksWanted:
			return mostRows
		case Received:
			if e.Message.Lane() == replication.Intent {
				return mostRows
			}
		}
	}
	return mostRowsAlone
}

func (m *Machine) takeEvent(event Event) {
	if _, ok := event.(Received); !ok {
		m.decided = false
	}
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
	case AcksWanted:
		m.acksWanted(e)
	}
}

// eventFailed names an event that made the code fail, and goes on without it.
func (m *Machine) eventFailed(event Event, failure string) {
	subject := fmt.Sprintf("%T", event)
	entry := AuditEntry{Reason: "panic", Subject: strings.TrimPrefix(subject, "control."), Text: failure}
	if e, ok := event.(Received); ok {
		entry.From = e.From
	}
	m.audit(entry)
	m.note(Note{Warning: true, Reason: "Failed", Peer: m.self, Text: "taking in a " + entry.Subject + " failed: " + failure})
}

// decide plans, follows the plan and takes each instance a rung further, and does so again while
// that changed what this peer says of itself: the plan at the end is one of the view at the end. Where nothing has
// happened that it looks at it would do nothing, and is left out.
func (m *Machine) decide() {
	if m.decided && !m.rowDirty && !m.planner.stale && (m.instanceDue == 0 || m.now.Elapsed < m.instanceDue) &&
		(m.leases.due == 0 || m.now.Elapsed < m.leases.due) && (m.planner.passing == 0 || m.now.Elapsed < m.planner.passing) {
		return
	}
	m.decided = false
	m.age()
	for range mostRounds {
		m.observe()
		m.replan()
		m.seeFilled()
		m.follow()
		m.lease()
		m.advance()
		if !m.rowDirty {
			m.decided = true
			break
		}
	}
	m.observe()
	m.instanceDue = 0
	m.instanceDeadlines(func(t time.Duration) { m.instanceDue = earlier(m.instanceDue, t) })
}

func (m *Machine) finish() Output {
	m.out.Notes = m.notes.fresh()
	m.wake = m.nextWake()
	m.out.Wake = m.wake
	return m.handOut()
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
	if m.steps.due != 0 {
		at(m.steps.due)
	}
	if m.instanceDue != 0 {
		at(m.instanceDue)
	}
	if m.leases.due != 0 {
		at(m.leases.due)
	}
	m.leaveDeadlines(at)
	m.eventDeadlines(at)
	m.healDeadlines(at)
	m.rowDeadlines(at)
	m.flapDeadlines(at)
	m.floorDeadlines(at)
	m.ackDeadlines(at)
	if m.rowsCame {
		at(m.passDue)
	}
	m.clockDeadlines(at)
	if m.kept.due != 0 {
		at(m.kept.due)
	}
	if len(m.inbox) > 0 {
		at(m.now.Elapsed)
	}
	if m.planner.stale {
		at(m.planner.due)
	}
	if m.planner.passing != 0 {
		at(max(m.planner.passing, m.planner.due))
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
	if teacher := m.teacher(); teacher != "" {
		m.out.Send = append(m.out.Send, sends(m.spread.ReconcileWith(teacher))...)
	} else {
		m.out.Send = append(m.out.Send, sends(m.spread.Reconcile())...)
	}
}

// passEach is how often rows that came are passed on.
const passEach = 200 * time.Millisecond

// newsOfRows notes that there are rows to pass on; where few peers are live each tells all by itself.
func (m *Machine) newsOfRows() { m.rowsCame = m.rowsCame || len(m.liveIDs) > greetAll }

func (m *Machine) passRows() {
	if m.rowsCame && m.now.Elapsed >= m.passDue {
		m.rowsCame, m.passDue = false, m.now.Elapsed+passEach
		m.out.Send = append(m.out.Send, sends(m.spread.PassRows())...)
	}
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
	if e.Message.Lease != nil {
		m.leaseMessage(e.From, *e.Message.Lease)
		m.spokeUp(e.From)
		return
	}
	e.Message = m.sift(e.From, e.Message)
	var received replication.Received
	if failure := guard(func() { received = m.spread.Receive(e.From, e.Message) }); failure != "" {
		m.receiveApart(e, failure)
		return
	}
	m.received(e, received)
}

// received takes what replication made of a message.
func (m *Machine) received(e Received, received replication.Received) {
	if len(received.Rows) > 0 || received.Settled {
		m.decided = false
	}
	m.merged(received.Delta)
	m.refused(e, received.Refused)
	m.contradicted(e, received.Refused)
	m.gone(e.From, received.Delta)
	for _, r := range received.Rows {
		m.newsOfRows()
		m.takeRow(e, r)
	}
	m.spokeUp(e.From)
	m.confirmFrom(e.From, e.Message)
	if d := e.Message.Digest; d != nil && d.Missed {
		m.missed(e.From)
	} else if d != nil && d.Answer {
		m.toldMissed(e.From, d)
	}
	m.acknowledged(e.From, received.Acked)
	m.out.Send = append(m.out.Send, sends(received.Send)...)
	if received.Ahead.Boot > m.config.Boot || received.Ahead.Boot == m.config.Boot && received.Ahead.Sequence >= m.sequence {
		m.rowAhead(received.Ahead)
	}
	if received.Settled {
		m.doubtSettled()
	}
	if received.Equal {
		m.out.Synced = append(m.out.Synced, e.From)
		m.sure()
	}
}

// rowAhead raises the version of this peer's row above one that others hold: its store was lost or
// restored, and nobody would take its rows before.
func (m *Machine) rowAhead(held replication.Version) {
	if held.Boot > m.config.Boot {
		m.raiseBoot(held.Boot)
	}
	m.sequence = max(m.sequence, held.Sequence)
	m.unsealed = true
}

// refused names what was not taken.
func (m *Machine) refused(e Received, refused []replication.Refusal) {
	for _, r := range refused {
		m.audit(AuditEntry{Reason: r.Reason, Subject: opSubject(r.Op), Key: r.Key, Writer: r.Writer, From: e.From, Text: refusedText(r.Reason)})
	}
}

func refusedText(reason string) string {
	switch reason {
	case "forgotten":
		return "it lies below the floor and was not held here: a copy from the past"
	case "contradicts":
		return "its writer made another operation with the same stamp"
	case "gap":
		return "it has seen what is not known here"
	case "oversize":
		return "it is larger than an operation may be"
	}
	return "no peer can take it"
}

// merged notes what a change of the intent means for the disk and for the objects.
func (m *Machine) merged(delta crdt.Delta) {
	if len(delta.Added) == 0 && len(delta.Dropped) == 0 {
		return
	}
	m.arrived(delta.Added)
	m.watchMark(delta)
	m.out.Persist.Put = append(m.out.Persist.Put, delta.Added...)
	m.out.Persist.Drop = append(m.out.Persist.Drop, delta.Dropped...)
	for _, op := range delta.Added {
		m.spokeUp(op.Stamp.Writer)
		if op.Stamp.Writer == m.self {
			m.wroteUpTo(op.Stamp.Time)
		}
		m.seenElsewhere(&op)
		m.objectsDirty[op.Key] = true
	}
	for _, op := range delta.Dropped {
		m.objectsDirty[op.Key] = true
	}
}
