package placement

// keptFirsts is how many of the first peers of a replica's hash order are kept: twice the first choices, for some are full or gone.
const keptFirsts = 2 * firstChoices

// firsts are the first peers of a replica's hash order over all peers, whatever else there is to say of them: only the peers themselves
// and their weights make them void. A Planner keeps those of replicas that it places again and again, as while what runs where is
// still on its way to be known; when nothing is left to be placed they go.
type firsts [keptFirsts]int32

// askedOnce stands for firsts that are worth finding if they are asked for again.
var askedOnce = new(firsts)

// firstsOf returns the firsts of a replica; nil if they are not kept.
func (r *round) firstsOf(a *asking) *firsts {
	b := r.board
	if !b.replans || len(b.peers) < keptFirsts {
		return nil
	}
	for len(b.firsts) < len(b.wanted) {
		b.firsts = append(b.firsts, nil)
	}
	switch b.firsts[a.i] {
	case nil:
		b.firsts[a.i] = askedOnce
		return nil
	case askedOnce:
		b.firsts[a.i] = r.findFirsts(a)
	}
	return b.firsts[a.i]
}

func (r *round) findFirsts(a *asking) *firsts {
	var found [keptFirsts]near
	known := 0
	for i := range r.sites {
		n := near{int32(i), a.seed.hash(r.sites[i].seed)}
		if known == keptFirsts && !r.earlier(n.hash, n.peer, found[known-1].hash, found[known-1].peer) {
			continue
		}
		known = min(known+1, keptFirsts)
		at := known - 1
		for ; at > 0 && r.earlier(n.hash, n.peer, found[at-1].hash, found[at-1].peer); at-- {
			found[at] = found[at-1]
		}
		found[at] = n
	}
	first := new(firsts)
	for n := range found {
		first[n] = found[n].peer
	}
	return first
}

// remembered is the best of the first choices, if all of them are among the firsts that are kept.
func (r *round) remembered(a *asking) (candidate, bool) {
	if a.prefers() {
		return none, false
	}
	first := r.firstsOf(a)
	if first == nil {
		return none, false
	}
	best, choices := none, 0
	for _, peer := range first {
		if !a.ground.open[peer] || !r.fits(a, peer) {
			continue
		}
		if c := r.judge(a, peer, a.seed.hash(r.sites[peer].seed)); r.before(&c, &best) {
			best = c
		}
		if choices++; choices == firstChoices {
			return best, true
		}
	}
	return none, false
}
