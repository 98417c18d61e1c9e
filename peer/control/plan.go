package control

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/placement"
)

// planner holds the last view and its plan. The view's slices are used again by the next one.
type planner struct {
	stale       bool          // something that a plan looks at has changed
	due         time.Duration // not before this is planned again
	wantedStale bool          // the workloads have changed

	base  []placement.Wanted // every replica wanted, in its newest revision, by workload
	spans []span
	index map[placement.ReplicaID]int32 // into base
	epoch uint64

	ranges   [][2]int // of each span in view.Wanted
	progress []progress
	view     placement.View
	plan     placement.Plan
	mine     []int // assignments to this peer
}

// span is the part of base that belongs to one workload.
type span struct {
	object   *object
	from, to int
}

// planPause is how long to wait between two plans of a view with so many parts (peers, replicas and
// instances): a multiple of what such a plan costs, so that a thousand rows that change one after the other do not
// each cost one. A small view is planned at once.
func planPause(parts int) time.Duration {
	pause := time.Duration(parts) * 40 * time.Microsecond
	if pause < 10*time.Millisecond {
		return 0
	}
	return min(pause, time.Second)
}

// replan makes a new plan if anything that it looks at has changed.
func (m *Machine) replan() {
	p := &m.planner
	if !p.stale || m.now.Elapsed < p.due {
		return
	}
	if p.wantedStale {
		m.gatherWanted()
	}
	m.buildView()
	plan, ok := m.tryPlan()
	p.stale = false
	p.due = m.now.Elapsed + planPause(len(p.view.Peers)+len(p.view.Wanted)+len(p.view.Incumbents))
	if !ok {
		return
	}
	if plan.Digest != p.plan.Digest {
		m.touched = true
	}
	p.plan = plan
	p.mine = p.mine[:0]
	for i := range plan.Assignments {
		if crdt.PeerID(plan.Assignments[i].Peer) == m.self {
			p.mine = append(p.mine, i)
		}
	}
	m.dropRefusals()
}

// gatherWanted lists all replicas of all workloads in force.
func (m *Machine) gatherWanted() {
	p := &m.planner
	p.wantedStale = false
	p.epoch++
	p.base, p.spans = p.base[:0], p.spans[:0]
	p.index = make(map[placement.ReplicaID]int32, len(p.index))
	for _, key := range m.sortedKeys() {
		o := m.objects[key]
		if o.workload == nil || m.isAside(sitePlan, key.String(), o.digest) {
			continue
		}
		from := len(p.base)
		p.base = append(p.base, o.wanted...)
		p.spans = append(p.spans, span{object: o, from: from, to: len(p.base)})
		for i := from; i < len(p.base); i++ {
			p.index[p.base[i].Replica] = int32(i)
		}
	}
}

func (m *Machine) sortedKeys() []crdt.Key {
	return slices.SortedFunc(maps.Keys(m.objects), compareKeys)
}

// buildView makes the view from members, rows and workloads.
func (m *Machine) buildView() {
	p := &m.planner
	v := &p.view
	v.Peers, v.Incumbents, v.Refusals = v.Peers[:0], v.Incumbents[:0], v.Refusals[:0]
	p.progress = slices.Grow(p.progress[:0], len(p.base))[:len(p.base)]
	clear(p.progress)
	for _, id := range m.peerIDs() {
		peer, ok := m.viewPeer(id)
		if !ok {
			continue
		}
		v.Peers = append(v.Peers, peer)
		if r := m.rows[id]; r != nil && peer.Live {
			v.Incumbents = append(v.Incumbents, r.incumbents...)
			v.Refusals = append(v.Refusals, r.refusals...)
			m.countProgress(r, &peer)
		}
	}
	v.Wanted = v.Wanted[:0]
	p.ranges = p.ranges[:0]
	for _, s := range p.spans {
		from := len(v.Wanted)
		v.Wanted = append(v.Wanted, p.base[s.from:s.to]...)
		wanted, state := v.Wanted[from:], p.progress[s.from:s.to]
		if s.object.frozen {
			v.Wanted = v.Wanted[:from+len(freeze(wanted, state))]
		} else {
			pace(wanted, state, s.object.workload.MaxSurge)
		}
		p.ranges = append(p.ranges, [2]int{from, len(v.Wanted)})
	}
}

// viewPeer is a peer as planning sees it: its own row before what gossip says of its room. False for one that left.
func (m *Machine) viewPeer(id crdt.PeerID) (placement.Peer, bool) {
	peer := placement.Peer{ID: placement.PeerID(id), Name: m.peerName(id)}
	if id == m.self {
		peer.Live, peer.Health = true, placement.Health(m.health)
		peer.Room = roomOf(m.room)
	} else {
		n := m.members[id]
		if n.State == gossip.Left {
			return peer, false
		}
		peer.Live, peer.Health = n.live(), placement.Health(n.Health)
		peer.Room = roomOf(n.Room)
	}
	if r := m.rows[id]; r != nil {
		peer.Labels, peer.Draining = r.observation.Labels, r.observation.Draining
		peer.Room = resources(r.observation.CPUMillis, r.observation.Memory)
	}
	return peer, true
}

// countProgress notes what a peer's instances mean for the rollouts of their workloads.
func (m *Machine) countProgress(r *row, peer *placement.Peer) {
	p := &m.planner
	if r.epoch != p.epoch {
		r.epoch = p.epoch
		r.slots = make([]int32, len(r.incumbents))
		for i := range r.incumbents {
			slot, ok := p.index[r.incumbents[i].Replica]
			if !ok {
				slot = -1
			}
			r.slots[i] = slot
		}
	}
	for i, slot := range r.slots {
		if slot >= 0 {
			p.progress[slot].count(&p.base[slot], &r.incumbents[i], peer)
		}
	}
}

// mostCulprits bounds how many workloads are found to make one plan fail; each costs as many plans as
// their number has binary digits.
const mostCulprits = 16

// tryPlan plans. Where that fails it finds the workloads that make it fail, sets them aside and
// plans the others. False: it fails without any, and the plan before stands.
func (m *Machine) tryPlan() (placement.Plan, bool) {
	plan, failure := m.planFirst(len(m.planner.spans))
	for range mostCulprits {
		if failure == "" || !m.blame(failure) {
			break
		}
		m.gatherWanted()
		m.buildView()
		plan, failure = m.planFirst(len(m.planner.spans))
	}
	if failure != "" {
		m.note(Note{Warning: true, Reason: "PlanFailed", Text: "the plan before stands: " + failure})
		return placement.Plan{}, false
	}
	return plan, true
}

// blame sets aside the workload without which, and without those after it, planning does not fail.
func (m *Machine) blame(failure string) bool {
	p := &m.planner
	if _, without := m.planFirst(0); without != "" || len(p.spans) == 0 {
		return false
	}
	n := sort.Search(len(p.spans)-1, func(i int) bool {
		_, failed := m.planFirst(i + 1)
		return failed != ""
	})
	o := p.spans[n].object
	key := o.workload.Key
	m.setAside(aside{Site: sitePlan, Name: key.String(), Subject: key.String(), Key: key, Content: o.digest, Text: planAsideText + ": " + failure})
	m.noteInvalid(key, []string{planAsideText})
	return true
}

const planAsideText = "set aside, because planning it failed: what runs of it is left as it is"

// planFirst plans the first n workloads of the view.
func (m *Machine) planFirst(n int) (plan placement.Plan, failure string) {
	p := &m.planner
	view := p.view
	if n < len(p.spans) {
		view.Wanted = view.Wanted[:p.ranges[n][0]]
	}
	failure = guard(func() {
		if m.config.Trip != nil {
			for _, s := range p.spans[:n] {
				m.trip(sitePlan, s.object.workload.Key.String())
			}
		}
		plan = m.config.Plan(view)
	})
	return plan, failure
}

// assignment finds where the plan puts a replica.
func (m *Machine) assignment(replica placement.ReplicaID) (placement.Assignment, bool) {
	all := m.planner.plan.Assignments
	i, ok := slices.BinarySearchFunc(all, replica, func(a placement.Assignment, id placement.ReplicaID) int {
		return strings.Compare(string(a.Replica), string(id))
	})
	if !ok {
		return placement.Assignment{}, false
	}
	return all[i], true
}
