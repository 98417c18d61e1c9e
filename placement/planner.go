package placement

import (
	"maps"
	"slices"
	"time"
)

// Planner plans views that change little from one to the next, at the cost of what changed: its plans equal View.Plan of the same peers,
// workloads and rows, bit for bit. The zero Planner holds nothing. It is not for use by several at once. What is handed to it is kept: the
// caller must not change it afterwards.
type Planner struct {
	peers     map[PeerID]Peer
	workloads map[WorkloadID][]Wanted
	rows      map[PeerID]row

	board    *board             // nil: to be made anew
	heldAt   map[PeerID][]int32 // of rows: their incumbents on the board
	free     []int32            // of wanted
	gone     []int32            // the same, from the next plan on: the order still has them
	added    []int32            // of wanted: the order does not have them yet
	freeHeld []int32            // of incumbents
	touched  []bool             // of wanted: where it stays, or what its assignment says, is to be worked out again
	dirty    []int32            // those
	changed  bool               // anything did since the last plan

	refusing map[PeerID]bool // rows with refusals
	refused  bool            // they have changed
	at       time.Time       // of the last plan
	ends     time.Time       // when the next refusal ends; zero: none

	last      Plan            // its assignments lie in it as wanted lies on the board
	digests   []digest        // of wanted: of what the last plan says of it
	places    []int32         // of wanted, in the last plan
	rules     []Rule          // the same
	displaced map[int32]int32 // the same: those of wanted that were, and for whom
	sum       digest          // of digests
}

// row is what one peer holds and refuses.
type row struct {
	incumbents []Incumbent
	refusals   []Refusal
}

// NewPlanner returns a planner that holds nothing.
func NewPlanner() *Planner {
	return &Planner{changed: true, peers: map[PeerID]Peer{}, workloads: map[WorkloadID][]Wanted{}, rows: map[PeerID]row{}, refusing: map[PeerID]bool{}}
}

// SetPeer says what a peer is from now on. One that is the same as before costs nothing; a new one costs as much as all.
func (p *Planner) SetPeer(peer Peer) {
	before, known := p.peers[peer.ID]
	if known && before.equal(&peer) {
		return
	}
	p.peers[peer.ID], p.changed = peer, true
	if !known {
		p.board = nil
	}
	if p.board == nil {
		return
	}
	b, i := p.board, p.board.peerAt[peer.ID]
	if weight := weightOf(peer); weight != b.sites[i].weight {
		b.sites[i].weight, b.firsts = weight, nil
	}
	b.peers[i], b.grounds = peer, nil
	p.countRoom(i)
	for _, at := range p.heldAt[peer.ID] {
		p.touch(b.heldFor[at])
	}
}

func (p *Peer) equal(o *Peer) bool {
	return p.ID == o.ID && p.Name == o.Name && p.Room == o.Room && p.Health == o.Health && p.Live == o.Live && p.LostFor == o.LostFor &&
		p.Draining == o.Draining && p.Cordoned == o.Cordoned && p.Damped == o.Damped && p.Steady == o.Steady && p.Came.Equal(o.Came) &&
		slices.Equal(p.Devices, o.Devices) && slices.Equal(p.Taints, o.Taints) && maps.Equal(p.Labels, o.Labels)
}

// DropPeer says that a peer is no more. What it holds is no longer known.
func (p *Planner) DropPeer(id PeerID) {
	if _, known := p.peers[id]; !known {
		return
	}
	delete(p.peers, id)
	delete(p.rows, id)
	delete(p.refusing, id)
	p.board, p.changed = nil, true
}

// SetHeld says all that a peer holds and refuses, by its own word; nothing of it may be about another peer. The same slices again cost nothing.
func (p *Planner) SetHeld(peer PeerID, incumbents []Incumbent, refusals []Refusal) {
	before := p.rows[peer]
	if same(before.incumbents, incumbents) && same(before.refusals, refusals) {
		return
	}
	p.rows[peer], p.changed = row{incumbents, refusals}, true
	if len(before.refusals)+len(refusals) > 0 {
		p.refused = true
		p.refusing[peer] = true
	}
	if p.board != nil && !same(before.incumbents, incumbents) {
		p.hold(peer, incumbents)
	}
}

// same says whether two slices are one and the same.
func same[T any](x, y []T) bool {
	return len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
}

func (p *Planner) hold(peer PeerID, incumbents []Incumbent) {
	b := p.board
	for _, at := range p.heldAt[peer] {
		p.touch(b.heldFor[at])
		b.unlink(at)
		p.freeHeld = append(p.freeHeld, at)
	}
	held := make([]int32, len(incumbents))
	for n := range incumbents {
		held[n] = p.holdOne(&incumbents[n])
	}
	p.heldAt[peer] = held
	if i, known := b.peerAt[peer]; known {
		p.countRoom(i)
	}
}

func (p *Planner) holdOne(in *Incumbent) int32 {
	b := p.board
	var at int32
	if n := len(p.freeHeld); n > 0 {
		at, p.freeHeld = p.freeHeld[n-1], p.freeHeld[:n-1]
	} else {
		at = int32(len(b.incumbents))
		b.incumbents = append(b.incumbents, Incumbent{})
		b.next, b.heldBy, b.heldFor = append(b.next, -1), append(b.heldBy, nowhere), append(b.heldFor, -1)
	}
	b.incumbents[at] = *in
	b.link(at)
	p.touch(b.heldFor[at])
	return at
}

// countRoom counts anew what room a peer has that no incumbent holds.
func (p *Planner) countRoom(i int32) {
	b := p.board
	b.left[i] = b.peers[i].Room
	for _, at := range p.heldAt[b.peers[i].ID] {
		b.left[i] = b.left[i].less(b.incumbents[at].Request)
	}
}

// touch marks a replica as to be looked at again.
func (p *Planner) touch(i int32) {
	if i >= 0 && !p.touched[i] {
		p.touched[i] = true
		p.dirty = append(p.dirty, i)
	}
}

// SetWanted says all that is wanted of a workload from now on; nothing, that it is gone. The same slice again costs nothing.
func (p *Planner) SetWanted(workload WorkloadID, wanted []Wanted) {
	before := p.workloads[workload]
	if same(before, wanted) {
		return
	}
	p.changed = true
	if p.workloads[workload] = wanted; len(wanted) == 0 {
		delete(p.workloads, workload)
	}
	if p.board == nil {
		return
	}
	b := p.board
	kept := make(map[int32]bool, len(wanted))
	group := b.groups.groupOf(workload)
	members := make([]int32, len(wanted))
	for n := range wanted {
		i := p.slotFor(wanted[n].Replica)
		b.wanted[i], b.loads[i], b.groups.of[i] = wanted[n], loadOf(wanted[n].Request), group
		b.rekind(i)
		kept[i], members[n] = true, i
		p.touch(i)
	}
	for _, i := range b.groups.members[group] {
		if !kept[i] {
			p.drop(i)
		}
	}
	b.groups.members[group] = members
}

// slotFor is where a replica is on the board.
func (p *Planner) slotFor(replica ReplicaID) int32 {
	b := p.board
	if i, known := b.wantedAt[replica]; known {
		return i
	}
	var i int32
	if n := len(p.free); n > 0 {
		i, p.free = p.free[n-1], p.free[:n-1]
	} else {
		i = int32(len(b.wanted))
		b.wanted, b.loads, b.seeds, b.firstOf = append(b.wanted, Wanted{}), append(b.loads, load{}), append(b.seeds, seed{}), append(b.firstOf, -1)
		b.stay, b.groups.of = append(b.stay, stay{peer: nowhere, at: -1}), append(b.groups.of, 0)
		p.grow(len(b.wanted))
	}
	b.wantedAt[replica] = i
	p.added = append(p.added, i)
	return i
}

func (p *Planner) grow(n int) {
	for len(p.touched) < n {
		p.touched, p.digests = append(p.touched, false), append(p.digests, digest{})
		p.places, p.rules = append(p.places, nowhere), append(p.rules, "")
	}
}

// drop takes a replica off the board.
func (p *Planner) drop(i int32) {
	b := p.board
	for at := b.firstOf[i]; at >= 0; {
		next := b.next[at]
		b.heldFor[at], b.next[at] = -1, -1
		at = next
	}
	delete(b.wantedAt, b.wanted[i].Replica)
	b.wanted[i], b.loads[i], b.seeds[i], b.firstOf[i] = Wanted{}, load{}, seed{}, -1
	b.stay[i], b.groups.of[i] = stay{peer: nowhere, at: -1}, nowhere
	if int(i) < len(b.firsts) {
		b.firsts[i] = nil
	}
	b.rekind(i)
	p.sum.take(p.digests[i])
	p.digests[i], p.places[i], p.rules[i] = digest{}, nowhere, ""
	p.gone = append(p.gone, i)
}

// Plan is the plan of all that was said. It is never changed afterwards, and the one before is returned where it still holds.
func (p *Planner) Plan(now time.Time) Plan {
	ended := !p.ends.IsZero() && (!now.Before(p.ends) || now.Before(p.at))
	if !p.changed && !ended {
		return p.last
	}
	p.at, p.refused = now, p.refused || ended
	if p.board == nil {
		p.build(now)
	}
	p.settleOrder()
	if p.refused {
		p.indexRefusals()
	}
	b := p.board
	for _, i := range p.dirty {
		b.decideStay(i)
	}
	b.startOver()
	b.solve()
	p.collect()
	for _, i := range p.dirty {
		p.touched[i] = false
	}
	p.free, p.gone, p.added = append(p.free, p.gone...), p.gone[:0], p.added[:0]
	p.dirty, p.changed, p.refused = p.dirty[:0], false, false
	return p.last
}

// build makes the board of all that was said.
func (p *Planner) build(now time.Time) {
	v := View{Now: now}
	for _, id := range slices.Sorted(maps.Keys(p.peers)) {
		v.Peers = append(v.Peers, p.peers[id])
	}
	for _, id := range slices.Sorted(maps.Keys(p.workloads)) {
		v.Wanted = append(v.Wanted, p.workloads[id]...)
	}
	p.heldAt = make(map[PeerID][]int32, len(p.rows))
	for _, id := range slices.Sorted(maps.Keys(p.rows)) {
		for _, in := range p.rows[id].incumbents {
			p.heldAt[id] = append(p.heldAt[id], int32(len(v.Incumbents)))
			v.Incumbents = append(v.Incumbents, in)
		}
	}
	p.board, p.refused = newBoard(v), true
	p.board.replans = true
	p.free, p.gone, p.added, p.freeHeld, p.dirty, p.sum = nil, nil, nil, nil, nil, digest{}
	p.touched, p.digests, p.places, p.rules = nil, nil, nil, nil
	p.grow(len(v.Wanted))
	for i := range v.Wanted {
		p.touch(int32(i))
	}
}

// settleOrder brings the order of the replicas up to date, and finds the incumbents of new ones.
func (p *Planner) settleOrder() {
	b := p.board
	if len(p.added)+len(p.gone) > 0 {
		b.order = p.merged()
	}
	if len(p.added) == 0 {
		return
	}
	for at := range b.incumbents {
		if b.heldFor[at] >= 0 {
			continue
		}
		if i, known := b.wantedAt[b.incumbents[at].Replica]; known {
			b.heldFor[at], b.next[at], b.firstOf[i] = i, b.firstOf[i], int32(at)
			p.touch(i)
		}
	}
}

// merged is the order without those that are gone, and with the new ones in their places.
func (p *Planner) merged() []int32 {
	b := p.board
	isGone := func(i int32) bool { return b.groups.of[i] == nowhere }
	old, added := slices.DeleteFunc(slices.Clone(b.order), isGone), slices.DeleteFunc(p.added, isGone)
	if len(added) == 0 {
		return old
	}
	slices.SortFunc(added, b.byReplica)
	order := make([]int32, 0, len(old)+len(added))
	for _, i := range added {
		at, _ := slices.BinarySearchFunc(old, i, b.byReplica)
		order, old = append(append(order, old[:at]...), i), old[at:]
	}
	return append(order, old...)
}

// indexRefusals finds the refusals that stand.
func (p *Planner) indexRefusals() {
	b := p.board
	var v View
	v.Now, p.ends = p.at, time.Time{}
	for _, id := range slices.Sorted(maps.Keys(p.refusing)) {
		v.Refusals = append(v.Refusals, p.rows[id].refusals...)
		if len(p.rows[id].refusals) == 0 {
			delete(p.refusing, id)
		}
	}
	for _, r := range v.Refusals {
		if v.Now.Before(r.Until) && (p.ends.IsZero() || r.Until.Before(p.ends)) {
			p.ends = r.Until
		}
	}
	before := b.refusals
	b.indexRefusals(v)
	for _, refusals := range []map[ReplicaID][]Refusal{before, b.refusals} {
		for replica := range refusals {
			if i, known := b.wantedAt[replica]; known {
				p.touch(i)
			}
		}
	}
}

// collect makes the plan of what the board says now, from the one before where that still says it.
func (p *Planner) collect() {
	b, all := p.board, edit{pages: p.last.Assignments.pages}
	all.resize(len(b.wanted))
	for _, i := range p.gone {
		all.set(i, &Assignment{})
	}
	p.last.Shifts = 0
	for n := range b.wanted {
		i := int32(n)
		if b.groups.of[i] == nowhere || !p.differs(i) {
			continue
		}
		a := b.assignment(i)
		if shifts(a.Rule) {
			p.last.Shifts++
		}
		all.set(i, &a)
		p.assign(i, &a)
	}
	p.last.Assignments, p.last.Digest = Assignments{all.pages, b.order}, p.sum.bytes()
	p.displaced = b.by
}

// differs says whether a replica's assignment may differ from that of the plan before.
func (p *Planner) differs(i int32) bool {
	b := p.board
	rule := b.rule[i]
	if p.touched[i] || b.place[i] != p.places[i] || rule != p.rules[i] || rule != Stays && rule != Waits {
		return true
	}
	if len(b.by)+len(p.displaced) == 0 {
		return false
	}
	_, displaced := b.by[i]
	_, before := p.displaced[i]
	return displaced || before
}

// assign notes what the plan says of a replica from now on.
func (p *Planner) assign(i int32, a *Assignment) {
	if p.touched[i] || p.board.place[i] != p.places[i] {
		p.sum.take(p.digests[i])
		p.digests[i] = digestOf(a)
		p.sum.add(p.digests[i])
	}
	p.places[i], p.rules[i] = p.board.place[i], p.board.rule[i]
}
