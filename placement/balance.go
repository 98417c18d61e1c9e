package placement

import (
	"cmp"
	"slices"
	"time"
)

// deadBand is how far below its share, in millionths, a peer may be before it is filled, and how far above it before it is emptied. It is what
// makes rebalancing end.
const deadBand = whole / 20

// inMotion is one part in so many: no more of all replicas are on their way for the balance at once.
const inMotion = 20

// rebalance moves replicas to peers that joined or came back and have less than their share of all load, and away from peers whose
// health fell; nothing else is worth a move, so that neither a loss nor what is applied or deleted moves what it has nothing to do with. Each
// move is a gain: the peer that is given one stays less full, by its share, than the other was. So moves
// have an end, and none is ever taken back while nothing else changes (the sorted vector of fullness falls with each). They go to
// peers in good health that have been up and in touch for a while, and at most so many are on their way at once.
func (b *board) rebalance() {
	if !slices.ContainsFunc(b.peers, func(p Peer) bool { return p.Live && (!p.Came.IsZero() || p.Health > 0) }) {
		return
	}
	b.sharePlaced()
	m := balancing{board: b, full: make([]int64, len(b.peers)), done: make([]bool, len(b.peers)), barren: make([][]barren, len(b.peers))}
	if !m.asked() || !m.allowed() {
		return
	}
	m.on = b.placed()
	m.weigh()
	m.rank()
	m.moveTo(m.came)
	clear(m.done)
	clear(m.barren)
	m.sick = true
	m.moveTo(m.takers)
}

// moveTo moves replicas to peers, always to the one that has the least of its share, until nothing is gained any more.
func (m *balancing) moveTo(takers []int32) {
	takers = m.gaining(takers)
	for m.most > 0 {
		to := m.emptiest(takers)
		if to == nowhere || !m.sick && m.full[to] >= whole-deadBand {
			return
		}
		m.done[to] = !m.fill(to)
	}
}

// gaining leaves those of the peers that could be given anything at all: most often none could.
func (m *balancing) gaining(takers []int32) (some []int32) {
	var first time.Time // when the first of all that may be moved began
	any := false
	for from := range m.could {
		if len(m.could[from]) > 0 && (!any || m.oldest[from].Before(first)) {
			first, any = m.oldest[from], true
		}
	}
	for _, to := range takers {
		if any && (m.sick || first.Before(m.peers[to].Came)) {
			some = append(some, to)
		}
	}
	return some
}

// began says whether a peer has anything for another by its age: to one that came goes only what began before, for what began later
// had it to choose.
func (m *balancing) began(from, to int32) bool {
	return m.sick || m.oldest[from].Before(m.peers[to].Came)
}

// gives says whether something may be moved away from a peer.
func (m *balancing) gives(from int32) bool {
	if m.sick {
		return m.peers[from].Health > 0 && m.full[from] > whole+deadBand
	}
	return m.full[from] > whole
}

// balancing is one plan's moves.
type balancing struct {
	*board
	full   []int64     // of peers: how much of its share each has; 0 of those that give and take nothing
	takers []int32     // peers that may be given more
	came   []int32     // of those, the ones that came not long ago
	sick   bool        // peers in bad health are emptied; else those that came are filled
	done   []bool      // of peers: nothing can be found for it
	on     [][]int32   // of peers: what has its place there
	could  [][]int32   // of peers that have more than their share: what of it may be moved
	oldest []time.Time // of could: when the first of them began
	least  []load      // of peers: no replica there that may be moved weighs less
	givers []int32     // that have anything that may be moved, the fullest first
	found  []offer     // by pick
	moving []int       // of workloads: how many are on their way
	most   int         // how many more may be
	barren [][]barren  // of takers, by giver; nil: none yet
}

// asked says whether there is a peer to fill, or one to empty because its health fell.
func (m *balancing) asked() (asked bool) {
	for i := range m.sites {
		p, s := &m.peers[i], &m.sites[i]
		if !m.takes[i] || s.fair == (load{}) {
			continue
		}
		m.full[i] = s.fullness(load{})
		if p.Steady && p.Health == 0 {
			m.takers = append(m.takers, int32(i))
			if !p.Came.IsZero() {
				m.came = append(m.came, int32(i))
				asked = asked || m.full[i] < whole-deadBand
			}
		}
		asked = asked || p.Health > 0 && m.full[i] > whole+deadBand
	}
	return asked && len(m.takers) > 0
}

// allowed counts what is on its way, and says whether there may be more.
func (m *balancing) allowed() bool {
	m.most = max(1, len(m.order)/inMotion)
	m.moving = make([]int, len(m.groups.members))
	for _, i := range m.order {
		if m.rule[i] == Moving {
			m.moving[m.groups.of[i]]++
			m.most--
		}
	}
	return m.most > 0
}

// emptiest is the peer that has the least of its share and for which there may yet be something.
func (m *balancing) emptiest(takers []int32) int32 {
	best := int32(nowhere)
	for _, p := range takers {
		if !m.done[p] && (best == nowhere || m.full[p] < m.full[best]) {
			best = p
		}
	}
	return best
}

// fill moves one replica to a peer, from the fullest that can give one.
func (m *balancing) fill(to int32) bool {
	if m.barren[to] == nil {
		m.barren[to] = make([]barren, len(m.peers))
	}
	for _, sparing := range []bool{true, false} {
		for _, from := range m.givers {
			if m.full[from] <= m.full[to] {
				break
			}
			if m.barren[to][from].knows(sparing) || from == to || !m.gives(from) || !m.began(from, to) || m.sites[to].fullness(m.least[from]) >= m.full[from] ||
				!m.leaves(m.least[from], from, to, sparing) {
				continue
			}
			if i := m.pick(from, to, sparing); i >= 0 {
				m.move(i, from, to)
				return true
			}
		}
	}
	return false
}

// rank sorts the givers, the fullest first.
func (m *balancing) rank() {
	for p := range m.could {
		if len(m.could[p]) > 0 {
			m.givers = append(m.givers, int32(p))
		}
	}
	slices.SortFunc(m.givers, m.fuller)
}

func (m *balancing) fuller(x, y int32) int {
	return cmp.Or(cmp.Compare(m.full[y], m.full[x]), cmp.Compare(x, y))
}

// refill says how full a peer is now, and puts it among the givers where that belongs.
func (m *balancing) refill(p int32) {
	at := slices.Index(m.givers, p)
	if at >= 0 {
		m.givers = slices.Delete(m.givers, at, at+1)
	}
	m.full[p] = m.sites[p].fullness(load{})
	if at >= 0 {
		at, _ = slices.BinarySearchFunc(m.givers, p, m.fuller)
		m.givers = slices.Insert(m.givers, at, p)
	}
}

// weigh finds what each peer may give, when the first of it began, and the least load of it.
func (m *balancing) weigh() {
	m.could, m.oldest, m.least = make([][]int32, len(m.peers)), make([]time.Time, len(m.peers)), make([]load, len(m.peers))
	for p, on := range m.on {
		least, oldest := load{mostLoad, mostLoad}, time.Time{}
		if m.full[p] > whole {
			for _, i := range on {
				if !m.mayMove(i) {
					continue
				}
				since := m.incumbents[m.stay[i].at].Since
				if len(m.could[p]) == 0 || since.Before(oldest) {
					oldest = since
				}
				m.could[p] = append(m.could[p], i)
				least = load{min(least.cpuMillis, m.loads[i].cpuMillis), min(least.memoryKiB, m.loads[i].memoryKiB)}
			}
		}
		m.oldest[p], m.least[p] = oldest, least
	}
}

func (m *balancing) move(i, from, to int32) {
	m.take(i, from, true)
	at := slices.Index(m.on[from], i)
	m.on[from] = slices.Delete(m.on[from], at, at+1)
	m.on[to] = append(m.on[to], i)
	m.sites[from].load = m.sites[from].load.minus(m.loads[i])
	m.settle(i, to, Rebalance)
	if m.from == nil {
		m.from = map[int32]int32{}
	}
	m.from[i] = from
	m.refill(from)
	m.refill(to)
	m.barren[from] = nil // it has room for more
	for _, by := range m.barren {
		if by != nil {
			by[to] = barren{} // it may have something now
		}
	}
	m.moving[m.groups.of[i]]++
	m.most--
}
