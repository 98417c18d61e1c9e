package placement

import (
	"slices"
	"strings"
)

// nowhere is the peer of a replica without a place.
const nowhere = -1

// site is a peer as the loops of placement read it.
type site struct {
	seed, weight uint64
	left         Resources
	load, fair   load // what it is to run, and what it would run if all were shared out evenly
}

// board is a view, indexed, on which plans are made. What it holds of a view stays, so that it can be changed and planned again
// at the cost of what changed (see Planner); what a plan works out is made anew each time.
type board struct {
	peers  []Peer // by ID
	sites  []site // of peers
	peerAt map[PeerID]int32
	slots  *slots // of the peers' hashes; nil until they are needed
	seeded bool

	wanted   []Wanted // in no order; those without a Replica are free
	wantedAt map[ReplicaID]int32
	order    []int32 // the wanted ones by Replica
	seeds    []seed  // of wanted; zero until they are needed
	loads    []load  // of wanted
	groups   groups

	incumbents []Incumbent // in no order
	heldBy     []int32     // of incumbents: index of its peer; nowhere for a free one, and where the peer is unknown
	heldFor    []int32     // of incumbents: index of its replica, or -1
	firstOf    []int32     // of wanted: its first incumbent, or -1
	next       []int32     // of incumbents: the next of the same replica, or -1
	left       []Resources // of peers: room that no incumbent holds
	refusals   map[ReplicaID][]Refusal
	stay       []stay // of wanted

	replans  bool      // it is planned again and again
	firsts   []*firsts // of wanted; see firstsOf
	queue    []int32   // of wanted: all, in the order in which they are placed; nil: not known
	queueFor Resources // that order's: the room of all that live

	grounds map[string]*ground
	book    *ruleBook

	takes  []bool  // of peers: may be given what is new, as far as it is about the peer alone
	shared load    // all that is shared out
	place  []int32 // of wanted: index of its peer, or nowhere
	rule   []Rule  // of wanted
	turns          // who else had to do with it
}

// stay is where a wanted replica stays or is waited for, as its own incumbents have it.
type stay struct {
	peer  int32 // or nowhere
	at    int32 // the incumbent
	rule  Rule
	young bool
	soft  bool // it failed there: only if it can be nowhere else
}

func newBoard(v View) *board {
	b := &board{wanted: v.Wanted, incumbents: v.Incumbents}
	b.indexPeers(v.Peers)
	b.indexWanted()
	b.indexIncumbents()
	b.indexRefusals(v)
	b.startOver()
	return b
}

func (b *board) indexPeers(peers []Peer) {
	b.peers = sortedBy(peers, func(p *Peer) string { return string(p.ID) })
	b.sites = make([]site, len(b.peers))
	b.left = make([]Resources, len(b.peers))
	b.peerAt = make(map[PeerID]int32, len(b.peers))
	for i := range b.peers {
		p := &b.peers[i]
		b.sites[i].weight, b.left[i] = weightOf(*p), p.Room
		b.peerAt[p.ID] = int32(i)
	}
}

// sow works out the hashes of the peers, which a plan without a choice to make does not need.
func (b *board) sow() {
	if b.seeded {
		return
	}
	b.seeded = true
	for i := range b.sites {
		b.sites[i].seed = seedOf(string(b.peers[i].ID))
	}
}

// seedAt is the seed of a wanted replica.
func (b *board) seedAt(i int32) *seed {
	if b.seeds[i] == (seed{}) {
		b.seeds[i] = newSeed(string(b.wanted[i].Replica))
	}
	return &b.seeds[i]
}

func (b *board) indexWanted() {
	b.wantedAt = make(map[ReplicaID]int32, len(b.wanted))
	b.seeds, b.stay = make([]seed, len(b.wanted)), make([]stay, len(b.wanted))
	b.order, b.loads = make([]int32, len(b.wanted)), make([]load, len(b.wanted))
	for i := range b.wanted {
		b.loads[i], b.stay[i] = loadOf(b.wanted[i].Request), stay{peer: nowhere, at: -1}
		b.wantedAt[b.wanted[i].Replica] = int32(i)
		b.order[i] = int32(i)
	}
	if !slices.IsSortedFunc(b.order, b.byReplica) {
		slices.SortFunc(b.order, b.byReplica)
	}
	b.groups = groupsOf(b.wanted)
}

func (b *board) byReplica(x, y int32) int {
	return strings.Compare(string(b.wanted[x].Replica), string(b.wanted[y].Replica))
}

// indexIncumbents chains the incumbents of each wanted replica, and takes the room of all from their peers.
func (b *board) indexIncumbents() {
	b.firstOf = make([]int32, len(b.wanted))
	for i := range b.firstOf {
		b.firstOf[i] = -1
	}
	n := len(b.incumbents)
	b.next, b.heldBy, b.heldFor = make([]int32, n), make([]int32, n), make([]int32, n)
	for i := range b.incumbents {
		b.link(int32(i))
	}
}

// link files an incumbent under its peer and its replica.
func (b *board) link(at int32) {
	held := &b.incumbents[at]
	b.heldBy[at], b.heldFor[at], b.next[at] = nowhere, -1, -1
	if p, known := b.peerAt[held.Peer]; known {
		b.heldBy[at] = p
		b.left[p] = b.left[p].less(held.Request)
	}
	if i, known := b.wantedAt[held.Replica]; known {
		b.heldFor[at] = i
		b.next[at], b.firstOf[i] = b.firstOf[i], at
	}
}

// unlink undoes link, but for the room.
func (b *board) unlink(at int32) {
	if i := b.heldFor[at]; i >= 0 {
		link := &b.firstOf[i]
		for *link != at {
			link = &b.next[*link]
		}
		*link = b.next[at]
	}
	b.incumbents[at], b.heldBy[at], b.heldFor[at], b.next[at] = Incumbent{}, nowhere, -1, -1
}

func (b *board) indexRefusals(v View) {
	b.refusals = make(map[ReplicaID][]Refusal)
	for _, r := range v.Refusals {
		if v.Now.Before(r.Until) {
			b.refusals[r.Replica] = append(b.refusals[r.Replica], r)
		}
	}
}

// refused returns the refusal of a replica's wanted revision by a peer; of several a hard one before soft ones, then the one that lasts longest.
func (b *board) refused(w *Wanted, peer PeerID) (Refusal, bool) {
	var found Refusal
	known := false
	for _, r := range b.refusals[w.Replica] {
		if r.Peer != peer || r.Revision != w.Revision {
			continue
		}
		if !known || refusedBefore(&r, &found) {
			found, known = r, true
		}
	}
	return found, known
}

func refusedBefore(r, found *Refusal) bool {
	if r.Soft != found.Soft {
		return found.Soft
	}
	order := found.Until.Compare(r.Until)
	return order < 0 || order == 0 && r.Reason < found.Reason
}

// startOver makes ready for a plan: nothing has a place, and all room is left that no incumbent holds.
func (b *board) startOver() {
	n := len(b.wanted)
	b.place, b.rule = resized(b.place, n), resized(b.rule, n)
	clear(b.rule)
	for i := range b.place {
		b.place[i] = nowhere
	}
	for i := range b.sites {
		b.sites[i].left = b.left[i]
	}
	b.turns = turns{}
	b.indexRules()
}

// resized returns a slice of n items, whatever is in them.
func resized[T any](items []T, n int) []T { return slices.Grow(items[:0], n)[:n] }

// sortedBy leaves its argument as it is, and copies it only when it has to.
func sortedBy[T any](items []T, id func(*T) string) []T {
	compare := func(x, y T) int { return strings.Compare(id(&x), id(&y)) }
	if slices.IsSortedFunc(items, compare) {
		return items
	}
	items = slices.Clone(items)
	slices.SortFunc(items, compare)
	return items
}

func (p *Peer) matches(selector map[string]string) bool {
	for key, value := range selector {
		if got, labelled := p.Labels[key]; !labelled || got != value {
			return false
		}
	}
	return true
}

// groups are the wanted replicas by workload.
type groups struct {
	at      map[WorkloadID]int32
	members [][]int32 // of groups: its replicas, in no order; empty where the workload is gone
	of      []int32   // of wanted
}

func groupsOf(wanted []Wanted) groups {
	g := groups{at: make(map[WorkloadID]int32), of: make([]int32, len(wanted))}
	for i := range wanted {
		if i > 0 && wanted[i].Workload == wanted[i-1].Workload {
			g.of[i] = g.of[i-1]
		} else {
			g.of[i] = g.groupOf(wanted[i].Workload)
		}
		g.members[g.of[i]] = append(g.members[g.of[i]], int32(i))
	}
	return g
}

func (g *groups) groupOf(workload WorkloadID) int32 {
	at, known := g.at[workload]
	if !known {
		at = int32(len(g.members))
		g.at[workload] = at
		g.members = append(g.members, nil)
	}
	return at
}
