package control

import (
	"slices"

	"shoal/crdt"
	"shoal/peer/manifest"
	"shoal/placement"
)

// A new revision is ready before the old one goes (P7), save where its workload says otherwise, with a surge of 0 or the strategy Recreate
// (endsFirst), and where both at once can never be: then the old one goes first. That is so
// for ports and devices of a peer, where no other peer has them free, and for any room where somebody says so with maxUnavailable, or of one
// on each peer. At most so many go first at once (of one on each: as its surge says), one where nothing is said, and in the order of their ordinals, so that peers with equal views let the same
// ones go.

// endsFirst says whether an instance goes before its next revision is there because its workload asks for that. When it is its turn the plan
// names that revision, which rollout.go decides; where it has no place yet the instance goes all the same.
func (m *Machine) endsFirst(in *instance, a *placement.Assignment) bool {
	o := m.objects[in.workload()]
	slot, wanted := m.planner.index[a.Replica]
	return wanted && o != nil && !o.frozen && o.workload != nil && !o.workload.EachPeer && o.workload.MaxSurge == 0 &&
		a.Revision == m.planner.base[slot].Revision && m.settled()
}

// mustEnd says what of a workload that lets the old ones go first has still to go before a replica of it begins: in its own older revisions,
// or with Recreate that of any replica in any. Empty if nothing. What lost peers have does not count, for nobody can know.
func (m *Machine) mustEnd(w *manifest.Workload, replica placement.ReplicaID) placement.ReplicaID {
	if w.MaxSurge != 0 || w.EachPeer {
		return ""
	}
	p := &m.planner
	from, to := p.rangeOf(w.Key)
	for _, id := range append([]crdt.PeerID{m.self}, m.liveIDs...) {
		r := m.rows[id]
		if r == nil {
			continue
		}
		for i := range r.incumbents {
			in := &r.incumbents[i]
			slot, wanted := p.index[in.Replica]
			ours := wanted && int(slot) >= from && int(slot) < to && (w.Recreate || in.Replica == replica)
			if ours && in.Revision != p.base[slot].Revision {
				return in.Replica
			}
		}
	}
	return ""
}

// waitsForOld says of a replica that has not begun in its newest revision what it waits for, if that is something that mustEnd.
func (m *Machine) waitsForOld(v *ReplicaView) string {
	o := m.objects[v.Workload]
	if o == nil || o.workload == nil || v.Assignment.Revision != v.Newest || slices.ContainsFunc(v.Instances, func(i InstanceView) bool { return i.Current }) {
		return ""
	}
	first := m.mustEnd(o.workload, v.ID)
	if first == "" {
		return ""
	}
	return "waits until " + replicaName(first) + " of the revision before has ended, as its strategy says"
}

// endFirst takes out of a view that was just filled what endsFirst would end.
func (c *pacing) endFirst(spans []span, list *wantedList, v *placement.View) {
	turn := map[placement.ReplicaID]placement.Revision{}
	for n, s := range spans {
		if w := s.object.workload; w.MaxSurge != 0 || w.EachPeer || s.object.frozen {
			continue
		}
		for _, w := range v.Wanted[c.ranges[n][0]:c.ranges[n][1]] {
			if newest := list.base[list.index[w.Replica]].Revision; w.Revision == newest {
				turn[w.Replica] = newest
			}
		}
	}
	if len(turn) == 0 {
		return
	}
	live := map[placement.PeerID]bool{}
	for i := range v.Peers {
		live[v.Peers[i].ID] = v.Peers[i].Live
	}
	v.Incumbents = slices.DeleteFunc(v.Incumbents, func(in placement.Incumbent) bool {
		newest, its := turn[in.Replica]
		return its && in.Revision != newest && live[in.Peer]
	})
}

// goesFirst says whether an instance goes before its next revision is there.
func (m *Machine) goesFirst(in *instance, a *placement.Assignment) bool {
	here := crdt.PeerID(a.Peer) == m.self
	slot, wanted := m.planner.index[a.Replica]
	return wanted && (here || a.Peer == "") && m.settled() && m.inItsOwnWay(in, m.planner.base[slot], a) && m.isTurn(int(slot), in.workload())
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
	if o := m.objects[key]; o != nil && o.workload != nil && o.workload.EachPeer {
		open = surge(o.workload, to-from)
	}
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
