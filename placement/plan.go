package placement

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Plan assigns every wanted replica. It is pure: equal views, in any order, give equal plans.
// IDs must be unique within Peers and within Wanted. A peer that Incumbents name and Peers do not is not live.
func (v View) Plan() Plan {
	b := newBoard(v)
	b.keep()
	b.placeRest()
	plan := Plan{Assignments: make([]Assignment, len(b.wanted))}
	for i, w := range b.wanted {
		a := Assignment{Replica: w.Replica, Workload: w.Workload, Revision: w.Revision, Rule: b.rule[i]}
		if b.place[i] != nowhere {
			a.Peer = b.peers[b.place[i]].ID
		}
		plan.Assignments[i] = a
	}
	plan.Digest = digest(plan.Assignments)
	return plan
}

// keep lets incumbents stay where they can.
func (b *board) keep() {
	for i := range b.wanted {
		w := &b.wanted[i]
		best := int32(-1)
		for at := b.firstOf[i]; at >= 0; at = b.next[at] {
			if b.mayStay(w, &b.incumbents[at]) && (best < 0 || b.staysBefore(w, at, best)) {
				best = at
			}
		}
		if best >= 0 {
			b.place[i], b.rule[i] = b.peerAt[b.incumbents[best].Peer], Stays
		}
	}
}

func (b *board) mayStay(w *Wanted, held *Incumbent) bool {
	if held.Revision != w.Revision || held.Stopping {
		return false
	}
	p, known := b.peerAt[held.Peer]
	if !known || !b.peers[p].open(w.NodeSelector) {
		return false
	}
	if held.Ready || len(b.refusals) == 0 {
		return true
	}
	_, refused := b.refused(w, held.Peer)
	return !refused
}

// staysBefore orders two incumbents of one replica: ready ones first, then by the replica's hash order. Nothing
// about other replicas counts: while surplus ones go one by one, peers see different stages of it, and
// must not change their minds because of that, or two peers would each leave a replica to the other.
func (b *board) staysBefore(w *Wanted, x, y int32) bool {
	if b.incumbents[x].Ready != b.incumbents[y].Ready {
		return b.incumbents[x].Ready
	}
	b.sow()
	return b.before(seedOf(string(w.Replica)), b.peerAt[b.incumbents[x].Peer], b.peerAt[b.incumbents[y].Peer])
}

// before says whether peer x comes before peer y in the hash order of the replica with this seed.
func (b *board) before(seed uint64, x, y int32) bool {
	sx, sy := &b.sites[x], &b.sites[y]
	hx, hy := mix(seed^sx.seed), mix(seed^sy.seed)
	if hx == hy && sx.weight == sy.weight {
		return x < y
	}
	return earlier(hx, sx.weight, hy, sy.weight)
}

// digest is over where everything should run. Rules are left out: a replica that has arrived
// where it was sent does not change the plan.
func digest(assignments []Assignment) [32]byte {
	const head = "shoal plan 1\n"
	size := len(head)
	for _, a := range assignments {
		size += 16 + len(a.Replica) + len(a.Workload) + len(a.Revision) + len(a.Peer)
	}
	text := append(make([]byte, 0, size), head...)
	for _, a := range assignments {
		for _, part := range [...]string{string(a.Replica), string(a.Workload), string(a.Revision), string(a.Peer)} {
			text = binary.BigEndian.AppendUint32(text, uint32(len(part)))
			text = append(text, part...)
		}
	}
	return sha256.Sum256(text)
}

// rest returns the replicas without a place in the order in which they are placed: the largest
// first, because they have the fewest places, and those of one workload together.
func (b *board) rest() []int32 {
	var all Resources
	for _, p := range b.peers {
		if p.Live {
			all.CPUMillis += p.Room.CPUMillis
			all.MemoryBytes += p.Room.MemoryBytes
		}
	}
	type entry struct {
		size int64
		at   int32
	}
	var entries []entry
	for i, w := range b.wanted {
		if b.place[i] == nowhere {
			entries = append(entries, entry{w.Request.largest(all), int32(i)})
		}
	}
	slices.SortFunc(entries, func(x, y entry) int {
		return cmp.Or(cmp.Compare(y.size, x.size), cmp.Compare(b.wanted[x.at].Workload, b.wanted[y.at].Workload), cmp.Compare(x.at, y.at))
	})
	order := make([]int32, len(entries))
	for i, e := range entries {
		order[i] = e.at
	}
	return order
}
