package placement

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Rules that only Explain gives.
const (
	HasShare  Rule = "spread"         // fit, but has its share of the workload's replicas
	Surplus   Rule = "surplus"        // holds a copy too, and another one stays
	Preferred Rule = "less-preferred" // fit, but the one chosen meets more of what is preferred
)

// Explain gives every peer's verdict on one replica under plan, which must be v.Plan(), in the replica's hash order: the first rule
// against it, and in the detail also all others. Equal views give equal words. It returns nil for a replica that is not wanted.
func (v View) Explain(plan Plan, replica ReplicaID) []Verdict {
	e := v.explanation(plan, replica)
	if e == nil {
		return nil
	}
	verdicts := make([]Verdict, len(e.peers))
	for n, i := range e.orderFor(e.at) {
		rule, detail := e.verdict(i)
		if failed := e.failed(i); failed != "" {
			detail = strings.TrimPrefix(detail+"; "+failed, "; ")
		}
		verdicts[n] = Verdict{Peer: e.peers[i].ID, Rule: rule, Detail: detail}
	}
	return verdicts
}

// explanation is what the verdicts on one replica are given from. The replica itself is not on the board.
type explanation struct {
	*board
	at       int32
	w        *Wanted
	chosenAt int32 // where the plan has it, or nowhere
	assigned Assignment
	terms    *terms
	replicas int     // of its workload
	count    []int32 // of peers: the other replicas of its workload
	found    map[inDomain][]ReplicaID
}

func (v View) explanation(plan Plan, replica ReplicaID) *explanation {
	b := newBoard(v)
	at, wanted := b.wantedAt[replica]
	if !wanted {
		return nil
	}
	e := &explanation{board: b, at: at, w: &b.wanted[at], chosenAt: nowhere, count: make([]int32, len(b.peers)), found: map[inDomain][]ReplicaID{}}
	if a := plan.Assignments.Of(replica); a != nil {
		e.assigned = *a
	}
	if peer, placed := b.peerAt[e.assigned.Peer]; placed {
		e.chosenAt = peer
	}
	b.adopt(plan, replica)
	for _, i := range b.groups.members[b.groups.of[at]] {
		e.replicas++
		if b.place[i] != nowhere {
			e.count[b.place[i]]++
		}
	}
	e.terms = b.newTerms(at)
	return e
}

// adopt takes over a plan, but for one replica: what it assigns, and the room for what has not arrived yet.
func (b *board) adopt(plan Plan, but ReplicaID) {
	for i := range b.stay {
		b.decideStay(int32(i))
	}
	b.shareOut()
	for a := range plan.Assignments.All() {
		i, known := b.wantedAt[a.Replica]
		p, placed := b.peerAt[a.Peer]
		if known && placed && a.Replica != but {
			b.settle(i, p, a.Rule)
		}
	}
	for a := range plan.Assignments.All() {
		b.makeRoom(a)
	}
}

// makeRoom takes away what a replica that displaces others finds gone.
func (b *board) makeRoom(a *Assignment) {
	for _, victim := range a.Makes {
		i, known := b.wantedAt[victim]
		if !known {
			continue
		}
		for at := b.firstOf[i]; at >= 0; at = b.next[at] {
			if p := b.heldBy[at]; p != nowhere && b.peers[p].ID == a.Peer {
				b.sites[p].left = b.sites[p].left.more(b.incumbents[at].Request)
				b.release(at)
			}
		}
	}
}

// orderFor returns all peers in the hash order of a wanted replica.
func (b *board) orderFor(i int32) []int32 {
	order := make([]int32, len(b.peers))
	for n := range order {
		order[n] = int32(n)
	}
	sort.Slice(order, func(x, y int) bool { return b.before(i, order[x], order[y]) })
	return order
}

func (e *explanation) verdict(i int32) (Rule, string) {
	if i == e.chosenAt {
		return e.assigned.Rule, e.chosen(i)
	}
	if held, holds := e.holds(i); holds && e.chosenAt != nowhere {
		return Surplus, e.surplus(held)
	}
	faults := e.faults(i)
	if len(faults) == 0 {
		return e.lesser(i)
	}
	if rule := faults[0].rule; rule == NotLive || rule == Elsewhere {
		return rule, faults[0].detail
	}
	var details []string
	for n, f := range faults {
		switch {
		case f.detail != "":
			details = append(details, f.detail)
		case n > 0:
			details = append(details, string(f.rule))
		}
	}
	return faults[0].rule, strings.Join(details, "; ")
}

// failed says that it failed on a peer again and again, where nothing that is ready there disproves it.
func (e *explanation) failed(i int32) string {
	refusal, known := e.refused(e.w, e.peers[i].ID)
	if held, holds := e.holds(i); !known || !refusal.Soft || !e.peers[i].Live || holds && held.Ready {
		return ""
	}
	return "it failed there: " + refusal.Reason
}

// chosen says what speaks for the peer that was chosen.
func (e *explanation) chosen(i int32) string {
	switch e.assigned.Rule {
	case Stays:
		return ""
	case Waits:
		return "does not answer, and is waited for"
	}
	left, room := e.leftFor(i).less(e.w.Request), e.peers[i].Room
	if e.assigned.Rule == Moving {
		left = e.sites[i].left // it has its room already
	}
	text := fmt.Sprintf("leaves %s CPU of %s, %s memory of %s",
		cpuText(left.CPUMillis), cpuText(room.CPUMillis), memoryText(left.MemoryBytes), memoryText(room.MemoryBytes))
	if e.assigned.From != "" {
		text = "comes from " + e.nameOfID(e.assigned.From) + "; " + text
	}
	if len(e.assigned.Makes) > 0 {
		text = "stops there " + namesText(e.assigned.Makes) + " of lower priority; " + text
	}
	return text
}

// namesText names replicas: all of up to three, else the first two and how many more.
func namesText(replicas []ReplicaID) string {
	texts := make([]string, len(replicas))
	for i, r := range replicas {
		texts[i] = string(r)
	}
	slices.Sort(texts)
	switch n := len(texts); {
	case n > 3:
		return fmt.Sprintf("%s, %s and %d more", texts[0], texts[1], n-2)
	case n > 1:
		return strings.Join(texts[:n-1], ", ") + " and " + texts[n-1]
	}
	return strings.Join(texts, "")
}

// holds returns the instance of the wanted revision that could stay on a peer.
func (e *explanation) holds(peer int32) (*Incumbent, bool) {
	for at := e.firstOf[e.at]; at >= 0; at = e.next[at] {
		if e.heldBy[at] == peer && e.mayStay(e.at, at) {
			return &e.incumbents[at], true
		}
	}
	return nil, false
}

func (e *explanation) surplus(held *Incumbent) string {
	stays, _ := e.holds(e.chosenAt)
	name := e.nameOf(e.chosenAt)
	if stays != nil && stays.Ready && !held.Ready {
		return "its copy is not ready, the one on " + name + " is"
	}
	return "the copy on " + name + " stays"
}

// lesser says why a peer that is fit was not chosen.
func (e *explanation) lesser(i int32) (Rule, string) {
	there := e.chosenAt
	switch {
	case there == nowhere:
		return Later, "has room now"
	case e.assigned.Rule == Stays:
		return Later, "it stays on " + e.nameOf(there)
	case e.terms.cost(i) > e.terms.cost(there):
		return Preferred, e.preferences(i)
	case e.tier(i) > e.tier(there):
		return HasShare, fmt.Sprintf("has %d of the workload's %d replicas, %s has %d", e.count[i], e.replicas, e.nameOf(there), e.count[there])
	}
	with := e.burdenOf(loadOf(e.w.Request))
	if e.assigned.Rule == Hash && e.sites[i].growth(&with) > e.sites[there].growth(&with) {
		return HasShare, fmt.Sprintf("would have %s of its fair share of all load, %s %s", e.loadText(i), e.nameOf(there), e.loadText(there))
	}
	return Later, ""
}

// loadText is how much of its fair share of all load a peer would have with the replica.
func (e *explanation) loadText(i int32) string {
	s, with := &e.sites[i], loadOf(e.w.Request)
	after := s.load.plus(with)
	most := max(ratio(after.cpuMillis, s.fair.cpuMillis), ratio(after.memoryKiB, s.fair.memoryKiB))
	if most >= 10*whole {
		return "over ten times"
	}
	return fmt.Sprintf("%d %%", most/(whole/100))
}

func (e *explanation) tier(i int32) int {
	return tierOf(uint64(e.count[i]), uint64(e.replicas)*e.sites[i].weight, e.groundOf(e.at).weight)
}

func (e *explanation) nameOf(i int32) string {
	if e.peers[i].Name != "" {
		return e.peers[i].Name
	}
	return string(e.peers[i].ID)
}

func (e *explanation) nameOfID(id PeerID) string {
	if i, known := e.peerAt[id]; known {
		return e.nameOf(i)
	}
	return string(id)
}
