package placement

import "math/bits"

// load is what replicas weigh where load is shared out. One that asks for nothing counts as Kubernetes' scheduler counts it
// (GetNonzeroRequests): 100 thousandths of a CPU, 200 MB.
type load struct{ cpuMillis, memoryKiB int64 }

const (
	leastCPUMillis = 100
	leastMemoryKiB = 200_000_000 >> 10
	mostLoad       = 1 << 40 // so that sums over a hundred thousand stay within 64 bits
)

func loadOf(request Resources) load {
	return load{
		cpuMillis: counted(request.CPUMillis, leastCPUMillis),
		memoryKiB: counted(request.MemoryBytes>>10, leastMemoryKiB),
	}
}

func counted(amount, least int64) int64 {
	if amount <= 0 {
		return least
	}
	return min(amount, mostLoad)
}

func (l load) plus(o load) load  { return load{l.cpuMillis + o.cpuMillis, l.memoryKiB + o.memoryKiB} }
func (l load) minus(o load) load { return load{l.cpuMillis - o.cpuMillis, l.memoryKiB - o.memoryKiB} }

// of is what part of all comes to of an amount: amount*part/all, without overflow.
func (l load) of(part, all load) load {
	return load{portion(l.cpuMillis, part.cpuMillis, all.cpuMillis), portion(l.memoryKiB, part.memoryKiB, all.memoryKiB)}
}

func portion(amount, part, all int64) int64 {
	if amount <= 0 || part <= 0 || all <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(amount), uint64(part))
	if high >= uint64(all) {
		return mostLoad
	}
	quotient, _ := bits.Div64(high, low, uint64(all))
	return int64(min(quotient, mostLoad))
}

// takesNew says whether a peer may be given anything, as far as it is about the peer alone.
func (b *board) takesNew(p *Peer) bool {
	return p.Live && !p.Draining && !p.Cordoned && !b.shuns(p)
}

// shareOut works out each peer's fair share of all that runs or is to run on peers that take new replicas.
func (b *board) shareOut() {
	b.rules() // that know whether all are damped
	b.takes = resized(b.takes, len(b.peers))
	for i := range b.peers {
		b.takes[i] = b.takesNew(&b.peers[i])
	}
	var asked load
	for _, i := range b.order {
		if b.counts(i) {
			asked = asked.plus(b.loads[i])
		}
	}
	for i := range b.sites {
		b.sites[i].load = load{}
	}
	b.share(asked)
}

// counts says whether a replica is shared out: not while it stays on a peer that takes nothing new.
func (b *board) counts(i int32) bool {
	p := b.stay[i].peer
	return p == nowhere || b.takes[p]
}

// share gives each peer that takes new replicas as much of a load as its part of their room, a peer in fair health half of that and one in poor
// health an eighth.
func (b *board) share(shared load) {
	rooms := make([]load, len(b.peers))
	var all load
	for i := range b.peers {
		if b.takes[i] {
			rooms[i] = roomFor(&b.peers[i])
			all = all.plus(rooms[i])
		}
	}
	for i := range b.sites {
		b.sites[i].fair = shared.of(rooms[i], all)
	}
	b.shared = shared
}

// sharePlaced leaves out of the fair shares what found no place: it can be nobody's.
func (b *board) sharePlaced() {
	placed := b.shared
	for _, i := range b.order {
		if b.place[i] == nowhere && b.counts(i) {
			placed = placed.minus(b.loads[i])
		}
	}
	if placed != b.shared {
		b.share(placed)
	}
}

// roomFor is a peer's room as it counts for its share.
func roomFor(p *Peer) load {
	parts := int64(8)
	switch {
	case p.Health == 1:
		parts = 4
	case p.Health >= 2:
		parts = 1
	}
	return load{min(max(p.Room.CPUMillis, 0), mostLoad) * parts, min(max(p.Room.MemoryBytes>>10, 0), mostLoad) * parts}
}

// step is by how much more of its share than another a peer must have to come after it, in millionths.
const step = whole / 50

// surplus is how far a load is beyond a fair one, in steps: 0 within it. The scarcer of CPU and memory counts.
func (s *site) surplus(with load) int {
	after := s.load.plus(with)
	if after.cpuMillis <= s.fair.cpuMillis && after.memoryKiB <= s.fair.memoryKiB {
		return 0
	}
	beyond := max(ratio(after.cpuMillis, s.fair.cpuMillis), ratio(after.memoryKiB, s.fair.memoryKiB)) - whole
	return 1 + int(max(beyond, 0)/step)
}

// burden is a load as it counts for the balance: what part it is of all there is to share out, of CPU and of memory. They are in proportion
// only, the larger between 2^19 and 2^20.
type burden struct {
	load
	cpuPart, memoryPart int64
}

// burdenOf weighs a load.
func (b *board) burdenOf(with load) burden {
	cpu, memory := portion(mostLoad, with.cpuMillis, b.shared.cpuMillis), portion(mostLoad, with.memoryKiB, b.shared.memoryKiB)
	if surplus := bits.Len64(uint64(max(cpu, memory))) - 20; surplus > 0 {
		cpu, memory = cpu>>surplus, memory>>surplus
	}
	return burden{with, cpu, memory}
}

// mostGrowth is that of a load beyond all measure.
const mostGrowth = 1 << 62

// growth is by how much a load adds to the sum, over all peers and over CPU and memory, of a peer's share times the cube of its load as a part of
// that share. To choose where it is least evens out both at once: what is full of CPU is given what asks for memory (vector scheduling in the L3
// norm; Azar, Cohen, Kamara, Shepherd 2013), and peers of all sizes are filled alike.
func (s *site) growth(with *burden) int64 {
	after := s.load.plus(with.load)
	cpu, memory := ratio(after.cpuMillis, s.fair.cpuMillis), ratio(after.memoryKiB, s.fair.memoryKiB)
	if cpu > mostCubed || memory > mostCubed {
		return mostGrowth
	}
	return with.cpuPart*rise(ratio(s.load.cpuMillis, s.fair.cpuMillis), cpu) + with.memoryPart*rise(ratio(s.load.memoryKiB, s.fair.memoryKiB), memory)
}

// mostCubed is the largest ratio that is told from larger ones.
const mostCubed = 100 * whole

// rise is that of the cube of a ratio, for each step that the ratio rises, in millionths.
func rise(before, after int64) int64 {
	return (before*before + before*after + after*after) / whole
}

// mostRatio is the ratio of something to nothing.
const mostRatio = 1 << 30

// ratio of an amount to a fair one, in millionths.
func ratio(amount, fair int64) int64 {
	switch {
	case amount <= 0:
		return 0
	case fair <= 0 || amount/fair >= mostRatio/whole:
		return mostRatio
	}
	high, low := bits.Mul64(uint64(amount), whole)
	quotient, _ := bits.Div64(high, low, uint64(fair))
	return int64(min(quotient, mostRatio))
}

// skew is how far apart the shares of CPU and of memory would be with another load, in millionths.
func (s *site) skew(with load) int64 {
	after := s.load.plus(with)
	apart := ratio(after.cpuMillis, s.fair.cpuMillis) - ratio(after.memoryKiB, s.fair.memoryKiB)
	return max(apart, -apart)
}

// fullness is how much of its share a peer would have with another load, in millionths: the mean of CPU and memory.
func (s *site) fullness(with load) int64 {
	after := s.load.plus(with)
	return (ratio(after.cpuMillis, s.fair.cpuMillis) + ratio(after.memoryKiB, s.fair.memoryKiB)) / 2
}
