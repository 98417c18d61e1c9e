package control

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
)

// Names of what is kept in Persist.Records. Those of what was set aside begin with recordAside. Others stand with what they are of: heal.go, away.go, flap.go, happened.go, keptrows.go.
const (
	recordFloor  = "floor"  // the floors applied here, see encodeFloors
	recordAttest = "attest" // the words given on the newest mark
	recordCommon = "common" // up to which stamp of its own all peers of the book agreed on a floor
	recordLost   = "lost"   // for how long peers were not heard of
	recordRefill = "refill" // the store lost a part of what it held, and the others have not filled it again yet
	recordFresh  = "fresh"  // this store began empty, and was never equal to another's
	recordBoots  = "boots"  // what is added to the store's count of starts, see boot.go
	recordWrote  = "wrote/" // an own operation, by its ID, that others are not known to hold
	recordAside  = "aside/"
)

func (m *Machine) record(name string, value []byte) {
	if m.out.Persist.Records == nil {
		m.out.Persist.Records = map[string][]byte{}
	}
	m.out.Persist.Records[name] = value
}

// resumeFloors takes up what an earlier life of this peer had agreed to. The operations are in the
// set already: only then may the floors be raised, which refuse what is below them and not held.
func (m *Machine) resumeFloors(records map[string][]byte) {
	f := &m.floors
	f.lost.of = decodeLost(records[recordLost])
	if c := records[recordCommon]; len(c) == 9 && c[0] == floorVersion {
		f.common = crdt.Time(binary.BigEndian.Uint64(c[1:]))
	}
	m.resumeWrote(records)
	if m.fresh = records[recordFresh] != nil || m.set.Count() == 0 && len(records) == 0; m.fresh {
		m.record(recordFresh, []byte{floorVersion})
	}
	if m.refilling = records[recordRefill] != nil; m.refilling {
		// What was lost must come again from below the floor, so this peer begins as one that was not asked.
		m.record(recordFloor, nil)
		m.record(recordAttest, nil)
		return
	}
	f.decodeAttest(records[recordAttest])
	floors, err := decodeFloors(records[recordFloor])
	if err != nil || len(floors) == 0 {
		return // in doubt, if there is a floor
	}
	f.applied, f.appliedHash = floors, hashOf(floors)
	first, second := joined(floors)
	f.second = second
	m.wroteUpTo(second[m.self])
	m.merged(m.set.Forget(first, second))
	m.spread.Applied(f.appliedHash)
}

func (m *Machine) resumeWrote(records map[string][]byte) {
	d := &m.floors.doubt
	for _, name := range slices.Sorted(maps.Keys(records)) {
		text, found := strings.CutPrefix(name, recordWrote)
		if !found {
			continue
		}
		id, err := hex.DecodeString(text)
		if err == nil && len(id) == len(crdt.OpID{}) {
			if op, held := m.set.Op(crdt.OpID(id)); held {
				d.wrote = append(d.wrote, op)
				continue
			}
		}
		m.record(name, nil)
	}
	slices.SortFunc(d.wrote, func(a, b crdt.Op) int { return a.Stamp.Compare(b.Stamp) })
}

// FloorStatus returns how far the forgetting of deletions is, and who holds it up.
func (m *Machine) FloorStatus() FloorStatus {
	f := &m.floors
	status := FloorStatus{Registered: m.registered(), Forgettable: m.set.Forgettable(), Retained: m.set.Count(), Pending: f.mark != nil,
		Closed: f.closed, Applied: f.appliedHash == f.hash, Doubtful: f.inDoubt()}
	for _, id := range m.peerIDs() {
		if id != m.self && m.forgotten(id) {
			status.Forgotten = append(status.Forgotten, id)
		}
	}
	if id := m.missingCloser(); id != "" {
		status.Waiting = append(status.Waiting, FloorWait{Peer: id, Name: m.peerName(id),
			Why: "it has closed a floor that this peer does not share, and does not answer"})
	}
	for _, id := range status.Registered {
		if why := m.holdsUp(id); why != "" {
			status.Waiting = append(status.Waiting, FloorWait{Peer: id, Name: m.peerName(id), Why: why})
		}
	}
	return status
}

// holdsUp says why the word of a registered peer is missing; empty if it is not.
func (m *Machine) holdsUp(id crdt.PeerID) string {
	f := &m.floors
	away := ""
	if n := m.members[id]; id != m.self && !n.live() {
		away = "it does not answer"
		if lost := m.floors.lost.of[id]; lost > 0 {
			away += " for " + lost.Round(time.Second).String()
		}
		away += ", and is forgotten after " + m.config.Tuning.ForgetAfter.String()
	}
	r := m.rows[id]
	switch {
	case r == nil && away != "":
		return away
	case r == nil:
		return "it has not said yet what it holds"
	case f.mark == nil && !sameHash(r.observation.Applied, f.hash):
		return either(away, "it has not applied the last floor yet")
	case f.mark == nil:
		return ""
	case string(r.observation.Mark) != string(f.mark.hash[:8]):
		return either(away, "it has not given its word on the mark yet")
	}
	if _, _, digest := m.floorRow(); digest != nil && string(r.observation.MarkDigest) != string(digest) {
		return either(away, "it holds something else below the mark than this peer")
	}
	return ""
}

func either(first, second string) string {
	if first != "" {
		return first
	}
	return second
}
