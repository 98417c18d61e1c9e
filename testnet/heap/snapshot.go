package heap

import (
	"maps"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/placement"
	"shoal/runtime"
	"shoal/testnet/promise"
)

// Snapshot shows the world from outside.
func (w *World) Snapshot() promise.Snapshot {
	s := promise.Snapshot{At: w.now, Writes: w.log.done, Ended: w.ended}
	for i := range s.Writes {
		s.Writes[i].Unheard = w.watch.Unheard(w.log.ops[s.Writes[i].ID])
	}
	for _, prefix := range slices.Sorted(maps.Keys(w.policies)) {
		if policy := w.policies[prefix]; policy != nil {
			s.Policies = append(s.Policies, *policy)
		}
	}
	for _, p := range w.peers {
		s.Peers = append(s.Peers, p.snapshot())
	}
	return s
}

func (p *Peer) snapshot() promise.Peer {
	s := promise.Peer{
		ID: string(p.self.ID), Name: p.Name, Alive: p.alive, Powered: p.powered, Side: p.world.network.side[p.index],
		Leaving: p.drives,
	}
	s.Room, s.Devices = p.roomOnly()
	if p.alive {
		p.believes(&s)
	}
	for _, id := range p.machine.ids() {
		s.Instances = append(s.Instances, p.machine.snapshot(id, p.powered))
	}
	return s
}

func (p *Peer) believes(s *promise.Peer) {
	s.IntentDigest, s.PlanDigest = p.core.Digests()
	sum, _ := p.core.Admitted()
	s.Admitted = promise.Resources(sum)
	for _, member := range p.core.Members() {
		if member.ID == p.self.ID {
			s.Filling = member.Damped || !member.Steady
			s.Leaving = s.Leaving || member.Draining // what two users said at once may have been merged to that
		}
	}
	for _, r := range p.core.Replicas() {
		if r.Wanted {
			s.Wanted = append(s.Wanted, promise.Wanted{Replica: string(r.ID), Revision: string(r.Assignment.Revision), Pending: r.Assignment.Peer == "",
				Moving: r.Assignment.From != "" || r.Assignment.Rule == placement.Moving,
				Held:   r.Assignment.Rule == placement.Waits || p.world.heldBack(string(r.ID), s.Side)})
		}
	}
	s.Objects = []promise.Object{}
	for _, key := range p.world.log.keys {
		if o, known := p.core.Object(key); known {
			s.Objects = append(s.Objects, objectOf(o))
		}
	}
}

func objectOf(o crdt.Object) promise.Object {
	object := promise.Object{Key: o.Key.String(), Live: o.Live}
	for _, f := range slices.Concat(o.Fields, o.Deleted) {
		field := promise.Field{Path: string(f.Path), Value: string(f.Value), Write: stampID(f.Writer)}
		for _, rival := range f.Conflicts {
			field.Conflicts = append(field.Conflicts, promise.Rival{Path: string(rival.Path), Write: stampID(rival.Writer), Value: string(rival.Value)})
		}
		object.Fields = append(object.Fields, field)
	}
	return object
}

func (m *machine) snapshot(id runtime.InstanceID, powered bool) promise.Instance {
	i, s := m.instances[id], m.holding(id)
	s.Ready, s.Unaware, s.Balance = powered && i.ready(), m.unaware[id], m.balance[id]
	for _, c := range i.containers {
		if running(c.status) {
			s.Containers = append(s.Containers, containerOf(m.peer, c))
		}
	}
	return s
}

// An InstanceID is namespace.workload-ordinal.revision. Names may hold dots in the middle.
func replicaOf(id runtime.InstanceID) string {
	namespace, rest, _ := strings.Cut(string(id), ".")
	return namespace + "/" + rest[:strings.LastIndexByte(rest, '.')]
}

func revisionOf(id runtime.InstanceID) string {
	return string(id)[strings.LastIndexByte(string(id), '.')+1:]
}

// PlacedOn returns the names of the peers on which a replica is ready, in order.
func (w *World) PlacedOn(replica string) []string {
	prefix := strings.Replace(replica, "/", ".", 1) + "."
	var names []string
	for _, p := range w.peers {
		for id, i := range p.machine.instances {
			if p.powered && strings.HasPrefix(string(id), prefix) && replicaOf(id) == replica && i.ready() && !slices.Contains(names, p.Name) {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

// Core is the control core of a peer, to look at; nil while its program does not run.
func (w *World) Core(name string) *control.Machine { return w.Peer(name).core }
