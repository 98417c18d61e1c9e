package lease

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"shoal/crdt"
)

// This is a world of a few machines that all want one lease, at the worst moments: in it are Witness and Holder as they are shipped, and
// around them models of a program that uses them as peer/control does, of the process that ends containers at their deadlines
// (runtime/supervise), of clocks that drift within the bound, of disks, and of a network that delays for seconds, loses, doubles and
// reorders. True time is nobody's. Everything comes from one seed.

// plants are faults put on purpose into a world, to see that each is found.
type plants struct {
	drift          float64 // instead of the bound, where not 0
	forgets        bool    // a witness that lost its power takes itself for the one before
	countsAnswer   bool    // a holder counts from when it was answered
	heard          bool    // a majority of those that can be reached is enough
	staleFrees     bool    // a release counts also when it was overtaken by another ask
	lateAnswers    bool    // an answer counts also when what it grants was given back meanwhile
	anyTerms       bool    // a witness grants whatever the conditions
	newListAtOnce  bool    // a list of witnesses is dropped before the others know of the one that follows
	noHandOverTerm bool    // it is dropped as soon as they know, while what they granted before still counts
	noGuard        bool    // nobody but the program ends a container
	stopsInSuspend bool    // clocks stand still while a machine is suspended
	startsLate     bool    // what was decided in time is started whenever it comes to that
	unsaved        bool    // a grant leaves before it is on disk
	trustsYouth    bool    // a program that starts twice in a session knows everything, whatever the first knew
	startsFirst    bool    // exclusive: the lease is given back before the container has ended
	sameLife       bool    // every life of a program bears the same number
}

const (
	worldLength = 60 * time.Second
	mostDelay   = 25 * time.Second
)

type worldEvent struct {
	at   time.Duration
	seq  int
	what func()
}

type worldQueue []worldEvent

func (q worldQueue) Len() int { return len(q) }
func (q worldQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q worldQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *worldQueue) Push(e any)   { *q = append(*q, e.(worldEvent)) }
func (q *worldQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

type world struct {
	plants
	random   *rand.Rand
	now      time.Duration
	queue    worldQueue
	seq      int
	machines []*machine
	side     []int
	slow     bool // some messages take very long
	values   []value
	found    string
	ran      time.Duration // for how long something ran
	since    time.Duration
	starts   int
	log      func(string, ...any) // nil: nobody reads it
}

// value is one form of the lists of witnesses. Each machine takes one for the one in force.
type value struct {
	terms Terms
	lists [][]crdt.PeerID
}

type machine struct {
	w     *world
	id    crdt.PeerID
	index int

	// The clock: local is what it showed at true time at, and rate how fast it has run since.
	at, local time.Duration
	rate      float64

	suspended bool // nothing at all runs on it
	stopped   bool // its program does not (kill -STOP)
	alive     bool
	powered   int // how often: the session
	life      int
	boot      int           // as its disk counts
	begun     time.Duration // local
	missed    []func()      // what the program will take in when it goes on
	alarm     int

	holder  *Holder
	witness *Witness
	disk    map[string][]byte
	knows   int // the value in force, as far as it knows
	learned time.Duration
	wants   bool
	moves   bool // it is to stop, and then to give back

	// What runs. deadline is the guard's, by the machine's clock; guard is the number of its newest alarm.
	runs     bool
	starting bool
	stopping bool
	deadline time.Duration
	guard    int
}

const (
	worldMargin = Term / 20
	worldLead   = Term*3/10 + 2*worldMargin
)

func (w *world) after(span time.Duration, what func()) {
	w.seq++
	heap.Push(&w.queue, worldEvent{w.now + max(span, 0), w.seq, what})
}

func (w *world) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.random.Int64N(int64(b-a)))
}

func (w *world) chance(p float64) bool { return w.random.Float64() < p }

// clock is what a machine's clock shows, counted from its program's start.
func (m *machine) clock() time.Duration { return m.raw() - m.begun }

func (m *machine) raw() time.Duration {
	if m.suspended && m.w.stopsInSuspend {
		return m.local
	}
	return m.local + time.Duration(float64(m.w.now-m.at)*m.rate)
}

// setRate lets the clock run otherwise from now on.
func (m *machine) setRate(rate float64) {
	m.local, m.at = m.raw(), m.w.now
	m.rate = rate
	m.sleep()
	m.watch()
}

// until is how long it takes in true time until the clock shows local.
func (m *machine) until(local time.Duration) time.Duration {
	return time.Duration(float64(local-m.raw())/m.rate) + 1
}

func (w *world) drawRate() float64 {
	bound := float64(DriftPerCent) / 100
	if w.drift != 0 {
		bound = w.drift
	}
	switch w.random.IntN(3) {
	case 0:
		return 1 - bound
	case 1:
		return 1 + bound
	}
	return 1 - bound + 2*bound*w.random.Float64()
}

// newWorld makes the world of a seed.
func newWorld(seed uint64, planted plants) *world {
	w := &world{plants: planted, random: rand.New(rand.NewPCG(seed, 0x1ea5e))}
	count := 2 + w.random.IntN(4)
	w.slow = w.chance(0.5)
	w.side = make([]int, count)
	for i := range count {
		m := &machine{w: w, id: crdt.PeerID(fmt.Sprintf("p%d", i+1)), index: i, rate: w.drawRate(), disk: map[string][]byte{}, wants: w.chance(0.7)}
		w.machines = append(w.machines, m)
	}
	w.drawValues()
	for _, m := range w.machines {
		m.powerOn()
	}
	w.trouble()
	return w
}

// drawValues draws the lists of witnesses that are in force one after the other: old, old and new, new.
func (w *world) drawValues() {
	list := func() []crdt.PeerID {
		var all []crdt.PeerID
		for _, m := range w.machines {
			all = append(all, m.id)
		}
		w.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:1+w.random.IntN(len(all))]
		slices.Sort(all)
		return all
	}
	old, next := list(), list()
	w.values = []value{{Terms{0}, [][]crdt.PeerID{old}}}
	if w.chance(0.5) {
		w.values = append(w.values, value{Terms{1}, [][]crdt.PeerID{old, next}}, value{Terms{2}, [][]crdt.PeerID{next}})
	}
}

// learn lets a machine hear of the next value. The last one is not written before a majority of the old witnesses has known the one
// in between for a term.
func (m *machine) learn() {
	w := m.w
	if m.knows+1 >= len(w.values) {
		return
	}
	written := slices.ContainsFunc(w.machines, func(o *machine) bool { return o.knows > m.knows })
	if m.knows+1 == 2 && !written && !w.newListAtOnce {
		aware := 0
		for _, id := range w.values[0].lists[0] {
			if o := w.machineOf(id); o.knows >= 1 && (w.now-o.learned >= Kept(Term) || w.noHandOverTerm) {
				aware++
			}
		}
		if aware < majority(len(w.values[0].lists[0])) {
			return
		}
	}
	m.knows++
	m.learned = w.now
	m.wake()
}

func (w *world) machineOf(id crdt.PeerID) *machine {
	return w.machines[slices.IndexFunc(w.machines, func(m *machine) bool { return m.id == id })]
}

// trouble is what happens to the world, again and again.
func (w *world) trouble() {
	w.after(w.between(time.Millisecond, 4*time.Second), w.trouble)
	m := w.machines[w.random.IntN(len(w.machines))]
	kind := w.random.IntN(16)
	if w.log != nil {
		w.log("%v trouble %d of %s", w.now, kind, m.id)
	}
	switch kind {
	case 0:
		for i := range w.side {
			w.side[i] = w.random.IntN(2)
		}
	case 1, 2:
		clear(w.side)
	case 3:
		m.setRate(w.drawRate())
	case 4, 5:
		m.stop(w.between(time.Millisecond, 15*time.Second))
	case 6:
		m.suspend(w.between(time.Millisecond, 15*time.Second))
	case 7, 8:
		m.kill(w.between(time.Millisecond, 3*time.Second))
	case 9:
		m.losePower(w.between(time.Millisecond, 5*time.Second), w.chance(0.3))
	case 10, 11, 12:
		m.moves = true
		m.wake()
	case 13:
		m.wants = !m.wants
		m.wake()
	default:
		m.learn()
	}
}

// send carries a message: it may be lost, doubled, and late by more than a term.
func (w *world) send(from, to *machine, message Message) {
	copies := 1
	switch {
	case w.chance(0.05):
		copies = 0
	case w.chance(0.05):
		copies = 2
	}
	for range copies {
		delay := w.between(time.Millisecond, 50*time.Millisecond)
		if w.slow && w.chance(0.1) {
			delay = w.between(0, mostDelay)
		}
		w.after(delay, func() {
			if w.side[from.index] == w.side[to.index] {
				to.program(func() { to.receive(from, message) })
			}
		})
	}
}

// program lets the machine's program do something, when it can.
func (m *machine) program(what func()) {
	switch {
	case !m.alive:
	case m.stopped || m.suspended:
		m.missed = append(m.missed, what)
	default:
		what()
	}
}

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
