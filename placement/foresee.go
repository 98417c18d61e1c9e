package placement

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// mostRounds bounds how often a plan is carried out and made again until it stands still.
const mostRounds = 1000

// Begun is a replica that begins on a peer while plans are carried out.
type Begun struct {
	Assignment
	After time.Duration // how long lost peers were waited for by then
}

// Foresight is what becomes of a view when its plans are carried out until nothing changes any more, and everything that starts comes up.
type Foresight struct {
	View   View // at the end
	Plan   Plan // of it
	Begun  []Begun
	Makes  map[ReplicaID]ReplicaID // those that were displaced: by whom
	Rounds int                     // plans that changed something
	Still  bool                    // nothing changes any more; false: it was given up after a thousand rounds

	now time.Time
}

// Future says how to look ahead.
type Future struct {
	Pace    func(*View) // brings Wanted up to what is held by then, as rollouts do; nil: it stays as it is
	Wait    bool        // until every lost peer has been waited for
	Balance bool        // also what is moved for the balance alone, beside what is on its way
	Now     time.Time   // when what begins is admitted; the view's if zero
}

// Foresee carries out the plan of a view, plans again, and so on until that changes nothing: it is the cluster's own way to where it comes to
// rest, without its delays. Without balance it comes true while nothing else changes: plans do not depend on what of them has
// been carried out first. Moves for the balance do, a little: which ones come next depends on which were ready first. The view is left as
// it is.
func (v View) Foresee(f Future) Foresight {
	v.Peers, v.Incumbents = slices.Clone(v.Peers), slices.Clone(v.Incumbents)
	steady := make(map[PeerID]bool, len(v.Peers))
	for i := range v.Peers {
		steady[v.Peers[i].ID] = v.Peers[i].Steady
		v.Peers[i].Steady = v.Peers[i].Steady && f.Balance
	}
	s := Foresight{View: v, Makes: map[ReplicaID]ReplicaID{}, now: f.Now}
	if s.now.IsZero() {
		s.now = v.Now
	}
	s.run(f)
	for i := range s.View.Peers {
		s.View.Peers[i].Steady = steady[s.View.Peers[i].ID]
	}
	return s
}

func (s *Foresight) run(f Future) {
	waited, settled := time.Duration(0), false
	for s.Rounds < mostRounds {
		if f.Pace != nil {
			f.Pace(&s.View)
		}
		s.Plan = s.View.Plan()
		switch {
		case s.carryOut(waited):
			s.Rounds++
			settled = false
		case !settled && s.View.grow():
			settled = true
		case f.Wait && s.View.waitOn(&waited):
			settled = false
		default:
			s.Still = true
			return
		}
	}
}

// grow makes what is young older; false: nothing was young.
func (v *View) grow() (grew bool) {
	for i := range v.Incumbents {
		grew = grew || v.Incumbents[i].Young
		v.Incumbents[i].Young = false
	}
	return grew
}

// waitOn goes to the next span for which something waits for a lost peer; false if there is none that ends.
func (v *View) waitOn(waited *time.Duration) bool {
	next := Forever
	for i := range v.Wanted {
		if wait := v.Wanted[i].LostWait; wait > *waited && wait < next {
			next = wait
		}
	}
	if next == Forever {
		return false
	}
	*waited = next
	for i := range v.Peers {
		if p := &v.Peers[i]; !p.Live {
			p.LostFor = max(p.LostFor, next)
		}
	}
	return true
}

// carryOut does what a plan says, all of it that can be done before the next: what is assigned begins and is ready, what makes room for others
// or is not wanted goes, and so does what has a ready successor. False: there was nothing to do.
func (s *Foresight) carryOut(waited time.Duration) bool {
	v := &s.View
	held := make(map[ReplicaID][]int32, len(v.Wanted))
	for i := range v.Incumbents {
		held[v.Incumbents[i].Replica] = append(held[v.Incumbents[i].Replica], int32(i))
	}
	c := carrying{Foresight: s, held: held, live: liveOf(*v), goes: make([]bool, len(v.Incumbents))}
	c.makeRoom()
	changed := c.begin(waited)
	return c.end() || changed
}

// carrying is one plan being carried out.
type carrying struct {
	*Foresight
	held map[ReplicaID][]int32 // instances by replica
	live map[PeerID]bool
	goes []bool // of the incumbents
}

// makeRoom ends what was displaced.
func (c *carrying) makeRoom() {
	for a := range c.Plan.Assignments.All() {
		for _, other := range a.Makes {
			for _, at := range c.held[other] {
				if c.View.Incumbents[at].Peer == a.Peer {
					c.goes[at], c.Makes[other] = true, a.Replica
				}
			}
		}
	}
}

// begin admits what is assigned and not held yet, and makes ready what is. What others make room for waits until they are gone.
func (c *carrying) begin(waited time.Duration) (changed bool) {
	wanted := make(map[ReplicaID]*Wanted, len(c.View.Wanted))
	for i := range c.View.Wanted {
		wanted[c.View.Wanted[i].Replica] = &c.View.Wanted[i]
	}
	for a := range c.Plan.Assignments.All() {
		w := wanted[a.Replica]
		if a.Peer == "" || !c.live[a.Peer] || w == nil {
			continue
		}
		if at, holds := c.holds(a); holds {
			in := &c.View.Incumbents[at]
			changed = changed || !in.Ready
			in.Ready = true
			continue
		}
		if c.waitsForRoom(a) {
			continue
		}
		in := Incumbent{Replica: a.Replica, Revision: a.Revision, Peer: a.Peer, Request: w.Request, Devices: w.Devices, Ports: w.Ports,
			Ready: true, Young: true, Arriving: c.readyElsewhere(a), Since: c.now}
		c.held[a.Replica] = append(c.held[a.Replica], int32(len(c.View.Incumbents)))
		c.View.Incumbents, c.goes = append(c.View.Incumbents, in), append(c.goes, false)
		c.Begun = append(c.Begun, Begun{*a, waited})
		changed = true
	}
	return changed
}

func (c *carrying) holds(a *Assignment) (int32, bool) {
	for _, at := range c.held[a.Replica] {
		if in := &c.View.Incumbents[at]; in.Peer == a.Peer && in.Revision == a.Revision && !in.Stopping {
			return at, true
		}
	}
	return 0, false
}

func (c *carrying) waitsForRoom(a *Assignment) bool {
	for _, other := range a.Makes {
		if slices.ContainsFunc(c.held[other], func(at int32) bool { return c.View.Incumbents[at].Peer == a.Peer }) {
			return true
		}
	}
	return false
}

func (c *carrying) readyElsewhere(a *Assignment) bool {
	return slices.ContainsFunc(c.held[a.Replica], func(at int32) bool {
		in := &c.View.Incumbents[at]
		return in.Peer != a.Peer && in.Ready && !in.Stopping && c.live[in.Peer]
	})
}

// end takes away what is on its way out, not wanted, or has a ready successor. What a lost peer holds stays with it.
func (c *carrying) end() (changed bool) {
	assigned := c.Plan.assigned()
	for i := range c.View.Incumbents {
		in := &c.View.Incumbents[i]
		a := assigned[in.Replica]
		switch {
		case !c.live[in.Peer]:
		case in.Stopping, a == nil:
			c.goes[i] = true
		case a.Peer != "" && (in.Peer != a.Peer || in.Revision != a.Revision):
			_, replaced := c.holds(a)
			c.goes[i] = c.goes[i] || replaced && c.live[a.Peer]
		}
	}
	left, alone := c.View.Incumbents[:0], map[ReplicaID]int{}
	for i, in := range c.View.Incumbents {
		if c.goes[i] {
			changed = true
			continue
		}
		left = append(left, in)
		if c.live[in.Peer] {
			alone[in.Replica]++
		}
	}
	for i := range left {
		if in := &left[i]; in.Arriving && alone[in.Replica] == 1 {
			in.Arriving, changed = false, true
		}
	}
	c.View.Incumbents = left
	return changed
}

// Deed is what becomes of a replica.
type Deed string

const (
	Starts    Deed = "start"     // it ran nowhere
	Moves     Deed = "move"      // from one peer to another, where it is ready before it goes
	Recovers  Deed = "recover"   // its peer is lost, and it starts on another
	Replaces  Deed = "replace"   // a new revision takes the place of the old
	Stops     Deed = "stop"      // it is not wanted, or one of two
	WaitsFor  Deed = "wait"      // its peer is lost, and it is waited for
	Pends     Deed = "pending"   // it ran nowhere, and finds no place
	LosesRoom Deed = "no-place"  // it ran, and finds no place
	Keeps     Deed = "keep"      // it runs on as it is, for its new revision finds no place
	Yields    Deed = "displaced" // it makes room for another of higher priority, and finds no place
)

// Change is what becomes of one replica, from one view to another.
type Change struct {
	Replica  ReplicaID
	Workload WorkloadID
	Deed     Deed
	From     PeerID // empty if it ran nowhere
	To       PeerID // empty if it goes, or finds no place
	Revision Revision
	Rule     Rule          // why there
	By       ReplicaID     // of one that is displaced: for whom
	After    time.Duration // how long its lost peer is waited for first
	Already  bool          // it found no place before, too
}

// Changes is what becomes of each replica, from a view to what is foreseen, sorted by replica. Those of which nothing becomes are left out,
// save those that find no place.
func (s Foresight) Changes(before View, was Plan) []Change {
	from, to := homesOf(before, was), homesOf(s.View, s.Plan)
	begun := make(map[ReplicaID]*Begun, len(s.Begun))
	for i := range s.Begun {
		begun[s.Begun[i].Replica] = &s.Begun[i]
	}
	pending := map[ReplicaID]bool{}
	for a := range was.Assignments.All() {
		pending[a.Replica] = a.Peer == ""
	}
	live := liveOf(s.View)
	var all []Change
	for a := range s.Plan.Assignments.All() {
		old, now := from[a.Replica], to[a.Replica]
		if a.Rule != Waits && !live[now.peer] {
			now.peer = ""
		}
		c := Change{Replica: a.Replica, Workload: a.Workload, From: old.peer, To: now.peer, Revision: a.Revision, Rule: a.Rule,
			By: cmp.Or(a.By, s.Makes[a.Replica]), Already: pending[a.Replica]}
		if b := begun[a.Replica]; b != nil {
			c.Rule, c.After = b.Rule, b.After
		}
		if c.Deed = deedOf(&c, a, old.revision, live); c.Deed != "" {
			all = append(all, c)
		}
		delete(from, a.Replica)
	}
	for _, replica := range slices.Sorted(maps.Keys(from)) {
		if !live[from[replica].peer] {
			continue
		}
		all = append(all, Change{Replica: replica, Workload: from[replica].workload, Deed: Stops, From: from[replica].peer, Revision: from[replica].revision})
	}
	slices.SortStableFunc(all, func(a, b Change) int { return cmp.Compare(a.Replica, b.Replica) })
	return all
}

func deedOf(c *Change, a *Assignment, old Revision, live map[PeerID]bool) Deed {
	switch {
	case a.Rule == Waits || a.Peer != "" && !live[a.Peer]:
		c.To = ""
		return WaitsFor
	case a.Peer == "" && c.To != "" && old != a.Revision:
		c.To = ""
		return Keeps
	case c.To == "" && c.From == "":
		return Pends
	case c.To == "" && c.By != "":
		return Yields
	case c.To == "":
		return LosesRoom
	case c.From == "":
		return Starts
	case c.From != c.To && !live[c.From]:
		return Recovers
	case c.From != c.To:
		return Moves
	case old != a.Revision:
		return Replaces
	}
	return ""
}

// home is where a replica runs.
type home struct {
	peer     PeerID
	workload WorkloadID
	revision Revision
}

// homesOf says where each replica runs: where the plan has it if it is there, else on a live peer, else on a lost one that may still run it.
func homesOf(v View, plan Plan) map[ReplicaID]home {
	assigned := plan.assigned()
	live := liveOf(v)
	rank := func(in *Incumbent, a *Assignment) int {
		switch {
		case a != nil && in.Peer == a.Peer && in.Revision == a.Revision:
			return 3
		case a != nil && in.Peer == a.Peer:
			return 2
		case live[in.Peer]:
			return 1
		}
		return 0
	}
	homes, ranks := make(map[ReplicaID]home, len(v.Incumbents)), make(map[ReplicaID]int, len(v.Incumbents))
	for i := range v.Incumbents {
		in := &v.Incumbents[i]
		a := assigned[in.Replica]
		known, found := homes[in.Replica]
		r := rank(in, a)
		if in.Stopping || found && (r < ranks[in.Replica] || r == ranks[in.Replica] && in.Peer >= known.peer) {
			continue
		}
		h := home{peer: in.Peer, revision: in.Revision}
		if a != nil {
			h.workload = a.Workload
		}
		homes[in.Replica], ranks[in.Replica] = h, r
	}
	return homes
}

func (p *Plan) assigned() map[ReplicaID]*Assignment {
	assigned := make(map[ReplicaID]*Assignment, p.Assignments.Len())
	for a := range p.Assignments.All() {
		assigned[a.Replica] = a
	}
	return assigned
}

func liveOf(v View) map[PeerID]bool {
	live := make(map[PeerID]bool, len(v.Peers))
	for i := range v.Peers {
		live[v.Peers[i].ID] = v.Peers[i].Live
	}
	return live
}

// Orders lists, for each replica, all peers in its hash order: where it would go if nothing but room and health counted. The list of a replica
// that is not wanted is nil.
func (v View) Orders(replicas []ReplicaID) [][]PeerID {
	b := newBoard(v)
	orders := make([][]PeerID, len(replicas))
	for n, replica := range replicas {
		at, wanted := b.wantedAt[replica]
		if !wanted {
			continue
		}
		for _, peer := range b.orderFor(at) {
			orders[n] = append(orders[n], b.peers[peer].ID)
		}
	}
	return orders
}
