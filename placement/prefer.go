package placement

import (
	"math"
	"slices"
)

// What is preferred comes before the hash: of the peers that are fit, only those count that cost the least, and of these the first of the hash
// order. Where enough of them cost no more than any peer could at best, the others need not be looked at.

// prefers says whether peers differ for a replica by what it prefers.
func (a *asking) prefers() bool {
	t := a.terms
	return a.ground.cost != nil || t != nil && len(t.soft)+len(t.preferred)+len(t.pulledBy)+len(t.uneven) > 0
}

// costOn is what speaks against a peer, the lower the better.
func (a *asking) costOn(peer int32) int64 {
	switch {
	case a.terms != nil:
		return a.terms.cost(peer)
	case a.ground.cost != nil:
		return int64(a.ground.cost[peer])
	}
	return 0
}

// floor is a cost below which no peer is: the sum of what each preference costs at best, which most often some peer has.
func (a *asking) floor() int64 {
	floor := a.floorBeside()
	if a.terms == nil {
		return floor
	}
	for i := range a.terms.preferred {
		if w := &a.terms.preferred[i]; w.weight > 0 {
			_, most := w.assigned.extremes(len(w.values))
			floor -= costOfWeight * w.weight * max(most, 0)
		}
	}
	for _, tally := range a.terms.pulledBy {
		_, most := tally.pull.extremes(len(tally.values))
		floor -= costOfWeight * max(most, 0)
	}
	return floor
}

// floorBeside is the same for those peers that are not drawn: near nothing that the replica wants to be near, nor what wants to be near it.
func (a *asking) floorBeside() int64 {
	floor, t := int64(a.ground.leastCost), a.terms
	if t == nil {
		return floor
	}
	for i := range t.preferred {
		if w := &t.preferred[i]; w.weight < 0 {
			floor -= costOfWeight * w.weight * t.fewest(w)
		}
	}
	for _, tally := range t.pulledBy {
		if _, most := tally.pull.extremes(len(tally.values)); !tally.unlabelled {
			floor -= costOfWeight * min(most, 0)
		}
	}
	for _, e := range t.uneven {
		least, _ := e.count.extremes(len(e.values))
		floor += costOfSkew * max(least+e.self-e.minimum()-int64(e.spread.MaxSkew), 0)
	}
	return floor
}

// fewest is the least number of replicas, for a term that is better not met, that any peer is beside.
func (t *terms) fewest(w *weighed) int64 {
	least, _ := w.present.extremes(len(w.values))
	if w.unlabelled {
		least = 0
	}
	if w.self {
		least -= int64(len(t.own))
	}
	return max(least, 0)
}

// drawn are the peers near something that the replica wants to be near, or that wants to be near it, in order; false if they are no small part of
// all.
func (a *asking) drawn() ([]int32, bool) {
	var peers []int32
	if a.terms == nil {
		return nil, false
	}
	add := func(t *topology, c *counts) {
		c.positive(func(domain int) {
			if 8*len(peers) < len(a.ground.peers) {
				peers = append(peers, t.members[domain]...)
			}
		})
	}
	for i := range a.terms.preferred {
		if w := &a.terms.preferred[i]; w.weight > 0 {
			add(w.topology, &w.assigned)
		}
	}
	for _, tally := range a.terms.pulledBy {
		add(tally.topology, &tally.pull)
	}
	if len(peers) == 0 || 8*len(peers) >= len(a.ground.peers) {
		return nil, false
	}
	slices.Sort(peers)
	return slices.Compact(peers), true
}

// positive calls for each domain with a number above 0.
func (c *counts) positive(call func(domain int)) {
	for n, page := range c.pages {
		for i := 0; page != nil && i < countsPage; i++ {
			if page[i] > 0 {
				call(n*countsPage + i)
			}
		}
	}
}

// extremes are the least and the most of the numbers of all domains.
func (c *counts) extremes(domains int) (least, most int64) {
	if domains == 0 {
		return 0, 0
	}
	least, most = math.MaxInt64, math.MinInt64
	for from := 0; from < domains; from += countsPage {
		page := from / countsPage
		if page >= len(c.pages) || c.pages[page] == nil {
			least, most = min(least, 0), max(most, 0)
			continue
		}
		for _, number := range c.pages[page][:min(countsPage, domains-from)] {
			least, most = min(least, number), max(most, number)
		}
	}
	return least, most
}
