package control

import (
	"fmt"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/placement"
)

// A move goes on over many plans: the new holder says of its copy that it is arriving, for as long as another peer has the replica
// too, and plans send the replica there all that time. It ends when the other copy is gone, or when the new holder gives it up.

// heldReady finds a live peer other than this one that said that it has a replica ready in a revision; empty if none did.
func (m *Machine) heldReady(replica placement.ReplicaID, revision placement.Revision) crdt.PeerID {
	for _, id := range m.liveIDs {
		if in := m.heldThere(id, replica, revision); in != nil && in.Ready && !in.Stopping {
			return id
		}
	}
	return ""
}

// heldThere finds what another peer said that it holds of a replica in a revision; nil if nothing.
func (m *Machine) heldThere(id crdt.PeerID, replica placement.ReplicaID, revision placement.Revision) *placement.Incumbent {
	r := m.rows[id]
	if r == nil {
		return nil
	}
	for i := range r.incumbents {
		if in := &r.incumbents[i]; in.Replica == replica && in.Revision == revision {
			return in
		}
	}
	return nil
}

// arrive ends a move when no other peer has the replica any more. Before all have said what they have that is not known.
func (m *Machine) arrive(in *instance) {
	if !in.record.Arriving || !m.settled() {
		return
	}
	for _, id := range m.liveIDs {
		if other := m.heldThere(id, in.record.Replica, in.record.Revision); other != nil && !other.Stopping {
			return
		}
	}
	in.record.Arriving = false
	m.rowDirty = true
}

// judgeMove gives a move up whose copy here fails, or is not ready in time, as long as the other copy serves.
func (m *Machine) judgeMove(in *instance) {
	due := m.moveDue(in)
	if due == 0 || due > m.now.Elapsed && !in.failing() {
		return
	}
	from := m.heldReady(in.record.Replica, in.record.Revision)
	if from == "" {
		return
	}
	reason := fmt.Sprintf("NotReady: it did not become ready within %s, and goes on on %s", m.config.Tuning.MoveWithin, m.peerName(from))
	if in.failing() {
		reason = "NotReady: it fails here, and goes on on " + m.peerName(from)
	}
	m.refuse(refusalKey{in.record.Replica, in.record.Revision}, refusal{reason: reason, moved: true})
	in.stopping = true
}

// moveDue is when a copy that moves here must be ready; 0 if there is no such moment.
func (m *Machine) moveDue(in *instance) time.Duration {
	if !in.record.Arriving || in.stopping || in.ready() {
		return 0
	}
	return max(in.admitted+m.config.Tuning.MoveWithin, 1)
}

// triedElsewhere says whether a copy that fails here again and again is held by the peer that the plan names instead. It serves
// nobody, so nothing waits until the other is ready: two that fail would wait for each other for ever.
func (m *Machine) triedElsewhere(in *instance, a *placement.Assignment) bool {
	r := m.refusals[refusalKey{in.record.Replica, in.record.Revision}]
	if r == nil || !r.soft || in.ready() || !m.settled() || crdt.PeerID(a.Peer) == m.self {
		return false
	}
	n := m.members[crdt.PeerID(a.Peer)]
	if n == nil || !n.live() || !n.fresh {
		return false
	}
	other := m.heldThere(crdt.PeerID(a.Peer), a.Replica, a.Revision)
	return other != nil && !other.Stopping
}

// moveAfter is for how long a plan must have sent a replica here for the balance before that begins. Peers that become fit to be given
// work at the same time each see that of themselves first, and would each take what is one's; by then all have heard of all.
const moveAfter = time.Second

func (m *Machine) standsLongEnough(a *placement.Assignment) bool {
	if a.Rule != placement.Rebalance {
		return true
	}
	since, known := m.moves[a.Replica]
	if !known {
		since = m.now.Elapsed
		m.moves[a.Replica] = since
	}
	return m.now.Elapsed >= since+moveAfter
}

// forgetMoves drops those that the plan does not send here for the balance any more.
func (m *Machine) forgetMoves() {
	for replica := range m.moves {
		if a, _ := m.assignment(replica); crdt.PeerID(a.Peer) != m.self || a.Rule != placement.Rebalance {
			delete(m.moves, replica)
		}
	}
}

// displaced says whether a replica must go from here for another of higher priority.
func (m *Machine) displaced(a *placement.Assignment) bool {
	if a.By == "" || !m.settled() {
		return false
	}
	by, planned := m.assignment(a.By)
	return planned && crdt.PeerID(by.Peer) == m.self && slices.Contains(by.Makes, a.Replica)
}

// displace ends at once what must go for another: that is what a priority is for, and the one case in which a replica goes before
// it is ready elsewhere (P7).
func (m *Machine) displace(in *instance, a *placement.Assignment) {
	m.end(in, "Displaced", "makes room for "+string(a.By)+", of higher priority")
}

// makesRoom says whether what goes from here leaves the room that an assignment needs: then it waits for that.
func (m *Machine) makesRoom(a *placement.Assignment, wanted *placement.Wanted) bool {
	if a.Rule != placement.Displaces && len(a.Makes) == 0 && wanted.Only == "" {
		return false
	}
	return m.leftWithout(func(in *instance) bool {
		return in.stopping || slices.Contains(a.Makes, in.record.Replica) || wanted.Only != "" && in.record.Replica == a.Replica
	}).shortage(wanted) == ""
}
