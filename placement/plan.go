package placement

import (
	"cmp"
	"slices"
)

// Plan assigns every wanted replica. It is pure: equal views, in any order, give equal plans.
// IDs must be unique within Peers and within Wanted. A peer that Incumbents name and Peers do not is not live.
func (v View) Plan() Plan {
	b := newBoard(v)
	for i := range b.stay {
		b.decideStay(int32(i))
	}
	b.solve()
	plan, all := Plan{}, make([]Assignment, len(b.order))
	var sum digest
	for n, i := range b.order {
		all[n] = b.assignment(i)
		if shifts(b.rule[i]) {
			plan.Shifts++
		}
		sum.add(digestOf(&all[n]))
	}
	plan.Assignments, plan.Digest = NewAssignments(all), sum.bytes()
	return plan
}

// shifts says whether a rule is one of the balance.
func shifts(rule Rule) bool { return rule == Moving || rule == Rebalance }

// turns is who else has to do with the place of a replica, of the few of which that can be said. All are indices.
type turns struct {
	from  map[int32]int32   // the peer that a replica moves from for the balance
	makes map[int32][]int32 // those that make room for a replica
	by    map[int32]int32   // the replica that one was displaced for
}

// solve works out where everything goes, from where it stays.
func (b *board) solve() {
	b.keep()
	b.shareOut()
	b.displace(b.placeRest())
	b.rebalance()
}

func (b *board) assignment(i int32) Assignment {
	w := &b.wanted[i]
	a := Assignment{Replica: w.Replica, Workload: w.Workload, Revision: w.Revision, Rule: b.rule[i]}
	if by, displaced := b.by[i]; displaced {
		a.By = b.wanted[by].Replica
	}
	if b.place[i] == nowhere {
		return a
	}
	a.Peer = b.peers[b.place[i]].ID
	if from := b.fromOf(i); from != nowhere {
		a.From = b.peers[from].ID
	}
	for _, victim := range b.makes[i] {
		a.Makes = append(a.Makes, b.wanted[victim].Replica)
	}
	slices.Sort(a.Makes)
	return a
}

// fromOf returns the peer that holds a replica until it is ready where it is to be.
func (b *board) fromOf(i int32) int32 {
	if b.rule[i] == Stays || b.rule[i] == Waits {
		return nowhere
	}
	if from, moves := b.from[i]; moves {
		return from
	}
	if _, displaced := b.by[i]; displaced {
		return nowhere
	}
	return b.holderBeside(i, b.place[i])
}

// entry is a replica in the order of placing.
type entry struct {
	i        int32
	priority int32
	late     bool // it must be near others
	size     int64
	group    int32 // rank of its workload
	rank     int32 // of itself
}

// placeRest places what keep left over; and again, giving up more and more, if room turns out to be tight. It returns those that
// find no place, in the order of placing.
func (b *board) placeRest() []int32 {
	order := b.rest()
	if len(order) == 0 {
		b.firsts = nil
		b.loadKept()
		return nil
	}
	b.sow() // first, or going back would take the hashes away
	sites := slices.Clone(b.sites)
	pending := b.run(order, byHash)
	for _, m := range []manner{byFit, packed} {
		if !b.tight(pending) {
			return pending
		}
		before := b.outcomeOf(order)
		b.restore(outcome{sites: sites}, order)
		if again := b.run(order, m); len(again) < len(pending) {
			pending = again
		} else {
			b.restore(before, order)
		}
	}
	return pending
}

// outcome is what a pass changes: the places of what it places, if it has any, and the peers.
type outcome struct {
	place []int32
	rule  []Rule
	sites []site
}

func (b *board) outcomeOf(order []int32) outcome {
	o := outcome{make([]int32, len(order)), make([]Rule, len(order)), slices.Clone(b.sites)}
	for n, i := range order {
		o.place[n], o.rule[n] = b.place[i], b.rule[i]
	}
	return o
}

func (b *board) restore(o outcome, order []int32) {
	copy(b.sites, o.sites)
	for n, i := range order {
		b.place[i], b.rule[i] = nowhere, ""
		if o.place != nil {
			b.place[i], b.rule[i] = o.place[n], o.rule[n]
		}
	}
	b.indexRules()
}

// rest returns the replicas without a place in the order in which they are placed: the higher priority first; then the largest,
// because they have the fewest places; and those of one workload together. Young ones take part, each in its turn: as they were
// placed not long ago, beside others that may be on their way yet, what was decided before them is decided as it was then.
func (b *board) rest() []int32 {
	var order []int32
	open := false
	for _, i := range b.order {
		if b.place[i] == nowhere || b.stay[i].young {
			open = open || b.place[i] == nowhere
			order = append(order, i)
		}
	}
	if !open {
		return nil
	}
	order = b.inTurn(order)
	for _, i := range order {
		b.place[i], b.rule[i] = nowhere, ""
	}
	return order
}

// inTurn puts replicas, which are in the order of their names, into the order in which they are placed. A board that plans again and again keeps
// that order of all, if many are to be placed.
func (b *board) inTurn(some []int32) []int32 {
	all := b.roomOfLive()
	if !b.replans || len(some) < len(b.order)/4 && b.queue == nil {
		return b.sortedInTurn(some, all)
	}
	if b.queue == nil || b.queueFor != all {
		b.queue, b.queueFor = b.sortedInTurn(b.order, all), all
	}
	takesPart := make([]bool, len(b.wanted))
	for _, i := range some {
		takesPart[i] = true
	}
	order := some[:0]
	for _, i := range b.queue {
		if takesPart[i] {
			order = append(order, i)
		}
	}
	return order
}

func (b *board) roomOfLive() (all Resources) {
	for i := range b.peers {
		if p := &b.peers[i]; p.Live {
			all.CPUMillis += min(p.Room.CPUMillis, 1<<47)
			all.MemoryBytes += min(p.Room.MemoryBytes, 1<<47)
		}
	}
	return all
}

func (b *board) sortedInTurn(byName []int32, all Resources) []int32 {
	entries := make([]entry, len(byName))
	for rank, i := range byName {
		w := &b.wanted[i]
		entries[rank] = entry{i: i, priority: w.Priority, size: w.Request.largest(all), group: b.groups.of[i], rank: int32(rank)}
		entries[rank].late = w.Rules != nil && len(w.Rules.Near) > 0
	}
	b.rankGroups(entries)
	slices.SortFunc(entries, compareEntries)
	order := make([]int32, len(entries))
	for n, e := range entries {
		order[n] = e.i
	}
	return order
}

func compareEntries(x, y entry) int {
	switch {
	case x.priority != y.priority:
		return cmp.Compare(y.priority, x.priority)
	case x.late != y.late:
		if y.late {
			return -1
		}
		return 1
	case x.size != y.size:
		return cmp.Compare(y.size, x.size)
	case x.group != y.group:
		return cmp.Compare(x.group, y.group)
	}
	return cmp.Compare(x.rank, y.rank)
}

// rankGroups puts in place of each entry's group its rank by name: as many workloads have one order of names, their comparison is
// done once.
func (b *board) rankGroups(entries []entry) {
	rank := make([]int32, len(b.groups.members))
	var used []int32
	for _, e := range entries {
		if rank[e.group] == 0 {
			rank[e.group] = 1
			used = append(used, e.group)
		}
	}
	name := func(group int32) WorkloadID { return b.wanted[b.groups.members[group][0]].Workload }
	slices.SortFunc(used, func(x, y int32) int { return cmp.Compare(name(x), name(y)) })
	for n, group := range used {
		rank[group] = int32(n)
	}
	for n := range entries {
		entries[n].group = rank[entries[n].group]
	}
}

// loadKept counts the load of all that has a place.
func (b *board) loadKept() {
	for _, i := range b.order {
		if p := b.place[i]; p != nowhere {
			b.sites[p].load = b.sites[p].load.plus(b.loads[i])
		}
	}
}

// run places the replicas in order and returns those that find no place.
func (b *board) run(order []int32, m manner) []int32 {
	b.loadKept()
	r := b.newRound(m)
	var pending []int32
	for _, i := range order {
		if s := &b.stay[i]; s.peer != nowhere && !s.soft {
			r.settle(i, s.peer, s.rule)
		} else if !r.try(i) {
			pending = append(pending, i)
		}
	}
	for again := true; again; { // what must be near others may find them now
		again = false
		for n, i := range pending {
			if i >= 0 && b.near(i) && r.try(i) {
				pending[n], again = -1, true
			}
		}
		pending = slices.DeleteFunc(pending, func(i int32) bool { return i < 0 })
	}
	return pending
}

func (b *board) near(i int32) bool {
	rules := b.wanted[i].Rules
	return rules != nil && len(rules.Near) > 0
}

// try places a replica if it can.
func (r *round) try(i int32) bool {
	peer, rule := r.choose(i)
	if peer == nowhere {
		return false
	}
	r.settle(i, peer, rule)
	return true
}

// settle gives a replica its place. What is there already has its room.
func (r *round) settle(i, peer int32, rule Rule) {
	r.turnTo(r.groups.of[i])
	r.board.settle(i, peer, rule)
	r.count[peer]++
}

func (b *board) settle(i, peer int32, rule Rule) {
	held := rule == Stays || rule == Moving || rule == Waits
	b.place[i], b.rule[i] = peer, rule
	s := &b.sites[peer]
	if !held {
		s.left = s.left.less(b.wanted[i].Request)
	}
	s.load = s.load.plus(b.loads[i])
	b.put(i, peer, held)
}

// tight says whether a pending replica lacks nothing but room on a peer that could run it if it were empty.
func (b *board) tight(pending []int32) bool {
	for _, i := range pending {
		w, t := &b.wanted[i], b.termsOf(i)
		for _, p := range b.groundOf(i).peers {
			if w.Request.fits(b.peers[p].Room) && !w.Request.fits(b.sites[p].left) && (w.Only == "" || w.Only == b.peers[p].ID) && (t == nil || t.allows(p)) {
				return true
			}
		}
	}
	return false
}
