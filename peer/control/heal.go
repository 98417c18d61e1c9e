package control

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/placement"
	"shoal/runtime"
)

// A reunion leaves a receipt: who was away, what ran on both sides, what conflicted, what was stopped. Each peer writes its own, of what it
// sees of the rows: it knows which replicas others ran as well as it knows where the plan had them while they were away.

// Heal is the receipt of a reunion. All times are by this peer's clock; what others say by theirs is corrected by what is known of it.
type Heal struct {
	Began     time.Time
	Ended     time.Time // zero while it goes on
	Peers     []HealedPeer
	Twice     []RanTwice // by replica
	Conflicts []HealedConflict
	Stopped   []Note   // in the order in which it happened
	More      int      // what ran twice beyond the bound
	Short     []string // names of peers that stopped more than is listed
}

// HealedPeer is one that was lost and is back.
type HealedPeer struct {
	Peer crdt.PeerID
	Name string
	Lost time.Time // zero where this peer does not know when
	Back time.Time
}

// RanTwice is a replica that ran on two peers at once.
type RanTwice struct {
	Replica placement.ReplicaID
	Peers   [2]crdt.PeerID // the one that stayed in touch with this peer, and the one that came back
	Names   [2]string
	From    time.Time // since both had it
	Until   time.Time // until one of them was gone; zero while both run
	Gone    crdt.PeerID
}

// HealedConflict is an object of which fields were written on both sides.
type HealedConflict struct {
	Object crdt.Key
	Fields []string // "spec/replicas: by p4, in force; by p1", at most 8
	More   int
}

const (
	mostHeals      = 32
	mostTwice      = 256
	mostHealed     = 256 // conflicts, and stops
	healQuiet      = 15 * time.Second
	healSlack      = 5 * time.Second // others may notice that much sooner that somebody is back
	healMost       = 15 * time.Minute
	healFieldsMost = 8
)

// recordHeals is the name of the record of receipts: JSON of []Heal.
const recordHeals = "heals"

// heals keeps the receipts.
type heals struct {
	lost map[crdt.PeerID]time.Time // when those who do not answer were lost
	done []Heal                    // the oldest first
	now  *healing                  // nil while there is none

	gone     map[placement.ReplicaID]ran // what peers in touch have stopped lately, while others were lost or came back
	disputed []disputed                  // the newest, which a reunion that begins now may have brought
}

type disputed struct {
	key crdt.Key
	at  time.Duration
}

// healing is a reunion that goes on.
type healing struct {
	Heal
	began     time.Duration
	last      time.Duration                // when the last peer came back
	before    placement.Assignments        // the plan until then
	back      map[crdt.PeerID]bool         // who came back
	lost      map[crdt.PeerID]time.Time    // when each of these was lost
	twice     map[placement.ReplicaID]int  // in Twice
	of        map[crdt.PeerID]map[int]bool // open entries of Twice in which a peer is
	open      int                          // how many entries are open
	conflicts map[crdt.Key]bool
}

func (m *Machine) resumeHeals(records map[string][]byte) {
	m.heals.lost, m.heals.gone = map[crdt.PeerID]time.Time{}, map[placement.ReplicaID]ran{}
	if data := records[recordHeals]; data != nil && json.Unmarshal(data, &m.heals.done) != nil {
		m.heals.done = nil
		m.record(recordHeals, nil)
	}
}

// with says whether a peer came back in the reunion that goes on.
func (h *heals) with(peer crdt.PeerID) bool { return h.now != nil && h.now.back[peer] }

// ranTwice says whether a replica ran on both sides of the cut that heals now.
func (h *heals) ranTwice(replica placement.ReplicaID) bool {
	if h.now == nil {
		return false
	}
	_, twice := h.now.twice[replica]
	return twice
}

// healLost notes when a peer was lost. What it had twice nobody sees any more.
func (m *Machine) healLost(id crdt.PeerID) {
	h := &m.heals
	h.lost[id] = m.now.Wall
	if h.now == nil {
		return
	}
	for _, i := range slices.Sorted(maps.Keys(h.now.of[id])) {
		h.now.over(i, id, m.now.Wall)
	}
}

// healBack begins a reunion, or goes on with it.
func (m *Machine) healBack(id crdt.PeerID) {
	h := &m.heals
	lost, known := h.lost[id]
	if !known {
		lost, known = m.lostBeforeStart(id)
	}
	if delete(h.lost, id); !known {
		return
	}
	if h.now == nil {
		h.now = &healing{Heal: Heal{Began: m.now.Wall}, began: m.now.Elapsed, before: m.planner.plan.Assignments, back: map[crdt.PeerID]bool{},
			lost: map[crdt.PeerID]time.Time{}, twice: map[placement.ReplicaID]int{}, of: map[crdt.PeerID]map[int]bool{}, conflicts: map[crdt.Key]bool{}}
		for _, d := range h.disputed {
			h.now.conflicts[d.key] = h.now.conflicts[d.key] || m.now.Elapsed-d.at < healQuiet
		}
	}
	if h.now.back[id] {
		h.now.Peers = slices.DeleteFunc(h.now.Peers, func(p HealedPeer) bool { return p.Peer == id })
	}
	h.now.last, h.now.back[id], h.now.lost[id] = m.now.Elapsed, true, lost
	h.now.Peers = append(h.now.Peers, HealedPeer{Peer: id, Name: m.peerName(id), Lost: lost, Back: m.now.Wall})
	if m.members[id].fresh {
		m.healRow(id)
	}
}

// lostBeforeStart is when a peer was lost that this program has not heard of before: an earlier program had lost it, or it did not
// answer for so long after the start that it was not there.
func (m *Machine) lostBeforeStart(id crdt.PeerID) (lost time.Time, known bool) {
	if away := m.floors.lost.of[id]; away > 0 {
		return m.now.Wall.Add(-away), true
	}
	at, known := m.away.since[id]
	lost = fromMillis(at)
	return lost, known && m.now.Wall.Sub(lost) >= healQuiet
}

// healDisputed notes that an object came into conflict.
func (m *Machine) healDisputed(key crdt.Key) {
	h := &m.heals
	if h.now != nil && len(h.now.conflicts) < mostHealed {
		h.now.conflicts[key] = true
	}
	h.disputed = append(h.disputed, disputed{key, m.now.Elapsed})
	h.disputed = h.disputed[max(0, len(h.disputed)-mostHealed):]
}

// healRow looks at a new row: at what a peer that came back has and another one, that stayed, has too, and at what is no longer so.
func (m *Machine) healRow(id crdt.PeerID) {
	h, r := m.heals.now, m.rows[id]
	if h == nil || r == nil {
		return
	}
	for _, i := range slices.Sorted(maps.Keys(h.of[id])) {
		if _, runs := r.runs(h.Twice[i].Replica); !runs {
			h.over(i, id, m.endedThere(id, h.Twice[i].Replica))
		}
	}
	if !h.back[id] {
		return
	}
	m.healTold(id)
	began := m.localTime(id, h.Began, -1)
	for i := range r.incumbents {
		in := &r.incumbents[i]
		since, runs := r.runsSince(i)
		if !runs || in.Arriving || since.After(began) {
			continue
		}
		if other, known := m.stayed(in.Replica, h.lost[id]); known {
			m.healTwice(in.Replica, other, ran{peer: id, from: m.localTime(id, since, 1)})
		}
	}
}

// endedThere is when a peer ended a replica that its new row does not have running any more.
func (m *Machine) endedThere(id crdt.PeerID, replica placement.ReplicaID) time.Time {
	at := m.now.Wall
	for of, r := range m.ranOf(id, m.rows[id].observation) {
		if of == replica && r.until.Before(at) {
			at = r.until
		}
	}
	return at
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// runs says whether a replica runs by a row, be it on its way out, and since when by its peer's clock.
func (r *row) runs(replica placement.ReplicaID) (time.Time, bool) {
	for i := range r.incumbents {
		if r.incumbents[i].Replica != replica {
			continue
		}
		if since, runs := r.runsSince(i); runs {
			return since, true
		}
	}
	return time.Time{}, false
}

// runsSince says the same of one instance. What has lost its power does not run, although its peer still has it.
func (r *row) runsSince(i int) (since time.Time, runs bool) {
	for _, c := range r.observation.Instances[i].Containers {
		if phaseOf(c.Phase) != runtime.Running {
			continue
		}
		if started := fromMillis(c.StartedAt); !runs || started.Before(since) {
			since, runs = started, true
		}
	}
	return later(since, r.incumbents[i].Since), runs
}

// stayed is the copy of a replica on the peer in touch that had it by the plan until the reunion, if it runs there, or one that a peer in touch
// ended since another was lost: the one that ran for longer. Who has not heard yet of those that are back replaces for a moment what
// others have ended for them.
func (m *Machine) stayed(replica placement.ReplicaID, lost time.Time) (ran, bool) {
	h := m.heals.now
	gone, ended := m.heals.gone[replica]
	ended = ended && !h.back[gone.peer] && !gone.until.Before(lost)
	if a := m.planner.find(h.before, replica); a != nil {
		peer := crdt.PeerID(a.Peer)
		if r := m.rows[peer]; r != nil && !h.back[peer] && (peer == m.self || m.members[peer].live()) {
			since, runs := r.runs(replica)
			if since = m.localTime(peer, since, 1); runs && (!ended || gone.until.Sub(gone.from) < h.Began.Sub(since)) {
				return ran{peer: peer, from: since}, true
			}
		}
	}
	return gone, ended
}

// healTwice notes that two peers run one replica, or ran it at once until one of them stopped it. Of a replica that ran on three, as where
// one was filled in for a moment before all of its side were known to be lost, it keeps the two that had it at once for longest.
func (m *Machine) healTwice(replica placement.ReplicaID, stayed, back ran) {
	h := m.heals.now
	from, first := later(stayed.from, back.from), stayed
	if stayed.until.IsZero() || !back.until.IsZero() && back.until.Before(stayed.until) {
		first = back
	}
	peers := [2]crdt.PeerID{stayed.peer, back.peer}
	both := RanTwice{Replica: replica, Peers: peers, Names: [2]string{m.peerName(peers[0]), m.peerName(peers[1])}, From: from, Until: first.until}
	if both.span(m.now.Wall) <= 0 && !first.until.IsZero() {
		return
	}
	n, known := h.twice[replica]
	switch {
	case known && both.span(m.now.Wall) <= h.Twice[n].span(m.now.Wall):
		return
	case known && h.Twice[n].Until.IsZero():
		h.over(n, "", m.now.Wall)
	case !known && len(h.Twice) == mostTwice:
		h.More++
		return
	case !known:
		n = len(h.Twice)
		h.twice[replica], h.Twice = n, append(h.Twice, RanTwice{})
	}
	h.Twice[n] = both
	for _, p := range peers {
		if h.of[p] == nil {
			h.of[p] = map[int]bool{}
		}
		h.of[p][n] = true
	}
	h.open++
	if !first.until.IsZero() {
		h.over(n, first.peer, first.until)
	}
}

// span is for how long both had it, until now while both have.
func (t *RanTwice) span(now time.Time) time.Duration {
	if t.Until.IsZero() {
		return now.Sub(t.From)
	}
	return t.Until.Sub(t.From)
}

// over notes that one of the two has it no more.
func (h *healing) over(i int, gone crdt.PeerID, at time.Time) {
	t := &h.Twice[i]
	t.Until, t.Gone = at, gone
	h.open--
	for _, p := range t.Peers {
		delete(h.of[p], i)
	}
}

// localTime is a time by another peer's clock (direction 1) as this peer's clock would say it, or the other way round (-1).
func (m *Machine) localTime(peer crdt.PeerID, t time.Time, direction time.Duration) time.Time {
	clock, known := m.clocks.of[peer]
	if !known {
		return t
	}
	if ahead := clock.best(); ahead.Abs() >= time.Second {
		return t.Add(-direction * ahead)
	}
	return t
}

// heal ends a reunion when all is as it should be, and nobody has come back for a while.
func (m *Machine) heal() {
	h := m.heals.now
	if h == nil || m.now.Elapsed < m.healEnds() {
		return
	}
	m.heals.done = dropHeals(append(m.heals.done, m.receipt()))
	m.heals.now = nil
	clear(m.heals.gone)
	data, err := json.Marshal(m.heals.done)
	if err != nil {
		panic(err) // names, numbers and times always have a JSON form
	}
	m.record(recordHeals, data)
}

func (m *Machine) healEnds() time.Duration {
	h := m.heals.now
	if h.open > 0 {
		return h.last + healMost
	}
	return h.last + healQuiet
}

func (m *Machine) healDeadlines(at func(time.Duration)) {
	if m.heals.now != nil {
		at(m.healEnds())
	}
}

// receipt is what is known of the reunion that goes on.
func (m *Machine) receipt() Heal {
	h := m.heals.now
	r := h.Heal
	r.Ended = m.now.Wall
	r.Peers = slices.SortedFunc(slices.Values(h.Peers), func(a, b HealedPeer) int { return strings.Compare(a.Name, b.Name) })
	r.Twice = slices.SortedFunc(slices.Values(h.Twice), func(a, b RanTwice) int { return strings.Compare(string(a.Replica), string(b.Replica)) })
	for _, key := range slices.SortedFunc(maps.Keys(h.conflicts), compareKeys) {
		if o := m.objects[key]; o != nil && h.conflicts[key] && m.disputes[key] {
			r.Conflicts = append(r.Conflicts, m.healedConflict(key, dispute(&o.merged)))
		}
	}
	r.Stopped, r.Short = m.healStops(h)
	return r
}

func (m *Machine) healedConflict(key crdt.Key, fields []crdt.Field) HealedConflict {
	c := HealedConflict{Object: key, More: max(0, len(fields)-healFieldsMost)}
	for _, f := range fields[:len(fields)-c.More] {
		text := fmt.Sprintf("%s: by %s, in force", f.Path, m.peerName(f.Writer.Writer))
		for _, rival := range f.Conflicts {
			text += "; by " + m.peerName(rival.Writer.Writer)
		}
		c.Fields = append(c.Fields, cut(text))
	}
	return c
}

// dropHeals keeps the bound: receipts that say nothing but who came back go first, then the oldest.
func dropHeals(all []Heal) []Heal {
	for len(all) > mostHeals {
		i := max(0, slices.IndexFunc(all, func(h Heal) bool { return len(h.Twice)+len(h.Conflicts)+len(h.Stopped) == 0 }))
		all = slices.Delete(all, i, i+1)
	}
	return all
}

// Heals returns the receipts of reunions, the oldest first: at most 32, and that of the one that goes on.
func (m *Machine) Heals() []Heal {
	all := slices.Clone(m.heals.done)
	if m.heals.now != nil {
		r := m.receipt()
		r.Ended = time.Time{}
		all = append(all, r)
	}
	return all
}
