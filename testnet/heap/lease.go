package heap

import (
	"time"

	"shoal/peer/control"
	"shoal/runtime"
)

// This file is what the world needs for leases: clocks that run too fast or too slow, programs that stand still, and the process of
// each machine that ends what is overdue. That process is no part of the program: it goes on when the program is stopped or dead, and
// ends with the power.

// partsPerMillion of true time.
const partsPerMillion = 1_000_000

// elapsed is what the clock by which a program measures spans shows.
func (p *Peer) elapsed() time.Duration { return p.byClock(p.world.now - p.started) }

// byClock is what the peer's clock measures of a span of true time, and inTruth the opposite, rounded up.
func (p *Peer) byClock(span time.Duration) time.Duration {
	return span + span/partsPerMillion*time.Duration(p.drift)
}

func (p *Peer) inTruth(span time.Duration) time.Duration {
	if p.drift == 0 {
		return span
	}
	return span/(partsPerMillion+time.Duration(p.drift))*partsPerMillion + 2*partsPerMillion
}

// Drift lets the clock of a peer run too fast from its program's next start on, by parts per million; too slow where they are negative.
func (w *World) Drift(name string, parts int64) {
	w.tracef("the clock of %s is to run %d parts in a million too fast", name, parts)
	w.Peer(name).drifts = parts
}

// Stall stops the program of a peer for a while (kill -STOP). What its connections bring waits.
func (w *World) Stall(name string, span time.Duration) {
	p := w.Peer(name)
	if !p.alive {
		return
	}
	w.fault("the program of %s stands still for %s", name, span)
	p.stalled = max(p.stalled, w.now+span)
}

// whenAwake lets something happen when the program of a peer does not stand still, if it is still the same program.
func (p *Peer) whenAwake(do func()) {
	if p.stalled <= p.world.now {
		do()
		return
	}
	life := p.life
	p.world.after(p.stalled-p.world.now, func() {
		if p.alive && p.life == life {
			p.whenAwake(do)
		}
	})
}

// bound takes deadlines over from a program, which counts from its own start.
func (m *machine) bound(bounds []control.Bound) {
	for _, b := range bounds {
		if b.Until == control.Unbounded {
			m.deadlines[b.Instance] = control.Unbounded
			continue
		}
		at := m.peer.started + m.peer.inTruth(b.Until)
		m.deadlines[b.Instance] = at
		if !m.peer.world.plants.noGuard {
			m.peer.world.after(at-m.peer.world.now, func() { m.enforce(b.Instance) })
		}
	}
}

// enforce ends what is overdue.
func (m *machine) enforce(id runtime.InstanceID) {
	if !m.peer.powered || !m.overdue(id) {
		return
	}
	for _, c := range m.containers(id) {
		if running(c.status) {
			m.peer.world.tracef("%s: the time of %s is over", m.peer.Name, id)
			m.exit(c, 137, "Error")
		}
	}
}

// overdue says whether nothing of an instance may run now.
func (m *machine) overdue(id runtime.InstanceID) bool {
	until, told := m.deadlines[id]
	if !told {
		held := m.instances[id]
		return held != nil && held.spec.Bounded
	}
	return until <= m.peer.world.now
}

// untils are the deadlines as a program that starts now counts.
func (m *machine) until(id runtime.InstanceID) time.Duration {
	at, told := m.deadlines[id]
	if !told || at == control.Unbounded {
		return 0
	}
	return max(m.peer.byClock(at-m.peer.world.now), 1)
}

// active says whether anything of an instance runs.
func (m *machine) active(id runtime.InstanceID) bool {
	for _, c := range m.containers(id) {
		if running(c.status) {
			return true
		}
	}
	return false
}
