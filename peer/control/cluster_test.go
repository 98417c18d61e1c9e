package control

import (
	"fmt"
	"maps"
	"math/rand"
	"net/netip"
	"slices"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/placement"
	"shoal/runtime"
)

// cluster is several machines with a modelled runtime, membership and network, in steps of 50 ms.
type cluster struct {
	t       *testing.T
	random  *rand.Rand
	now     time.Duration
	peers   []*simulated
	side    map[crdt.PeerID]int // peers on different sides do not hear each other
	replies map[uint64]error
	request uint64
	tuning  Tuning
}

// simulated is one peer of a cluster: its machine, and what a crash of the program leaves.
type simulated struct {
	*world
	id      crdt.PeerID
	name    string
	off     bool // without power
	answers []timed
	inbox   []timed
	states  map[crdt.PeerID]gossip.State
	lost    map[crdt.PeerID]time.Duration // since when it is not heard

	clock     func(time.Duration) time.Time // its wall clock
	notesSeen []Note

	session int                                  // of its supervisor
	bounds  map[runtime.InstanceID]time.Duration // deadlines, by the cluster's time
}

type timed struct {
	at    time.Duration
	event Event
}

const step = 50 * time.Millisecond

func newCluster(t *testing.T, seed int64, n int) *cluster {
	return newClusterWith(t, seed, n, Tuning{})
}

func newClusterWith(t *testing.T, seed int64, n int, tuning Tuning) *cluster {
	c := &cluster{t: t, random: rand.New(rand.NewSource(seed)), side: map[crdt.PeerID]int{}, replies: map[uint64]error{}, tuning: tuning}
	for i := range n {
		p := &simulated{world: newWorld(), name: fmt.Sprintf("p%d", i+1),
			states: map[crdt.PeerID]gossip.State{}, lost: map[crdt.PeerID]time.Duration{}}
		p.bounds = map[runtime.InstanceID]time.Duration{}
		p.id, p.quiet, p.clock = peerID(p.name), true, epoch.Add
		c.peers = append(c.peers, p)
		c.boot(p)
	}
	return c
}

// boot starts a peer's program anew, from what it saved.
func (c *cluster) boot(p *simulated) {
	saved := Saved{Records: maps.Clone(p.records)}
	for _, name := range slices.Sorted(mapsKeys(p.ops)) {
		saved.Ops = append(saved.Ops, p.ops[name])
	}
	for _, id := range slices.Sorted(mapsKeys(p.book)) {
		saved.Book = append(saved.Book, p.book[id])
	}
	for _, id := range slices.Sorted(mapsKeys(p.instances)) {
		saved.Instances = append(saved.Instances, *p.instances[id])
	}
	for i := range saved.Instances {
		saved.Instances[i].Until = p.bounds[saved.Instances[i].Spec.Instance]
	}
	p.world.boot++
	p.off, p.answers, p.inbox = false, nil, nil
	clear(p.states)
	clear(p.lost)
	p.machine = New(Config{
		Self: gossip.Self{ID: gossip.PeerID(p.id), Name: p.name, Room: gossip.Room{CPUMillis: 8000, MemoryBytes: 4 << 30}},
		Boot: p.world.boot, Subnet: netip.MustParsePrefix("10.1.0.0/24"), Sign: sign, Pick: c.random.Intn, Tuning: c.tuning,
		Session: fmt.Sprint(p.session),
	}, saved)
}

// powerLoss ends a peer and all that runs on it.
func (p *simulated) powerLoss() {
	p.off, p.instances, p.bounds = true, map[runtime.InstanceID]*runtime.Instance{}, map[runtime.InstanceID]time.Duration{}
	p.session++
}

func (c *cluster) linked(a, b *simulated) bool {
	return !a.off && !b.off && c.side[a.id] == c.side[b.id]
}

func (c *cluster) peer(id crdt.PeerID) *simulated {
	i := slices.IndexFunc(c.peers, func(p *simulated) bool { return p.id == id })
	return c.peers[i]
}

// membership tells p what it would hear of the others: lost ones are suspect after 1 s, failed after 3 s.
func (c *cluster) membership(p *simulated) {
	for _, other := range c.peers {
		if other == p {
			continue
		}
		state, known := p.states[other.id]
		next := gossip.Alive
		if !c.linked(p, other) {
			if !known {
				continue
			}
			if _, lost := p.lost[other.id]; !lost {
				p.lost[other.id] = c.now
			}
			switch gone := c.now - p.lost[other.id]; {
			case gone >= 3*time.Second:
				next = gossip.Failed
			case gone >= time.Second:
				next = gossip.Suspect
			default:
				next = state
			}
		} else {
			delete(p.lost, other.id)
		}
		if known && next == state {
			continue
		}
		p.states[other.id] = next
		m := memberNamed(other.name, next)
		m.Room = gossip.Room{CPUMillis: 8000, MemoryBytes: 4 << 30}
		p.machine.Step(MemberChanged{m})
	}
}

func (c *cluster) tick() {
	c.now += step
	for _, p := range c.peers {
		if p.off {
			continue
		}
		c.enforce(p)
		c.membership(p)
		p.inbox = c.due(p, p.inbox)
		p.answers = c.due(p, p.answers)
		c.flush(p)
	}
}

func (c *cluster) due(p *simulated, all []timed) []timed {
	var rest []timed
	for _, e := range all {
		if e.at > c.now {
			rest = append(rest, e)
			continue
		}
		p.machine.Step(e.event)
	}
	return rest
}

func (c *cluster) flush(p *simulated) {
	out := p.machine.Flush(Clock{Elapsed: c.now, Wall: p.clock(c.now)})
	p.keep(out.Persist)
	p.audited, p.notesSeen = append(p.audited, out.Audit...), append(p.notesSeen, out.Notes...)
	for _, op := range out.Persist.Put {
		p.ops[opName(op)] = op
	}
	for _, op := range out.Persist.Drop {
		delete(p.ops, opName(op))
	}
	for _, m := range out.Persist.Book {
		p.book[m.ID] = m
	}
	for _, r := range out.Replies {
		c.replies[r.Request] = r.Err
	}
	for _, s := range out.Send {
		to := c.peer(s.To)
		if c.linked(p, to) && c.random.Intn(50) > 0 {
			to.inbox = append(to.inbox, timed{c.now + step, Received{From: p.id, Message: s.Message}})
		}
	}
	for _, b := range out.Bounds {
		p.bounds[b.Instance] = b.Until
	}
	for _, a := range out.Actions {
		c.mayStart(p, a)
		p.take(a)
		delay := time.Duration(c.random.Intn(6)) * step
		p.answers = append(p.answers, timed{c.now + delay, p.answer(a, nil)})
	}
	p.pending = nil
	c.withinRoom(p)
}

func (c *cluster) pass(span time.Duration) {
	for end := c.now + span; c.now < end; {
		c.tick()
	}
}

func (c *cluster) apply(p *simulated, name string, options map[string]string) {
	key := deploymentKey(name)
	current, _ := p.machine.Object(key)
	current.Key = key
	changes, err := changesFor(current, manifestOf(key, options))
	if err != nil {
		c.t.Fatal(err)
	}
	verb := crdt.Update
	if !current.Live {
		verb = crdt.Create
	}
	c.request++
	p.machine.Step(Write{Request: c.request, Key: key, Verb: verb, Seen: current.Seen, Manager: p.name, User: "op", Changes: changes})
}

// settledOn checks that all peers agree, and that every replica runs once, ready, in its newest revision.
func (c *cluster) settledOn(replicas int) {
	c.t.Helper()
	first := c.peers[slices.IndexFunc(c.peers, func(p *simulated) bool { return !p.off })]
	intent, plan := first.machine.Digests()
	copies := map[placement.ReplicaID]int{}
	for _, p := range c.peers {
		if p.off {
			continue
		}
		if i, pl := p.machine.Digests(); i != intent || pl != plan {
			c.t.Errorf("%s: P3: it disagrees with %s: intent %v, plan %v", p.name, first.name, i == intent, pl == plan)
		}
		for _, id := range p.machine.heldIDs {
			in := p.machine.held[id]
			copies[in.record.Replica]++
			if !in.ready() {
				c.t.Errorf("%s: %s is %s", p.name, id, in.state(c.now))
			}
		}
	}
	views := first.machine.Replicas()
	if len(views) != replicas {
		c.t.Errorf("%d replicas, want %d", len(views), replicas)
	}
	for _, v := range views {
		if copies[v.ID] != 1 || !v.Wanted || len(v.Instances) != 1 || !v.Instances[0].Current {
			c.t.Errorf("%s: wanted %v, %d copies, %+v, pending %q", v.ID, v.Wanted, copies[v.ID], v.Instances, v.Pending)
		}
	}
}

func (c *cluster) split(at int) {
	for i, p := range c.peers {
		c.side[p.id] = 0
		if i < at {
			c.side[p.id] = 1
		}
	}
}

// serving counts the replicas with a ready instance somewhere on one side.
func (c *cluster) serving(side int) int {
	ready := map[placement.ReplicaID]bool{}
	for _, p := range c.peers {
		if p.off || c.side[p.id] != side {
			continue
		}
		for _, in := range p.machine.held {
			if in.ready() {
				ready[in.record.Replica] = true
			}
		}
	}
	return len(ready)
}

// TestStory is the story of five peers: a power loss, a split with writes on both sides, a heal.
func TestStory(t *testing.T) {
	for seed := range int64(20) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			c := newCluster(t, seed, 5)
			c.pass(4 * time.Second)
			c.apply(c.peers[2], "web", map[string]string{"replicas": "6"})
			c.pass(3 * time.Second)
			c.settledOn(6)

			c.peers[1].powerLoss()
			c.pass(6 * time.Second)
			c.settledOn(6)
			c.boot(c.peers[1])
			c.pass(5 * time.Second)
			c.settledOn(6)

			before := c.starts()
			c.boot(c.peers[0]) // kill -9 of the program
			c.pass(5 * time.Second)
			c.settledOn(6)
			if after := c.starts(); after != before {
				t.Errorf("P10: %d starts became %d", before, after)
			}

			c.split(2)
			c.pass(6 * time.Second)
			if a, b := c.serving(0), c.serving(1); a != 6 || b != 6 {
				t.Errorf("P5: the sides serve %d and %d replicas", a, b)
			}
			c.apply(c.peers[0], "web", map[string]string{"replicas": "8"})
			c.apply(c.peers[4], "web", map[string]string{"replicas": "6", "env": "blue"})
			c.pass(8 * time.Second)
			c.split(0)
			for range 100 {
				c.tick()
				if n := c.serving(0); n < 6 {
					t.Fatalf("P7: only %d replicas serve at %s", n, c.now)
				}
			}
			c.pass(12 * time.Second)
			c.settledOn(8)
			for request, err := range c.replies {
				if err != nil {
					t.Errorf("write %d: %v", request, err)
				}
			}
		})
	}
}

// starts is the sum of all generations: it rises with every start of a container.
func (c *cluster) starts() (sum uint64) {
	for _, p := range c.peers {
		for _, in := range p.machine.held {
			for i := range in.containers {
				sum += in.containers[i].generation - in.containers[i].base
			}
		}
	}
	return sum
}

// TestWeather drives a cluster with random splits, crashes and writes, and expects agreement after each calm.
func TestWeather(t *testing.T) {
	for seed := range int64(15) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			c := newCluster(t, seed, 4)
			c.pass(4 * time.Second)
			for range 4 {
				replicas := c.storm()
				c.split(0)
				for _, p := range c.peers {
					if p.off {
						c.boot(p)
					}
				}
				c.pass(5 * time.Second)
				c.apply(c.peers[0], "web", map[string]string{"replicas": fmt.Sprint(replicas)})
				c.pass(25 * time.Second)
				c.settledOn(replicas)
			}
		})
	}
}

// storm does ten things at random and returns how many replicas to ask for afterwards.
func (c *cluster) storm() int {
	for range 10 {
		p := c.peers[c.random.Intn(len(c.peers))]
		switch c.random.Intn(6) {
		case 0:
			c.split(c.random.Intn(len(c.peers)))
		case 1:
			p.powerLoss()
		case 2:
			c.boot(p)
		default:
			if !p.off {
				c.apply(p, "web", map[string]string{"replicas": fmt.Sprint(1 + c.random.Intn(6)), "env": fmt.Sprint(c.random.Intn(3))})
			}
		}
		c.pass(time.Duration(c.random.Intn(80)) * step)
	}
	return 1 + c.random.Intn(6)
}
