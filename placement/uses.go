package placement

import "slices"

// put counts a wanted replica where it is assigned. Held says that an instance of its wanted revision is there already, whose ports
// and devices are counted with it.
func (b *board) put(i, peer int32, held bool) { b.count(i, peer, held, 1) }

// take undoes put.
func (b *board) take(i, peer int32, held bool) { b.count(i, peer, held, -1) }

// startCounts counts what is where, once in a plan and only if something asks.
func (b *board) startCounts() {
	b.linkRules()
	if b.book.counting {
		return
	}
	b.book.reset(len(b.incumbents))
	for at := range b.incumbents {
		b.hold(int32(at))
	}
	for i, peer := range b.place {
		if peer != nowhere {
			b.put(int32(i), peer, b.holdsWanted(int32(i), peer))
		}
	}
}

// holdsWanted says whether a peer has an instance of a replica in its wanted revision that is not on its way out.
func (b *board) holdsWanted(i, peer int32) bool {
	for at := b.firstOf[i]; at >= 0; at = b.next[at] {
		if held := &b.incumbents[at]; b.heldBy[at] == peer && held.Revision == b.wanted[i].Revision && !held.Stopping {
			return true
		}
	}
	return false
}

func (b *board) count(i, peer int32, held bool, sign int64) {
	if b.book == nil || !b.book.counting {
		return // they are counted with all others when the first asks
	}
	w, k := &b.wanted[i], b.kindOf(i)
	if !held {
		b.use(peer, w.Ports, w.Devices, sign)
	}
	for _, t := range k.counted {
		if domain := t.domain[peer]; domain != noDomain {
			t.assigned.add(domain, sign)
			t.assignedTotal += sign
		}
	}
	for i := range k.pulls {
		if domain := k.pulls[i].domain[peer]; domain != noDomain {
			k.pulls[i].pull.add(domain, sign*k.pulls[i].weight)
		}
	}
	for _, e := range k.evened {
		e.add(peer, sign)
	}
	if !b.hasInstance(i, peer) {
		k.appear(peer, sign)
	}
}

// hold counts what an incumbent has of its peer.
func (b *board) hold(at int32) {
	b.startCounts()
	if !b.book.held[at] {
		b.book.held[at] = true
		b.countHeld(at, 1)
	}
}

// release undoes hold.
func (b *board) release(at int32) {
	b.startCounts()
	if b.book.held[at] {
		b.book.held[at] = false
		b.countHeld(at, -1)
	}
}

func (b *board) countHeld(at int32, sign int64) {
	held, peer := &b.incumbents[at], b.heldBy[at]
	if peer == nowhere {
		return
	}
	b.use(peer, held.Ports, held.Devices, sign)
	if i := b.heldFor[at]; i >= 0 && b.peers[peer].Live {
		b.kindOf(i).appear(peer, sign)
	}
}

// appear counts an instance for those that must be apart.
func (k *kind) appear(peer int32, sign int64) {
	for _, t := range k.counted {
		if domain := t.domain[peer]; domain != noDomain {
			t.present.add(domain, sign)
		}
	}
	for i := range k.apartFrom {
		if t := k.apartFrom[i].tally; t.domain[peer] != noDomain {
			t.barred.add(t.domain[peer], sign)
		}
	}
}

// hasInstance says whether a live peer has an instance of a wanted replica, of any revision, released or not.
func (b *board) hasInstance(i, peer int32) bool {
	for at := b.firstOf[i]; at >= 0; at = b.next[at] {
		if b.heldBy[at] == peer {
			return b.peers[peer].Live
		}
	}
	return false
}

// use takes ports and devices of a peer, or gives them back.
func (b *board) use(peer int32, ports []Port, devices []Amount, sign int64) {
	if len(ports) > 0 {
		if b.book.ports == nil {
			b.book.ports = make([][]Port, len(b.peers))
		}
		b.book.ports[peer] = changed(b.book.ports[peer], ports, sign)
	}
	for _, asks := range devices {
		if b.book.devices == nil {
			b.book.devices = make([][]Amount, len(b.peers))
		}
		b.book.devices[peer] = used(b.book.devices[peer], asks, sign)
	}
}

func changed(taken, ports []Port, sign int64) []Port {
	if sign > 0 {
		return append(taken, ports...)
	}
	for _, port := range ports {
		if at := slices.Index(taken, port); at >= 0 {
			taken = slices.Delete(taken, at, at+1)
		}
	}
	return taken
}

// manyDevices is more than any peer has; counting no more of them keeps absurd requests from wrapping around.
const manyDevices = 1 << 40

func used(taken []Amount, asks Amount, sign int64) []Amount {
	amount := sign * min(max(asks.Count, 0), manyDevices)
	for i := range taken {
		if taken[i].Name == asks.Name {
			taken[i].Count += amount
			return taken
		}
	}
	return append(taken, Amount{asks.Name, amount})
}

// deviceLeft returns how many of an extended resource a peer has left.
func (b *board) deviceLeft(peer int32, name string) int64 {
	left := countOf(b.peers[peer].Devices, name)
	if b.book.devices != nil {
		left -= countOf(b.book.devices[peer], name)
	}
	return left
}

func countOf(amounts []Amount, name string) int64 {
	for i := range amounts {
		if amounts[i].Name == name {
			return amounts[i].Count
		}
	}
	return 0
}

// clashes says whether two ports cannot be had both on one peer: as in Kubernetes, one for all addresses clashes with any.
func (p Port) clashes(q Port) bool {
	return p.Number == q.Number && p.Protocol == q.Protocol && (p.IP == q.IP || p.everywhere() || q.everywhere())
}

func (p Port) everywhere() bool { return p.IP == "" || p.IP == "0.0.0.0" || p.IP == "::" }

// taken counts what clashes with a port on a peer. What a pinned replica's own older instance has does not count: it goes before
// the new one comes, since there is no other peer for it.
func (t *terms) taken(peer int32, port Port) int {
	if t.book.ports == nil {
		return 0
	}
	count := clashing(t.book.ports[peer], port)
	if count > 0 && t.w.Only != "" {
		for _, at := range t.own {
			if t.book.held[at] && t.heldBy[at] == peer {
				count -= clashing(t.incumbents[at].Ports, port)
			}
		}
	}
	return count
}

func clashing(ports []Port, port Port) int {
	count := 0
	for _, other := range ports {
		if other.clashes(port) {
			count++
		}
	}
	return count
}

func (t *terms) portsFree(peer int32) bool {
	for _, port := range t.w.Ports {
		if t.taken(peer, port) > 0 {
			return false
		}
	}
	return true
}

// deviceFor returns how many of an extended resource the replica may have on a peer.
func (t *terms) deviceFor(peer int32, name string) int64 {
	left := t.deviceLeft(peer, name)
	if t.w.Only != "" {
		for _, at := range t.own {
			if t.book.held[at] && t.heldBy[at] == peer {
				left += countOf(t.incumbents[at].Devices, name)
			}
		}
	}
	return left
}

func (t *terms) devicesLeft(peer int32) bool {
	for _, asks := range t.w.Devices {
		if need(asks.Count) > t.deviceFor(peer, asks.Name) {
			return false
		}
	}
	return true
}
