package control

import (
	"shoal/crdt"
	"shoal/placement"
)

// A new revision is ready before the old one goes (P7), save where both at once can never be: then the old one goes first. That is so
// for ports and devices of a peer, where no other peer has them free, and for any room where somebody says so with maxUnavailable. At most
// so many go first at once, one where nothing is said, and in the order of their ordinals, so that peers with equal views let the same
// ones go.

// goesFirst says whether an instance goes before its next revision is there.
func (m *Machine) goesFirst(in *instance, a *placement.Assignment) bool {
	here := crdt.PeerID(a.Peer) == m.self
	slot, wanted := m.planner.index[a.Replica]
	if !wanted || !here && a.Peer != "" || !m.settled() || !m.inItsOwnWay(in, &m.planner.base[slot], a) {
		return false
	}
	return m.planner.base[slot].Only != "" || m.isTurn(int(slot), in.workload())
}

// inItsOwnWay says whether an instance has what the next revision of its replica needs: ports and devices; where maxUnavailable is given, and
// of one on each, which can be nowhere else, any room.
func (m *Machine) inItsOwnWay(in *instance, wanted *placement.Wanted, a *placement.Assignment) bool {
	anyRoom := wanted.Only != "" || m.mayLack(in.workload()) > 0
	if wanted.Revision != a.Revision || !anyRoom && len(wanted.Ports)+len(wanted.Devices) == 0 {
		return false
	}
	needs := *wanted
	if !anyRoom {
		needs.Request = placement.Resources{}
	}
	return m.leftNow().shortage(&needs) != "" &&
		m.leftWithout(func(other *instance) bool { return other == in }).shortage(wanted) == ""
}

// mayLack is how many replicas of a workload may be missing in a rollout, where somebody says that.
func (m *Machine) mayLack(key crdt.Key) int {
	if o := m.objects[key]; o != nil && o.workload != nil {
		return o.workload.MaxUnavailable
	}
	return 0
}

// isTurn says whether it is a replica's turn to go first: those that are missing already count, and so do those that come before it. Where
// nothing is said of how many may be missing, those that have no place do not: there may be more wanted than peers.
func (m *Machine) isTurn(slot int, key crdt.Key) bool {
	p := &m.planner
	view := m.PlacementView()
	var c pacing
	c.count(p.wantedList, &view)
	from, to := p.rangeOf(key)
	lack := m.mayLack(key)
	open := max(1, lack)
	for i := from; i < to; i++ {
		a, planned := m.assignment(p.base[i].Replica)
		if s := &c.progress[i]; !s.ready && s.old == nil && (lack > 0 || s.begun || s.gone || planned && a.Peer != "") {
			open--
		}
	}
	for i := from; i < slot; i++ {
		a, planned := m.assignment(p.base[i].Replica)
		if s := &c.progress[i]; s.old != nil && !s.ready && planned && a.Revision == p.base[i].Revision {
			open--
		}
	}
	return open > 0
}
