package control

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/replication"
	"shoal/peer/wire"
	"shoal/placement"
	"shoal/runtime"
)

// row is what a peer said of itself last, with what planning needs of it worked out once.
type row struct {
	version replication.Version
	at      time.Duration // when it came
	*said
}

// takeRow keeps a newer row of another peer. One that cannot be read is set aside, and the one before stands.
func (m *Machine) takeRow(e Received, sealed replication.Row) {
	from := e.From
	if sealed.Peer == m.self {
		return
	}
	if len(m.asides) > 0 && m.isAsideNow(siteDecode, string(sealed.Peer), rowContent(sealed)) {
		return
	}
	failing := len(m.asides) > 0 && m.asides[asideName(siteDecode, string(sealed.Peer))] != nil // since an earlier row: that is said once
	read, failed, err := m.readRow(sealed)
	if err != nil {
		if !failing {
			m.note(Note{Warning: true, Reason: "Invalid", Peer: sealed.Peer,
				Text: "the row of " + m.peerName(sealed.Peer) + " was set aside: " + err.Error()})
		}
		subject := "the row of " + m.peerName(sealed.Peer)
		if failed {
			m.setAside(aside{Site: siteDecode, Name: string(sealed.Peer), Subject: subject, Writer: sealed.Peer, From: from, Content: rowContent(sealed), Text: err.Error()})
		} else {
			m.audit(AuditEntry{Reason: "invalid", Subject: subject, Writer: sealed.Peer, From: from, Text: err.Error()})
		}
		return
	}
	if failing {
		m.dropAside(asideName(siteDecode, string(sealed.Peer)))
	}
	if from == sealed.Peer {
		m.measure(sealed, read.observation.At, e.Waited)
	}
	m.rowOfFloor(sealed.Peer, read.observation)
	m.happened.tell(sealed.Peer, read.observation.Events)
	m.setRow(sealed.Peer, read, sealed.Version)
	m.rowCame(sealed.Peer)
}

// rowContent tells the row of a peer from others of it (P13).
func rowContent(sealed replication.Row) [32]byte { return sha256.Sum256(sealed.Body) }

func (m *Machine) readRow(sealed replication.Row) (read *said, failed bool, err error) {
	if read = m.config.Shared.row(&sealed); read != nil {
		return read, false, nil
	}
	defer func() {
		if r := recover(); r != nil {
			read, failed, err = nil, true, fmt.Errorf("reading it failed: %s", panicText(r))
		}
	}()
	m.trip(siteDecode, string(sealed.Peer))
	o, err := m.config.Decode(sealed.Body)
	if err != nil {
		return nil, false, err
	}
	read = sayingOf(sealed.Peer, o)
	m.config.Shared.keepRow(&sealed, read)
	return read, false, nil
}

// rowOfFloor looks again at what of forgetting waited for another peer's word.
func (m *Machine) rowOfFloor(peer crdt.PeerID, o *wire.Observation) {
	old := m.rows[peer]
	if old == nil || !bytes.Equal(old.observation.Applied, o.Applied) ||
		!bytes.Equal(old.observation.Mark, o.Mark) || !bytes.Equal(old.observation.MarkDigest, o.MarkDigest) {
		m.floors.lookSoon(m.now.Elapsed)
		m.floors.doubt.look = true
	}
}

func (m *Machine) setRow(peer crdt.PeerID, read *said, version replication.Version) {
	r := m.rows[peer]
	if r == nil {
		r = &row{}
		m.rows[peer] = r
		m.moved(peer)
		m.keepRow(peer)
	} else if !samePlanning(r.said, read) {
		if !m.planner.stale && m.passes(r.said, read) {
			m.passed(peer)
		} else {
			m.moved(peer)
		}
		if len(m.kept.waiting) > 0 && holdsOther(r.said, read) {
			m.keepRow(peer)
		}
	}
	m.healGone(peer, read)
	*r = row{version: version, at: m.now.Elapsed, said: read}
	m.healRow(peer)
	m.heardHanding(peer, read.observation.Handing)
	m.touched = true
}

// samePlanning says whether two rows of one peer mean the same to a plan.
func samePlanning(a, b *said) bool {
	return a.about == b.about && a.labelled == b.labelled && a.holds == b.holds
}

// observe makes this peer's own row from what it holds, where that has changed.
func (m *Machine) observe() {
	if !m.rowDirty {
		return
	}
	m.rowDirty = false
	o := &wire.Observation{
		Labels:    m.config.Labels,
		Draining:  m.draining,
		Damped:    m.flap.damped,
		Steady:    m.flap.steady,
		Came:      m.flap.came,
		Images:    m.images,
		CPUMillis: m.room.CPUMillis,
		Memory:    m.room.MemoryBytes,
		Storage:   m.storage,
		Pids:      m.pids,
		Devices:   deviceMap(m.devices),
	}
	if m.config.Subnet.IsValid() {
		o.Subnet = m.config.Subnet.String()
	}
	for _, id := range m.heldIDs {
		in := m.held[id]
		m.noteReadiness(in)
		m.noteRun(in)
		in.wasYoung = in.young(m.now.Elapsed)
		o.Instances = append(o.Instances, m.observed(in))
	}
	for _, key := range m.refusalKeys() {
		o.Refusals = append(o.Refusals, wire.Refusal{
			Replica: string(key.replica), Revision: string(key.revision),
			Reason: m.refusals[key].reason, ForMillis: m.refusals[key].span.Milliseconds(), Soft: m.refusals[key].soft,
		})
	}
	o.Handing = m.handing()
	o.Applied, o.Mark, o.MarkDigest = m.floorRow()
	o.Events = m.happened.own
	o.Ran, o.RanCut = m.ranLately()
	body := wire.EncodeObservation(*o)
	if m.body != nil && bytes.Equal(body, m.body) {
		return
	}
	m.body, m.unsealed = body, true
	m.setRow(m.self, sayingOf(m.self, o), replication.Version{Boot: m.config.Boot, Sequence: m.sequence})
}

func (m *Machine) observed(in *instance) wire.Instance {
	w := wire.Instance{
		ID:        string(in.id),
		Replica:   string(in.record.Replica),
		Revision:  string(in.record.Revision),
		State:     string(in.state(m.now.Elapsed)),
		Ready:     in.ready(),
		Since:     in.record.SinceMillis,
		CPUMillis: in.record.CPUMillis,
		Memory:    in.record.MemoryBytes,
		Workload:  in.record.Workload,
		Waits:     in.waits,
		Storage:   in.record.StorageBytes,
		Pids:      in.record.Pids,
		Devices:   wireAmounts(in.record.Devices),
		Ports:     wirePorts(in.record.Ports),
		Arriving:  in.record.Arriving,
		Young:     in.young(m.now.Elapsed),
	}
	if in.address.IsValid() {
		w.Address = in.address.String()
	}
	for i := range in.containers {
		w.Containers = append(w.Containers, in.containers[i].observed())
	}
	return w
}

func (c *container) observed() wire.Container {
	return wire.Container{
		Name:       c.spec.Name,
		Image:      c.spec.Image,
		Generation: c.generation,
		Phase:      uint8(c.phase),
		Ready:      c.ready(),
		Restarts:   c.restarts(),
		StartedAt:  millis(c.startedAt),
		ExitCode:   c.exitCode,
		Reason:     c.reason,
		Detail:     c.detail,
	}
}

// sealRow signs this peer's row and spreads it, where it says something new.
func (m *Machine) sealRow() {
	if !m.unsealed || !m.rowTokens.take(m.now.Elapsed, m.rowEach()) {
		return
	}
	m.unsealed = false
	m.sequence++
	own := m.rows[m.self]
	stamped := *own.observation
	stamped.At = millis(m.now.Wall)
	stamped.Latest = uint64(m.lastOwn)
	own.said = own.restamped(&stamped)
	own.version = replication.Version{Boot: m.config.Boot, Sequence: m.sequence}
	own.at = m.now.Elapsed
	sealed := replication.SealRow(replication.Row{
		Peer: m.self, Version: own.version, Body: wire.EncodeObservation(stamped),
	}, m.config.Sign)
	m.newsOfRows()
	m.out.Send = append(m.out.Send, sends(m.spread.Observe(sealed))...)
}

// rowBurst is how many rows may follow each other at once.
const rowBurst = 8

// rowEach is how often rows are made in the long run: the more peers must hear of each, the more seldom.
func (m *Machine) rowEach() time.Duration {
	return m.config.Tuning.RowEach * time.Duration(1+len(m.liveIDs)/64)
}

// tokens limits a rate: each is there again after a while.
type tokens struct {
	spent [rowBurst]time.Duration // when the last ones were taken
	at    int
	n     int
}

func (t *tokens) take(now, each time.Duration) bool {
	if t.n == rowBurst && now < t.free(each) {
		return false
	}
	t.spent[t.at] = now
	t.at, t.n = (t.at+1)%rowBurst, min(t.n+1, rowBurst)
	return true
}

// free is when the next one is there.
func (t *tokens) free(each time.Duration) time.Duration {
	if t.n < rowBurst {
		return 0
	}
	return t.spent[t.at] + rowBurst*each
}

func (m *Machine) rowDeadlines(at func(time.Duration)) {
	if m.unsealed {
		at(m.rowTokens.free(m.rowEach()))
	}
}

// rowSays reports whether a live peer has itself said, since it last came, that an instance is ready there.
func (m *Machine) rowSays(peer crdt.PeerID, replica placement.ReplicaID, revision placement.Revision) bool {
	if peer != m.self {
		n := m.members[peer]
		if n == nil || !n.live() || n.State != gossip.Alive || !n.fresh {
			return false
		}
	}
	r := m.rows[peer]
	if r == nil {
		return false
	}
	for i := range r.incumbents {
		in := &r.incumbents[i]
		if in.Replica == replica && in.Revision == revision {
			return in.Ready && !in.Stopping
		}
	}
	return false
}

// phaseOf reads the phase that a row claims; one that does not exist is Absent.
func phaseOf(n uint8) runtime.Phase {
	if p := runtime.Phase(n); p <= runtime.Exited {
		return p
	}
	return runtime.Absent
}
