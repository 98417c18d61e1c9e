package heap

import (
	"fmt"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/runtime"
	"shoal/testnet/promise"
)

// Options describe a World. Zero values mean the usual.
type Options struct {
	Seed      uint64
	Peers     int
	Room      gossip.Room   // of each peer
	Rooms     []gossip.Room // of the peers in turn, where they differ
	Beside    Beside        // of each peer
	Late      int           // so many peers, the last ones, are off until they are started
	Images    []string      // on each peer
	Link      Link
	Detection Detection
	Pace      Pace
	Tuning    control.Tuning
	Latency   time.Duration // from an event to the flush that serves it
	Crashes   float64       // part of all starts after which the container soon ends by itself
	Coded     bool          // messages pass through the wire's form
	Accounts  bool          // what peers send is counted, in the form in which it travels
	ReadOnly  int           // so many peers, the last ones, may write no intent

	LeastCommit, MostCommit time.Duration // of one batch to disk

	Trace func(line string) // is given each line of what happens; nil for none
}

func (o Options) withUsual() Options {
	if o.Peers == 0 {
		o.Peers = 5
	}
	if o.Room == (gossip.Room{}) {
		o.Room = gossip.Room{CPUMillis: 2000, MemoryBytes: 4 << 30}
	}
	if o.Images == nil {
		o.Images = []string{"shoal.example/web:1"}
	}
	if o.Link == (Link{}) {
		o.Link = LAN
	}
	if o.Detection == (Detection{}) {
		o.Detection = Tuned
	}
	if o.Pace == (Pace{}) {
		o.Pace = Usual
	}
	if o.MostCommit == 0 {
		o.LeastCommit, o.MostCommit = 100*time.Microsecond, 3*time.Millisecond
	}
	if o.Latency == 0 {
		o.Latency = 50 * time.Microsecond
	}
	return o
}

// World is a cluster in virtual time. Not safe for concurrent use.
type World struct {
	*engine
	options    Options
	peers      []*Peer
	byID       map[gossip.PeerID]*Peer
	network    *network
	membership *membership
	memo       memo
	accounts   *accounts
	plants     plants
	watch      *promise.Watch
	course     *promise.Course
	policies   map[string]*promise.Policy // by the prefix of replicas
	ranks      map[string]string          // by the same: the priority class
	mostMoving map[string]int             // by the same: how many may be on their way, where that is said
	classes    map[string]string          // values of priority classes
	facts      map[crdt.OpID]promise.Op   // of every operation that was ever on a disk
	hostile    bool                       // somebody forges
	log        *writeLog

	ended      []promise.Container // that ended by themselves
	violations []promise.Violation // found on the way
	faultAt    time.Duration       // of the last fault
	disturbed  time.Duration       // when a peer last came, or came back in touch
	flushes    int
	lines      []string // the last of the trace
}

// New makes a world whose peers all start at once and find each other.
func New(options Options) *World {
	return newWorld(options, plants{})
}

// newWorld is New with planted faults.
func newWorld(options Options, planted plants) *World {
	w := &World{engine: newEngine(options.Seed), options: options.withUsual(), byID: map[gossip.PeerID]*Peer{},
		watch: promise.NewWatch(), course: promise.NewCourse(grace), policies: map[string]*promise.Policy{}, ranks: map[string]string{}, mostMoving: map[string]int{}, classes: map[string]string{}, facts: map[crdt.OpID]promise.Op{}, plants: planted}
	w.accounts = newAccounts(w)
	w.network, w.membership = newNetwork(w.options.Peers), newMembership(w.options.Peers)
	w.log = newWriteLog()
	for i := range w.options.Peers {
		p := newPeer(w, i)
		w.peers = append(w.peers, p)
		w.byID[p.self.ID] = p
	}
	w.course.Apart = w.options.Link.Loss > 0 || w.options.MostCommit > 100*time.Millisecond
	for _, p := range w.peers[:len(w.peers)-options.Late] {
		p.boot()
	}
	return w
}

// Peer returns a peer by name; one that does not exist is a mistake of the caller.
func (w *World) Peer(name string) *Peer {
	i := slices.IndexFunc(w.peers, func(p *Peer) bool { return p.Name == name })
	if i < 0 {
		panic("heap: no peer " + name)
	}
	return w.peers[i]
}

// Now is the time since the world began.
func (w *World) Now() time.Duration { return w.now }

// Run lets a span of time pass.
func (w *World) Run(span time.Duration) { w.runUntil(w.now + span) }

// Await lets time pass until done, looking every so often, and at most for a span. It returns how long it took.
func (w *World) Await(most time.Duration, done func() bool) (time.Duration, bool) {
	begin := w.now
	for !done() {
		if w.now-begin >= most {
			return w.now - begin, false
		}
		w.Run(max(w.look(), (w.now-begin)/64))
	}
	return w.now - begin, true
}

// look is how often Await looks at first: less often where looking is dear. Then it looks ever less often.
func (w *World) look() time.Duration {
	return max(10*time.Millisecond, time.Duration(len(w.peers))*time.Millisecond)
}

// steady is how long after it came, or came back in touch, a peer may be given what runs elsewhere: before, all can be at rest
// and not yet in balance.
const steady = 17 * time.Second

// AwaitRest lets time pass until every promise that holds at rest holds, and returns what was still
// broken if that did not happen within the span.
func (w *World) AwaitRest(most time.Duration) (time.Duration, []promise.Violation) {
	var broken []promise.Violation
	for w.now < w.disturbed+steady {
		w.Run(w.disturbed + steady - w.now)
	}
	took, rests := w.Await(most, func() bool {
		if !w.agree() {
			return false
		}
		broken = promise.AtRest(w.Snapshot())
		return len(broken) == 0
	})
	if !rests {
		broken = promise.AtRest(w.Snapshot())
	}
	return took, broken
}

// agree is the cheap part of being at rest: the peers of each side have equal digests.
func (w *World) agree() bool {
	type digests struct{ intent, plan [32]byte }
	bySide := map[int]digests{}
	for _, p := range w.peers {
		if !p.alive {
			continue
		}
		var own digests
		own.intent, own.plan = p.core.Digests()
		if side, known := bySide[w.network.side[p.index]]; known && side != own {
			return false
		}
		bySide[w.network.side[p.index]] = own
	}
	return true
}

// acquainted says whether all that can reach each other know each other to be alive.
func (w *World) acquainted() bool {
	for _, p := range w.peers {
		for _, q := range w.peers {
			b := &w.membership.believed[p.index][q.index]
			if p != q && p.alive && q.alive && w.network.joined(p.index, q.index) && (!b.known || b.state != gossip.Alive) {
				return false
			}
		}
	}
	return true
}

// sameIntent says whether the peers of each side hold the same intent.
func (w *World) sameIntent() bool {
	bySide := map[int][32]byte{}
	for _, p := range w.peers {
		if !p.alive {
			continue
		}
		own, _ := p.core.Digests()
		if side, known := bySide[w.network.side[p.index]]; known && side != own {
			return false
		}
		bySide[w.network.side[p.index]] = own
	}
	return true
}

// Violations are those found on the way, of promises that hold always.
func (w *World) Violations() []promise.Violation { return w.violations }

// Fingerprint is equal for worlds in which the same things happened at the same times.
func (w *World) Fingerprint() uint64 { return w.prints.Sum64() }

// Trace returns the last lines of what happened.
func (w *World) Trace() []string { return w.lines }

const mostLines = 400

// traces says whether anybody could read a line of the trace: in a large world only who asked for it.
func (w *World) traces() bool { return w.options.Trace != nil || len(w.peers) <= smallWorld }

func (w *World) tracef(format string, args ...any) {
	if !w.traces() {
		return
	}
	line := fmt.Sprintf("%9.4fs ", w.now.Seconds()) + fmt.Sprintf(format, args...)
	if w.options.Trace != nil {
		w.options.Trace(line)
	}
	if len(w.lines) >= 2*mostLines {
		w.lines = slices.Clone(w.lines[mostLines:])
	}
	w.lines = append(w.lines, line)
}

func violationAt(at time.Duration, name, format string, args ...any) promise.Violation {
	return promise.Violation{Promise: name, Text: fmt.Sprintf("at %.4fs: ", at.Seconds()) + fmt.Sprintf(format, args...)}
}

func (w *World) noteEnded(p *Peer, c *simContainer) {
	w.ended = append(w.ended, containerOf(p, c))
	w.print("ended", p.Name+string(c.status.Instance), c.status.Generation)
	w.tracef("%s: %s ends by itself", p.Name, c.status.Instance)
}

func containerOf(p *Peer, c *simContainer) promise.Container {
	return promise.Container{Peer: string(p.self.ID), Instance: string(c.status.Instance), Name: c.spec.Name,
		Generation: c.status.Generation, StartedAt: epoch.Add(c.started)}
}

// running says whether a container of this status runs.
func running(s runtime.Status) bool { return s.Phase == runtime.Running }
