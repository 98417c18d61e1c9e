package heap

import (
	"fmt"
	"slices"
	"time"

	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/wire"
	"shoal/runtime"
	"shoal/testnet/promise"
)

// Options describe a World. Zero values mean the usual.
type Options struct {
	Seed      uint64
	Peers     int
	Room      gossip.Room // of each peer
	Images    []string    // on each peer
	Link      Link
	Detection Detection
	Pace      Pace
	Tuning    control.Tuning
	Latency   time.Duration // from an event to the flush that serves it
	Crashes   float64       // part of all starts after which the container soon ends by itself
	Coded     bool          // messages pass through the wire's form

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
	rows       rowCache
	log        *writeLog

	ended      []promise.Container // that ended by themselves
	violations []promise.Violation // found on the way
	faultAt    time.Duration       // of the last fault
	flushes    int
	lines      []string // the last of the trace
}

// New makes a world whose peers all start at once and find each other.
func New(options Options) *World {
	w := &World{engine: newEngine(options.Seed), options: options.withUsual(), byID: map[gossip.PeerID]*Peer{}}
	w.network, w.membership = newNetwork(w.options.Peers), newMembership(w.options.Peers)
	w.log = newWriteLog()
	for i := range w.options.Peers {
		p := newPeer(w, i)
		w.peers = append(w.peers, p)
		w.byID[p.self.ID] = p
	}
	for _, p := range w.peers {
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
		w.Run(w.look())
	}
	return w.now - begin, true
}

// look is how often Await looks: less often where looking is dear.
func (w *World) look() time.Duration {
	return max(10*time.Millisecond, time.Duration(len(w.peers))*time.Millisecond)
}

// AwaitRest lets time pass until every promise that holds at rest holds, and returns what was still
// broken if that did not happen within the span.
func (w *World) AwaitRest(most time.Duration) (time.Duration, []promise.Violation) {
	var broken []promise.Violation
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

// Violations are those found on the way, of promises that hold always.
func (w *World) Violations() []promise.Violation { return w.violations }

// Fingerprint is equal for worlds in which the same things happened at the same times.
func (w *World) Fingerprint() uint64 { return w.prints.Sum64() }

// Trace returns the last lines of what happened.
func (w *World) Trace() []string { return w.lines }

const mostLines = 400

func (w *World) tracef(format string, args ...any) {
	line := fmt.Sprintf("%9.4fs ", w.now.Seconds()) + fmt.Sprintf(format, args...)
	if w.options.Trace != nil {
		w.options.Trace(line)
	}
	if len(w.lines) >= 2*mostLines {
		w.lines = slices.Clone(w.lines[mostLines:])
	}
	w.lines = append(w.lines, line)
}

func (w *World) broken(name, format string, args ...any) {
	v := promise.Violation{Promise: name, Text: fmt.Sprintf("at %.4fs: ", w.now.Seconds()) + fmt.Sprintf(format, args...)}
	w.tracef("BROKEN %s", v)
	w.violations = append(w.violations, v)
}

// watchFlush checks what must hold after every event (P6).
func (w *World) watchFlush(p *Peer) {
	sum, room := p.core.Admitted()
	if sum.CPUMillis > room.CPUMillis || sum.MemoryBytes > room.MemoryBytes {
		w.broken("P6", "%s admitted %+v and has %+v", p.Name, sum, room)
	}
}

// grace is how long after a fault a replica may be without a ready instance through nobody's mistake.
const grace = 15 * time.Second

// watchStop checks that a container which a peer chose to stop was not the last one that is ready (P7).
func (w *World) watchStop(p *Peer, a control.Action, stop func()) {
	serves := slices.ContainsFunc(p.machine.containers(a.Instance), func(c *simContainer) bool { return c.ready })
	if !serves || w.faultAt > 0 && w.now-w.faultAt < grace || len(w.PlacedOn(replicaOf(a.Instance))) > 1 {
		stop()
		return
	}
	before := w.Snapshot()
	stop()
	for _, v := range promise.NeverDown(before, w.Snapshot()) {
		w.broken(v.Promise, "%s", v.Text)
	}
}

func (w *World) noteEnded(p *Peer, c *simContainer) {
	w.ended = append(w.ended, containerOf(p, c))
	w.print("ended", p.Name+string(c.status.Instance), c.status.Generation)
	w.tracef("%s: %s ends by itself", p.Name, c.status.Instance)
}

func containerOf(p *Peer, c *simContainer) promise.Container {
	return promise.Container{Peer: string(p.self.ID), Instance: string(c.status.Instance), Name: c.spec.Name,
		Generation: c.status.Generation, StartedAt: c.status.StartedAt}
}

// rowCache shares decoded rows between the machines of a world.
type rowCache struct{ decoded map[string]*wire.Observation }

const mostRows = 4096

func (c *rowCache) decode(body []byte) (*wire.Observation, error) {
	if o, known := c.decoded[string(body)]; known {
		return o, nil
	}
	o, err := wire.DecodeObservation(body)
	if err != nil {
		return nil, err
	}
	if c.decoded == nil || len(c.decoded) >= mostRows {
		c.decoded = map[string]*wire.Observation{}
	}
	c.decoded[string(body)] = &o
	return &o, nil
}

// running says whether a container of this status runs.
func running(s runtime.Status) bool { return s.Phase == runtime.Running }
