package control

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"shoal/peer/manifest"
	"shoal/placement"
)

// budget is how many replicas may be on their way from peers that hand over their work at once: what Kubernetes calls a
// PodDisruptionBudget. Here nothing is disrupted, for a replica goes only when it is ready elsewhere; but who gives a budget
// asks for care, and one that allows nothing keeps replicas where they are until somebody decides.
type budget struct {
	manifest.Budget
	digest ViewDigest
}

func (m *Machine) setBudget(o *object, tree map[string]any) {
	key := o.merged.Key
	delete(m.budgets, key)
	if tree != nil {
		if spec, ok := manifest.BudgetOf(key, tree); ok {
			m.budgets[key] = &budget{Budget: spec, digest: budgetDigest(o)}
		}
	}
	m.planner.wantedStale, m.planner.stale = true, true
}

func budgetDigest(o *object) ViewDigest {
	t := viewText("budget").word(o.merged.Key.String())
	for _, f := range o.merged.Fields {
		if strings.HasPrefix(string(f.Path), "spec/") {
			t = t.word(string(f.Path)).word(string(f.Value))
		}
	}
	return t.sum()
}

// budgetsInForce lists the budgets, sorted.
func (m *Machine) budgetsInForce() []*budget {
	return slices.SortedFunc(maps.Values(m.budgets), func(a, b *budget) int { return compareKeys(a.Key, b.Key) })
}

// selects says whether a budget is about the replicas of a workload.
func (b *budget) selects(w *placement.Wanted) bool {
	return w.Rules != nil && w.Rules.Namespace == b.Key.Namespace && b.Selects(w.Rules.Labels)
}

// handing is how far one replica is on its way from a peer that hands over its work.
type handing struct {
	from  placement.PeerID // the peer that hands it over, and has it ready; empty if there is none
	ready bool             // some peer has it ready
	goes  bool             // it has another place already, or is being stopped
	moved bool             // a copy is being stopped on a peer that does not hand over, as where the balance has moved it

	evicted bool // somebody asked for another in its stead, which is not ready yet
	marked  bool // it is there from before that was asked
	newest  bool // some peer has its newest revision ready
}

// leaves says whether it is on its way, for whatever reason.
func (h *handing) leaves() bool { return h.goes || h.evicted || h.moved && h.from == "" }

// handings works out, for every replica of a view, whether it is being handed over.
func handings(list *wantedList, v *placement.View) []handing {
	draining := map[placement.PeerID]bool{}
	live := map[placement.PeerID]bool{}
	for i := range v.Peers {
		draining[v.Peers[i].ID] = v.Peers[i].Draining
		live[v.Peers[i].ID] = v.Peers[i].Live
	}
	all := make([]handing, len(list.base))
	for i := range v.Incumbents {
		in := &v.Incumbents[i]
		slot, wanted := list.index[in.Replica]
		if !wanted || !live[in.Peer] {
			continue
		}
		h := &all[slot]
		current := in.Revision == list.base[slot].Revision
		h.ready = h.ready || in.Ready && !in.Stopping
		if asked, marked := list.asked[slot]; marked && !in.Stopping {
			h.marked = h.marked || !current && in.Since.Before(asked)
			h.newest = h.newest || current && in.Ready
			h.evicted = h.marked && !h.newest
		}
		switch {
		case !draining[in.Peer]:
			h.goes = h.goes || in.Arriving && !in.Stopping
			h.moved = h.moved || in.Stopping && current
		case in.Stopping:
			h.goes = true
		case in.Ready && current && (h.from == "" || in.Peer < h.from):
			h.from = in.Peer
		}
	}
	return all
}

// hold keeps those replicas on peers that hand over which a budget does not let go yet: of those that could go the first by
// name go first, so that peers with equal views hold back the same ones. Held ones are wanted on their peer alone.
func hold(budgets []*budget, list *wantedList, v *placement.View) {
	if len(budgets) == 0 || !slices.ContainsFunc(v.Peers, func(p placement.Peer) bool { return p.Draining && p.Live }) {
		return
	}
	all := handings(list, v)
	at := make(map[placement.ReplicaID]int, len(v.Wanted))
	for i := range v.Wanted {
		at[v.Wanted[i].Replica] = i
	}
	for _, b := range budgets {
		for _, slot := range b.kept(list, all) {
			if i, wanted := at[list.base[slot].Replica]; wanted {
				v.Wanted[i].Only = all[slot].from
			}
		}
	}
}

// tally is how the replicas of a budget stand.
type tally struct {
	expected, healthy, going int
	could                    []int // in the list of those wanted: those that could go
}

// allows is how many more may go.
func (b *budget) allows(t *tally) int { return max(b.Allowed(t.expected, t.healthy)-t.going, 0) }

func (b *budget) tally(list *wantedList, all []handing) *tally {
	t := &tally{}
	for i, w := range list.base {
		if !b.selects(w) {
			continue
		}
		t.expected++
		if all[i].ready {
			t.healthy++
		}
		switch {
		case all[i].leaves() && all[i].ready: // otherwise it is not among the healthy ones
			t.going++
		case all[i].leaves():
		case all[i].from != "" && w.Only == "":
			t.could = append(t.could, i)
		}
	}
	return t
}

// keeps says for people that a budget keeps a replica where it is.
func (b *budget) keeps() string {
	return fmt.Sprintf("disruption budget %s lets no more go now", b.Key.Name)
}

// kept lists the replicas that a budget does not let go now.
func (b *budget) kept(list *wantedList, all []handing) []int {
	t := b.tally(list, all)
	could := t.could
	slices.SortFunc(could, func(x, y int) int {
		return strings.Compare(string(list.base[x].Replica), string(list.base[y].Replica))
	})
	return could[min(len(could), b.allows(t)):]
}

// letsGo says whether the budgets let a copy end that is ready elsewhere, on a peer that hands over. Those who take decide each on
// its own, so more may be ready elsewhere at once than a budget lets go, as where the balance took one before its new holder had
// heard of the handing over. The peer that hands over ends no more at once all the same. One it may always end, for a copy
// that has a successor must not stay for ever.
func (m *Machine) letsGo(in *instance) bool {
	if len(m.budgets) == 0 {
		return true
	}
	if self, _ := m.viewPeer(m.self, m.rows[m.self]); !self.Draining {
		return true
	}
	list, view := m.planner.wantedList, m.PlacementView()
	all := handings(list, &view)
	for _, b := range m.budgetsInForce() {
		if !b.selects(list.base[list.index[in.record.Replica]]) {
			continue
		}
		t := b.tally(list, all)
		if m.ending(b, &view) >= max(1, b.Allowed(t.expected, t.healthy)) {
			return false
		}
	}
	return true
}

// ending counts the copies of a budget's replicas that are being stopped on peers that hand over, of which this is one.
func (m *Machine) ending(b *budget, v *placement.View) (count int) {
	selected := func(replica placement.ReplicaID) bool {
		slot, wanted := m.planner.index[replica]
		return wanted && b.selects(m.planner.base[slot])
	}
	others := map[placement.PeerID]bool{}
	for i := range v.Peers {
		p := &v.Peers[i]
		others[p.ID] = p.Live && p.Draining && p.ID != placement.PeerID(m.self)
	}
	for i := range v.Incumbents {
		if other := &v.Incumbents[i]; other.Stopping && others[other.Peer] && selected(other.Replica) {
			count++
		}
	}
	for _, id := range m.heldIDs { // its own row may not say it yet
		if own := m.held[id]; own.stopping && selected(own.record.Replica) {
			count++
		}
	}
	return count
}

// keptBy says which budget keeps a replica on a peer that hands over, for people; empty if none does.
func (m *Machine) keptBy(in *placement.Incumbent) string {
	if len(m.budgets) == 0 || in.Peer == "" {
		return ""
	}
	view := m.PlacementView()
	all := handings(m.planner.wantedList, &view)
	for _, b := range m.budgetsInForce() {
		for _, slot := range b.kept(m.planner.wantedList, all) {
			if m.planner.base[slot].Replica == in.Replica && all[slot].from == in.Peer {
				return b.keeps()
			}
		}
	}
	return ""
}
