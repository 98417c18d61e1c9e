package control

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/peer/replication"
)

// A peer is in doubt while a floor is in force to which it has not given its word: it is new, its
// store was lost or restored, or it was forgotten. It cannot know which of what it holds below the
// floor the others have forgotten, so it compares itself with one that has applied the floor, and
// drops what that one does not hold. Where several floors are in force, because two sides closed one
// each, any part of them that holds one not accepted here brings it further.

// doubt is what a peer asks others.
type doubt struct {
	floors  []floor    // not accepted
	asks    []doubtful // the sets of floors that help, one of which is asked for at a time
	asked   int        // index in asks
	turnDue time.Duration
	look    bool // somebody may have applied a set that helps

	wrote []crdt.Op // by this peer, and not known to be held by others, oldest first

	rewrote []crdt.OpID // contradicting operations that were written again
}

// doubtful is a set of floors that a partner may have applied.
type doubtful struct {
	floors []floor
	hash   floorHash
}

// doubtEach is how long one set of floors is asked for where several would do and no row says which of them somebody
// has applied.
const doubtEach = 10 * time.Second

func (f *forgetting) inDoubt() bool { return len(f.doubt.floors) > 0 }

// setDoubt begins, changes or ends the doubt.
func (m *Machine) setDoubt(floors []floor) {
	f := &m.floors
	d := &f.doubt
	began := len(d.floors) == 0
	d.floors = floors
	asks := f.helpful()
	if slices.EqualFunc(d.asks, asks, func(a, b doubtful) bool { return a.hash == b.hash }) {
		return
	}
	d.asks, d.asked, d.look = asks, 0, false
	if at := m.applicable(); at >= 0 {
		d.asked = at
	}
	if len(floors) == 0 {
		m.spread.Doubt(nil, floorHash{})
		return
	}
	if !began {
		m.ask()
		return
	}
	m.note(Note{Reason: "Doubt", Peer: m.self, Text: m.config.Self.Name + " was not asked when deletions were forgotten, and compares itself with a peer that was"})
	m.ask()
}

// helpful lists the sets of floors in force with at least one that is not accepted here, the whole
// first, then the larger ones.
func (f *forgetting) helpful() []doubtful {
	var asks []doubtful
	for bits := 1<<len(f.current) - 1; bits > 0; bits-- {
		var part []floor
		helps := false
		for i := range f.current {
			if bits>>i&1 == 1 {
				part = append(part, f.current[i])
				helps = helps || !f.hasApplied(f.current[i].hash)
			}
		}
		if helps {
			asks = append(asks, doubtful{part, hashOf(part)})
		}
	}
	slices.SortStableFunc(asks, func(a, b doubtful) int { return len(b.floors) - len(a.floors) })
	return asks
}

// ask doubts what lies below those floors of the asked set that are not accepted here. Of what lies below the others this
// peer is sure, and must neither keep it from its partner nor drop it.
func (m *Machine) ask() {
	d := &m.floors.doubt
	_, second := joined(slices.DeleteFunc(slices.Clone(d.asks[d.asked].floors), func(f floor) bool { return m.floors.hasApplied(f.hash) }))
	m.spread.Doubt(second, d.asks[d.asked].hash)
	d.turnDue = m.now.Elapsed + doubtEach
	m.reconcileDue = min(m.reconcileDue, m.now.Elapsed)
}

// turnDoubt asks for the set of floors that somebody has applied; where no row says so, for one after the other.
func (m *Machine) turnDoubt() {
	d := &m.floors.doubt
	due := m.now.Elapsed >= d.turnDue
	if len(d.asks) < 2 || !d.look && !due {
		return
	}
	d.look = false
	next := m.applicable()
	if next < 0 && due {
		next = (d.asked + 1) % len(d.asks)
	}
	if due {
		d.turnDue = m.now.Elapsed + doubtEach
	}
	if next >= 0 && next != d.asked {
		d.asked = next
		m.ask()
	}
}

// applicable finds the largest set of floors that helps and that a live peer has applied; -1 if there is none.
func (m *Machine) applicable() int {
	return slices.IndexFunc(m.floors.doubt.asks, func(a doubtful) bool { return len(m.teachers(a.hash)) > 0 })
}

// teachers lists the live peers that say that they have applied a set of floors.
func (m *Machine) teachers(hash floorHash) []crdt.PeerID {
	var ids []crdt.PeerID
	for _, id := range m.liveIDs {
		if r := m.rows[id]; r != nil && bytes.Equal(r.observation.Applied, hash[:]) {
			ids = append(ids, id)
		}
	}
	return ids
}

// teacher draws one with whom to compare next; empty where this peer is in no doubt, or knows of none, and now and then all the
// same, since the one that it knows of may hear nothing from here.
func (m *Machine) teacher() crdt.PeerID {
	d := &m.floors.doubt
	if len(d.asks) == 0 || m.config.Pick == nil || m.config.Pick(4) == 0 {
		return ""
	}
	if ids := m.teachers(d.asks[d.asked].hash); len(ids) > 0 {
		return ids[m.config.Pick(len(ids))]
	}
	return ""
}

// doubtSettled accepts the floors that were asked for: what is below them and held here is what the
// partner holds, too.
func (m *Machine) doubtSettled() {
	f := &m.floors
	d := &f.doubt
	if len(d.asks) == 0 {
		return
	}
	accepted := slices.Clone(f.applied)
	accepted = slices.DeleteFunc(accepted, func(a floor) bool {
		return !slices.ContainsFunc(f.current, func(c floor) bool { return c.hash == a.hash })
	})
	for _, c := range d.asks[d.asked].floors {
		if !f.hasApplied(c.hash) {
			accepted = append(accepted, c)
		}
	}
	slices.SortFunc(accepted, func(a, b floor) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	f.digests = nil
	m.record(recordAttest, nil)
	m.applyFloors(accepted)
	m.settleFloors()
	f.lookSoon(m.now.Elapsed)
	if !f.inDoubt() {
		m.note(Note{Reason: "Settled", Peer: m.self, Text: m.config.Self.Name + " holds what the others hold"})
		m.sure()
	}
}

// wroteUpTo keeps stamps of this writer rising above what others know of it. The highest half of all
// times is no peer's honest clock.
func (m *Machine) wroteUpTo(at crdt.Time) {
	if at < 1<<63 {
		m.lastOwn = max(m.lastOwn, at)
	}
}

// rememberOwn notes an own write that may have to be made again: until others hold it, a floor may be
// closed above it without them. That is so when this peer was forgotten, and when its store is an
// old one, or its clock is wrong, so that its stamps were used or passed already. Of more than mostWrites the oldest go.
func (m *Machine) rememberOwn(op crdt.Op) {
	d := &m.floors.doubt
	if op.Key == floorKey {
		return
	}
	d.wrote = append(d.wrote, op)
	m.record(wroteName(op), []byte{floorVersion})
	for len(d.wrote) > mostWrites {
		m.heldElsewhere(0)
	}
}

func wroteName(op crdt.Op) string {
	id := op.ID()
	return recordWrote + hex.EncodeToString(id[:])
}

// heldElsewhere ends what rememberOwn began.
func (m *Machine) heldElsewhere(at int) {
	d := &m.floors.doubt
	m.record(wroteName(d.wrote[at]), nil)
	d.wrote = slices.Delete(d.wrote, at, at+1)
}

// sure notes that another peer holds the same as this one.
func (m *Machine) sure() {
	if m.floors.inDoubt() {
		return
	}
	for range m.floors.doubt.wrote {
		m.heldElsewhere(0)
	}
	if m.refilling {
		m.refilling = false
		m.record(recordRefill, nil)
	}
	if m.fresh {
		m.fresh = false
		m.record(recordFresh, nil)
	}
}

// agreedWithAll notes what all others hold of this peer's own when a floor was applied for which nobody was forgotten.
func (m *Machine) agreedWithAll() {
	f := &m.floors
	own := f.second[m.self]
	if own <= f.common || slices.ContainsFunc(slices.Collect(maps.Keys(m.lost)), m.forgotten) {
		return
	}
	f.common = own
	m.record(recordCommon, binary.BigEndian.AppendUint64([]byte{floorVersion}, uint64(own)))
	for at := len(f.doubt.wrote) - 1; at >= 0; at-- {
		if f.doubt.wrote[at].Stamp.Time <= own {
			m.heldElsewhere(at)
		}
	}
}

// seenElsewhere notes which own writes another operation had seen: its writer holds them.
func (m *Machine) seenElsewhere(op *crdt.Op) {
	own := op.Seen[m.self]
	if own == 0 || op.Stamp.Writer == m.self {
		return
	}
	for at := len(m.floors.doubt.wrote) - 1; at >= 0; at-- {
		if w := &m.floors.doubt.wrote[at]; w.Key == op.Key && w.Stamp.Time <= own {
			m.heldElsewhere(at)
		}
	}
}

// gone deals with what went although nothing that is held had seen it. What of this peer's own lost to
// another of the same stamp is written anew, and so is what was abandoned for a floor that the others had closed
// above it, if they may never have known it. What was abandoned of others is named.
func (m *Machine) gone(from crdt.PeerID, delta crdt.Delta) {
	for _, op := range delta.Dropped {
		own := op.Stamp.Writer == m.self
		same := func(a crdt.Op) bool { return a.Key == op.Key && a.Stamp == op.Stamp && a.Hash != op.Hash }
		switch {
		case op.Key == floorKey:
		case slices.ContainsFunc(delta.Added, same):
			if own {
				m.rewrite(op, whyContradicted)
			}
		case slices.ContainsFunc(m.set.Ops(op.Key), func(o crdt.Op) bool { return o.Seen.Has(op.Stamp) }):
			if at := m.notHeld(&op); own && at >= 0 {
				m.heldElsewhere(at)
			}
		case own:
			m.abandonedOwn(op)
		case m.floors.inDoubt() && op.Stamp.Time > m.floors.second[op.Stamp.Writer]:
			m.audit(AuditEntry{Reason: "forgotten", Subject: opSubject(op.ID()), Key: op.Key, Writer: op.Stamp.Writer, From: from,
				Text: "dropped here: the others have forgotten it, or closed a floor above it without knowing it"})
		}
	}
}

func (m *Machine) notHeld(op *crdt.Op) (at int) {
	return slices.IndexFunc(m.floors.doubt.wrote, func(w crdt.Op) bool { return w.Hash == op.Hash })
}

// abandonedOwn writes anew what nobody else was known to hold. Of the rest, what all agreed on once was forgotten by
// them, and what lies above that may have been: a creation among it becomes an update, which is listed as a conflict
// where the object was deleted, and brings nothing back. Not known to be held is not known not to be held: the last push
// before a cut may have arrived, so a creation stays one only where this peer's store was new or lost.
func (m *Machine) abandonedOwn(op crdt.Op) {
	const why = "the others had closed a floor above it without knowing it"
	if at := m.notHeld(&op); at >= 0 {
		m.heldElsewhere(at)
		if op.Verb != crdt.Create || m.refilling || m.fresh {
			m.rewrite(op, why)
			return
		}
	}
	if !m.floors.inDoubt() || op.Stamp.Time <= m.floors.common || op.Verb == crdt.Delete {
		return
	}
	if op.Verb = crdt.Update; len(op.Changes) > 0 {
		m.rewrite(op, why)
	}
}

// rewrite makes an own operation again under a new stamp.
func (m *Machine) rewrite(op crdt.Op, why string) {
	known := m.set.Seen(op.Key)
	seen := crdt.Seen{}
	for writer, at := range op.Seen {
		if at = min(at, known[writer]); at > 0 {
			seen[writer] = at
		}
	}
	if own := known[m.self]; own > 0 {
		seen[m.self] = own
	}
	again := m.compose(Write{Key: op.Key, Verb: op.Verb, Seen: seen, Manager: op.Manager, User: op.User, Changes: op.Changes})
	text := "written again under a new stamp: " + why
	if err := m.commitOwn(again, 0); err != nil {
		text = "could not be written again: " + err.Error()
	}
	m.audit(AuditEntry{Reason: "rewritten", Subject: opSubject(op.ID()), Key: op.Key, Writer: m.self, Text: text})
	m.note(Note{Warning: true, Reason: "Rewritten", Object: op.Key, Text: text})
}

const whyContradicted = "another of this peer has the same stamp; was its store restored?"

// contradicted writes again what was refused because this peer holds another operation of its own with the same
// stamp: both were made by it, before and after its store was restored.
func (m *Machine) contradicted(received Received, refused []replication.Refusal) {
	d := &m.floors.doubt
	for _, r := range refused {
		if r.Writer != m.self || r.Reason != replication.Contradicts || slices.Contains(d.rewrote, r.Op) {
			continue
		}
		if op, ok := findOp(received.Message, r.Op); ok {
			d.rewrote = append(d.rewrote, r.Op)
			d.rewrote = d.rewrote[max(0, len(d.rewrote)-mostWrites):]
			m.rewrite(op, whyContradicted)
		}
	}
}

func findOp(message replication.Message, id crdt.OpID) (found crdt.Op, ok bool) {
	message.Sift(func(op crdt.Op) bool {
		if op.ID() == id {
			found, ok = op, true
		}
		return true
	}, func(replication.Row) bool { return true })
	return found, ok
}

func (m *Machine) doubtDeadlines(at func(time.Duration)) {
	if d := &m.floors.doubt; len(d.asks) > 1 {
		at(d.turnDue)
	}
}

// lostTimes is for how long each peer has not been heard of, counted while this program runs: no
// step of the wall clock can make a peer forgotten.
type lostTimes struct {
	of      map[crdt.PeerID]time.Duration
	counted time.Duration // up to when
	saved   time.Duration
}

// lostSave is how often that is written down.
const lostSave = time.Hour

func (m *Machine) lostLook() time.Duration {
	return min(10*time.Minute, m.config.Tuning.ForgetAfter/16)
}

func (m *Machine) forgotten(id crdt.PeerID) bool {
	n := m.members[id]
	return n != nil && !n.live() && m.floors.lost.of[id] >= m.config.Tuning.ForgetAfter
}

// countLost adds the time that has passed to the times of those who are lost.
func (m *Machine) countLost() {
	l := &m.floors.lost
	span := m.now.Elapsed - l.counted
	if span < m.lostLook() {
		return
	}
	l.counted = m.now.Elapsed
	changed := false
	for id := range l.of {
		if n := m.members[id]; n == nil || !n.listed.lost {
			delete(l.of, id)
			changed = true
		}
	}
	for id := range m.lost {
		was := l.of[id]
		l.of[id] = was + span
		changed = true
		if was < m.config.Tuning.ForgetAfter && was+span >= m.config.Tuning.ForgetAfter {
			m.floors.lookSoon(m.now.Elapsed)
		}
	}
	if changed && (m.now.Elapsed >= l.saved+min(lostSave, m.config.Tuning.ForgetAfter/8)) {
		l.saved = m.now.Elapsed
		m.record(recordLost, encodeLost(l.of))
	}
}

// heardOf ends the time in which a peer was lost.
func (m *Machine) heardOf(id crdt.PeerID) { delete(m.floors.lost.of, id) }

func (m *Machine) lostDeadlines(at func(time.Duration)) {
	if len(m.lost) > 0 || len(m.floors.lost.of) > 0 {
		at(m.floors.lost.counted + m.lostLook())
	}
}

func encodeLost(lost map[crdt.PeerID]time.Duration) []byte {
	b := []byte{floorVersion}
	b = binary.AppendUvarint(b, uint64(len(lost)))
	for _, id := range slices.Sorted(maps.Keys(lost)) {
		b = appendWriter(b, id)
		b = binary.AppendUvarint(b, uint64(lost[id]/time.Second))
	}
	return b
}

func decodeLost(code []byte) map[crdt.PeerID]time.Duration {
	lost := map[crdt.PeerID]time.Duration{}
	r := formReader{rest: code}
	if r.byte() != floorVersion {
		return lost
	}
	for n := r.count(); n > 0 && !r.bad; n-- {
		id := r.writer()
		lost[id] = time.Duration(r.uvarint()) * time.Second
	}
	return lost
}
