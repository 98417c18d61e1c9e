package control

import (
	"slices"

	"shoal/crdt"
	"shoal/placement"
)

// feed hands what changes in the view to a placement.Planner, so that planning again costs about what changed: a row, a peer, a
// workload. What it hands over equals what buildView builds; TestViewDigest holds plans of both against each other. Machines of a simulation
// share a few.
type feed struct {
	planner *placement.Planner // nil: all is to be handed over anew
	changed []crdt.PeerID      // peers that have changed since the last plan
	list    *wantedList        // as handed over
	given   map[placement.WorkloadID][]placement.Wanted
	peers   map[crdt.PeerID]*fedPeer
	paced   map[placement.WorkloadID]bool // workloads of which something else was handed over than all in its newest revision
	pacing  pacing
}

// fedPeer is a peer as it was handed over.
type fedPeer struct {
	peer placement.Peer
	view ViewDigest // of it and what it holds
	said *said      // what it holds; nil where that does not count
	odd  []placement.WorkloadID
}

// feeds says whether this machine plans by what changed. What is shared is told apart by digests, which nobody keeps up where nothing is wanted.
func (m *Machine) feeds() bool {
	return m.config.Plan == nil && (m.config.Shared == nil || len(m.planner.base) > 0)
}

// planChanged plans what changed; false: that failed.
func (m *Machine) planChanged() (plan placement.Plan, ok bool) {
	f := m.feedNow()
	failure := guard(func() {
		m.tripPlan(len(m.planner.spans))
		m.feedAll(f)
		plan = f.planner.Plan(m.planner.view.Now)
		m.planner.paced = f.paced
	})
	if failure != "" {
		*f = feed{}
	}
	return plan, failure == ""
}

func (m *Machine) tripPlan(n int) {
	if m.config.Trip == nil {
		return
	}
	for _, s := range m.planner.spans[:n] {
		m.trip(sitePlan, s.object.workload.Key.String())
	}
}

// feedNow is the feed to plan with.
func (m *Machine) feedNow() *feed {
	if m.config.Shared != nil {
		return m.config.Shared.feedFor(m)
	}
	return &m.planner.feed
}

func (m *Machine) feedAll(f *feed) {
	if f.planner == nil {
		*f = feed{planner: placement.NewPlanner(), given: map[placement.WorkloadID][]placement.Wanted{},
			peers: map[crdt.PeerID]*fedPeer{}, paced: map[placement.WorkloadID]bool{}, changed: m.peerIDs()}
	}
	for _, id := range f.changed {
		m.feedPeer(f, id)
	}
	f.changed = nil
	if f.list != m.planner.wantedList {
		m.feedWanted(f)
	}
	m.feedPaced(f)
}

func (m *Machine) feedPeer(f *feed, id crdt.PeerID) {
	r := m.rows[id]
	peer, here := m.viewPeer(id, r)
	if !here {
		f.planner.DropPeer(placement.PeerID(id))
		delete(f.peers, id)
		return
	}
	fed := &fedPeer{peer: peer, view: m.countedOf(id)}
	f.peers[id] = fed
	f.planner.SetPeer(peer)
	if r == nil || !m.counts(id, &peer) {
		f.planner.SetHeld(peer.ID, nil, nil)
		return
	}
	fed.said = r.said
	fed.odd = m.planner.odd(fed)
	f.planner.SetHeld(peer.ID, r.incumbents, r.refusals)
}

// odd lists the workloads of which a peer holds what the pace of a rollout depends on: another revision than the newest, or
// anything on a peer that is lost.
func (p *planner) odd(fed *fedPeer) []placement.WorkloadID {
	var odd []placement.WorkloadID
	for i := range fed.said.incumbents {
		in := &fed.said.incumbents[i]
		slot, wanted := p.index[in.Replica]
		if !wanted || in.Revision == p.base[slot].Revision && fed.peer.Live {
			continue
		}
		if id := p.base[slot].Workload; !slices.Contains(odd, id) {
			odd = append(odd, id)
		}
	}
	return odd
}

// feedWanted hands over the workloads that have changed, and says again which are odd of them.
func (m *Machine) feedWanted(f *feed) {
	p := &m.planner
	given, changed := make(map[placement.WorkloadID][]placement.Wanted, len(p.spans)), map[placement.ReplicaID]bool{}
	change := func(id placement.WorkloadID, wanted []placement.Wanted) {
		if before := f.given[id]; len(before) != len(wanted) || len(wanted) > 0 && &before[0] != &wanted[0] {
			for _, w := range slices.Concat(before, wanted) {
				changed[w.Replica] = true
			}
		}
		f.setWanted(id, wanted)
	}
	for _, s := range p.spans {
		id := workloadID(s.object.workload.Key)
		given[id] = m.wantedBy(s.object)
		change(id, given[id])
	}
	for id := range f.given {
		if _, still := given[id]; !still {
			change(id, nil)
		}
	}
	f.given, f.list = given, p.wantedList
	for _, fed := range f.peers {
		if fed.said != nil && fed.said.holdsAny(changed) {
			fed.odd = p.odd(fed)
		}
	}
}

// holdsAny says whether a row tells of an instance of any of some replicas.
func (s *said) holdsAny(replicas map[placement.ReplicaID]bool) bool {
	for i := range s.incumbents {
		if replicas[s.incumbents[i].Replica] {
			return true
		}
	}
	return false
}

// setWanted hands over all replicas of a workload in their newest revisions.
func (f *feed) setWanted(id placement.WorkloadID, wanted []placement.Wanted) {
	delete(f.paced, id)
	f.planner.SetWanted(id, wanted)
}

// wantedBy is the replicas of an object, made once.
func (m *Machine) wantedBy(o *object) []placement.Wanted {
	if o.wanted == nil {
		o.wanted = m.wantedOf(o)
	}
	return o.wanted
}

// feedPaced hands over those workloads of which not all want their newest revision, or all of it, now.
func (m *Machine) feedPaced(f *feed) {
	now := m.pacedNow(f)
	if len(now) > 0 {
		m.pace(f, now)
	}
	for id := range f.paced {
		if !now[id] {
			f.setWanted(id, f.given[id])
		}
	}
	f.paced = now
}

// pacedNow lists the workloads that are on their way, those whose objects cannot be used as they are, and all where a budget may hold
// something back.
func (m *Machine) pacedNow(f *feed) map[placement.WorkloadID]bool {
	p := &m.planner
	now := map[placement.WorkloadID]bool{}
	draining := false
	for _, fed := range f.peers {
		draining = draining || fed.peer.Live && fed.peer.Draining
		for _, id := range fed.odd {
			now[id] = true
		}
	}
	for _, s := range p.spans {
		if s.object.frozen || draining && len(p.budgets) > 0 {
			now[workloadID(s.object.workload.Key)] = true
		}
	}
	return now
}

// pace works out what the replicas of some workloads want, from all that is held of them.
func (m *Machine) pace(f *feed, now map[placement.WorkloadID]bool) {
	p := &m.planner
	var v placement.View
	for _, id := range m.peerIDs() {
		fed := f.peers[id]
		if fed == nil {
			continue
		}
		v.Peers = append(v.Peers, fed.peer)
		if fed.said == nil {
			continue
		}
		for i := range fed.said.incumbents {
			if slot, wanted := p.index[fed.said.incumbents[i].Replica]; wanted && now[p.base[slot].Workload] {
				v.Incumbents = append(v.Incumbents, fed.said.incumbents[i])
			}
		}
	}
	var spans []span
	for _, s := range p.spans {
		if now[workloadID(s.object.workload.Key)] {
			spans = append(spans, s)
		}
	}
	f.pacing.budgets = p.budgets
	f.pacing.fill(spans, p.wantedList, &v)
	for i, s := range spans {
		r := f.pacing.ranges[i]
		f.planner.SetWanted(workloadID(s.object.workload.Key), slices.Clip(v.Wanted[r[0]:r[1]]))
	}
}
