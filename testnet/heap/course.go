package heap

import (
	"slices"
	"strings"
	"time"

	"shoal/gossip"
	"shoal/peer/control"
	"shoal/placement"
	"shoal/runtime"
	"shoal/testnet/promise"
)

// What happens to each copy is told to a promise.Course. Here is what only the world knows of it: who could know what by then.

// grace is how long after a fault a replica may be without a ready instance through nobody's mistake.
const grace = 15 * time.Second

// heardBy is how long after something happened every peer that is in touch has heard of it: a row that is lost comes with a
// reconciliation, and a member that came back is waited for. On a bad network it takes a few of them.
func (w *World) heardBy() time.Duration {
	if w.options.Link.Loss > 0 {
		return 15 * time.Second
	}
	return 6 * time.Second
}

// intends notes what a peer that is about to begin a copy knows, or must know, of the others.
func (m *machine) intends(a control.Action) {
	w, p := m.peer.world, m.peer
	if m.instances[a.Instance] != nil {
		return
	}
	replica := replicaOf(a.Instance)
	x := &promise.Copy{Peer: p.Name, Instance: string(a.Instance), Replica: replica, Revision: revisionOf(a.Instance), Unaware: true}
	if assigned, ok := p.core.Assignment(placement.ReplicaID(replica)); ok {
		x.Workload = string(assigned.Workload)
		x.Balance = assigned.From != "" || assigned.Rule == placement.Rebalance || assigned.Rule == placement.Moving
		if from := w.byID[gossip.PeerID(assigned.From)]; from != nil {
			x.From = from.Name
		}
	}
	policy := w.policyOf(replica)
	x.MostMoving = w.mostMoving[replica[:strings.LastIndexByte(replica, '-')+1]]
	x.Exclusive = policy != nil && policy.Exclusive
	x.Knows = func(name string) bool { return name == p.Name || w.inTouch(p, w.Peer(name)) }
	for _, name := range w.course.Known(w.now, x, w.heardBy()) {
		other := w.Peer(name)
		x.Unaware = x.Unaware && !w.inTouch(p, other)
		x.Needed = x.Needed || w.mustGo(other)
	}
	m.intended[a.Instance] = x
	m.balance[a.Instance] = x.Balance
	m.unaware[a.Instance] = slices.ContainsFunc(w.course.Known(w.now, x, 0), func(name string) bool {
		other := w.Peer(name) // not to know it is nobody's mistake; nor is it when the disk was slow, and it came back meanwhile
		return !w.membership.live(p, other) || w.membership.believed[p.index][other.index].since > m.scheduled[replica]
	})
}

// inTouch says whether a peer has heard long enough ago of another which is there, and has not lost it since.
func (w *World) inTouch(p, other *Peer) bool {
	b := &w.membership.believed[p.index][other.index]
	return w.membership.live(p, other) && w.now-b.since >= w.heardBy() && w.now-p.started >= w.heardBy() &&
		other.alive && w.network.joined(p.index, other.index)
}

// mustGo says whether what runs on a peer has to leave it, or had to a moment ago.
func (w *World) mustGo(p *Peer) bool {
	return p.drives || p.drove > 0 && w.now-p.drove < grace
}

// begins tells of a copy that exists from now on, and looks whether its peer has room for it (P6).
func (m *machine) begins(id runtime.InstanceID) {
	w := m.peer.world
	if x := m.intended[id]; x != nil {
		delete(m.intended, id)
		w.found(w.course.Begin(w.now, *x))
	}
	w.found(promise.Overdrawn(m.peer.room()))
	w.found(m.asAsked(id))
}

// stops tells of a copy that its program chose to stop (P5, P7). One that became ready while the decision waited for the disk,
// or for its own start to be over, does not count.
func (m *machine) stops(a control.Action) {
	w, p := m.peer.world, m.peer
	replica, decided := replicaOf(a.Instance), m.decided[a.Instance]
	by, policy := m.displaced[replica], w.policyOf(replica)
	w.found(w.course.Stops(w.now, promise.Stop{
		Peer: p.Name, Replica: replica, Instance: string(a.Instance),
		Gives:     by != "" && w.rankOf(by) > w.rankOf(replica) || policy != nil && (policy.Exclusive || len(policy.Witnesses) > 0),
		Late:      slices.ContainsFunc(m.containers(a.Instance), func(c *simContainer) bool { return c.ready && c.since > decided }),
		Wanted:    func() bool { return w.wantedByAll(replica) },
		Reachable: func(name string) bool { return w.network.joined(p.index, w.Peer(name).index) },
	}))
}

// wantedByAll says whether every peer wants a replica.
func (w *World) wantedByAll(replica string) bool {
	return !slices.ContainsFunc(w.peers, func(p *Peer) bool { return p.alive && !p.core.Wants(placement.ReplicaID(replica)) })
}

// served tells whether an instance is ready by now.
func (m *machine) served(id runtime.InstanceID) {
	if i := m.instances[id]; i != nil && m.peer.powered && i.ready() {
		m.peer.world.course.Serves(m.peer.world.now, m.peer.Name, replicaOf(id), string(id))
	}
}

// begun tells of an instance of which a container runs from now on.
func (m *machine) begun(id runtime.InstanceID) {
	m.peer.world.found(m.peer.world.course.Runs(m.peer.Name, replicaOf(id), string(id)))
}

// fails tells of an instance from which a fault took something.
func (m *machine) fails(id runtime.InstanceID) {
	some := slices.ContainsFunc(m.containers(id), func(c *simContainer) bool { return running(c.status) })
	m.peer.world.course.Fails(m.peer.world.now, m.peer.Name, replicaOf(id), string(id), some)
}

// room is what a peer has and holds, as a Snapshot shows it.
func (p *Peer) room() promise.Peer {
	s := promise.Peer{Name: p.Name}
	s.Room, s.Devices = p.roomOnly()
	for _, id := range p.machine.ids() {
		s.Instances = append(s.Instances, p.machine.holding(id))
	}
	return s
}

func (p *Peer) roomOnly() (promise.Resources, map[string]int64) {
	return promise.Resources{CPUMillis: p.owns.CPUMillis, MemoryBytes: p.owns.MemoryBytes,
		StorageBytes: p.has.StorageBytes, Pids: p.has.Pids}, p.has.devices()
}

// notes remembers for whom a replica makes room, and when one was taken, as its peer says.
func (m *machine) notes(said []control.Note) {
	for _, n := range said {
		if n.Reason == "Scheduled" {
			m.scheduled[n.Replica] = m.peer.world.now
		}
		if by, found := strings.CutPrefix(n.Text, "makes room for "); found && n.Reason == "Displaced" {
			m.displaced[n.Replica], _, _ = strings.Cut(by, ",")
		}
	}
}
