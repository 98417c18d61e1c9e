package control

import (
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/placement"
)

// leave is an asked-for handing over of this peer's work.
type leave struct {
	request  uint64
	deadline time.Duration
}

func (m *Machine) leaveAsked(e LeaveAsked) {
	m.leaves = append(m.leaves, leave{e.Request, m.now.Elapsed + e.Within})
	if !m.draining {
		m.draining, m.rowDirty = true, true
		m.note(Note{Reason: "Draining", Peer: m.self, Text: m.config.Self.Name + " hands over its work"})
	}
}

// answerLeaves replies to those whose time is up, and to all when nothing is left here.
func (m *Machine) answerLeaves() {
	var waiting []leave
	for _, l := range m.leaves {
		if len(m.held) > 0 && m.now.Elapsed < l.deadline {
			waiting = append(waiting, l)
			continue
		}
		m.out.Replies = append(m.out.Replies, Reply{Request: l.request})
		m.leases.retired = true
	}
	m.leaves = waiting
}

func (m *Machine) leaveDeadlines(at func(time.Duration)) {
	for _, l := range m.leaves {
		at(l.deadline)
	}
}

// DrainView is how far a peer is with handing over what it has.
type DrainView struct {
	Draining bool        // by intent, or by its own word before it leaves
	Left     []DrainLeft // replicas that are still there, save those that belong to that peer alone; sorted
}

// DrainLeft is a replica that a peer has not handed over yet.
type DrainLeft struct {
	Replica placement.ReplicaID
	To      crdt.PeerID // where it goes; empty while it has no place
	Why     string      // why it is still there, for people
}

// Drain tells how far a peer is with handing over; false if there is no such peer.
func (m *Machine) Drain(id crdt.PeerID) (DrainView, bool) {
	r := m.rows[id]
	if id != m.self && m.members[id] == nil {
		return DrainView{}, false
	}
	peer, _ := m.viewPeer(id, r)
	view := DrainView{Draining: peer.Draining}
	if r == nil {
		return view, true
	}
	for i := range r.incumbents {
		in := &r.incumbents[i]
		slot, wanted := m.planner.index[in.Replica]
		if in.Replica == "" || wanted && m.planner.base[slot].Only != "" {
			continue
		}
		view.Left = append(view.Left, m.drainLeft(in))
	}
	slices.SortFunc(view.Left, func(a, b DrainLeft) int { return strings.Compare(string(a.Replica), string(b.Replica)) })
	return view, true
}

func (m *Machine) drainLeft(in *placement.Incumbent) DrainLeft {
	a, planned := m.assignment(in.Replica)
	left := DrainLeft{Replica: in.Replica}
	if planned && a.Peer != in.Peer {
		left.To = crdt.PeerID(a.Peer)
	}
	switch budget := m.keptBy(in); {
	case in.Stopping:
		left.Why = "it is being stopped"
	case budget != "":
		left.Why = budget
	case left.To != "":
		left.Why = "it goes when it is ready on " + m.peerName(left.To)
	default:
		left.Why = "no other peer can take it"
	}
	return left
}
