package control

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"sort"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/placement"
)

// planner holds the last view and its plan. The view's slices are used again by the next one.
type planner struct {
	stale       bool          // something that a plan looks at may have changed
	due         time.Duration // not before this is planned again
	passing     time.Duration // when what passes makes the plan stale; 0: nothing has passed
	changes     int           // peers and replicas in the view that have changed since the last plan
	wantedStale bool          // the workloads have changed

	*wantedList
	asks  ViewDigest // of spans
	spans []span
	peers peersDigest

	planned bool
	digest  ViewDigest // of the view that plan is of
	plan    placement.Plan
	mine    []*placement.Assignment       // to this peer
	pending int                           // replicas without a place
	paced   map[placement.WorkloadID]bool // workloads that do not all want their newest revision, or not yet; nil: unknown; never changed

	budgets []*budget // sorted
	feed    feed
	each    bool // some workload wants one replica on each peer
	pacing  pacing
	view    placement.View
	built   ViewDigest // of view
}

// span is the part of base that belongs to one workload.
type span struct {
	object   *object
	from, to int
}

// wantedList is every replica wanted, in its newest revision, by workload. It is never changed.
type wantedList struct {
	base  []*placement.Wanted           // shared with the objects
	index map[placement.ReplicaID]int32 // into base
	rank  []int32                       // of base: which in the order of names, as plans are; nil in a real peer, which asks for few
	asked map[int32]time.Time           // of base: when it was asked to be replaced, of those that ever were
}

// planPause is how long to wait between two plans of a view with so many parts (peers, replicas and
// instances): a multiple of what such a plan costs, so that a thousand rows that change one after the other do not
// each cost one. The more peers and replicas have changed since the plan before, the longer: what changes so much, as when
// a cluster starts or is cut in two, is mostly in the way of becoming what was planned; where an eighth of all has, most of what is
// on its way is placed again by each plan, which costs the most. A small view is planned at once.
func planPause(parts, changes int) time.Duration {
	pause := time.Duration(parts) * 40 * time.Microsecond
	if pause < 10*time.Millisecond {
		return 0
	}
	most := time.Second
	if changes > parts/8 {
		most *= 3
	}
	return min(pause+pause*time.Duration(changes)/2, most)
}

// onBeat is the moment on the wall clock's beat that comes about a pause from now. All peers plan on one beat, so that none yet sees what
// others do by their next plan, and their views are equal more often; a wrong clock only takes that away.
func (m *Machine) onBeat(pause time.Duration) time.Duration {
	if pause == 0 {
		return m.now.Elapsed
	}
	beat := int64(1) << (bits.Len64(uint64(pause/time.Millisecond)) - 1) // of two pauses one is a multiple of the other
	wall := m.now.Wall.UnixNano()
	next := ((wall+int64(pause)/2)/(beat*int64(time.Millisecond)) + 1) * beat * int64(time.Millisecond)
	return m.now.Elapsed + time.Duration(next-wall)
}

// parts is how many parts the view has, for planPause.
func (m *Machine) parts() int { return 1 + len(m.members) + 2*len(m.planner.base) }

// replan makes a new plan if anything that it looks at has changed.
func (m *Machine) replan() {
	p := &m.planner
	if p.passing != 0 && p.passing <= m.now.Elapsed {
		p.stale = true
	}
	if p.stale && p.each && !p.wantedStale {
		p.wantedStale = m.eachChanged()
	}
	if !p.stale || m.stillPlanned() || m.now.Elapsed < p.due {
		return
	}
	if p.wantedStale {
		before := len(p.base)
		m.gatherWanted()
		if m.stillPlanned() {
			return
		}
		p.changes += max(len(p.base)-before, before-len(p.base))
	}
	plan, ok := m.tryPlan()
	p.stale, p.passing, p.planned, p.digest = false, 0, true, m.viewDigest()
	p.due = m.now.Elapsed
	if len(p.base) > 0 {
		p.due = m.onBeat(planPause(m.parts(), p.changes))
	}
	p.changes = 0
	if !ok {
		return
	}
	if plan.Digest != p.plan.Digest {
		m.touched = true
	}
	p.plan = plan
	p.mine, p.pending = m.assigned()
	m.dropRefusals()
}

// stillPlanned says whether the view is the one that was planned last after all.
func (m *Machine) stillPlanned() bool {
	p := &m.planner
	if !p.planned || p.wantedStale || m.viewDigest() != p.digest {
		return false
	}
	p.stale, p.passing = false, 0
	return true
}

// assigned lists the assignments to this peer, and counts those to none.
func (m *Machine) assigned() (mine []*placement.Assignment, pending int) {
	p := &m.planner
	if shared := m.config.Shared.plan(p.digest); shared != nil {
		return shared.of(placement.PeerID(m.self)), shared.pending
	}
	return assignedTo(&p.plan, placement.PeerID(m.self))
}

func assignedTo(plan *placement.Plan, peer placement.PeerID) (mine []*placement.Assignment, pending int) {
	for a := range plan.Assignments.All() {
		switch a.Peer {
		case "":
			pending++
		case peer:
			mine = append(mine, a)
		}
	}
	return mine, pending
}

// gatherWanted lists all replicas of all workloads in force.
func (m *Machine) gatherWanted() {
	p := &m.planner
	p.wantedStale = false
	p.spans, p.asks, p.each = p.spans[:0], ViewDigest{}, false
	number := 0
	p.budgets = m.budgetsInForce()
	for _, b := range p.budgets {
		p.asks.add(b.digest)
	}
	for _, key := range m.sortedKeys() {
		o := m.objects[key]
		if o.workload == nil || m.isAside(sitePlan, key.String(), o.digest) {
			continue
		}
		if o.workload.EachPeer {
			p.each = true
			m.refreshEach(o)
		}
		if o.asks == (ViewDigest{}) {
			o.asks = m.asksOf(o)
		}
		p.asks.add(o.asks)
		to := number + o.count()
		p.spans = append(p.spans, span{object: o, from: number, to: to})
		number = to
	}
	if p.wantedList = m.config.Shared.list(p.asks); p.wantedList == nil {
		p.wantedList = m.listOf(p.spans, number)
		m.config.Shared.keepList(p.asks, p.wantedList)
	}
	m.askedSpans()
}

func (m *Machine) listOf(spans []span, number int) *wantedList {
	l := &wantedList{base: make([]*placement.Wanted, 0, number), index: make(map[placement.ReplicaID]int32, number),
		asked: map[int32]time.Time{}}
	for _, s := range spans {
		wanted := m.wantedBy(s.object)
		for i := range wanted {
			l.base = append(l.base, &wanted[i])
		}
		l.askedOf(s)
	}
	for i := range l.base {
		l.index[l.base[i].Replica] = int32(i)
	}
	if m.config.Shared != nil {
		l.rank = ranksOf(l.base)
	}
	return l
}

func ranksOf(base []*placement.Wanted) []int32 {
	order := make([]int32, len(base))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int { return cmp.Compare(base[x].Replica, base[y].Replica) })
	ranks := make([]int32, len(order))
	for rank, i := range order {
		ranks[i] = int32(rank)
	}
	return ranks
}

func (m *Machine) sortedKeys() []crdt.Key {
	return slices.SortedFunc(maps.Keys(m.objects), compareKeys)
}

// buildView makes the view from members, rows and workloads. Where nothing is wanted nothing else counts.
func (m *Machine) buildView() {
	p := &m.planner
	v := &p.view
	v.Peers, v.Incumbents, v.Refusals = v.Peers[:0], v.Incumbents[:0], v.Refusals[:0]
	p.built = m.viewDigest()
	if len(p.base) > 0 {
		m.viewPeers(v)
	}
	p.pacing.budgets = p.budgets
	p.pacing.fill(p.spans, p.wantedList, v)
}

// viewPeers puts into a view who is here, what they hold and what they refuse.
func (m *Machine) viewPeers(v *placement.View) {
	for _, id := range m.peerIDs() {
		r := m.rows[id]
		peer, ok := m.viewPeer(id, r)
		if !ok {
			continue
		}
		v.Peers = append(v.Peers, peer)
		if r != nil && m.counts(id, &peer) {
			v.Incumbents = append(v.Incumbents, r.incumbents...)
			v.Refusals = append(v.Refusals, r.refusals...)
		}
	}
}

// counts says whether a plan looks at what a peer holds: one that is lost holds only what somebody waits for.
func (m *Machine) counts(id crdt.PeerID, peer *placement.Peer) bool {
	return peer.Live || m.steps.waitsFor(peer.LostFor)
}

// viewPeer is a peer as planning sees it: its own row before what gossip says of its room, and intent before both. False for
// one that left, or is not known.
func (m *Machine) viewPeer(id crdt.PeerID, r *row) (placement.Peer, bool) {
	peer := placement.Peer{ID: placement.PeerID(id), Name: m.peerName(id)}
	if id == m.self {
		peer.Live, peer.Health = true, placement.Health(m.health)
		peer.Room = m.space()
	} else {
		n := m.members[id]
		if n == nil || n.State == gossip.Left {
			return peer, false
		}
		peer.Live, peer.Health = n.live(), placement.Health(n.Health)
		peer.Room = roomOf(n.Room)
		if !peer.Live {
			peer.LostFor = n.lostFor
		}
	}
	if r != nil {
		peer.Labels, peer.Draining = r.observation.Labels, r.observation.Draining
		peer.Damped, peer.Steady, peer.Came = r.observation.Damped, r.observation.Steady, fromMillis(r.observation.Came)
		peer.Room, peer.Devices = spaceOf(r.observation), r.devices
	}
	if n := m.nodes[peer.Name]; n != nil {
		n.apply(&peer, r)
	}
	return peer, true
}

// mostCulprits bounds how many workloads are found to make one plan fail; each costs as many plans as
// their number has binary digits.
const mostCulprits = 16

// tryPlan plans. Where that fails it finds the workloads that make it fail, sets them aside and
// plans the others. False: it fails without any, and the plan before stands.
func (m *Machine) tryPlan() (placement.Plan, bool) {
	if m.feeds() {
		if plan, ok := m.planFed(); ok {
			return plan, true
		}
	}
	plan, failure := m.planAll()
	for range mostCulprits {
		if failure == "" || !m.blame(failure) {
			break
		}
		m.gatherWanted()
		plan, failure = m.planAll()
	}
	if failure != "" {
		m.note(Note{Warning: true, Reason: "PlanFailed", Text: "the plan before stands: " + failure})
		return placement.Plan{}, false
	}
	return plan, true
}

// planFed plans what changed, unless another machine of the simulation has made that plan.
func (m *Machine) planFed() (placement.Plan, bool) {
	digest := m.viewDigest()
	if shared := m.config.Shared.plan(digest); shared != nil {
		m.planner.paced = shared.paced
		return shared.plan, true
	}
	plan, ok := m.planChanged()
	if ok {
		m.config.Shared.keepPlan(digest, plan, m.planner.paced)
	}
	return plan, ok
}

// planAll plans everything that is wanted.
func (m *Machine) planAll() (plan placement.Plan, failure string) {
	m.buildView()
	m.planner.paced = nil
	return m.planFirst(len(m.planner.spans))
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
		view.Wanted = view.Wanted[:p.pacing.ranges[n][0]]
	}
	failure = guard(func() {
		m.tripPlan(n)
		plan = m.planOf(view)
	})
	return plan, failure
}

func (m *Machine) planOf(view placement.View) placement.Plan {
	if m.config.Plan != nil {
		return m.config.Plan(view)
	}
	return view.Plan()
}

// assignment finds where the plan puts a replica.
func (m *Machine) assignment(replica placement.ReplicaID) (placement.Assignment, bool) {
	a := m.planner.find(m.planner.plan.Assignments, replica)
	if a == nil {
		return placement.Assignment{}, false
	}
	return *a, true
}

// find finds a replica in a plan: mostly where it is among those wanted, for then the plan was of the same.
func (p *planner) find(all placement.Assignments, replica placement.ReplicaID) *placement.Assignment {
	if slot, wanted := p.index[replica]; wanted && int(slot) < len(p.rank) && int(p.rank[slot]) < all.Len() {
		if a := all.At(int(p.rank[slot])); a.Replica == replica {
			return a
		}
	}
	return all.Of(replica)
}
