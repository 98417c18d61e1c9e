package lease

import (
	"container/heap"
	"fmt"
	"slices"
	"time"

	"shoal/crdt"
)

func (m *machine) powerOn() {
	m.powered++
	m.start()
}

// start begins a life of the program. What runs goes on under the deadline that it had.
func (m *machine) start() {
	m.alive, m.stopped, m.missed = true, false, nil
	m.life++
	m.begun = m.raw()
	m.boot++
	session, life := fmt.Sprint(m.powered), uint64(m.boot)<<32|m.w.random.Uint64()>>32
	if m.w.forgets {
		session = "always"
		for name := range m.disk {
			if name != RecordPrefix {
				delete(m.disk, name)
			}
		}
	}
	if m.w.trustsYouth {
		m.disk[RecordPrefix] = []byte(session)
	}
	if m.w.sameLife {
		life = 1
	}
	m.witness = NewWitness(Term, session, m.disk)
	m.holder = NewHolder(Term, life, m.w.random.IntN)
	m.starting, m.stopping = false, false
	if m.runs {
		m.holder.Resume("r", m.deadline-m.begun+worldMargin)
	}
	m.wake()
}

// kill ends the program, and its supervisor starts it again. What it was about to start may have been started, or not.
func (m *machine) kill(away time.Duration) {
	if !m.alive || m.suspended {
		return
	}
	m.alive, m.missed = false, nil
	power := m.powered
	m.w.after(away, func() {
		if !m.alive && m.powered == power && m.powered > 0 {
			m.start()
		}
	})
}

// stop is kill -STOP of the program, for a while.
func (m *machine) stop(span time.Duration) {
	if !m.alive || m.stopped {
		return
	}
	m.stopped = true
	life := m.life
	m.w.after(span, func() {
		if m.life == life {
			m.stopped = false
			m.goOn()
		}
	})
}

// suspend stops the whole machine: program, guard and container.
func (m *machine) suspend(span time.Duration) {
	if m.suspended {
		return
	}
	m.local, m.at, m.suspended = m.raw(), m.w.now, true
	m.w.noteRunning()
	m.w.after(span, func() {
		if m.w.stopsInSuspend {
			m.at = m.w.now
		} else {
			m.local, m.at = m.raw(), m.w.now
		}
		m.suspended = false
		if m.runs && m.raw() >= m.deadline && !m.w.noGuard {
			m.runs = false // the guard's alarm goes off before anything else runs for long: see docs/decisions/0010
		}
		m.watch()
		m.w.noteRunning()
		m.goOn()
	})
}

func (m *machine) goOn() {
	if m.stopped || m.suspended || !m.alive {
		return
	}
	missed := m.missed
	m.missed = nil
	for _, what := range missed {
		m.program(what)
	}
	m.wake()
}

func (m *machine) losePower(off time.Duration, wiped bool) {
	if m.suspended || m.powered < 0 {
		return
	}
	m.alive, m.missed = false, nil
	m.setRuns(false)
	power := m.powered
	m.life++
	if wiped {
		clear(m.disk)
		m.boot = 0
	}
	m.powered = -power
	m.w.after(off, func() {
		m.powered = power
		m.powerOn()
	})
}

// receive is the loop of the program.
func (m *machine) receive(from *machine, message Message) {
	now := m.clock()
	if m.w.log != nil {
		m.w.log("%v %s takes from %s: %+v", m.w.now, m.id, from.id, message)
	}
	if len(message.Asks)+len(message.Frees) > 0 {
		if m.w.staleFrees && len(message.Frees) > 0 {
			message.Number, message.Life = 1<<60, m.lifeOf("r", from)
		}
		answer, hints := m.witness.Take(now, from.id, message, m.judge)
		m.save()
		m.carry([]Outgoing{{from.id, answer}})
		m.carry(hints)
	}
	if len(message.Answers) > 0 {
		if m.w.countsAnswer {
			m.holder.rounds[message.Number%mostRounds].at = now
		}
		if l := m.holder.leases["r"]; l != nil && m.w.lateAnswers {
			l.after = 0
		}
		m.carry(m.holder.Take(now, from.id, message))
	}
	m.turn()
}

// lifeOf is the life in which a peer last asked here.
func (m *machine) lifeOf(name string, from *machine) uint64 {
	if g := m.witness.grants[name]; g != nil && g.first.peer == from.id {
		return g.first.life
	}
	return 0
}

func (m *machine) judge(ask Ask) Verdict {
	v := m.w.values[m.knows]
	switch {
	case m.w.anyTerms:
		return Granted
	case v.terms != ask.Terms:
		return OtherTerms
	case !slices.ContainsFunc(v.lists, func(l []crdt.PeerID) bool { return slices.Contains(l, m.id) }):
		return NoWitness
	}
	return Granted
}

// save is the disk. Where a plant wants it, what is written now is there only later.
func (m *machine) save() {
	records := m.witness.Records()
	write := func() {
		for name, value := range records {
			if value == nil {
				delete(m.disk, name)
			} else {
				m.disk[name] = value
			}
		}
	}
	if !m.w.unsaved {
		write()
		return
	}
	life := m.life
	m.w.after(2*time.Second, func() {
		if m.life == life && m.alive {
			write()
		}
	})
}

func (m *machine) carry(out []Outgoing) {
	for _, o := range out {
		if len(o.Message.Answers)+len(o.Message.Asks)+len(o.Message.Frees) == 0 {
			continue
		}
		if o.To == m.id {
			m.receive(m, o.Message)
		} else {
			m.w.send(m, m.w.machineOf(o.To), o.Message)
		}
	}
}

func (m *machine) wake() { m.program(m.turn) }

// turn is what peer/control does for a replica that it is to run.
func (m *machine) turn() {
	now := m.clock()
	m.witness.Take(now, "", Message{}, m.judge)
	m.save()
	busy := m.runs || m.starting || m.stopping
	switch {
	case m.wants && !m.moves || busy:
		v := m.w.values[m.knows]
		need := Need{Workload: "w", Terms: v.terms, Witnesses: v.lists}
		if m.w.heard {
			need.Witnesses = m.w.reachable(m, v.lists)
		}
		m.holder.Need("r", need)
	default:
		m.carry(m.holder.Drop("r"))
		m.moves = false
	}
	m.carry(m.holder.Round(now))
	end := m.holder.End("r")
	if m.runs && end > now && !m.stopping {
		m.bound(end)
	}
	switch allowed := now < end-worldLead; {
	case m.runs && !m.stopping && (!allowed || m.moves || !m.wants):
		m.shutDown()
	case !busy && allowed && m.wants && !m.moves:
		m.startUp(end)
	}
	m.sleep()
}

// reachable is what a plant takes for the list of witnesses.
func (w *world) reachable(m *machine, lists [][]crdt.PeerID) [][]crdt.PeerID {
	var all [][]crdt.PeerID
	for _, list := range lists {
		var near []crdt.PeerID
		for _, id := range list {
			if w.side[w.machineOf(id).index] == w.side[m.index] {
				near = append(near, id)
			}
		}
		all = append(all, near)
	}
	return all
}

// bound moves the deadline on: the guard has it from then on.
func (m *machine) bound(end time.Duration) {
	m.deadline = max(m.deadline, end-worldMargin+m.begun)
	m.watch()
}

// startUp starts the container, which takes a moment, in which anything may happen to the program.
func (m *machine) startUp(end time.Duration) {
	m.starting = true
	m.deadline = end - worldMargin + m.begun
	life := m.life
	m.w.after(m.w.between(time.Millisecond, 60*time.Millisecond), func() {
		m.program(func() {
			if m.life != life {
				return
			}
			m.starting = false
			if m.raw() < m.deadline || m.w.startsLate {
				m.setRuns(true)
				m.watch()
			}
			m.turn()
		})
	})
}

// shutDown stops the container: it ends by itself, or is killed.
func (m *machine) shutDown() {
	m.stopping = true
	if m.w.startsFirst {
		m.carry(m.holder.freeing("r", m.holder.lease("r")))
	}
	life := m.life
	m.w.after(m.w.between(time.Millisecond, Term*3/10+worldMargin/2), func() {
		m.program(func() {
			if m.life == life {
				m.stopping = false
				m.setRuns(false)
				m.turn()
			}
		})
	})
}

// watch is the guard: what runs at its deadline is killed, which takes a moment.
func (m *machine) watch() {
	m.guard++
	if !m.runs || m.w.noGuard {
		return
	}
	guard := m.guard
	m.w.after(m.until(m.deadline), func() {
		if m.guard != guard || m.suspended {
			return
		}
		if m.raw() < m.deadline {
			m.watch()
			return
		}
		m.w.after(m.w.between(0, worldMargin/2), func() {
			if m.runs && !m.suspended && m.raw() >= m.deadline {
				m.setRuns(false)
				m.wake()
			}
		})
	})
}

// sleep sets the program's alarm.
func (m *machine) sleep() {
	m.alarm++
	if !m.alive {
		return
	}
	alarm, now := m.alarm, m.clock()
	next, any := m.holder.Due()
	if end := m.holder.End("r") - worldLead; m.runs && !m.stopping && (!any || end < next) {
		next, any = end, true
	}
	if !any {
		next = now + Term/2
	}
	m.w.after(max(m.until(next+m.begun), time.Millisecond), func() {
		if m.alarm == alarm {
			m.wake()
		}
	})
}

func (m *machine) setRuns(runs bool) {
	if m.runs != runs {
		m.runs = runs
		if runs {
			m.w.starts++
		}
		m.w.noteRunning()
	}
}

// noteRunning is the checker: never do two run at once.
func (w *world) noteRunning() {
	var running []crdt.PeerID
	for _, m := range w.machines {
		if m.runs && !m.suspended {
			running = append(running, m.id)
		}
	}
	if w.log != nil {
		w.log("%v runs on %v", w.now, running)
	}
	if len(running) > 1 && w.found == "" {
		w.found = fmt.Sprintf("at %v it runs on %v", w.now, running)
	}
	if len(running) == 1 && w.since == 0 {
		w.since = max(w.now, 1)
	} else if len(running) == 0 && w.since > 0 {
		w.ran, w.since = w.ran+w.now-w.since, 0
	}
}

// play lets the world's time pass. It returns what was found.
func (w *world) play() string {
	for len(w.queue) > 0 && w.queue[0].at <= worldLength && w.found == "" {
		e := heap.Pop(&w.queue).(worldEvent)
		w.now = e.at
		e.what()
	}
	return w.found
}
