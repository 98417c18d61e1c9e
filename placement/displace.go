package placement

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// displace gives pending replicas the room of others of lower priority: on the peer where the highest priority that has to go is the lowest,
// and then the fewest go (Kubernetes' order of preemption). What is stopping already, of lower priority, counts as room to come, so
// that a displacer stays with the peer that it chose until the room is there. Who was displaced is placed again, if there is room.
func (b *board) displace(pending []int32) {
	if !b.mayDisplace(pending) {
		return
	}
	d := displacing{round: b.newRound(byFit), extra: make([]Resources, len(b.peers)), on: b.placed(), stopping: make([][]int32, len(b.peers))}
	for at := range b.incumbents {
		if p := b.heldBy[at]; p != nowhere && b.incumbents[at].Stopping && b.heldFor[at] >= 0 {
			d.stopping[p] = append(d.stopping[p], int32(at))
		}
	}
	for p := range d.on {
		slices.SortFunc(d.on[p], d.goesBefore)
	}
	for len(pending) > 0 {
		i := pending[0]
		pending = pending[1:]
		if d.victim[i] && d.try(i) {
			d.on[d.place[i]] = inserted(d.on[d.place[i]], i, d.goesBefore)
			continue
		}
		if victims := d.makeRoom(i); len(victims) > 0 {
			pending = append(pending, victims...)
			slices.SortStableFunc(pending, func(x, y int32) int { return cmp.Compare(b.wanted[y].Priority, b.wanted[x].Priority) })
		}
	}
}

// mayDisplace says whether one of the pending has a higher priority than the lowest of all that have a place or are stopping.
func (b *board) mayDisplace(pending []int32) bool {
	highest := int64(math.MinInt64)
	for _, i := range pending {
		if !b.wanted[i].NeverDisplace {
			highest = max(highest, int64(b.wanted[i].Priority))
		}
	}
	if highest == math.MinInt64 {
		return false
	}
	for _, i := range b.order {
		if int64(b.wanted[i].Priority) < highest {
			return true
		}
	}
	return false
}

// placed lists what has its place on each peer.
func (b *board) placed() [][]int32 {
	on := make([][]int32, len(b.peers))
	for _, i := range b.order {
		if p := b.place[i]; p != nowhere {
			on[p] = append(on[p], i)
		}
	}
	return on
}

// displacing is the making of room.
type displacing struct {
	*round
	on       [][]int32   // of peers: what has its place there, in the order in which it would go
	stopping [][]int32   // of peers: the incumbents that are on their way out
	extra    []Resources // of peers: what those that go set free, less what those that come take of it
}

// goesBefore orders replicas of one peer: the lowest priority first, then the largest.
func (d *displacing) goesBefore(x, y int32) int {
	v, w := &d.wanted[x], &d.wanted[y]
	if v.Priority != w.Priority {
		return cmp.Compare(v.Priority, w.Priority)
	}
	if order := cmp.Compare(weigh(w.Request), weigh(v.Request)); order != 0 {
		return order
	}
	return strings.Compare(string(v.Replica), string(w.Replica))
}

// weigh sums CPU and memory at the rate of weights.
func weigh(r Resources) int64 {
	return min(max(r.CPUMillis, 0), mostLoad) + min(max(r.MemoryBytes, 0)/memoryPerMilli, mostLoad)
}

func inserted(list []int32, i int32, compare func(x, y int32) int) []int32 {
	at, _ := slices.BinarySearchFunc(list, i, compare)
	return slices.Insert(list, at, i)
}

// option is a peer, and who would have to go.
type option struct {
	peer    int32
	victims []int32
	highest int64 // priority of a victim
	hash    uint64
}

func (d *displacing) better(o, than *option) bool {
	switch {
	case than.peer == nowhere:
		return true
	case o.highest != than.highest:
		return o.highest < than.highest
	case len(o.victims) != len(than.victims):
		return len(o.victims) < len(than.victims)
	}
	return d.earlier(o.hash, o.peer, than.hash, than.peer)
}

// makeRoom gives a pending replica a place where others go, if there is one, and returns those.
func (d *displacing) makeRoom(i int32) []int32 {
	if d.wanted[i].NeverDisplace {
		return nil
	}
	a := d.ask(i)
	best := option{peer: nowhere}
	for _, peer := range a.ground.peers {
		if a.w.Only != "" && a.w.Only != d.peers[peer].ID || peer == a.avoid {
			continue
		}
		o := option{peer: peer, highest: math.MinInt64, hash: a.seed.hash(d.sites[peer].seed)}
		if d.victims(a, &o) && d.better(&o, &best) {
			best = o
		}
	}
	if best.peer != nowhere {
		d.carryOut(a, &best)
	}
	return best.victims
}

// victims finds who would have to go from a peer: the lowest and largest until there is room, without those that can stay after all.
func (d *displacing) victims(a *asking, o *option) bool {
	spare := d.spare(a, o.peer)
	fits := a.needs.within(&spare) && a.terms == nil // terms are looked at with all gone that may go
	for _, v := range d.on[o.peer] {
		if fits || d.wanted[v].Priority >= a.w.Priority {
			break
		}
		o.victims = append(o.victims, v)
		spare = spare.more(d.roomOf(v, o.peer))
		fits = a.needs.within(&spare) && a.terms == nil
	}
	if !a.needs.within(&spare) || !d.allowed(a, o.peer, o.victims) {
		return false
	}
	for n := len(o.victims) - 1; n >= 0; n-- { // the highest first
		with := spare.less(d.roomOf(o.victims[n], o.peer))
		others := slices.Delete(slices.Clone(o.victims), n, n+1)
		if a.needs.within(&with) && d.allowed(a, o.peer, others) {
			spare, o.victims = with, others
		}
	}
	for _, v := range o.victims {
		o.highest = max(o.highest, int64(d.wanted[v].Priority))
	}
	return true
}

// allowed says whether a peer's terms would allow a replica there without some others.
func (d *displacing) allowed(a *asking, peer int32, without []int32) bool {
	if a.terms == nil {
		return true
	}
	for _, v := range without {
		d.uncount(v, peer)
	}
	allowed := a.terms.allows(peer)
	for _, v := range without {
		d.recountAt(v, peer)
	}
	return allowed
}

// uncount takes what a replica is counted for on its peer out of all terms.
func (d *displacing) uncount(v, peer int32) {
	d.take(v, peer, d.heldThere(v, peer))
	for at := d.firstOf[v]; at >= 0; at = d.next[at] {
		if d.heldBy[at] == peer {
			d.release(at)
		}
	}
}

func (d *displacing) recountAt(v, peer int32) {
	for at := d.firstOf[v]; at >= 0; at = d.next[at] {
		if d.heldBy[at] == peer {
			d.hold(at)
		}
	}
	d.put(v, peer, d.heldThere(v, peer))
}

// heldThere says whether a replica with its place on a peer is there already.
func (d *displacing) heldThere(v, peer int32) bool { return d.stay[v].peer == peer }

// roomOf is the room that a replica has, or is to have, on the peer of its place.
func (d *displacing) roomOf(v, peer int32) Resources {
	if d.heldThere(v, peer) {
		return d.incumbents[d.stay[v].at].Request
	}
	return d.wanted[v].Request
}

// spare is the room that a displacer finds on a peer without displacing any more.
func (d *displacing) spare(a *asking, peer int32) Resources {
	return d.sites[peer].left.plus(d.extra[peer]).plus(d.coming(a.w.Priority, peer))
}

// coming is the room of what is stopping on a peer and of lower priority.
func (d *displacing) coming(priority int32, peer int32) (room Resources) {
	for _, at := range d.stopping[peer] {
		if d.wanted[d.heldFor[at]].Priority < priority {
			room = room.more(d.incumbents[at].Request)
		}
	}
	return room
}

// carryOut gives a replica its place. Room that is not there yet is nobody else's, nor is more of what is there than will be left.
func (d *displacing) carryOut(a *asking, o *option) {
	s := &d.sites[o.peer]
	coming := d.coming(a.w.Priority, o.peer)
	for _, v := range o.victims {
		d.oust(v, o.peer, a.i)
	}
	d.turnTo(d.groups.of[a.i])
	d.place[a.i], d.rule[a.i] = o.peer, Displaces
	d.count[o.peer]++
	d.put(a.i, o.peer, false)
	s.load = s.load.plus(a.load.load)
	d.extra[o.peer] = d.extra[o.peer].less(a.w.Request)
	now := s.left
	s.left = now.least(now.plus(d.extra[o.peer]).plus(coming))
	d.extra[o.peer] = d.extra[o.peer].plus(now.minus(s.left))
	d.on[o.peer] = inserted(d.on[o.peer], a.i, d.goesBefore)
}

// oust takes a replica's place away.
func (d *displacing) oust(v, peer, by int32) {
	held := d.heldThere(v, peer)
	d.turnTo(d.groups.of[v])
	d.uncount(v, peer)
	d.place[v], d.rule[v] = nowhere, ""
	d.count[peer]--
	s := &d.sites[peer]
	s.load = s.load.minus(d.loads[v])
	at := slices.Index(d.on[peer], v)
	d.on[peer] = slices.Delete(d.on[peer], at, at+1)
	delete(d.makes, v)
	if d.victim == nil {
		d.victim = map[int32]bool{}
	}
	d.victim[v] = true
	if !held {
		s.left = s.left.more(d.wanted[v].Request)
		return
	}
	d.extra[peer] = d.extra[peer].more(d.roomOf(v, peer))
	if d.makes == nil {
		d.makes, d.by = map[int32][]int32{}, map[int32]int32{}
	}
	d.makes[by], d.by[v] = append(d.makes[by], v), by
}
