package control

import (
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/replication"
	"shoal/placement"
)

// What a lost peer held when it was last heard of decides what may be started while it is waited for (steps.go). Rows are in memory alone, and
// where every peer of a side starts anew in a cut nobody there would know it. So the rows of peers that hold something of a workload that waits
// are on disk too, as those peers signed them. Which replicas they hold counts, and that changes seldom: a row is written when it does, with
// others at most each keepRowsEach, and at once when its peer is lost. What a peer took later than that before a power failure is not known
// after it.
//
// One that is damaged, is about another peer or is not signed by its own is dropped and named in the audit. Its peer counts as one that was
// never heard of. An older one than others hold gives way to theirs.

const (
	recordRow    = "row/" // begins the names of records: the row of the peer with the ID that follows
	keepRowsEach = 2 * time.Second
	mostKeptRows = 16 << 20 // bytes of all: beyond it rows that were not kept before are not kept
)

// keptRows is what is on disk of other peers' rows.
type keptRows struct {
	waiting []crdt.Key // workloads that wait for lost peers
	held    map[crdt.PeerID]keptRow
	bytes   int                  // of all
	dirty   map[crdt.PeerID]bool // may hold something else than what is on disk says
	due     time.Duration        // 0 while none is dirty
}

type keptRow struct {
	version replication.Version
	holds   ViewDigest // of the replicas that wait
	bytes   int
}

// resumeRows takes up the rows that an earlier life of this peer kept. All are as old as can be: nothing in them counts as the word of a peer
// that is here.
func (m *Machine) resumeRows(records map[string][]byte) {
	m.kept.held, m.kept.dirty = map[crdt.PeerID]keptRow{}, map[crdt.PeerID]bool{}
	for _, name := range slices.Sorted(maps.Keys(records)) {
		text, found := strings.CutPrefix(name, recordRow)
		if !found {
			continue
		}
		id := crdt.PeerID(text)
		if m.members[id] == nil {
			m.record(name, nil)
			continue
		}
		if fault := m.resumeRow(id, records[name]); fault != "" {
			m.record(name, nil)
			m.audit(AuditEntry{Reason: "invalid", Subject: "the row of " + m.peerName(id) + " on this disk", Writer: id, From: m.self, Text: fault})
		}
	}
}

func (m *Machine) resumeRow(id crdt.PeerID, data []byte) (fault string) {
	sealed, err := replication.DecodeRow(data)
	switch {
	case err != nil:
		return err.Error()
	case sealed.Peer != id:
		return "it is about another peer"
	case m.config.Verify != nil && !m.config.Verify(sealed):
		return "its signature is not its peer's"
	case m.isAsideNow(siteDecode, string(id), rowContent(sealed)):
		return "" // it made this program fail before
	}
	read, _, err := m.readRow(sealed)
	if err != nil {
		return err.Error()
	}
	m.spread.Restore(sealed)
	m.rows[id] = &row{version: sealed.Version, at: -m.config.Tuning.Settle, said: read}
	m.moved(id)
	m.kept.held[id] = keptRow{version: sealed.Version, bytes: len(data)}
	m.kept.bytes += len(data)
	return ""
}

// startRows dates the rows that were on disk, and what was said of them.
func (m *Machine) startRows() {
	for i := range m.out.Audit {
		m.out.Audit[i].At = m.now.Wall
	}
	for id, r := range m.rows {
		if age := m.now.Wall.Sub(fromMillis(r.observation.At)); id != m.self && age > 0 {
			r.at = min(r.at, m.now.Elapsed-age)
		}
	}
}

// waitersChanged looks at all rows again where other workloads than before wait for lost peers.
func (m *Machine) waitersChanged(waiting []crdt.Key) {
	k := &m.kept
	if slices.Equal(waiting, k.waiting) {
		return
	}
	k.waiting = waiting
	for id := range m.rows {
		m.keepRow(id)
	}
	for id := range k.held {
		m.keepRow(id)
	}
}

// keepRow has a row looked at that may have to be kept, or no longer.
func (m *Machine) keepRow(id crdt.PeerID) {
	k := &m.kept
	if id == m.self || len(k.waiting) == 0 && len(k.held) == 0 {
		return
	}
	k.dirty[id] = true
	if k.due == 0 {
		k.due = m.now.Elapsed + keepRowsEach
	}
}

// keepLost has the row of a peer that is lost kept at once.
func (m *Machine) keepLost(id crdt.PeerID) {
	if m.kept.dirty[id] {
		m.kept.due = m.now.Elapsed
	}
}

// saveRows puts on disk what has changed.
func (m *Machine) saveRows() {
	k := &m.kept
	if k.due == 0 || m.now.Elapsed < k.due {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(k.dirty)) {
		m.saveRow(id)
	}
	clear(k.dirty)
	k.due = 0
}

func (m *Machine) saveRow(id crdt.PeerID) {
	k := &m.kept
	old, held := k.held[id]
	holds, waits := m.waitingOf(id)
	sealed, _ := m.spread.Row(id)
	switch {
	case !waits && held:
		m.record(recordRow+string(id), nil)
		k.bytes -= old.bytes
		delete(k.held, id)
	case !waits || held && old.holds == holds:
	case held && old.version == sealed.Version:
		k.held[id] = keptRow{old.version, holds, old.bytes}
	default:
		data := replication.EncodeRow(sealed)
		if k.bytes += len(data) - old.bytes; k.bytes > mostKeptRows {
			k.bytes -= len(data) - old.bytes
			return
		}
		m.record(recordRow+string(id), data)
		k.held[id] = keptRow{sealed.Version, holds, len(data)}
	}
}

// waitingOf names the replicas that a row says are held, and that are waited for should its peer be lost.
func (m *Machine) waitingOf(id crdt.PeerID) (holds ViewDigest, some bool) {
	r := m.rows[id]
	if r == nil {
		return ViewDigest{}, false
	}
	t := viewText("waiting")
	for i := range r.incumbents {
		in := &r.incumbents[i]
		if slot, wanted := m.planner.index[in.Replica]; wanted && !in.Stopping && m.planner.base[slot].LostWait > 0 {
			t, some = t.word(string(in.Replica)), true
		}
	}
	return t.sum(), some
}

// holdsOther says whether two rows of one peer name other replicas.
func holdsOther(a, b *said) bool {
	return !slices.EqualFunc(a.incumbents, b.incumbents, func(x, y placement.Incumbent) bool {
		return x.Replica == y.Replica && x.Stopping == y.Stopping
	})
}
