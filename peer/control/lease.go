package control

import (
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/lease"
	"shoal/peer/manifest"
	"shoal/peer/replication"
	"shoal/placement"
	"shoal/runtime"
)

// Replicas of workloads that ask for it run only under a lease (package lease; P9). Here is what that means for an instance:
//
//	            admitted, prepared          lease held               lease about to end
//	instance ──▶ Leasing ─────────────────▶ Starting ─▶ Running ───▶ stopped, Leasing again
//	                                                        │
//	                                       deadline         └─ the runtime kills it at its deadline, also when
//	                                       moved on with       this program is dead or stopped
//	                                       each round
//
//	asked      granted again and again…    last grant                stop begins   SIGKILL    deadline   end
//	  |───────────|───────────|───────────────|──────────────────────────|────────────|──────────|────────|
//	                                                                      grace ≤ 3 s    0.5 s     0.5 s
//
// Times before the end are of this peer's clock, which counts suspends; the end is a lease's by package lease. The margins are for
// killing, which takes a moment, and scale with the term.

// leases is what a machine keeps of them.
type leases struct {
	holder  *lease.Holder
	witness *lease.Witness
	terms   map[crdt.Key]*leaseTerms
	named   map[string][]crdt.PeerID     // who bears which name; nil when it is to be worked out
	leased  map[crdt.Key]bool            // workloads that need leases
	several map[crdt.Key]bool            // of those, the ones with several lists of witnesses
	heard   map[heardTerms]time.Duration // since when a witness is known to know what it says
	due     time.Duration                // when something of leases is to be done; 0 for nothing
	retired bool                         // this peer says goodbye, and another may take its name: it grants nothing any more
}

// Bound is until when an instance may run, for the runtime to enforce.
type Bound struct {
	Instance runtime.InstanceID
	Until    time.Duration // Clock.Elapsed
}

// Unbounded is the Until of an instance that needs no lease any more.
const Unbounded time.Duration = 1<<63 - 1

func (m *Machine) resumeLeases(saved Saved) {
	term := m.config.Tuning.LeaseTerm
	records := map[string][]byte{}
	for name, value := range saved.Records {
		if strings.HasPrefix(name, lease.RecordPrefix) {
			records[name] = value
		}
	}
	m.leases = leases{witness: lease.NewWitness(term, m.session(), records), terms: map[crdt.Key]*leaseTerms{}, heard: map[heardTerms]time.Duration{}, leased: map[crdt.Key]bool{}, several: map[crdt.Key]bool{}}
}

// session is the session of this peer under its name, for what it granted counts by that.
func (m *Machine) session() string {
	if m.config.Session == "" {
		return ""
	}
	return m.config.Session + " " + m.config.Self.Name
}

// leaseHolder is made when it is needed first: its life is drawn at random.
func (m *Machine) leaseHolder() *lease.Holder {
	if m.leases.holder == nil {
		life := m.config.Boot << 30
		if m.config.Pick != nil {
			life |= uint64(m.config.Pick(1 << 30))
		}
		m.leases.holder = lease.NewHolder(m.config.Tuning.LeaseTerm, life, m.config.Pick)
	}
	return m.leases.holder
}

// resumeBound takes over until when an adopted instance may run: until then its earlier program held the lease.
func (m *Machine) resumeBound(in *instance, until time.Duration) {
	if in.spec.Bounded {
		m.leaseHolder()
	}
	if until > 0 && until != Unbounded {
		in.bound = until
		m.leaseHolder().Resume(string(in.record.Replica), until+m.leaseMargin())
	}
}

// leaseMargin is how long before the end of a lease the runtime kills.
func (m *Machine) leaseMargin() time.Duration { return m.config.Tuning.LeaseTerm / 20 }

// leaseLead is how long before the end of its lease an instance begins to stop: its grace, as far as the term allows one, and what
// killing takes.
func (m *Machine) leaseLead(in *instance) time.Duration {
	in.leaseGrace = min(in.grace(), m.config.Tuning.LeaseTerm*3/10)
	return in.leaseGrace + 2*m.leaseMargin()
}

// leased says whether an instance may run only under a lease. One whose workload is gone needs the one that it has.
func (m *Machine) leased(in *instance) bool {
	if w := m.workloadOf(in); w != nil {
		return w.Split.Leased()
	}
	return in.spec.Bounded
}

// workloadOf is the workload in force that an instance belongs to; nil if there is none.
func (m *Machine) workloadOf(in *instance) *manifest.Workload {
	if o := m.objects[in.workload()]; o != nil {
		return o.workload
	}
	return nil
}

// breaksFirst says whether an instance must have ended before its replica may start anywhere else (exclusive).
func (m *Machine) breaksFirst(in *instance) bool {
	w := m.workloadOf(in)
	return w != nil && w.Split.Exclusive
}

// handsOver says whether an exclusive instance must end now, for its successor has everything that it needs but the lease.
func (m *Machine) handsOver(in *instance, a *placement.Assignment) bool {
	return a.Peer != "" && m.breaksFirst(in) && m.rowWaits(crdt.PeerID(a.Peer), a.Replica, a.Revision)
}

// rowWaits says whether a live peer has itself said, since it last came, that an instance there waits for nothing but its lease.
func (m *Machine) rowWaits(peer crdt.PeerID, replica placement.ReplicaID, revision placement.Revision) bool {
	if n := m.members[peer]; peer != m.self && (n == nil || !n.live() || !n.fresh) || m.rows[peer] == nil {
		return false
	}
	for _, in := range m.rows[peer].observation.Instances {
		if in.Replica == string(replica) && in.Revision == string(revision) && in.State == string(Leasing) {
			return true
		}
	}
	return false
}

// lease asks for what is needed, gives back what is not, and says how long each instance may run. It runs in each round of decide, before
// instances climb.
func (m *Machine) lease() {
	if m.leases.holder == nil && len(m.leases.leased) == 0 {
		return // nothing ever needed one
	}
	needed := map[string]bool{}
	for _, id := range m.heldIDs {
		in := m.held[id]
		if !m.leased(in) {
			m.unbind(in)
			continue
		}
		needed[string(in.record.Replica)] = true
		m.needLease(in)
	}
	if m.leases.holder != nil {
		h := m.leases.holder
		for _, name := range h.Names() {
			if !needed[name] {
				m.leaseSend(h.Drop(name))
			}
		}
		m.leaseSend(h.Round(m.now.Elapsed))
	}
	for _, id := range m.heldIDs {
		if in := m.held[id]; m.leased(in) {
			m.bind(in)
		}
	}
	m.leaseRecords()
	m.leaseDue()
}

// needLease asks for the lease of an instance. Where the conditions cannot be met, what is held runs out.
func (m *Machine) needLease(in *instance) {
	w := m.workloadOf(in)
	if w == nil {
		return // what it has must last until it is stopped
	}
	t := m.leaseTermsOf(w)
	need := lease.Need{Workload: in.record.Workload, Terms: t.hash, Witnesses: t.lists}
	if a, planned := m.assignment(in.record.Replica); planned && !w.Split.Exclusive && crdt.PeerID(a.Peer) != m.self {
		need.Next = crdt.PeerID(a.Peer)
	}
	m.leaseHolder().Need(string(in.record.Replica), need)
}

// bind notes whether an instance may run now, and moves its deadline on.
func (m *Machine) bind(in *instance) {
	end := m.leaseHolder().End(string(in.record.Replica))
	withheld := m.now.Elapsed >= end-m.leaseLead(in) || m.rivalHere(in)
	if withheld != in.withheld {
		in.withheld, m.rowDirty = withheld, true
		m.noteWithheld(in)
	}
	if text := m.leaseText(in); text != in.waits {
		in.waits, m.rowDirty = text, true
	}
	if until := max(end-m.leaseMargin(), 0); in.prepared && until != in.bound && until > m.now.Elapsed {
		in.bound = until
		m.out.Bounds = append(m.out.Bounds, Bound{in.id, until})
	}
}

// unbind lifts the deadline of an instance that needs no lease any more.
func (m *Machine) unbind(in *instance) {
	in.withheld, in.waits = false, ""
	if in.prepared && (in.bound != 0 || in.spec.Bounded) && in.bound != Unbounded {
		in.bound = Unbounded
		m.out.Bounds = append(m.out.Bounds, Bound{in.id, Unbounded})
	}
}

// rivalHere says whether another instance of an exclusive replica runs on this very peer.
func (m *Machine) rivalHere(in *instance) bool {
	if !m.breaksFirst(in) || in.active() {
		return false
	}
	for _, id := range m.heldIDs {
		if other := m.held[id]; other != in && other.record.Replica == in.record.Replica && other.active() {
			return true
		}
	}
	return false
}

// startOverdue takes that a container was not started because the time of its instance was over, or the runtime was not told of more. It is
// told again, and nobody's failure.
func (m *Machine) startOverdue(in *instance, c *container) {
	in.bound = 0
	c.startAt = m.now.Elapsed + m.leaseMargin()
}

// active says whether anything of an instance may run.
func (in *instance) active() bool {
	return in.inflight != nil && in.inflight.Kind != Prepare || slices.ContainsFunc(in.containers, func(c container) bool { return c.phase == runtime.Running })
}

// nextWithheld is next for an instance that is prepared and has no lease: nothing of it is to run.
func (in *instance) nextWithheld(time.Duration) *Action {
	for i := len(in.containers) - 1; i >= 0; i-- {
		if c := &in.containers[i]; c.phase == runtime.Running {
			return &Action{Kind: Stop, Instance: in.id, Container: c.spec.Name, Grace: in.leaseGrace}
		}
	}
	return nil
}

// leaseMessage takes what another peer says of leases. The adapter of streams knows who that is.
func (m *Machine) leaseMessage(from crdt.PeerID, message lease.Message) {
	m.decided = false
	if len(message.Asks) > 0 || len(message.Frees) > 0 {
		answer, hints := m.leases.witness.Take(m.now.Elapsed, from, message, m.knowsLease)
		if len(answer.Answers) > 0 {
			m.leaseSend([]lease.Outgoing{{To: from, Message: answer}})
		}
		m.leaseSend(hints)
	}
	if len(message.Answers) > 0 && m.leases.holder != nil {
		m.leaseSend(m.leases.holder.Take(m.now.Elapsed, from, message))
	}
	m.leaseRecords()
}

// leaseSend sends messages; one to this very peer is taken in at once.
func (m *Machine) leaseSend(out []lease.Outgoing) {
	for _, o := range out {
		if o.To == m.self {
			m.leaseMessage(m.self, o.Message)
			continue
		}
		message := o.Message
		m.out.Send = append(m.out.Send, Send{To: o.To, Message: replication.Message{Lease: &message}})
	}
}

// leaseRecords hands out what the witness must not forget: it is on disk before the grants leave, or count here.
func (m *Machine) leaseRecords() {
	for name, value := range m.leases.witness.Records() {
		m.record(name, value)
	}
}

// leaseDue works out when there is something to do for leases without news.
func (m *Machine) leaseDue() {
	l := &m.leases
	l.due = 0
	if l.holder == nil {
		return
	}
	if due, any := l.holder.Due(); any {
		l.due = max(due, 1)
	}
	for _, id := range m.heldIDs {
		in := m.held[id]
		if !m.leased(in) || in.withheld {
			continue
		}
		l.due = earlier(l.due, max(l.holder.End(string(in.record.Replica))-m.leaseLead(in), 1))
	}
}
