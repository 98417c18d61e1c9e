package control

import (
	"maps"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/peer/wire"
	"shoal/placement"
	"shoal/runtime"
)

// What a peer runs stands in its row, and what it ended stands there for a while longer, with both times: so that the receipt of a
// reunion (heal.go) tells what really ran on both sides, and all that was stopped. A run goes on over the ends of containers that are
// started again.

const (
	mostRan = 32       // in a row: the newest
	ranFor  = healMost // in a row
)

// recordRan is the name of the record of what was ended here, as the Ran of an observation. It is written where a receipt may be about it:
// while peers are lost, and in a reunion.
const recordRan = "ran"

func (m *Machine) resumeRan(records map[string][]byte) {
	data := records[recordRan]
	if data == nil {
		return
	}
	o, err := wire.DecodeObservation(data)
	if err != nil {
		m.record(recordRan, nil)
		return
	}
	m.ran, m.ranCut = o.Ran, o.RanCut
}

// saveRan puts on disk what was ended, before any row tells it.
func (m *Machine) saveRan() {
	if m.heals.now == nil && len(m.lost) == 0 {
		return
	}
	ran, cutAt := m.ranLately()
	m.record(recordRan, wire.EncodeObservation(wire.Observation{Ran: ran, RanCut: cutAt}))
}

// ran is a time in which a replica ran on a peer. Times are by this peer's clock; until is zero while it runs.
type ran struct {
	peer        crdt.PeerID
	from, until time.Time
}

// runs says whether a container of an instance runs.
func (in *instance) runs() bool {
	return slices.ContainsFunc(in.containers, func(c container) bool { return c.phase == runtime.Running })
}

// noteRun follows one instance, and enters into this peer's row what it ended, be it for want of a lease.
func (m *Machine) noteRun(in *instance) {
	switch {
	case in.runs():
		for i := range in.containers {
			c := &in.containers[i]
			if c.phase == runtime.Running && (in.ranSince.IsZero() || c.startedAt.Before(in.ranSince)) {
				in.ranSince = c.startedAt
			}
		}
		in.ranUntil = time.Time{}
		return
	case in.ranSince.IsZero():
		return
	case in.ranUntil.IsZero():
		in.ranUntil = m.endedBy(in)
	}
	if !in.stopping && !in.withheld {
		return
	}
	m.ran = append(m.ran, wire.Ran{Replica: string(in.record.Replica), From: millis(in.ranSince), Until: millis(in.ranUntil),
		Reason: in.ends.Reason, Text: cut(in.ends.Text), Cause: cut(in.ends.Cause)})
	in.ranSince, in.ranUntil, in.ends = time.Time{}, time.Time{}, Note{}
	m.saveRan()
}

// endedBy is when the last container ended of an instance that has just been found to run no more: now, or when its lease ended, for
// then it was killed, whenever this program came to hear of it.
func (m *Machine) endedBy(in *instance) time.Time {
	if in.bound == 0 || in.bound == Unbounded {
		return m.now.Wall
	}
	return m.now.Wall.Add(-max(m.now.Elapsed-in.bound, 0))
}

// ranLately is what this peer's row says that it ended.
func (m *Machine) ranLately() ([]wire.Ran, int64) {
	old := millis(m.now.Wall.Add(-ranFor))
	for len(m.ran) > mostRan || len(m.ran) > 0 && m.ran[0].Until < old {
		m.ranCut = max(m.ranCut, m.ran[0].Until)
		m.ran = m.ran[1:]
	}
	return slices.Clone(m.ran), m.ranCut
}

// ranOf are the runs that a row says its peer ended, by this peer's clock.
func (m *Machine) ranOf(id crdt.PeerID, o *wire.Observation) func(yield func(placement.ReplicaID, ran) bool) {
	return func(yield func(placement.ReplicaID, ran) bool) {
		for i := range o.Ran {
			r := &o.Ran[i]
			if !yield(placement.ReplicaID(r.Replica), ran{id, m.localTime(id, fromMillis(r.From), 1), m.localTime(id, fromMillis(r.Until), 1)}) {
				return
			}
		}
	}
}

// healTold takes what a peer that came back says it ended: before its row came here, or while it was away.
func (m *Machine) healTold(id crdt.PeerID) {
	for replica, back := range m.ranOf(id, m.rows[id].observation) {
		m.healRan(id, replica, back)
	}
}

func (m *Machine) healRan(id crdt.PeerID, replica placement.ReplicaID, back ran) {
	h := m.heals.now
	if back.until.Before(h.lost[id]) || back.from.After(h.Began) {
		return
	}
	if other, known := m.stayed(replica, h.lost[id]); known {
		m.healTwice(replica, other, back)
	}
}

// healGone notes what a peer that stayed in touch ended: one that comes back may say only later that it ran it too.
func (m *Machine) healGone(id crdt.PeerID, read *said) {
	h := &m.heals
	if h.now == nil && len(m.lost) == 0 || h.with(id) {
		return
	}
	if n := m.members[id]; id != m.self && (n == nil || !n.live()) {
		return // its row was passed on before it is back
	}
	for replica, r := range m.ranOf(id, read.observation) {
		old, known := h.gone[replica]
		if !known && len(h.gone) == mostTwice || known && old == r {
			continue
		}
		if h.gone[replica] = r; h.now != nil {
			m.healAlso(replica)
		}
	}
}

// healAlso looks again whether one that came back ended a replica too: its row may have come while the other copy was just being stopped.
func (m *Machine) healAlso(replica placement.ReplicaID) {
	for _, id := range slices.Sorted(maps.Keys(m.heals.now.back)) {
		if m.rows[id] == nil || !m.members[id].fresh {
			continue
		}
		for of, back := range m.ranOf(id, m.rows[id].observation) {
			if of == replica {
				m.healRan(id, replica, back)
			}
		}
	}
}

// healStops lists what was stopped in a reunion, and what ended with its lease while peers were away, the oldest first. Short names
// the peers that stopped more than their rows can tell.
func (m *Machine) healStops(h *healing) (stops []Note, short []string) {
	for _, id := range m.peerIDs() {
		r := m.rows[id]
		if r == nil || len(r.observation.Ran) == 0 {
			continue
		}
		for i := range r.observation.Ran {
			if n, counts := m.healStop(h, id, &r.observation.Ran[i]); counts {
				stops = append(stops, n)
			}
		}
		if cutAt := r.observation.RanCut; cutAt != 0 && !m.localTime(id, fromMillis(cutAt), 1).Before(h.Began.Add(-healSlack)) {
			short = append(short, m.peerName(id))
		}
	}
	slices.SortStableFunc(stops, func(a, b Note) int { return a.At.Compare(b.At) })
	if len(stops) > mostHealed {
		stops, short = stops[:mostHealed], append(short, m.peerName(stops[mostHealed].Peer))
	}
	slices.Sort(short)
	return stops, slices.Compact(short)
}

func (m *Machine) healStop(h *healing, id crdt.PeerID, r *wire.Ran) (Note, bool) {
	n := Note{At: m.localTime(id, fromMillis(r.Until), 1), Reason: r.Reason, Replica: r.Replica, Peer: id, Text: cut(r.Text), Cause: cut(r.Cause), Count: 1}
	since := h.Began.Add(-healSlack)
	switch r.Reason {
	case "Moved":
		if !m.heals.ranTwice(placement.ReplicaID(r.Replica)) {
			return n, false
		}
	case "LeaseLost":
		n.Warning, since = true, h.lostFirst()
	case "Stopped":
	default:
		return n, false
	}
	if slot, wanted := m.planner.index[placement.ReplicaID(r.Replica)]; wanted {
		n.Object = keyOf(string(m.planner.base[slot].Workload))
	}
	return n, !n.At.Before(since)
}

// lostFirst is when the first of those that came back was lost.
func (h *healing) lostFirst() time.Time {
	first := h.Began
	for _, at := range h.lost {
		if at.Before(first) {
			first = at
		}
	}
	return first
}
