package control

import (
	"fmt"
	"time"

	"shoal/crdt"
	"shoal/runtime"
)

// advance gives every instance that has no action under way its next one.
func (m *Machine) advance() {
	for _, id := range m.heldIDs {
		if in := m.held[id]; in.inflight == nil && in.retryAt <= m.now.Elapsed {
			m.act(in.record.Replica, in.record.Revision, func() { m.climb(in) })
		}
	}
}

func (m *Machine) climb(in *instance) {
	if m.sleeps(in) {
		return
	}
	action := in.next
	if in.withheld && !in.stopping && in.prepared {
		action = in.nextWithheld
	}
	if action := action(m.now.Elapsed); action != nil {
		in.inflight = action
		in.goesDown = in.stopping
		m.rowDirty = true
		m.out.Actions = append(m.out.Actions, *action)
	}
}

// sleeps says whether an instance waits until the others have said whether they replaced it meanwhile: after a
// loss of power, what runs elsewhere by now stays there (P8).
func (m *Machine) sleeps(in *instance) bool {
	if in.dormant && !in.stopping && (!m.settled() || m.planner.stale || in.surplus != 0 || m.unheardOwner(in)) {
		return true
	}
	in.dormant = false
	return false
}

// unheardOwner says whether the plan puts an instance's replica on another peer of which it is not known yet whether it
// runs there.
func (m *Machine) unheardOwner(in *instance) bool {
	a, _ := m.assignment(in.record.Replica)
	n := m.members[crdt.PeerID(a.Peer)]
	return n != nil && n.live() && !n.fresh
}

// next is the action that takes an instance one rung further; nil if there is none now.
func (in *instance) next(now time.Duration) *Action {
	if in.stopping {
		return in.nextDown()
	}
	if !in.prepared {
		spec := in.spec
		return &Action{Kind: Prepare, Instance: in.id, Spec: &spec}
	}
	for i := range in.containers {
		c := &in.containers[i]
		switch {
		case c.phase == runtime.Running && c.unhealthy:
			return &Action{Kind: Stop, Instance: in.id, Container: c.spec.Name, Grace: in.grace()}
		case c.phase != runtime.Running && c.startAt <= now:
			c.generation++
			c.phase, c.probed, c.unhealthy, c.detail = runtime.Prepared, false, false, ""
			return &Action{Kind: Start, Instance: in.id, Container: c.spec.Name, Generation: c.generation}
		}
	}
	return nil
}

// nextDown stops the containers, the last one first, and then removes what is left.
func (in *instance) nextDown() *Action {
	for i := len(in.containers) - 1; i >= 0; i-- {
		if c := &in.containers[i]; c.phase == runtime.Running {
			return &Action{Kind: Stop, Instance: in.id, Container: c.spec.Name, Grace: in.grace()}
		}
	}
	return &Action{Kind: Remove, Instance: in.id}
}

func (m *Machine) instanceDeadlines(at func(time.Duration)) {
	for _, since := range m.moves {
		if due := since + moveAfter; due > m.now.Elapsed {
			at(due)
		}
	}
	for _, id := range m.heldIDs {
		in := m.held[id]
		if in.surplus > m.now.Elapsed && !in.stopping {
			at(in.surplus)
		}
		if in.young(m.now.Elapsed) {
			at(in.admitted + youngFor)
		}
		if due := m.moveDue(in); due > m.now.Elapsed {
			at(due)
		}
		if in.inflight != nil {
			continue
		}
		if in.retryAt > m.now.Elapsed {
			at(in.retryAt)
		}
		if in.stopping {
			continue
		}
		for i := range in.containers {
			if c := &in.containers[i]; c.phase != runtime.Running && c.startAt > m.now.Elapsed {
				at(c.startAt)
			}
		}
	}
}

// backoff is how long to wait after the n-th failure in a row.
func (m *Machine) backoff(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	wait := m.config.Tuning.BackoffFirst
	for ; n > 2 && wait < m.config.Tuning.BackoffMost; n-- {
		wait *= 2
	}
	return min(wait, m.config.Tuning.BackoffMost)
}

// done takes the answer to an action. Only the one under way is listened to.
func (m *Machine) done(e Done) {
	in := m.held[e.Action.Instance]
	if in == nil || in.inflight == nil || in.inflight.Kind != e.Action.Kind ||
		in.inflight.Container != e.Action.Container || in.inflight.Generation != e.Action.Generation {
		return
	}
	in.inflight = nil
	m.rowDirty = true
	switch e.Action.Kind {
	case Prepare:
		m.prepareDone(in, e)
	case Start:
		m.startDone(in, e)
	case Stop:
		m.stopDone(in, e)
	case Remove:
		m.removeDone(in, e)
	}
}

func (m *Machine) prepareDone(in *instance, e Done) {
	if e.Err != nil {
		if !in.stopping {
			m.giveUp(in, e.Err)
		}
		return
	}
	in.prepared, in.address = true, e.Address
	m.noteReplica(in, Note{Reason: "Pulled", Text: "every image is here"})
}

func (m *Machine) startDone(in *instance, e Done) {
	c := in.container(e.Action.Container)
	if c == nil {
		return
	}
	if e.Err != nil {
		m.startFailed(in, c, e)
		return
	}
	c.startedAt, c.startedBy = e.Status.StartedAt, m.now.Elapsed
	if c.startedAt.IsZero() {
		c.startedAt = m.now.Wall
	}
	if c.phase == runtime.Exited {
		return // its end was heard of before its start
	}
	c.phase = runtime.Running
	if e.Status.Address.IsValid() {
		in.address = e.Status.Address
	}
	m.noteReplica(in, Note{Reason: "Started", Text: "started container " + c.spec.Name})
	if e.Status.Phase == runtime.Exited {
		m.ended(in, c, e.Status)
	}
}

// mostFailedStarts is how often a container that has never run here is tried before the peer
// refuses its replica, so that another peer may try.
const mostFailedStarts = 3

func (m *Machine) startFailed(in *instance, c *container, e Done) {
	switch {
	case in.stopping:
		return
	case e.Err.Reason == runtime.Overdue:
		m.startOverdue(in, c)
		return
	case !in.everReady && c.startedAt.IsZero() && (cannotRun(e.Err.Reason) || c.failures >= mostFailedStarts):
		m.giveUp(in, e.Err)
		return
	case e.Err.Reason == runtime.NotFound:
		in.prepared = false // what was prepared is gone
	case e.Err.Reason == runtime.Stale:
		c.generation = max(c.generation, e.Status.Generation)
	}
	c.detail = causeText(e.Err)
	m.noteReplica(in, Note{Warning: true, Reason: "StartFailed",
		Text: fmt.Sprintf("container %s could not be started: %s: %s", c.spec.Name, e.Err.Reason, c.detail)})
	m.down(in, c, runtime.Status{ExitCode: -1, Reason: string(e.Err.Reason)})
}

func (m *Machine) stopDone(in *instance, e Done) {
	c := in.container(e.Action.Container)
	if e.Err != nil && e.Err.Reason != runtime.NotFound {
		m.later(in, e.Err)
		return
	}
	in.tries, in.retryAt = 0, 0
	if c == nil || c.phase != runtime.Running {
		return
	}
	status := e.Status
	if e.Err != nil {
		status = runtime.Status{ExitCode: -1, Reason: "Lost"}
	}
	m.ended(in, c, status)
}

func (m *Machine) removeDone(in *instance, e Done) {
	if e.Err != nil && e.Err.Reason != runtime.NotFound {
		m.later(in, e.Err)
		return
	}
	m.release(in)
}

// later tries a failed stop or removal again, less and less often.
func (m *Machine) later(in *instance, err *runtime.Error) {
	in.tries++
	in.retryAt = m.now.Elapsed + m.backoff(in.tries+1)
	m.noteReplica(in, Note{Warning: true, Reason: "StopFailed", Text: string(err.Reason) + ": " + causeText(err)})
}

// exited takes the news that a container ended by itself.
func (m *Machine) exited(e Exited) {
	in := m.held[e.Status.Instance]
	if in == nil {
		return
	}
	c := in.container(e.Status.Container)
	if c == nil || c.generation != e.Status.Generation || c.phase == runtime.Exited {
		return
	}
	starting := in.inflight != nil && in.inflight.Kind == Start && in.inflight.Container == c.spec.Name
	if c.phase != runtime.Running && !starting {
		return
	}
	m.ended(in, c, e.Status)
}

// ended takes the end of a container that ran.
func (m *Machine) ended(in *instance, c *container, status runtime.Status) {
	if c.phase == runtime.Running && m.now.Elapsed-c.startedBy >= m.config.Tuning.BackoffReset {
		c.failures = 0
	}
	if c.unhealthy {
		status.Reason = "Unhealthy" // and why stands in its detail
	} else {
		c.detail = status.Detail
	}
	if !in.stopping && !in.withheld {
		m.noteReplica(in, Note{Warning: true, Reason: "Exited",
			Text: fmt.Sprintf("container %s ended with exit code %d (%s)%s", c.spec.Name, status.ExitCode, status.Reason, because(status.Detail))})
	}
	m.down(in, c, status)
}

// because is what is behind something, to be added to it.
func because(detail string) string {
	if detail == "" {
		return ""
	}
	return ": " + detail
}

// down records that a container does not run, and when it may start again.
func (m *Machine) down(in *instance, c *container, status runtime.Status) {
	m.rowDirty = true
	c.phase, c.probed, c.unhealthy = runtime.Exited, false, false
	c.exitCode, c.reason = status.ExitCode, status.Reason
	if in.stopping || in.withheld {
		return
	}
	c.failures++
	wait := m.backoff(c.failures)
	c.startAt = m.now.Elapsed + wait
	if wait > 0 {
		m.noteReplica(in, Note{Warning: true, Reason: "BackOff",
			Text: fmt.Sprintf("container %s waits %s before it is started again", c.spec.Name, wait)})
	}
	m.crashed(in, c)
}

// probed takes what a probe says of the newest generation.
func (m *Machine) probed(e Probed) {
	in := m.held[e.Instance]
	if in == nil {
		return
	}
	c := in.container(e.Container)
	if c == nil || c.generation != e.Generation || c.phase == runtime.Exited {
		return
	}
	if !e.Liveness {
		c.probed, c.detail, m.rowDirty = e.OK, e.Detail, true
		if e.OK {
			c.detail = ""
		}
		return
	}
	if e.OK || c.unhealthy {
		return
	}
	c.unhealthy, c.detail, m.rowDirty = true, e.Detail, true
	if !in.stopping {
		m.noteReplica(in, Note{Warning: true, Reason: "Killed",
			Text: fmt.Sprintf("container %s failed its liveness probe (%s) and is stopped", c.spec.Name, e.Detail)})
	}
}
