package control

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/crdt"
)

// A peer that comes and goes makes others move work each time. So it keeps a score of itself, after route flap damping
// (RFC 2439): each flap adds a penalty, which halves every flapHalf; from flapDamp on it says in its row that it is damped, and
// does so until less than flapFree is left. It stays a member, and keeps what it has; plans give it nothing new. Only the
// peer itself decides, so that equal rows give equal plans.
//
//	penalty
//	 2000 |         lost again, 4 minutes later
//	      |          |\ 1800
//	 1500 |- - - - - | -\- - - - - - - - - damped from here on
//	 1000 | lost     |    \ _
//	      |  |\ _    |        \ _
//	  750 |- | - \ - | - - - - - - \ - - - taken for good again
//	      |  |     \ |               \ _
//	      +----------------------------------> 16 minutes
//
// RFC 2439 leaves the figures to the operator; vendors took 1000 for a withdrawal, 500 for a change, 2000 or 3000 to damp, 750 to
// reuse, a half-life of 15 minutes and an hour at most. Here a flap costs more, since containers are started for it, so the
// second one within a half-life damps; one alone never does, so that a machine that was out for once has its share again at
// once. A start that nobody else noticed, as of an upgrade, is a change: half a flap. Nothing here delays how a loss is handled.
const (
	flapBoot = 500
	flapLost = 1000
	flapDamp = 1500
	flapFree = 750
	flapMost = 6000 // free again three half-lives after the last flap at the latest
	flapHalf = 10 * time.Minute

	// flapOnce is for how long what others say is about one absence.
	flapOnce = 30 * time.Second
	// steadyAfter is how long a peer must be up and in touch before plans give it what runs elsewhere: longer than membership
	// and rows take to settle after a start or a cut (Settle and a few rounds), short against the minute within which it should
	// have its share.
	steadyAfter = 15 * time.Second
	// cameFor is for how long plans see to it that a peer that came gets its share of what began elsewhere before, at the longest: many times
	// the minute that it takes.
	cameFor = 10 * time.Minute
	// filledAfter is for how long nothing must have been on its way for the balance until a peer that came counts as filled: some
	// things cannot be moved at first, since they are not ready yet.
	filledAfter = time.Minute
)

// recordFlap holds the score: a version, the penalty, when it was that (wall clock), and whether the peer was damped.
const recordFlap = "flap"

const flapVersion = 1

// flap is this peer's own score.
type flap struct {
	penalty int64
	at      time.Duration // when it was that
	wall    int64         // the same in an earlier life; 0: there was none
	damped  bool
	steady  bool

	disturbed time.Duration                 // when it was last lost, or started
	came      int64                         // when it last came, by the wall clock, for cameFor; then 0
	cameAt    time.Duration                 // the same by this program's clock
	still     time.Duration                 // since when, since it came, plans have moved nothing for the balance; 0: they do, or it is not steady
	counted   bool                          // disturbed is of an absence that has been counted in full
	told      map[crdt.PeerID]time.Duration // who said lately to have lost this peer; at most one entry for each that is live
}

func (f *flap) resume(record []byte) {
	if len(record) != 14 || record[0] != flapVersion {
		return
	}
	f.penalty = min(int64(binary.BigEndian.Uint32(record[1:])), flapMost)
	f.wall = int64(binary.BigEndian.Uint64(record[5:]))
	f.damped = record[13] == 1
}

func (m *Machine) recordFlap() {
	f := &m.flap
	value := binary.BigEndian.AppendUint32([]byte{flapVersion}, uint32(f.penalty))
	value = binary.BigEndian.AppendUint64(value, uint64(millis(m.now.Wall)))
	damped := byte(0)
	if f.damped {
		damped = 1
	}
	m.record(recordFlap, append(value, damped))
}

// startFlap counts this start, save the very first. It runs in the first flush, which alone knows the time.
func (m *Machine) startFlap() {
	f := &m.flap
	f.at, f.disturbed = m.now.Elapsed, m.now.Elapsed
	if !m.carriesOn() {
		m.cameNow()
	}
	if f.wall == 0 {
		m.recordFlap()
		return
	}
	// A clock that was set back makes no flap older, one that was set ahead forgives.
	f.penalty = decayed(f.penalty, max(0, m.now.Wall.Sub(fromMillis(f.wall))))
	m.flapped(flapBoot)
}

// carriesOn says whether only the program has begun anew, and what an earlier one started runs on: then the peer has its share, and
// nothing is moved for a new program, let alone for each peer of a cluster that is upgraded.
func (m *Machine) carriesOn() bool {
	for _, in := range m.held {
		if !in.dormant {
			return true
		}
	}
	return false
}

// cameNow begins the time in which plans see to it that this peer gets its share: its machine started, it was lost, or it may take
// work again.
func (m *Machine) cameNow() {
	m.flap.cameAt, m.flap.still, m.rowDirty = m.now.Elapsed, 0, true
	m.flap.came = m.cameByOthers()
}

// cameByOthers is when this peer came by the clocks of the others: plans compare that with when they began what they run, so a wrong clock
// here must not count. Before they are known, which they are once this peer is steady, it is by its own.
func (m *Machine) cameByOthers() int64 {
	wall := m.now.Wall.Add(m.flap.cameAt - m.now.Elapsed)
	if ahead, known := m.ownSkew(); known && ahead.Abs() >= skewNote {
		wall = wall.Add(-ahead)
	}
	return millis(wall)
}

// seeFilled notes whether the newest plan, in which this peer that came is steady, moves nothing for the balance.
func (m *Machine) seeFilled() {
	f := &m.flap
	switch {
	case f.came == 0 || m.planner.stale || m.planner.passing != 0:
	case m.planner.plan.Shifts > 0 || !m.settled() || !m.rows[m.self].observation.Steady:
		f.still = 0
	case f.still == 0:
		f.still = m.now.Elapsed
	}
}

// filled ends the time in which this peer is filled. A loss ends it too once there is nothing to move: what is started for those that were lost
// adds to the share of all others, and must not make what they run move here.
func (m *Machine) filled() {
	m.flap.came, m.flap.still, m.rowDirty = 0, 0, true
}

// flapped adds a penalty.
func (m *Machine) flapped(penalty int64) {
	f := &m.flap
	f.penalty = min(decayed(f.penalty, m.now.Elapsed-f.at)+penalty, flapMost)
	f.at = m.now.Elapsed
	if f.penalty >= flapDamp && !f.damped {
		f.damped, m.rowDirty = true, true
		m.note(Note{Warning: true, Reason: "Damped", Peer: m.self, Text: fmt.Sprintf(
			"%s came and went too often: it takes nothing new for about %v, unless it flaps again", m.peerName(m.self), fallsTo(f.penalty, flapFree).Round(time.Minute))})
	}
	m.recordFlap()
}

// missed takes another peer's word that it had lost this one.
func (m *Machine) missed(from crdt.PeerID) {
	f := &m.flap
	if f.counted && m.now.Elapsed-f.disturbed < flapOnce {
		return // of the same absence, by one that was slower, or has not had the answer yet
	}
	if f.told == nil {
		f.told = map[crdt.PeerID]time.Duration{}
	}
	f.told[from] = m.now.Elapsed
	m.judgeMissed()
}

// judgeMissed counts an absence when more than half of those that are live say that they had lost this peer: where one was cut off
// from all others, each of them is told that it was lost too, but by one alone. Where there are too many for each to tell, three of
// the four that greet must agree. It looks again with each flush, for who returns may hear the words before it knows who is live.
func (m *Machine) judgeMissed() {
	f := &m.flap
	maps.DeleteFunc(f.told, func(_ crdt.PeerID, at time.Duration) bool { return m.now.Elapsed-at >= flapOnce })
	if len(f.told) == 0 {
		return
	}
	words, need := len(f.told), len(m.liveIDs)/2+1
	if !m.asksAll() {
		words, need = m.toldByGreeters(), greetMost-1
	}
	if words < need {
		return
	}
	penalty := int64(flapLost)
	if !f.counted && f.wall != 0 && m.now.Elapsed-f.disturbed < flapOnce {
		penalty -= flapBoot // the start was part of it
	}
	f.disturbed, f.counted = m.now.Elapsed, true
	clear(f.told)
	m.cameNow()
	m.flapped(penalty)
}

// toldByGreeters counts those of the peers that greet this one that say that they had lost it.
func (m *Machine) toldByGreeters() (words int) {
	from, _ := slices.BinarySearch(m.liveIDs, m.self)
	for i := range greetMost {
		if _, told := m.flap.told[m.liveIDs[(from+i)%len(m.liveIDs)]]; told {
			words++
		}
	}
	return words
}

// passFlap ends what has had its time.
func (m *Machine) passFlap() {
	f := &m.flap
	m.judgeMissed()
	if f.damped && m.now.Elapsed >= m.flapFreeAt() {
		f.damped, m.rowDirty = false, true
		f.penalty, f.at = decayed(f.penalty, m.now.Elapsed-f.at), m.now.Elapsed
		m.recordFlap()
		m.note(Note{Reason: "Undamped", Peer: m.self, Text: m.peerName(m.self) + " has stayed for long enough: it takes new work again"})
	}
	if f.came != 0 && (m.now.Elapsed >= f.cameAt+cameFor || f.still != 0 && m.now.Elapsed >= f.still+filledAfter) {
		m.filled()
	}
	m.setSteady()
}

// setSteady says whether this peer is steady. One that hears nobody of those it knows is not.
func (m *Machine) setSteady() {
	f := &m.flap
	steady := m.now.Elapsed >= f.disturbed+steadyAfter && (m.peersLive() || len(m.lost) == 0)
	if steady == f.steady {
		return
	}
	f.steady, m.rowDirty = steady, true
	if steady && f.came != 0 {
		f.came = m.cameByOthers()
	}
}

func (m *Machine) flapFreeAt() time.Duration { return m.flap.at + fallsTo(m.flap.penalty, flapFree) }

func (m *Machine) flapDeadlines(at func(time.Duration)) {
	f := &m.flap
	if f.damped {
		at(m.flapFreeAt())
	}
	if f.came != 0 {
		at(f.cameAt + cameFor)
		if f.still != 0 {
			at(f.still + filledAfter)
		}
	}
	if due := f.disturbed + steadyAfter; !f.steady && due > m.now.Elapsed {
		at(due)
	}
}

// decayed is what is left of a penalty after a time: half after each flapHalf, and straight lines between, which are never
// more than 7 % above the curve.
func decayed(penalty int64, after time.Duration) int64 {
	if after >= 32*flapHalf {
		return 0
	}
	penalty >>= int64(after / flapHalf)
	return penalty - penalty*int64(after%flapHalf/time.Millisecond)/(2*int64(flapHalf/time.Millisecond))
}

// fallsTo is how long a penalty takes to fall below a limit.
func fallsTo(penalty, limit int64) (after time.Duration) {
	for ; penalty >= 2*limit; penalty /= 2 {
		after += flapHalf
	}
	if penalty < limit {
		return after
	}
	left := time.Duration(penalty-limit+1) * 2 * flapHalf / time.Duration(penalty)
	return after + left + 2*time.Millisecond
}
