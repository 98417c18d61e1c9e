package promise

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Always checks what must hold at every moment.
func Always(s Snapshot) []Violation { return RoomKept(s) }

// AtRest checks what must hold when nothing has happened for long enough.
func AtRest(s Snapshot) []Violation {
	return slices.Concat(Always(s), Writable(s), NothingLost(s), Agreement(s), DeadStayDead(s), Converged(s))
}

// findings collects violations of one promise.
type findings struct {
	promise string
	list    []Violation
}

func (f *findings) add(format string, args ...any) {
	f.list = append(f.list, Violation{f.promise, fmt.Sprintf(format, args...)})
}

func (f *findings) sorted() []Violation {
	slices.SortFunc(f.list, func(x, y Violation) int { return cmp.Compare(x.Text, y.Text) })
	return f.list
}

// Writable is P1: every peer whose program runs took every command.
func Writable(s Snapshot) []Violation {
	f := findings{promise: "P1"}
	for _, w := range s.Writes {
		if w.Refused != "" {
			f.add("%s refused a write to %s: %s", s.name(w.Peer), w.Object, w.Refused)
		}
	}
	return f.sorted()
}

// Agreement is P3: peers of one side have the same intent and the same plan.
func Agreement(s Snapshot) []Violation {
	f := findings{promise: "P3"}
	for _, side := range s.sides() {
		first := side[0]
		for _, p := range side[1:] {
			if p.IntentDigest != first.IntentDigest {
				f.add("%s holds intent %x, %s holds %x", first.Name, first.IntentDigest[:4], p.Name, p.IntentDigest[:4])
			}
			if p.PlanDigest != first.PlanDigest {
				f.add("%s has plan %x, %s has %x", first.Name, first.PlanDigest[:4], p.Name, p.PlanDigest[:4])
			}
		}
	}
	return f.sorted()
}

// Converged is the state that all promises lead to: on every side each wanted replica that has
// room runs exactly once, ready, in the wanted revision, and nothing else runs.
func Converged(s Snapshot) []Violation {
	f := findings{promise: "converged"}
	for _, side := range s.sides() {
		wanted := f.wantedOn(side)
		running := make(map[string][]placed)
		for _, p := range side {
			for _, i := range p.Instances {
				running[i.Replica] = append(running[i.Replica], placed{p, i})
			}
		}
		for replica, w := range wanted {
			f.once(replica, w, running[replica])
		}
		for replica, list := range running {
			if _, known := wanted[replica]; !known {
				f.add("%s runs on %s and nobody wants it", replica, list[0].peer.Name)
			}
		}
	}
	return f.sorted()
}

// placed is an instance with its peer.
type placed struct {
	peer Peer
	Instance
}

// wantedOn is what the peers of one side want; it reports where they do not agree.
func (f *findings) wantedOn(side []Peer) map[string]Wanted {
	wanted := make(map[string]Wanted)
	for _, p := range side {
		own := make(map[string]Wanted)
		for _, w := range p.Wanted {
			own[w.Replica] = w
		}
		if p.ID == side[0].ID {
			wanted = own
		} else if !maps.Equal(wanted, own) {
			f.add("%s and %s want different replicas", side[0].Name, p.Name)
		}
	}
	return wanted
}

// once checks one wanted replica. One that is pending may go on in an older revision.
func (f *findings) once(replica string, w Wanted, list []placed) {
	good := 0
	for _, i := range list {
		switch {
		case !i.Ready && w.Held:
			// it may not run here, or not now
		case i.Revision != w.Revision && w.Pending && i.Ready:
			// the old one serves until there is room for the new one
		case i.Revision != w.Revision:
			f.add("%s runs on %s in revision %s, wanted is %s", replica, i.peer.Name, i.Revision, w.Revision)
		case !i.Ready:
			f.add("%s on %s is not ready", replica, i.peer.Name)
		default:
			good++
		}
	}
	if w.Moving {
		f.add("%s is on its way", replica)
	} else if w.Pending && good > 0 && !list[0].peer.Leaving { // what hands over its work keeps what has no other place
		f.add("%s is pending and runs on %s", replica, list[0].peer.Name)
	} else if !w.Pending && !w.Held && good == 0 && len(list) == 0 {
		f.add("%s runs nowhere", replica)
	} else if good > 1 {
		f.add("%s runs %d times", replica, good)
	}
}

// sides groups the peers whose program runs by side, each sorted by ID.
func (s Snapshot) sides() [][]Peer {
	bySide := make(map[int][]Peer)
	for _, p := range s.Peers {
		if p.Alive {
			bySide[p.Side] = append(bySide[p.Side], p)
		}
	}
	var sides [][]Peer
	for _, n := range slices.Sorted(maps.Keys(bySide)) {
		side := bySide[n]
		slices.SortFunc(side, func(x, y Peer) int { return cmp.Compare(x.ID, y.ID) })
		sides = append(sides, side)
	}
	return sides
}

func (s Snapshot) peer(id string) (Peer, bool) {
	for _, p := range s.Peers {
		if p.ID == id {
			return p, true
		}
	}
	return Peer{}, false
}

func (s Snapshot) name(id string) string {
	if p, known := s.peer(id); known {
		return p.Name
	}
	return id
}
