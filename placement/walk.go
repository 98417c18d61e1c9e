package placement

// walk goes along a replica's hash order to its first choices, and returns the best of them. False: they are so far apart that a look at all peers
// costs less. It finds what firstFit and bestOf find, and mostly after a few steps.
func (r *round) walk(a *asking) (candidate, bool) {
	if r.slots == nil {
		r.slots = newSlots(r.sites)
	}
	w := walker{round: r, a: a, best: none, ahead: r.choices[:0]}
	if w.prefers = a.prefers(); w.prefers {
		w.floor = a.floor()
	}
	for place := range min(2*len(r.peers), 1<<slotBits-1) {
		slot := a.seed.slotAt(uint16(place))
		met := r.slots.has(slot)
		if met {
			w.meet(slot, uint16(place))
		}
		if (met || place%16 == 0) && w.settle(highest(uint16(place+1))) {
			r.choices = w.ahead
			return w.best, true
		}
	}
	r.choices = w.ahead
	return none, false
}

// walker is on its way along a hash order. The peers come in the order of their hashes, but weights change it: those ahead are met but may yet be
// preceded by a heavier one.
type walker struct {
	*round
	a       *asking
	prefers bool
	floor   int64  // what none can cost less than: where that is what counts, only peers that do not cost more are first choices
	ahead   []near // in order
	settled int    // of those ahead: how many are judged
	best    candidate
}

// meet takes in the peers of a slot.
func (w *walker) meet(slot, place uint16) {
	for peer := w.slots.first[slot]; peer != nowhere; peer = w.slots.next[peer] {
		if !w.a.ground.open[peer] || !w.fits(w.a, peer) || w.prefers && w.a.costOn(peer) > w.floor {
			continue
		}
		n := near{peer, w.a.seed.hashAt(place, w.sites[peer].seed)}
		w.ahead = append(w.ahead, n)
		for at := len(w.ahead) - 1; at > w.settled && w.earlier(n.hash, peer, w.ahead[at-1].hash, w.ahead[at-1].peer); at-- {
			w.ahead[at], w.ahead[at-1] = w.ahead[at-1], n
		}
	}
}

// settle judges those ahead that no peer can precede whose hash is at most highest, and says whether the walk is over.
func (w *walker) settle(highest uint64) bool {
	for w.settled < len(w.ahead) {
		n := w.ahead[w.settled]
		if !earlier(n.hash, w.sites[n.peer].weight, highest, w.heaviest) {
			break
		}
		c := w.judge(w.a, n.peer, n.hash)
		if w.before(&c, &w.best) {
			w.best = c
		}
		w.settled++
		if w.settled == firstChoices {
			return true
		}
	}
	return false
}
