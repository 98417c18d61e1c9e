package bubble

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"shoal/gossip"
	"shoal/peer/control"
	"shoal/placement"
	"shoal/runtime"
	"shoal/testnet/promise"
)

// What happens to each copy is told to a promise.Course, at the moment when a program asks its machine for it: so P5, P7 and P8 are
// checked throughout, and not only between two moments that a test chooses. What a test does to the world excuses what is decided within
// grace of it; from then on all who can reach each other must know of each other.
const (
	grace   = 15 * time.Second
	heardBy = 6 * time.Second // after something happened every peer that is in touch has heard of it
)

// course is a Course with a lock that a bubble can see waiting.
type course struct {
	lock      chan struct{}
	began     time.Time
	facts     *promise.Course
	sides     map[string]int  // as the World's
	exclusive map[string]bool // workloads, namespace/name
	moved     map[string]int  // copies begun for the balance, by peer
	troubled  time.Duration   // when a test last did something to the world
	broken    []promise.Violation
}

func newCourse() *course {
	return &course{lock: make(chan struct{}, 1), began: time.Now(), facts: promise.NewCourse(grace), sides: map[string]int{},
		exclusive: map[string]bool{}, moved: map[string]int{}}
}

// tell lets do tell of what happens now.
func (c *course) tell(do func(now time.Duration) []promise.Violation) {
	c.lock <- struct{}{}
	defer func() { <-c.lock }()
	c.broken = append(c.broken, do(time.Since(c.began))...)
}

// trouble tells that a test changes what peers can know, and how the network is cut from now on.
func (w *World) trouble() {
	w.course.tell(func(now time.Duration) []promise.Violation {
		clear(w.course.sides)
		for name, side := range w.sides {
			w.course.sides[name] = side
		}
		w.course.troubled = now
		w.course.facts.Cut(now)
		return nil
	})
}

// followed is the runtime of one life of a peer's program, with an account of what is asked of it.
type followed struct {
	runtime.Runtime
	peer *Peer
}

// Prepare begins a copy.
func (f followed) Prepare(ctx context.Context, spec runtime.Spec) (netip.Addr, error) {
	x, met := f.intended(spec.Instance)
	f.peer.world.course.tell(func(now time.Duration) []promise.Violation {
		x.Unaware, x.Knows = true, func(name string) bool { return met[name] }
		for _, name := range f.peer.world.course.facts.Known(now, &x, heardBy) {
			x.Unaware = x.Unaware && !met[name]
		}
		return append(f.peer.world.course.gains(now, x), f.peer.world.course.facts.Begin(now, x)...)
	})
	return f.Runtime.Prepare(ctx, spec)
}

// gains checks that a move for the balance goes to a peer that runs less (P8): in this world all peers have equal room, and all
// replicas are of one size.
func (c *course) gains(now time.Duration, x promise.Copy) (broken []promise.Violation) {
	if !x.Balance || x.From == "" {
		return nil
	}
	c.moved[x.Peer]++
	if to, from := c.facts.ReadyOn(x.Peer), c.facts.ReadyOn(x.From); to >= from && now-c.troubled >= grace {
		broken = append(broken, promise.Violation{Promise: "P8", Text: fmt.Sprintf("%s moves from %s, which runs %d, to %s, which runs %d", x.Replica, x.From, from, x.Peer, to)})
	}
	return broken
}

// intended is what the peer's plan says of a copy that it is about to begin, and whom it takes for alive.
func (f followed) intended(id runtime.InstanceID) (x promise.Copy, met map[string]bool) {
	replica, revision := replicaOf(string(id))
	x = promise.Copy{Peer: f.peer.Name, Instance: string(id), Replica: replica, Revision: revision, Exclusive: f.peer.world.exclusive(replica)}
	met = map[string]bool{}
	f.peer.look(func(m *control.Machine) {
		if a, ok := m.Assignment(placement.ReplicaID(replica)); ok {
			x.Workload = string(a.Workload)
			x.Balance = a.From != "" || a.Rule == placement.Rebalance || a.Rule == placement.Moving
			x.From = f.peer.world.nameOf(string(a.From))
		}
		for _, member := range m.Members() {
			if member.State == gossip.Alive || member.State == gossip.Suspect {
				met[f.peer.world.nameOf(string(member.ID))] = true
			}
		}
	})
	return x, met
}

// Start lets a copy run, and serve: nothing is probed in this world.
func (f followed) Start(ctx context.Context, id runtime.InstanceID, container string, generation uint64) (runtime.Status, error) {
	status, err := f.Runtime.Start(ctx, id, container, generation)
	if err == nil {
		f.peer.serves(id)
	}
	return status, err
}

// Stop is a choice of the program's.
func (f followed) Stop(ctx context.Context, id runtime.InstanceID, container string, grace time.Duration) (runtime.Status, error) {
	c, name := f.peer.world.course, f.peer.Name
	replica, _ := replicaOf(string(id))
	c.tell(func(now time.Duration) []promise.Violation {
		return c.facts.Stops(now, promise.Stop{Peer: name, Replica: replica, Instance: string(id), Gives: c.exclusive[workloadOf(replica)],
			Wanted:    func() bool { return f.peer.world.wantedByAll(replica) },
			Reachable: func(other string) bool { return c.sides[name] == c.sides[other] },
		})
	})
	status, err := f.Runtime.Stop(ctx, id, container, grace)
	if err == nil {
		f.peer.ends(id)
	}
	return status, err
}

// Remove ends a copy.
func (f followed) Remove(ctx context.Context, id runtime.InstanceID) error {
	c := f.peer.world.course
	replica, _ := replicaOf(string(id))
	c.tell(func(now time.Duration) []promise.Violation {
		c.facts.Gone(now, f.peer.Name, replica, string(id))
		return nil
	})
	return f.Runtime.Remove(ctx, id)
}

// serves tells that a copy runs, and is ready.
func (p *Peer) serves(id runtime.InstanceID) {
	c := p.world.course
	replica, _ := replicaOf(string(id))
	c.tell(func(now time.Duration) []promise.Violation {
		broken := c.facts.Runs(p.Name, replica, string(id))
		c.facts.Serves(now, p.Name, replica, string(id))
		return broken
	})
}

// ends tells of a copy that runs no more. It is a fault unless its program chose that before.
func (p *Peer) ends(id runtime.InstanceID) {
	c := p.world.course
	replica, _ := replicaOf(string(id))
	c.tell(func(now time.Duration) []promise.Violation {
		c.facts.Fails(now, p.Name, replica, string(id), false)
		return nil
	})
}

// look reads the machine of a peer whose program may end meanwhile, from any goroutine.
func (p *Peer) look(at func(*control.Machine)) {
	if program := p.live.Load(); program != nil {
		_ = program.Read(context.Background(), at)
	}
}

// wantedByAll says whether every peer wants a replica.
func (w *World) wantedByAll(replica string) bool {
	wanted := true
	for _, p := range w.peers {
		p.look(func(m *control.Machine) { wanted = wanted && m.Wants(placement.ReplicaID(replica)) })
	}
	return wanted
}

// nameOf is the name of the peer with an ID; empty if there is none.
func (w *World) nameOf(id string) string {
	at := slices.IndexFunc(w.peers, func(p *Peer) bool { return string(p.ID) == id })
	if at < 0 {
		return ""
	}
	return w.peers[at].Name
}

func (w *World) exclusive(replica string) (is bool) {
	w.course.tell(func(time.Duration) []promise.Violation {
		is = w.course.exclusive[workloadOf(replica)]
		return nil
	})
	return is
}

// replicaOf reads the name of an instance, namespace.workload-ordinal.revision.
func replicaOf(instance string) (replica, revision string) {
	namespace, rest, _ := strings.Cut(instance, ".")
	at := strings.LastIndexByte(rest, '.')
	return namespace + "/" + rest[:at], rest[at+1:]
}

func workloadOf(replica string) string { return replica[:strings.LastIndexByte(replica, '-')] }
