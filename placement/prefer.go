package placement

import "math"

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
	floor, t := int64(a.ground.leastCost), a.terms
	if t == nil {
		return floor
	}
	for i := range t.preferred {
		floor -= costOfWeight * t.preferred[i].weight * t.atBest(&t.preferred[i])
	}
	for _, tally := range t.pulledBy {
		_, most := tally.pull.extremes(len(tally.values))
		if tally.unlabelled {
			most = max(most, 0)
		}
		floor -= costOfWeight * most
	}
	for _, e := range t.uneven {
		least, _ := e.count.extremes(len(e.values))
		floor += costOfSkew * max(least+e.self-e.minimum()-int64(e.spread.MaxSkew), 0)
	}
	return floor
}

// atBest is the best number of replicas, for a term that is preferred, that any peer is beside.
func (t *terms) atBest(w *weighed) int64 {
	if w.weight > 0 {
		_, most := w.assigned.extremes(len(w.values))
		return max(most, 0)
	}
	least, _ := w.present.extremes(len(w.values))
	if w.unlabelled {
		least = 0
	}
	if w.self {
		least -= int64(len(t.own))
	}
	return max(least, 0)
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
