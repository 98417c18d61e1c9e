package placement

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// nowhere is the peer of a replica without a place.
const nowhere = -1

// site is a peer as the hot loop of placement reads it.
type site struct {
	seed, weight uint64
	left         Resources
}

// field is the set of peers that may take anything that asks for one node selector.
type field struct {
	peers  []int32
	weight uint64 // of all of them
}

// board is a view, sorted and indexed, on which one plan is made.
type board struct {
	peers    []Peer // by ID
	sites    []site // of peers
	sown     bool   // the sites have their seeds
	peerAt   map[PeerID]int32
	wanted   []Wanted // by Replica
	wantedAt map[ReplicaID]int32
	place    []int32 // of wanted: index of its peer, or nowhere
	rule     []Rule  // of wanted

	incumbents []Incumbent
	firstOf    []int32 // of wanted: its first incumbent, or -1
	next       []int32 // of incumbents: the next of the same replica, or -1
	refusals   map[ReplicaID][]Refusal
	fields     map[string]*field
	heldBy     []int32 // of incumbents: index of its peer, or nowhere
	heldFor    []int32 // of incumbents: index of its replica, or -1
	grounds    map[string]*ground
	book       *ruleBook
}

func newBoard(v View) *board {
	b := &board{
		peers:      sorted(v.Peers, func(p *Peer) string { return string(p.ID) }),
		wanted:     sorted(v.Wanted, func(w *Wanted) string { return string(w.Replica) }),
		incumbents: v.Incumbents,
		fields:     map[string]*field{},
	}
	b.indexPeers()
	b.indexWanted()
	b.indexIncumbents()
	b.indexRefusals(v)
	b.indexRules()
	return b
}

// sorted leaves its argument as it is, and copies it only when it has to. The items are large: it sorts their
// places and moves each item once.
func sorted[T any](items []T, id func(*T) string) []T {
	type place struct {
		id string
		at int32
	}
	places, inOrder := make([]place, len(items)), true
	for i := range items {
		places[i] = place{id(&items[i]), int32(i)}
		inOrder = inOrder && (i == 0 || places[i-1].id <= places[i].id)
	}
	if inOrder {
		return items
	}
	slices.SortFunc(places, func(x, y place) int { return cmp.Compare(x.id, y.id) })
	moved := make([]T, len(items))
	for i, p := range places {
		moved[i] = items[p.at]
	}
	return moved
}

func (b *board) indexPeers() {
	b.sites = make([]site, len(b.peers))
	b.peerAt = make(map[PeerID]int32, len(b.peers))
	for i, p := range b.peers {
		b.sites[i] = site{weight: weightOf(p), left: p.Room}
		b.peerAt[p.ID] = int32(i)
	}
}

// sow works out the seeds of the peers, which a plan without a choice to make does not need.
func (b *board) sow() {
	if b.sown {
		return
	}
	b.sown = true
	for i := range b.sites {
		b.sites[i].seed = seedOf(string(b.peers[i].ID))
	}
}

func (b *board) indexWanted() {
	b.place = make([]int32, len(b.wanted))
	b.rule = make([]Rule, len(b.wanted))
	b.wantedAt = make(map[ReplicaID]int32, len(b.wanted))
	for i, w := range b.wanted {
		b.place[i] = nowhere
		b.wantedAt[w.Replica] = int32(i)
	}
}

// indexIncumbents chains the incumbents of each wanted replica, and takes the room of all from their peers.
func (b *board) indexIncumbents() {
	b.firstOf = make([]int32, len(b.wanted))
	for i := range b.firstOf {
		b.firstOf[i] = -1
	}
	b.next = make([]int32, len(b.incumbents))
	b.heldBy, b.heldFor = make([]int32, len(b.incumbents)), make([]int32, len(b.incumbents))
	for i, held := range b.incumbents {
		b.heldBy[i], b.heldFor[i] = nowhere, -1
		if p, known := b.peerAt[held.Peer]; known {
			b.heldBy[i] = p
			b.sites[p].left = b.sites[p].left.less(held.Request)
		}
		if w, known := b.wantedAt[held.Replica]; known {
			b.heldFor[i] = w
			b.next[i], b.firstOf[w] = b.firstOf[w], int32(i)
		}
	}
}

func (b *board) indexRefusals(v View) {
	b.refusals = make(map[ReplicaID][]Refusal)
	for _, r := range v.Refusals {
		if v.Now.Before(r.Until) {
			b.refusals[r.Replica] = append(b.refusals[r.Replica], r)
		}
	}
}

// refused returns the refusal of a replica's wanted revision by a peer; of several the one that lasts longest.
func (b *board) refused(w *Wanted, peer PeerID) (Refusal, bool) {
	var found Refusal
	known := false
	for _, r := range b.refusals[w.Replica] {
		if r.Peer != peer || r.Revision != w.Revision {
			continue
		}
		order := found.Until.Compare(r.Until)
		if !known || order < 0 || order == 0 && r.Reason < found.Reason {
			found, known = r, true
		}
	}
	return found, known
}

// open says whether a peer may hold anything that asks for a selector.
func (p *Peer) open(selector map[string]string) bool {
	return p.Live && !p.Draining && p.matches(selector)
}

func (p *Peer) matches(selector map[string]string) bool {
	for key, value := range selector {
		if got, labelled := p.Labels[key]; !labelled || got != value {
			return false
		}
	}
	return true
}

// fieldOf returns the peers open to a selector.
func (b *board) fieldOf(selector map[string]string) *field {
	key := selectorText(selector)
	if f, known := b.fields[key]; known {
		return f
	}
	f := &field{}
	for i := range b.peers {
		if b.peers[i].open(selector) {
			f.peers = append(f.peers, int32(i))
			f.weight += b.sites[i].weight
		}
	}
	b.fields[key] = f
	return f
}

// selectorText is a selector as people write it: key=value,key=value, sorted.
func selectorText(selector map[string]string) string {
	if len(selector) == 0 {
		return ""
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		parts = append(parts, key+"="+selector[key])
	}
	return strings.Join(parts, ",")
}
