package control

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/placement"
)

// Supposition is what might happen: objects that change, peers that are lost, hand over their work, or join.
type Supposition struct {
	Objects     []PreviewChange
	Lose, Drain []placement.PeerID
	Add         []placement.Peer
}

// Question is a view under a supposition. It shares nothing that changes with the machine it comes from, so that
// looking ahead, which may take many plans, holds no machine up.
type Question struct {
	Before placement.View // as it is
	Was    placement.Plan // of it
	View   ViewDigest     // of it

	after   placement.View
	spans   []span
	list    *wantedList
	budgets []*budget
	drain   []placement.PeerID
	wait    bool
	now     time.Time
}

// Suppose puts a question. Faults say which objects would not be valid: these count as they are. What makes the code fail is a
// fault too (P13).
func (m *Machine) Suppose(s Supposition) (q Question, faults []string) {
	if failure := guard(func() { q, faults = m.suppose(s) }); failure != "" {
		return Question{}, []string{"looking ahead failed: " + failure}
	}
	return q, faults
}

func (m *Machine) suppose(s Supposition) (q Question, faults []string) {
	n, faults := m.imagine(s.Objects)
	q = Question{Before: m.PlacementView(), Was: m.planner.plan, View: m.planner.digest, budgets: n.planner.budgets, drain: s.Drain, wait: len(s.Lose) > 0, now: m.now.Wall}
	n.viewPeers(&q.after)
	q.after.Peers = append(q.after.Peers, s.Add...)
	for i := range s.Add {
		q.after.Peers[len(q.after.Peers)-1-i].Came = m.now.Wall
	}
	lost := map[placement.PeerID]bool{}
	for _, id := range s.Lose {
		lost[id] = true
	}
	for i := range q.after.Peers {
		p := &q.after.Peers[i]
		if lost[p.ID] {
			p.Live, p.LostFor = false, 0
		}
		p.Draining = p.Draining || slices.Contains(s.Drain, p.ID)
	}
	q.want(n)
	if !slices.ContainsFunc(q.list.base, func(w *placement.Wanted) bool { return w.LostWait > 0 }) {
		q.after.Incumbents = slices.DeleteFunc(q.after.Incumbents, func(in placement.Incumbent) bool { return lost[in.Peer] })
	}
	q.after.Refusals = slices.DeleteFunc(q.after.Refusals, func(r placement.Refusal) bool { return lost[r.Peer] })
	return q, faults
}

// want lists what is wanted: one on each peer where that is asked for.
func (q *Question) want(n *Machine) {
	number := 0
	for _, sp := range n.planner.spans {
		o := *sp.object
		if o.workload.EachPeer {
			o.each, o.wanted = n.eachOf(o.workload, q.after.Peers), nil
		}
		q.spans = append(q.spans, span{object: &o, from: number, to: number + o.count()})
		number += o.count()
	}
	q.list = n.listOf(q.spans, number)
}

// Answer is what is foreseen.
type Answer struct {
	placement.Foresight                    // first: this comes true while nothing else changes
	Changes             []placement.Change // until then
	Stuck               []Stuck            // then, on peers that hand over their work; by replica
	Balanced            placement.Foresight
	Later               []placement.Change // then, for the balance: as many as this, though which ones may differ
}

// Stuck is a replica that stays on a peer that hands over its work.
type Stuck struct {
	Replica  placement.ReplicaID
	Workload placement.WorkloadID
	Peer     placement.PeerID
	Budget   string // what keeps it there, for people; empty where no other peer can take it
	Already  bool   // its peer hands over now, and nobody asked about that one
}

// stuck lists what a view in which nothing changes any more has on peers that hand over.
func (q *Question) stuck(v *placement.View) (all []Stuck) {
	keeps := map[int]string{}
	going := handings(q.list, v)
	for _, b := range q.budgets {
		for _, slot := range b.kept(q.list, going) {
			keeps[slot] = cmp.Or(keeps[slot], b.keeps())
		}
	}
	drains := map[placement.PeerID]bool{}
	for i := range v.Peers {
		drains[v.Peers[i].ID] = v.Peers[i].Live && v.Peers[i].Draining
	}
	for i := range v.Incumbents {
		in := &v.Incumbents[i]
		slot, wanted := q.list.index[in.Replica]
		if !drains[in.Peer] || in.Stopping || !wanted || q.list.base[slot].Only != "" {
			continue
		}
		all = append(all, Stuck{Replica: in.Replica, Workload: q.list.base[slot].Workload, Peer: in.Peer, Budget: keeps[int(slot)],
			Already: !slices.Contains(q.drain, in.Peer)})
	}
	slices.SortFunc(all, func(a, b Stuck) int { return cmp.Or(cmp.Compare(a.Replica, b.Replica), cmp.Compare(a.Peer, b.Peer)) })
	return all
}

// Foresee answers the question.
func (q Question) Foresee() Answer {
	c := pacing{budgets: q.budgets}
	pace := func(v *placement.View) {
		v.Wanted = nil
		c.fill(q.spans, q.list, v)
		c.endFirst(q.spans, q.list, v)
	}
	a := Answer{Foresight: q.after.Foresee(placement.Future{Wait: q.wait, Pace: pace, Now: q.now})}
	a.Changes = a.Foresight.Changes(q.Before, q.Was)
	a.Stuck = q.stuck(&a.View)
	a.Balanced = a.View.Foresee(placement.Future{Pace: pace, Balance: true, Now: q.now})
	for _, c := range a.Balanced.Changes(a.View, a.Plan) {
		if !c.Already && c.Deed != placement.WaitsFor {
			a.Later = append(a.Later, c)
		}
	}
	return a
}

// imagine returns a machine as it would be after some changes, good for views alone.
func (m *Machine) imagine(changes []PreviewChange) (changed *Machine, faults []string) {
	n := *m
	n.out, n.notes, n.happened, n.config.Shared = Output{}, newNoteLog(), newHappened(), nil
	n.objects, n.nodes, n.budgets = maps.Clone(m.objects), maps.Clone(m.nodes), maps.Clone(m.budgets)
	n.priorities, n.asides = maps.Clone(m.priorities), maps.Clone(m.asides)
	n.planner, n.kept = planner{wantedList: &wantedList{}}, keptRows{dirty: map[crdt.PeerID]bool{}}
	n.members, n.lost = maps.Clone(m.members), map[crdt.PeerID]*member{}
	for id, known := range m.members {
		copied := *known
		n.members[id] = &copied
		if known.listed.lost {
			n.lost[id] = &copied
		}
	}
	for key, o := range m.objects {
		copied := *o
		n.objects[key] = &copied
	}
	for _, c := range changes {
		faults = append(faults, n.pretend(c)...)
	}
	n.gatherWanted()
	return &n, faults
}

// pretend puts one object in another form. One that is not valid so stays as it is, and its faults come back.
func (m *Machine) pretend(c PreviewChange) []string {
	o := &object{merged: crdt.Object{Key: c.Key, Live: len(c.Fields) > 0, Fields: c.Fields}}
	if o.merged.Live {
		if o.workload, o.faults = m.form(c.Key, c.Fields); o.faults != nil {
			return o.faults
		}
	}
	m.objects[c.Key] = o
	m.refreshPlacing(c.Key, o)
	return nil
}
