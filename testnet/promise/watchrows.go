package promise

// Say tells that a peer said something of itself, in a form that tells equal from different: P3, that it says one
// thing under one version.
func (w *Watch) Say(peer string, v RowVersion, said string) []Violation {
	f := findings{promise: "P3"}
	name := rowName{peer, v}
	if before, known := w.rows[name]; known && before != said {
		f.add("%s said two things of itself as %d.%d", peer, v.Boot, v.Sequence)
	}
	if len(w.rows) >= mostViews {
		clear(w.rows)
	}
	w.rows[name] = said
	if v.compare(w.newest[peer]) > 0 {
		w.newest[peer] = v
	}
	return f.list
}

// Hold tells which row of another peer one holds: P3, that it never takes an older one, nor one that was never said.
func (w *Watch) Hold(peer, other string, v RowVersion) []Violation {
	f := findings{promise: "P3"}
	p := w.peer(peer)
	switch {
	case v == RowVersion{}:
		return nil
	case v.compare(w.newest[other]) > 0:
		f.add("%s holds a row of %s as %d.%d, which that never said", peer, other, v.Boot, v.Sequence)
	case v.compare(p.rows[other]) < 0:
		f.add("%s held row %d.%d of %s and now holds %d.%d", peer, p.rows[other].Boot, p.rows[other].Sequence, other, v.Boot, v.Sequence)
	}
	p.rows[other] = v
	return f.list
}

// Forgot tells that a peer's program ended: the rows of others that it held are gone.
func (w *Watch) Forgot(peer string) { clear(w.peer(peer).rows) }

// Bound is P12: nothing that is kept is longer than its written bound.
func (w *Watch) Bound(peer, what string, length, most int) []Violation {
	f := findings{promise: "P12"}
	if length > most {
		f.add("%s holds %d %s, at most %d may be", peer, length, what, most)
	}
	return f.list
}

// MostTrips is how often one bad value may be tried by one peer: once at each site that meets it, and once more to
// find out which of many it was.
const MostTrips = 3

// Trip tells that a value made the code of a peer fail: P13, that the peer does not try it again and again, nor after
// its next start.
func (w *Watch) Trip(peer, site, name string) []Violation {
	f := findings{promise: "P13"}
	at := tripName{peer, site, name}
	w.trips[at]++
	if n := w.trips[at]; n == MostTrips+1 {
		f.add("%s failed %d times at %s of %s", peer, n, site, name)
	}
	return f.list
}

// Tripped returns how often a peer failed at a value, at any site.
func (w *Watch) Tripped(peer, name string) int {
	sum := 0
	for at, n := range w.trips { // in any order: only the sum counts
		if at.peer == peer && at.name == name {
			sum += n
		}
	}
	return sum
}
