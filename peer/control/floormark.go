package control

import (
	"bytes"
	"time"

	"shoal/crdt"
	"shoal/gossip"
)

const (
	attestEach  = 2 * time.Second // rows with a new digest are not made more often
	turnEach    = 3 * time.Second // what a peer longer in the list of the live waits more before it does what another could have done
	mostTurns   = 20
	mostDigests = 16 // digests of one mark that this peer remembers having attested
	fewDeletes  = 16 // below this and a quarter of all operations forgetting is not urgent
)

// attest works out this peer's word on the pending mark, where that may have changed.
func (m *Machine) attest() {
	f := &m.floors
	if f.mark == nil || !f.stale || f.inDoubt() && !f.mark.again {
		return
	}
	if m.now.Elapsed < f.attestDue {
		return
	}
	f.stale, f.attestDue = false, m.now.Elapsed+attestEach
	digest := m.set.Below(f.mark.vector)
	if f.attested == f.mark.hash && len(f.digests) > 0 && f.digests[len(f.digests)-1] == digest {
		return
	}
	if f.attested != f.mark.hash {
		f.attested, f.digests = f.mark.hash, nil
	}
	f.digests = append(f.digests, digest)
	f.digests = f.digests[max(0, len(f.digests)-mostDigests):]
	m.record(recordAttest, f.encodeAttest())
	m.rowDirty = true
}

// watchMark notes what a merge means for the pending mark. Words given before an operation below the
// mark came are void: this peer would hold more than what the others agreed on.
func (m *Machine) watchMark(delta crdt.Delta) {
	f := &m.floors
	if f.mark == nil {
		m.lookForDeletions()
		return
	}
	f.stale = true
	if f.attested != f.mark.hash || len(f.digests) == 0 {
		return
	}
	for i := range delta.Added {
		if f.mark.vector.Has(delta.Added[i].Stamp) {
			f.digests = nil
			m.record(recordAttest, nil)
			return
		}
	}
}

// floorRow says in this peer's row how far it is.
func (m *Machine) floorRow() (applied, markHash, digest []byte) {
	f := &m.floors
	if len(f.applied) > 0 {
		applied = f.appliedHash[:]
	}
	if f.mark != nil && f.attested == f.mark.hash && len(f.digests) > 0 && (!f.inDoubt() || f.mark.again) {
		last := f.digests[len(f.digests)-1]
		return applied, f.mark.hash[:8], last[:16]
	}
	return applied, nil, nil
}

// forget does what is due of forgetting: it accounts for who is lost, attests, proposes and closes.
func (m *Machine) forget() {
	f := &m.floors
	m.countLost()
	m.turnDoubt()
	m.attest()
	if f.due > m.now.Elapsed || f.due == 0 {
		return
	}
	f.due = 0
	if !m.mayWrite(m.self) {
		return
	}
	if next := f.looked + floorLook; m.turn() == mostTurns && m.now.Elapsed < next {
		f.due = next // others come first
		return
	}
	f.looked = m.now.Elapsed
	if f.mark != nil && m.reachesTooFar(f.mark) {
		again, ok := m.mayPropose()
		m.whenAgreed(ok, func() { m.propose(again) })
	} else if f.mark != nil {
		m.whenAgreed(m.mayClose(), m.closeMark)
	} else if wait, some := m.toForget(); some {
		if wait > 0 {
			f.due = m.now.Elapsed + wait
			return
		}
		again, ok := m.mayPropose()
		m.whenAgreed(ok, func() { m.propose(again) })
	}
}

// whenAgreed does something that any peer could do, once this peer's turn has come.
func (m *Machine) whenAgreed(agreed bool, do func()) {
	f := &m.floors
	if !agreed {
		f.readyAt = 0
		f.due = m.now.Elapsed + floorLook
		return
	}
	if f.readyAt == 0 {
		f.readyAt = m.now.Elapsed
	}
	if turn := f.readyAt + time.Duration(m.turn())*turnEach; turn > m.now.Elapsed {
		f.due = turn
		return
	}
	f.readyAt, f.due = 0, m.now.Elapsed+floorLook
	do()
}

// floorLook is how often a peer looks whether all have attested, at least; each row that says something new of it is a reason too.
const floorLook = 10 * time.Second

// lookForDeletions plans to look when there is something to forget.
func (m *Machine) lookForDeletions() {
	f := &m.floors
	if wait, some := m.toForget(); some && f.due == 0 {
		f.due = max(m.now.Elapsed+wait, f.looked+time.Second, 1)
	}
}

// lookSoon lets the peer look again because something happened, at most once in a second.
func (f *forgetting) lookSoon(now time.Duration) {
	soon := max(now, f.looked+time.Second, 1)
	if f.due == 0 || f.due > soon {
		f.due = soon
	}
}

func (m *Machine) mayWrite(id crdt.PeerID) bool {
	return m.config.MayWrite == nil || m.config.MayWrite(id)
}

// turn is this peer's place among the live ones that may write.
func (m *Machine) turn() int {
	turn := 0
	for _, id := range m.peerIDs() {
		if id == m.self || turn == mostTurns {
			break
		}
		if m.members[id].live() && m.mayWrite(id) {
			turn++
		}
	}
	return turn
}

// toForget says whether there is something to forget, and how long that may wait.
func (m *Machine) toForget() (wait time.Duration, some bool) {
	n := m.set.Forgettable()
	if n == 0 {
		return 0, false
	}
	span := m.config.Tuning.MarkEach
	if n > fewDeletes+m.set.Count()/4 {
		span = m.config.Tuning.MarkSoon
	}
	return max(0, m.floors.since+span-m.now.Elapsed), true
}

// registered lists the peers whose word is needed: all of the book that have not left and are not
// lost for so long that they are forgotten.
func (m *Machine) registered() []crdt.PeerID {
	var ids []crdt.PeerID
	for _, id := range m.peerIDs() {
		if id == m.self || m.members[id].State != gossip.Left && !m.forgotten(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// mayPropose says whether all registered peers have applied the same floors: those in force or, again, older ones.
// One that is in force and that nobody has applied, since a writer went wrong or lost its store, is replaced again. But who closed
// it has applied it: where that one is away nothing can be agreed on before it is back, or is said to have left.
func (m *Machine) mayPropose() (again, ok bool) {
	f := &m.floors
	for _, id := range m.registered() {
		r := m.rows[id]
		if r == nil || !sameHash(r.observation.Applied, f.appliedHash) {
			return false, false
		}
	}
	return f.appliedHash != f.hash, m.missingCloser() == ""
}

// missingCloser is a peer that is away and closed a floor which is not applied here; empty if there is none.
func (m *Machine) missingCloser() crdt.PeerID {
	for i := range m.floors.current {
		c := &m.floors.current[i]
		if n := m.members[c.by]; n != nil && !m.floors.hasApplied(c.hash) && m.forgotten(c.by) {
			return c.by
		}
	}
	return ""
}

// mayClose says whether all registered peers hold the same at or below the mark.
func (m *Machine) mayClose() bool {
	_, markHash, digest := m.floorRow()
	if digest == nil || m.floors.stale {
		return false
	}
	for _, id := range m.registered() {
		r := m.rows[id]
		if r == nil || !bytes.Equal(r.observation.Mark, markHash) || !bytes.Equal(r.observation.MarkDigest, digest) {
			return false
		}
	}
	return true
}

// reachesTooFar says whether a mark covers writes that nobody here knows of, by a peer whose word is not
// needed any more: it must be proposed anew without them.
func (m *Machine) reachesTooFar(k *mark) bool {
	var heard crdt.Seen
	for id := range m.lost {
		if k.vector[id] == 0 || !m.forgotten(id) {
			continue
		}
		if heard == nil {
			heard = m.set.Heard()
		}
		if k.vector[id] > heard[id] {
			return true
		}
	}
	return false
}

func sameHash(b []byte, hash floorHash) bool {
	return bytes.Equal(b, hash[:]) || len(b) == 0 && hash == floorHash{}
}

// propose writes a mark over everything that is known.
func (m *Machine) propose(again bool) {
	vector := m.set.Heard()
	for _, id := range m.registered() {
		if r := m.rows[id]; r != nil {
			raise(vector, crdt.Seen{id: crdt.Time(r.observation.Latest)})
		}
	}
	raise(vector, m.floors.second)
	vector[m.self] = max(vector[m.self], m.lastOwn)
	for writer, at := range vector {
		if at == 0 {
			delete(vector, writer)
		}
	}
	if !m.live(floorKey) {
		m.writeOwn(floorKey, crdt.Create, []crdt.Change{{Path: pathMark, Value: fieldValue(nil)}})
	}
	k := mark{base: m.floors.hash, again: again, vector: vector}
	m.writeOwn(floorKey, crdt.Update, []crdt.Change{{Path: pathMark, Value: fieldValue(k.encode())}})
}

// closeMark makes the mark that all attested the floor.
func (m *Machine) closeMark() {
	f := &m.floors
	k := f.mark
	closing := floor{mark: k.hash, digest: f.digests[len(f.digests)-1], second: k.vector}
	first, second := joined(f.applied)
	if closing.first = second; k.again {
		closing.first = first
	}
	m.writeOwn(floorKey, crdt.Update, []crdt.Change{
		{Path: pathFloor, Value: fieldValue(closing.encode())},
		{Path: pathMark, Value: fieldValue(nil)}, // not a deletion, which would itself have to be forgotten
	})
}

// writeOwn writes an object of this peer's own making.
func (m *Machine) writeOwn(key crdt.Key, verb crdt.Verb, changes []crdt.Change) {
	op := m.compose(Write{Key: key, Verb: verb, Seen: m.set.Seen(key), Manager: ownManager, Changes: changes})
	m.commitOwn(op, 0)
	m.refreshObjects()
}

// ownManager is the manager of what peers write for themselves.
const ownManager = "shoal"

func (m *Machine) floorDeadlines(at func(time.Duration)) {
	f := &m.floors
	if f.mark != nil && f.stale && (!f.inDoubt() || f.mark.again) {
		at(f.attestDue)
	}
	if f.due != 0 {
		at(f.due)
	}
	m.doubtDeadlines(at)
	m.lostDeadlines(at)
}
