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
	b.queue = nil
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
