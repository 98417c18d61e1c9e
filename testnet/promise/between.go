package promise

import "slices"

// CutAlone is P5: between two moments in which nothing happened but that a network was cut or
// joined, no container stopped. Surplus copies that go after the end of a cut are not its business:
// compare moments within the cut.
func CutAlone(before, after Snapshot) []Violation {
	f := findings{promise: "P5"}
	for _, p := range before.Peers {
		f.vanished(before, after, p)
	}
	return f.sorted()
}

// SameContainers is P10: the containers of one peer are the same before and after its program
// was restarted.
func SameContainers(before, after Snapshot, peer string) []Violation {
	f := findings{promise: "P10"}
	if p, known := before.peer(peer); known {
		f.vanished(before, after, p)
	}
	return f.sorted()
}

// vanished reports containers of p that no longer run, unless they ended by themselves or went to a peer that had not got its share before.
func (f *findings) vanished(before, after Snapshot, p Peer) {
	now, _ := after.peer(p.ID)
	for _, i := range p.Instances {
		for _, c := range i.Containers {
			if !slices.Contains(now.containers(), c) && !slices.Contains(after.Ended, c) && !before.filledWith(after, i) {
				f.add("%s/%s (generation %d) on %s no longer runs", c.Instance, c.Name, c.Generation, p.Name)
			}
		}
	}
}

// filledWith says whether an instance went to a peer that was to be given its share.
func (s Snapshot) filledWith(after Snapshot, i Instance) bool {
	return slices.ContainsFunc(after.balancedTo(i), func(id string) bool {
		taker, _ := s.peer(id)
		return taker.Filling
	})
}

// balanced says whether another copy of an instance is ready that was begun for the balance, and took its place.
func (s Snapshot) balanced(i Instance) bool { return len(s.balancedTo(i)) > 0 }

// balancedTo lists the peers on which such a copy is.
func (s Snapshot) balancedTo(i Instance) (ids []string) {
	for _, p := range s.Peers {
		if slices.ContainsFunc(p.Instances, func(x Instance) bool {
			return x.Balance && x.Ready && x.Replica == i.Replica && x.Revision == i.Revision
		}) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

func (p Peer) containers() []Container {
	var all []Container
	for _, i := range p.Instances {
		all = append(all, i.Containers...)
	}
	return all
}

// NeverDown is P7: a replica that every peer wants and that was ready somewhere is still ready
// somewhere, unless every ready instance of it was lost to a fault: its machine's power, or the end of
// one of its containers.
func NeverDown(before, after Snapshot) []Violation {
	f := findings{promise: "P7"}
	ready := after.ready()
	wantedBefore, wantedAfter := before.wantedByAll(), after.wantedByAll()
	for replica, list := range before.ready() {
		if !wantedBefore[replica] || !wantedAfter[replica] || len(ready[replica]) > 0 {
			continue
		}
		for _, i := range list {
			if !after.lost(i) {
				f.add("%s was ready on %s and is now ready nowhere", replica, i.peer.Name)
			}
		}
	}
	return f.sorted()
}

// ready lists the ready instances by replica, on machines that are on.
func (s Snapshot) ready() map[string][]placed {
	ready := make(map[string][]placed)
	for _, p := range s.Peers {
		for _, i := range p.Instances {
			if p.Powered && i.Ready {
				ready[i.Replica] = append(ready[i.Replica], placed{p, i})
			}
		}
	}
	return ready
}

func (s Snapshot) wantedByAll() map[string]bool {
	count, alive := make(map[string]int), 0
	for _, p := range s.Peers {
		if !p.Alive {
			continue
		}
		alive++
		for _, w := range p.Wanted {
			count[w.Replica]++
		}
	}
	wanted := make(map[string]bool)
	for replica, n := range count {
		wanted[replica] = n == alive
	}
	return wanted
}

// lost says whether an instance was lost to a fault: its machine is off, or a container that ran in it ended by itself.
func (s Snapshot) lost(i placed) bool {
	p, known := s.peer(i.peer.ID)
	return !known || !p.Powered || s.endedOn(i)
}

// Move is a replica that ran on some peers and now runs on none of them.
type Move struct {
	Replica string
	From    []string // names, sorted
	Needed  bool     // every peer that it ran on is off, cut away from all that want it, or leaving
}

// Moves lists the replicas that moved between two moments of rest, by replica. A new revision is no move.
func Moves(before, after Snapshot) []Move {
	var moves []Move
	for replica, list := range before.ready() {
		revision, wanted := after.wantedRevision(replica)
		if !wanted {
			continue
		}
		m := Move{Replica: replica, Needed: true}
		stayed := false
		for _, i := range list {
			now, _ := after.peer(i.peer.ID)
			switch {
			case i.Revision != revision:
				continue
			case slices.ContainsFunc(now.Instances, func(x Instance) bool { return x.ID == i.ID }):
				stayed = true
			case now.Alive && !now.Leaving && !after.endedOn(i) && !after.balanced(i.Instance):
				m.Needed = false
			}
			m.From = append(m.From, i.peer.Name)
		}
		if !stayed && len(m.From) > 0 {
			slices.Sort(m.From)
			moves = append(moves, m)
		}
	}
	slices.SortFunc(moves, func(x, y Move) int { return slices.Compare([]byte(x.Replica), []byte(y.Replica)) })
	return moves
}

// endedOn says whether a container that ran in an instance ended by itself since. What ended before, and was started again, does not count.
func (s Snapshot) endedOn(i placed) bool {
	return slices.ContainsFunc(i.Containers, func(c Container) bool { return slices.Contains(s.Ended, c) })
}

// wantedRevision is the revision of a replica that the first live peer which wants it wants.
func (s Snapshot) wantedRevision(replica string) (string, bool) {
	for _, side := range s.sides() {
		for _, p := range side {
			for _, w := range p.Wanted {
				if w.Replica == replica {
					return w.Revision, true
				}
			}
		}
	}
	return "", false
}

// MovedOnlyNeeded is P8 between two moments of rest: what could stay stayed. spare is how many moves more are
// accepted.
func MovedOnlyNeeded(before, after Snapshot, spare int) []Violation {
	f := findings{promise: "P8"}
	unneeded := 0
	for _, m := range Moves(before, after) {
		if !m.Needed {
			unneeded++
			f.add("%s left %v without need", m.Replica, m.From)
		}
	}
	if unneeded <= spare {
		return nil
	}
	return f.sorted()
}

// RunsOn is P8 for the end of a cut, between a moment within it and one of rest after it: where a copy of a replica was
// ready in the revision that is wanted, none is started anew. One of the copies that there were runs on as it was, or
// becomes ready where it was being made. Copies that were lost to a fault, and those on peers that hand over their work, do
// not count. Nor does a replica count of which a peer began another copy before it had heard again of those that run it: the
// plan then chooses among copies that are all ready.
func RunsOn(before, after Snapshot) []Violation {
	f := findings{promise: "P8"}
	held := before.held()
	for replica := range before.ready() {
		revision, wanted := after.wantedRevision(replica)
		if !wanted {
			continue
		}
		var from []string
		runs := false
		for _, i := range held[replica] {
			if now, _ := after.peer(i.peer.ID); i.Revision == revision && i.peer.Alive && now.Alive && !now.Leaving && !after.lost(i) && !after.balanced(i.Instance) {
				runs = runs || now.holds(i.Instance)
				if i.Ready {
					from = append(from, i.peer.Name)
				}
			}
		}
		if slices.Sort(from); !runs && len(from) > 0 && !before.begunUnaware(after, replica, revision) {
			f.add("%s was ready on %v in the revision that is wanted, and does not run on there", replica, from)
		}
	}
	return f.sorted()
}

// begunUnaware says whether a copy runs by now that was begun since by a peer which took those that run it for gone.
func (s Snapshot) begunUnaware(after Snapshot, replica, revision string) bool {
	return slices.ContainsFunc(after.held()[replica], func(i placed) bool {
		was, _ := s.peer(i.peer.ID)
		return i.Unaware && i.Revision == revision && !slices.ContainsFunc(was.Instances, func(x Instance) bool { return x.ID == i.ID })
	})
}

// held lists all instances by replica.
func (s Snapshot) held() map[string][]placed {
	held := make(map[string][]placed)
	for _, p := range s.Peers {
		for _, i := range p.Instances {
			held[i.Replica] = append(held[i.Replica], placed{p, i})
		}
	}
	return held
}

// holds says whether an instance is there, and all of its containers that ran do.
func (p Peer) holds(i Instance) bool {
	all := p.containers()
	return slices.ContainsFunc(p.Instances, func(now Instance) bool { return now.ID == i.ID }) &&
		!slices.ContainsFunc(i.Containers, func(c Container) bool { return !slices.Contains(all, c) })
}
