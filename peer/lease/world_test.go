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
