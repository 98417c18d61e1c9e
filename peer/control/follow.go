package control

import (
	"fmt"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/placement"
	"shoal/runtime"
)

// follow compares what is held here with the plan: it ends what belongs here no longer and admits
// what does. It waits while a newer plan is due, for what it would do may be wrong by what is known already.
func (m *Machine) follow() {
	if m.planner.stale {
		return
	}
	for _, id := range m.heldIDs {
		in := m.held[id]
		m.act(in.record.Replica, in.record.Revision, func() { m.judge(in) })
	}
	if len(m.planner.mine) == 0 || !m.settled() {
		clear(m.moves)
		return
	}
	m.forgetMoves()
	for _, a := range m.planner.mine {
		m.act(a.Replica, a.Revision, func() { m.take(a) })
	}
}

// act does something about one replica. Where that fails the replica is left alone from then on, in
// this revision: nothing of it is started or stopped.
func (m *Machine) act(replica placement.ReplicaID, revision placement.Revision, do func()) {
	content := [32]byte{}
	copy(content[:], revision)
	if m.isAside(siteAct, string(replica), content) {
		return
	}
	failure := guard(func() {
		m.trip(siteAct, string(replica))
		do()
	})
	if failure != "" {
		a, _ := m.assignment(replica)
		m.setAside(aside{Site: siteAct, Name: string(replica), Subject: "replica " + string(replica),
			Key: keyOf(string(a.Workload)), Content: content, Text: "acting on it failed: " + failure})
	}
}

// judge decides whether an instance goes.
func (m *Machine) judge(in *instance) {
	if in.stopping {
		return
	}
	replica := in.record.Replica
	if _, wanted := m.planner.index[replica]; !wanted {
		if !m.leftAlone(in.workload()) {
			m.end(in, "Stopped", "no longer wanted")
		}
		return
	}
	a, planned := m.assignment(replica)
	if !planned {
		return
	}
	here := crdt.PeerID(a.Peer) == m.self
	current := a.Revision == in.record.Revision
	m.arrive(in)
	other := crdt.PeerID(a.Peer)
	if other == "" && current {
		other = m.keeper(in)
	}
	replaced := other != "" && !(here && current) && m.rowSays(other, replica, a.Revision)
	if !replaced {
		in.surplus = 0
	}
	switch {
	case m.displaced(&a):
		m.displace(in, &a)
	case !(here && current) && m.handsOver(in, &a):
		m.end(in, "Moved", "it is exclusive, and "+m.peerName(crdt.PeerID(a.Peer))+" waits only for it to end")
	case here && current:
		m.judgeMove(in)
	case !current && m.endsFirst(in, &a):
		m.end(in, "Stopped", "goes before its revision "+string(a.Revision)+" begins, as its strategy says")
	case !current && m.goesFirst(in, &a):
		m.end(in, "Stopped", "has what its revision "+string(a.Revision)+" needs, which fits nowhere else")
	case current && m.triedElsewhere(in, &a):
		m.end(in, "Moved", "it fails here again and again, and "+m.peerName(crdt.PeerID(a.Peer))+" tries it now")
	case replaced && current:
		if m.lingered(in) && m.letsGo(in) {
			m.end(in, "Moved", "moved to "+m.peerName(other)+", where it is ready")
		}
	case replaced:
		if !m.wasThere(in, other, a.Revision) || m.lingered(in) {
			m.end(in, "Stopped", "replaced by revision "+string(a.Revision))
		}
	case !current && !in.ready() && (!in.everReady || in.failing()):
		// It serves nobody and will not, and its room may be what its successor waits for.
		m.end(in, "Stopped", "never ready in a revision that is no longer wanted")
	}
}

// keeper is the first other peer that has a ready copy of a replica which has no place, if it comes before this one: as where two sides
// of a split each ran it on a peer that hands over its work now. One copy goes on until there is a place, and all agree on which.
func (m *Machine) keeper(in *instance) crdt.PeerID {
	for _, id := range m.liveIDs {
		if id >= m.self {
			return ""
		}
		if m.rowSays(id, in.record.Replica, in.record.Revision) {
			return id
		}
	}
	return ""
}

// linger is how long a copy must have been surplus before it goes. Of two holders of one replica
// each may for a moment see the other ready and be told to go; what the first to go says of itself must
// have had time to reach the second.
const linger = 500 * time.Millisecond

func (m *Machine) lingered(in *instance) bool {
	if in.surplus == 0 {
		in.surplus = m.now.Elapsed + linger
	}
	return m.now.Elapsed >= in.surplus
}

// wasThere says whether another peer's copy that replaces a ready instance began before it: where a template is changed back in the middle
// of a rollout. Then that copy may be on its way out because of this one. It was there before if this peer knew it when it took its own;
// the clocks of the two decide only about what had not been heard of by then, and after a restart.
func (m *Machine) wasThere(in *instance, other crdt.PeerID, revision placement.Revision) bool {
	if other == m.self || !in.ready() {
		return false
	}
	i := m.heldThere(other, in.record.Replica, revision)
	return i != nil && (slices.Contains(in.before, other) || m.localTime(other, i.Since, 1).Before(fromMillis(in.record.SinceMillis)))
}

// othersOf lists the live peers that have a replica of a workload that is being rolled out.
func (m *Machine) othersOf(a *placement.Assignment) (others []crdt.PeerID) {
	if paced := m.planner.paced; paced != nil && !paced[a.Workload] {
		return nil
	}
	for _, id := range m.liveIDs {
		if r := m.rows[id]; r != nil && slices.ContainsFunc(r.incumbents, func(i placement.Incumbent) bool { return i.Replica == a.Replica }) {
			others = append(others, id)
		}
	}
	return others
}

// leftAlone says whether what runs of a workload must stay although it is not among those wanted:
// no form of its object can be used, or nobody has said yet whether there is one.
func (m *Machine) leftAlone(key crdt.Key) bool {
	if o := m.objects[key]; o != nil {
		return o.frozen || o.merged.Live && m.isAsideNow(sitePlan, key.String(), o.digest)
	}
	return !m.settled()
}

// end begins to stop an instance.
func (m *Machine) end(in *instance, reason, text string) {
	in.stopping, in.tries, in.retryAt = true, 0, 0
	m.rowDirty = true
	in.ends = m.noteReplica(in, Note{Reason: reason, Text: text})
}

// take admits an instance that the plan puts here, unless it is held already or does not fit (P6).
func (m *Machine) take(a *placement.Assignment) {
	slot, ok := m.planner.index[a.Replica]
	if !ok || m.displaced(a) {
		return // it makes room first, also where it comes back to this peer then
	}
	key := keyOf(string(a.Workload))
	id := instanceID(a.Replica, a.Revision)
	ref := refusalKey{a.Replica, a.Revision}
	if m.refusals[ref] != nil {
		return
	}
	if in := m.held[id]; in != nil {
		m.wantAgain(in)
		return
	}
	wanted := m.planner.base[slot]
	if wanted.Revision != a.Revision {
		m.refuse(ref, refusal{reason: "UnknownRevision: only its holders know revision " + string(a.Revision)})
		return
	}
	if from := m.heldReady(a.Replica, a.Revision); from != "" && a.Rule == placement.Rebalance && m.failedLately(a.Revision) {
		m.refuse(ref, refusal{reason: "NotReady: it failed here before, and goes on on " + m.peerName(from), moved: true})
		return
	}
	if !m.standsLongEnough(a) || m.mustEnd(m.objects[key].workload, a.Replica) != "" {
		return
	}
	if short := m.leftNow().shortage(wanted); short != "" {
		if !m.makesRoom(a, wanted) {
			m.refuse(ref, refusal{reason: short, room: true})
		}
		return
	}
	m.admit(id, key, a)
}

// wantAgain keeps an instance that was to go and is wanted again before anything of it was stopped. One whose
// record could not be read goes all the same.
func (m *Machine) wantAgain(in *instance) {
	if !in.stopping || in.goesDown || in.record.Replica == "" {
		return
	}
	in.stopping, in.tries, in.retryAt, in.surplus = false, 0, 0, 0
	m.rowDirty = true
	m.noteReplica(in, Note{Reason: "Kept", Text: "wanted again before it was stopped"})
}

func (m *Machine) admit(id runtime.InstanceID, key crdt.Key, a *placement.Assignment) {
	w := m.objects[key].workload
	wanted := m.planner.base[m.planner.index[a.Replica]]
	r := record{
		Replica:        a.Replica,
		Workload:       string(a.Workload),
		Revision:       a.Revision,
		CPUMillis:      wanted.Request.CPUMillis,
		MemoryBytes:    wanted.Request.MemoryBytes,
		StorageBytes:   wanted.Request.StorageBytes,
		Pids:           wanted.Request.Pids,
		Devices:        wanted.Devices,
		Ports:          wanted.Ports,
		Arriving:       m.heldReady(a.Replica, a.Revision) != "",
		SinceMillis:    millis(m.now.Wall),
		GraceSeconds:   w.GraceSeconds,
		BaseGeneration: m.generations[id],
	}
	spec := w.Template
	spec.Instance = id
	spec.Hostname = hostname(replicaName(a.Replica))
	spec.Bounded = w.Split.Leased()
	spec.Note = r.encode()
	in := newInstance(id, r, spec)
	in.admitted, in.before = m.now.Elapsed, m.othersOf(a)
	m.hold(in)
	m.noteReplica(in, Note{Reason: "Scheduled", Text: fmt.Sprintf("revision %s admitted on %s (%s)", a.Revision, m.config.Self.Name, a.Rule)})
}
