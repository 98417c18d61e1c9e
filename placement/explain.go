package placement

import (
	"fmt"
	"slices"
	"sort"
)

// Rules that only Explain gives.
const (
	HasShare Rule = "spread"  // fit, but has its share of the workload's replicas
	Surplus  Rule = "surplus" // holds a copy too, and another one stays
)

// Explain gives every peer's verdict on one replica under plan, which must be v.Plan(), in the replica's hash order.
// It returns nil for a replica that is not wanted.
func (v View) Explain(plan Plan, replica ReplicaID) []Verdict {
	b := newBoard(v)
	at, wanted := b.wantedAt[replica]
	if !wanted {
		return nil
	}
	b.adopt(plan)
	e := explanation{board: b, w: &b.wanted[at], place: b.place[at], rule: b.rule[at], count: make([]int32, len(b.peers))}
	for i, other := range b.wanted {
		if other.Workload != e.w.Workload {
			continue
		}
		e.replicas++
		if b.place[i] != nowhere && int32(i) != at {
			e.count[b.place[i]]++
		}
	}
	verdicts := make([]Verdict, len(b.peers))
	for n, i := range b.orderFor(seedOf(string(replica))) {
		rule, detail := e.verdict(i)
		verdicts[n] = Verdict{Peer: b.peers[i].ID, Rule: rule, Detail: detail}
	}
	return verdicts
}

// adopt takes over a plan: what it assigns, and the room for what has not arrived yet.
func (b *board) adopt(plan Plan) {
	for _, a := range plan.Assignments {
		i, known := b.wantedAt[a.Replica]
		p, placed := b.peerAt[a.Peer]
		if !known || !placed {
			continue
		}
		b.place[i], b.rule[i] = p, a.Rule
		if a.Rule != Stays {
			b.sites[p].left = b.sites[p].left.less(b.wanted[i].Request)
		}
	}
}

// orderFor returns all peers in the hash order of the replica with this seed.
func (b *board) orderFor(seed uint64) []int32 {
	b.sow()
	order := make([]int32, len(b.peers))
	for i := range order {
		order[i] = int32(i)
	}
	sort.Slice(order, func(x, y int) bool { return b.before(seed, order[x], order[y]) })
	return order
}

// explanation is what the verdicts on one replica are given from.
type explanation struct {
	*board
	w        *Wanted
	place    int32
	rule     Rule
	replicas int     // of its workload
	count    []int32 // of peers: the other replicas of its workload
}

func (e *explanation) verdict(i int32) (Rule, string) {
	p := &e.peers[i]
	if i == e.place {
		return e.rule, e.chosen(i)
	}
	switch {
	case !p.Live:
		return NotLive, ""
	case p.Draining:
		return Draining, ""
	case !p.matches(e.w.NodeSelector):
		return Selector, "needs " + e.missing(p)
	}
	if held, holds := e.holds(p.ID); holds {
		return Surplus, e.surplus(held)
	}
	if r, refused := e.refused(e.w, p.ID); refused {
		return Refused, r.Reason
	}
	return e.roomVerdict(i)
}

// chosen says what speaks for the peer that was chosen.
func (e *explanation) chosen(i int32) string {
	if e.rule == Stays {
		return ""
	}
	left, room := e.sites[i].left, e.peers[i].Room
	return fmt.Sprintf("leaves %s CPU of %s, %s memory of %s",
		cpuText(left.CPUMillis), cpuText(room.CPUMillis), memoryText(left.MemoryBytes), memoryText(room.MemoryBytes))
}

// missing names the first part of the selector that the peer's labels do not match.
func (e *explanation) missing(p *Peer) string {
	var parts []string
	for key, value := range e.w.NodeSelector {
		if !p.matches(map[string]string{key: value}) {
			parts = append(parts, selectorText(map[string]string{key: value}))
		}
	}
	return slices.Min(parts)
}

// holds returns the instance of the wanted revision that could stay on a peer.
func (e *explanation) holds(peer PeerID) (*Incumbent, bool) {
	for at := e.firstOf[e.wantedAt[e.w.Replica]]; at >= 0; at = e.next[at] {
		if held := &e.incumbents[at]; held.Peer == peer && e.mayStay(e.w, held) {
			return held, true
		}
	}
	return nil, false
}

func (e *explanation) surplus(held *Incumbent) string {
	stays, _ := e.holds(e.peers[e.place].ID)
	name := e.nameOf(e.place)
	if stays != nil && stays.Ready && !held.Ready {
		return "its copy is not ready, the one on " + name + " is"
	}
	return "the copy on " + name + " stays"
}

func (e *explanation) roomVerdict(i int32) (Rule, string) {
	left, room, asks := e.sites[i].left, e.peers[i].Room, e.w.Request
	switch {
	case need(asks.CPUMillis) > left.CPUMillis:
		return NoCPU, fmt.Sprintf("needs %s CPU, %s left of %s", cpuText(asks.CPUMillis), cpuText(left.CPUMillis), cpuText(room.CPUMillis))
	case need(asks.MemoryBytes) > left.MemoryBytes:
		return NoMemory, fmt.Sprintf("needs %s memory, %s left of %s", memoryText(asks.MemoryBytes), memoryText(left.MemoryBytes), memoryText(room.MemoryBytes))
	case e.place == nowhere:
		return Later, "has room now"
	case e.rule == Stays:
		return Later, "it stays on " + e.nameOf(e.place)
	}
	if e.tier(i) > e.tier(e.place) {
		return HasShare, fmt.Sprintf("has %d of the workload's %d replicas, %s has %d", e.count[i], e.replicas, e.nameOf(e.place), e.count[e.place])
	}
	return Later, ""
}

func (e *explanation) tier(i int32) int {
	total := e.fieldOf(e.w.NodeSelector).weight
	return tierOf(uint64(e.count[i]), uint64(e.replicas)*e.sites[i].weight, total)
}

func (e *explanation) nameOf(i int32) string {
	if e.peers[i].Name != "" {
		return e.peers[i].Name
	}
	return string(e.peers[i].ID)
}
