package control

import (
	"encoding/json"
	"time"

	"shoal/crdt"
)

// For how long a lost peer is waited for is counted from when this peer lost it (steps.go). That outlives this program: else whoever is
// upgraded meanwhile would begin to wait anew. The time in which the program did not run is known from the wall clock alone. One that was
// set back makes the wait longer, at most by what is asked for; one that was set ahead ends it, as it ends that of a taint.

// recordAway says since when lost peers are lost: JSON, of each ID milliseconds since 1970.
const recordAway = "away"

// away is since when lost peers are lost, by the wall clock.
type away struct {
	since map[crdt.PeerID]int64
	dirty bool
}

func (m *Machine) resumeAway(records map[string][]byte) {
	m.away.since = map[crdt.PeerID]int64{}
	if data := records[recordAway]; data != nil && json.Unmarshal(data, &m.away.since) != nil {
		clear(m.away.since)
		m.record(recordAway, nil)
	}
}

// goneSince notes that a peer was lost now, or is not any more.
func (m *Machine) goneSince(id crdt.PeerID, lost bool) {
	if _, known := m.away.since[id]; known == lost {
		return
	}
	if m.away.dirty = true; lost {
		m.away.since[id] = millis(m.now.Wall)
	} else {
		delete(m.away.since, id)
	}
}

// lostBefore is since when a peer of the book is lost: since this program began, if no earlier one had lost it.
func (m *Machine) lostBefore(id crdt.PeerID) time.Duration {
	at, known := m.away.since[id]
	if !known {
		return m.now.Elapsed
	}
	return m.now.Elapsed - max(m.now.Wall.Sub(fromMillis(at)), 0)
}

// saveAway puts it on disk, where some workload waits for lost peers.
func (m *Machine) saveAway() {
	if !m.away.dirty || len(m.steps.lost) == 0 {
		return
	}
	m.away.dirty = false
	data, err := json.Marshal(m.away.since)
	if err != nil {
		panic(err) // numbers by name always have a JSON form
	}
	m.record(recordAway, data)
}
