package control

import (
	"fmt"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/placement"
)

// causeOf says what led to something that happened to an instance held here, for people; empty where nothing is known that its text does
// not say.
func (m *Machine) causeOf(in *instance, reason string) string {
	replica := in.record.Replica
	a, planned := m.assignment(replica)
	switch reason {
	case "Scheduled":
		return m.causeOfStart(&a)
	case "Moved":
		return m.causeOfMove(&a)
	case "Displaced":
		by, _ := m.assignment(a.By)
		return m.causeOfChange(keyOf(string(by.Workload)))
	case "Stopped":
		if key := in.workload(); !planned || a.Revision != in.record.Revision {
			return m.causeOfChange(key)
		}
	}
	return ""
}

// causeOfStart says why a replica begins here: its peer was lost or hands over, another refused it, or somebody asked for it.
func (m *Machine) causeOfStart(a *placement.Assignment) string {
	switch {
	case len(a.Makes) > 0:
		return fmt.Sprintf("it makes %s go, of lower priority", a.Makes[0])
	case a.From != "":
		return m.causeOfMove(a)
	}
	if id := m.lostHolder(a.Replica); id != "" {
		return m.peerName(id) + " was lost"
	}
	if id, reason := m.refuser(a.Replica, a.Revision); id != "" {
		return m.peerName(id) + " refused it: " + reason
	}
	return m.causeOfChange(keyOf(string(a.Workload)))
}

// causeOfMove says why a replica goes from one peer to another: From of what moves, else this one to that of the plan.
func (m *Machine) causeOfMove(a *placement.Assignment) string {
	from := m.self
	if a.From != "" {
		from = crdt.PeerID(a.From)
	}
	if m.heals.ranTwice(a.Replica) && m.heals.with(crdt.PeerID(a.Peer)) {
		return m.peerName(crdt.PeerID(a.Peer)) + " was out of touch, and both had it"
	}
	peer, known := m.viewPeer(from, m.rows[from])
	if known && peer.Draining {
		return m.peerName(from) + " hands over its work"
	}
	if slot, wanted := m.planner.index[a.Replica]; known && wanted {
		if why := m.planner.base[slot].SentAway(&peer); why != "" {
			return m.peerName(from) + why
		}
	}
	if a.Rule != placement.Rebalance && a.Rule != placement.Moving {
		return ""
	}
	if to, found := m.viewPeer(crdt.PeerID(a.Peer), m.rows[crdt.PeerID(a.Peer)]); known && found && peer.Health > to.Health {
		return m.peerName(from) + " is in worse health than " + m.peerName(crdt.PeerID(a.Peer))
	}
	return "to even out the load"
}

// lostHolder is the peer that was lost last of those that held a replica and are not back.
func (m *Machine) lostHolder(replica placement.ReplicaID) (lost crdt.PeerID) {
	for _, id := range m.peerIDs() {
		n, r := m.members[id], m.rows[id]
		if r == nil || id == m.self || n.live() || n.State == gossip.Left || !r.holdsReplica(replica) {
			continue
		}
		if lost == "" || n.since > m.members[lost].since {
			lost = id
		}
	}
	return lost
}

func (r *row) holdsReplica(replica placement.ReplicaID) bool {
	for i := range r.incumbents {
		if r.incumbents[i].Replica == replica && !r.incumbents[i].Stopping {
			return true
		}
	}
	return false
}

// refuser is the first live peer that refuses a replica.
func (m *Machine) refuser(replica placement.ReplicaID, revision placement.Revision) (crdt.PeerID, string) {
	for _, id := range m.liveIDs {
		if r := m.rows[id]; r != nil {
			for i := range r.refusals {
				if f := &r.refusals[i]; f.Replica == replica && f.Revision == revision {
					return id, f.Reason
				}
			}
		}
	}
	return "", ""
}

// causeOfChange names the newest write on an object: who, and on which peer.
func (m *Machine) causeOfChange(key crdt.Key) string {
	ops := m.set.Ops(key)
	if len(ops) == 0 {
		return ""
	}
	op := &ops[len(ops)-1]
	verb := map[crdt.Verb]string{crdt.Create: "created", crdt.Update: "changed", crdt.Delete: "deleted"}[op.Verb]
	text := fmt.Sprintf("%s was %s on %s", key, verb, m.peerName(op.Stamp.Writer))
	if op.User != "" {
		text += " for " + op.User
	}
	return text
}
