package control

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/wire"
	"shoal/placement"
	"shoal/runtime"
)

// The methods below read the state as of the last Flush. What they return belongs to the caller,
// except the bytes of field values, which nobody may change.

// Objects returns the live objects of one kind, in all namespaces when namespace is empty, sorted by key.
func (m *Machine) Objects(kind, namespace string) []crdt.Object {
	var found []crdt.Object
	for _, key := range m.sortedKeys() {
		if key.Kind == kind && (namespace == "" || key.Namespace == namespace) && m.live(key) {
			found = append(found, ownedObject(m.objects[key].merged))
		}
	}
	return found
}

// Object returns one object, live or not; false if nothing is known of it.
func (m *Machine) Object(key crdt.Key) (crdt.Object, bool) {
	o := m.objects[key]
	if o == nil {
		return crdt.Object{}, false
	}
	return ownedObject(o.merged), true
}

func ownedObject(o crdt.Object) crdt.Object {
	o.Fields = slices.Clone(o.Fields)
	o.Seen = maps.Clone(o.Seen)
	return o
}

// Invalid returns why the object as merged is not valid and an earlier form is in force; nil if it is valid.
func (m *Machine) Invalid(key crdt.Key) []string {
	o := m.objects[key]
	if o == nil {
		return nil
	}
	faults := slices.Clone(o.faults)
	if m.isAsideNow(sitePlan, key.String(), o.digest) {
		faults = append(faults, planAsideText)
	}
	return faults
}

// Members returns the peers known, sorted by ID.
func (m *Machine) Members() []MemberView {
	var all []MemberView
	for _, id := range m.peerIDs() {
		v := MemberView{}
		if id == m.self {
			v.Member = gossip.Member{Self: m.config.Self, Addr: m.selfAddr}
			v.Room, v.Health = m.room, m.health
		} else {
			n := m.members[id]
			if n.State == gossip.Left {
				continue
			}
			v.Member, v.Since = n.Member, n.since
			if n.wait != 0 && !n.heard {
				v.State = gossip.Suspect // known from before, and given time to be heard of
			}
		}
		if r := m.rows[id]; r != nil {
			m.fillMember(&v, r)
		}
		if n := m.nodes[m.peerName(id)]; n != nil {
			v.Draining, v.Cordoned = v.Draining || n.drain, n.cordoned
		}
		all = append(all, v)
	}
	return all
}

func (m *Machine) fillMember(v *MemberView, r *row) {
	v.Boot, v.Row = r.version.Boot, r.version
	v.RowAge = m.now.Elapsed - r.at
	v.Labels = maps.Clone(r.observation.Labels)
	v.Images = slices.Clone(r.observation.Images)
	v.Leaving, v.Draining = r.observation.Draining, r.observation.Draining
	v.Damped, v.Steady = r.observation.Damped, r.observation.Steady
	v.Space, v.Devices = spaceOf(r.observation), slices.Clone(r.devices)
	v.Subnet, _ = netip.ParsePrefix(r.observation.Subnet)
	for i := range r.incumbents {
		v.Admitted = plus(v.Admitted, r.incumbents[i].Request)
	}
}

// Replicas returns all replicas wanted or held, sorted by ID.
func (m *Machine) Replicas() []ReplicaView {
	byID := map[placement.ReplicaID]*ReplicaView{}
	for _, w := range m.planner.base {
		byID[w.Replica] = &ReplicaView{ID: w.Replica, Workload: keyOf(string(w.Workload)),
			Ordinal: ordinalOf(w.Replica), Wanted: true, Newest: w.Revision}
	}
	for a := range m.planner.plan.Assignments.All() {
		if v := byID[a.Replica]; v != nil {
			v.Assignment = *a
		}
	}
	m.collect(byID, func(*row, int) bool { return true })
	return m.sortedViews(byID)
}

// Wants says whether intent asks for a replica.
func (m *Machine) Wants(replica placement.ReplicaID) bool {
	_, wanted := m.planner.index[replica]
	return wanted
}

// Assignment returns where the plan in force puts a replica; false if it says nothing of it.
func (m *Machine) Assignment(replica placement.ReplicaID) (placement.Assignment, bool) {
	return m.assignment(replica)
}

// sortedViews says of those that are pending why, too.
func (m *Machine) sortedViews(byID map[placement.ReplicaID]*ReplicaView) []ReplicaView {
	ids := slices.Sorted(maps.Keys(byID))
	all := make([]ReplicaView, len(ids))
	pending := pendingTexts{}
	for i, id := range ids {
		all[i] = *byID[id]
		if all[i].Wanted && all[i].Assignment.Peer == "" {
			all[i].Pending = pending.of(m, id, all[i].Assignment)
		} else if all[i].Wanted {
			all[i].Waits = m.waitsForOld(&all[i])
		}
	}
	return all
}

// ReplicasOf returns the replicas of one workload, wanted or held, sorted by ID.
func (m *Machine) ReplicasOf(key crdt.Key) []ReplicaView {
	p := &m.planner
	byID := map[placement.ReplicaID]*ReplicaView{}
	from, to := p.rangeOf(key)
	for i := from; i < to; i++ {
		id := p.base[i].Replica
		byID[id] = &ReplicaView{ID: id, Workload: key, Ordinal: ordinalOf(id), Wanted: true, Newest: p.base[i].Revision}
		if a, ok := m.assignment(id); ok {
			byID[id].Assignment = a
		}
	}
	m.collect(byID, func(r *row, i int) bool {
		if slot, wanted := p.index[r.incumbents[i].Replica]; wanted {
			return from <= int(slot) && int(slot) < to
		}
		return keyOf(r.observation.Instances[i].Workload) == key
	})
	return m.sortedViews(byID)
}

// rangeOf is the part of base that belongs to one workload; empty if there is none.
func (p *planner) rangeOf(key crdt.Key) (from, to int) {
	at, found := slices.BinarySearchFunc(p.spans, key, func(s span, key crdt.Key) int { return compareKeys(s.object.workload.Key, key) })
	if !found {
		return 0, 0
	}
	return p.spans[at].from, p.spans[at].to
}

// collect adds what live peers hold of what is asked for, in the order of the peers.
func (m *Machine) collect(byID map[placement.ReplicaID]*ReplicaView, asked func(r *row, i int) bool) {
	for _, id := range m.peerIDs() {
		r := m.rows[id]
		if r == nil || id != m.self && !m.members[id].live() {
			continue
		}
		for i := range r.observation.Instances {
			in := &r.observation.Instances[i]
			replica := placement.ReplicaID(in.Replica)
			if replica == "" || !asked(r, i) {
				continue // or being removed, and nobody knows what it was
			}
			v := byID[replica]
			if v == nil {
				v = &ReplicaView{ID: replica, Workload: keyOf(in.Workload), Ordinal: ordinalOf(replica)}
				byID[replica] = v
			}
			seen := instanceView(id, in)
			seen.Current = v.Wanted && seen.Revision == v.Assignment.Revision
			v.Instances = append(v.Instances, seen)
		}
	}
}

func instanceView(peer crdt.PeerID, in *wire.Instance) InstanceView {
	v := InstanceView{
		Instance: runtime.InstanceID(in.ID),
		Peer:     peer,
		Revision: placement.Revision(in.Revision),
		State:    InstanceState(in.State),
		Ready:    in.Ready,
		Since:    fromMillis(in.Since),
		Waits:    in.Waits,
	}
	v.Address, _ = netip.ParseAddr(in.Address)
	for _, c := range in.Containers {
		v.Containers = append(v.Containers, ContainerView{
			Name: c.Name, Image: c.Image, Generation: c.Generation, Phase: phaseOf(c.Phase), Ready: c.Ready,
			Restarts: c.Restarts, StartedAt: fromMillis(c.StartedAt), ExitCode: c.ExitCode, Reason: c.Reason, Detail: c.Detail,
		})
	}
	return v
}

// Why returns every peer's verdict on one replica; false if there is no such replica.
func (m *Machine) Why(replica placement.ReplicaID) ([]placement.Verdict, bool) {
	if _, ok := m.assignment(replica); !ok {
		return nil, false
	}
	return m.explain(replica), true
}

// explain survives a view that cannot be explained, as planning survives it.
func (m *Machine) explain(replica placement.ReplicaID) (verdicts []placement.Verdict) {
	guard(func() {
		if m.planner.built != m.planner.digest {
			m.buildView()
		}
		verdicts = m.planner.view.Explain(m.planner.plan, replica)
	})
	return verdicts
}

// Explain returns what the view in force says of a replica; false if there is no such replica.
func (m *Machine) Explain(replica placement.ReplicaID) (Explained, bool) {
	a, known := m.assignment(replica)
	if !known {
		return Explained{}, false
	}
	e := Explained{Assignment: a, View: m.planner.digest, Plan: m.planner.plan.Digest}
	guard(func() { e.Held = m.keptBy(&placement.Incumbent{Replica: replica, Peer: a.Peer}) })
	if e.Held != "" {
		guard(func() { e.Verdicts = m.explainHeld(&a, e.Held) })
		return e, true
	}
	e.Verdicts = m.explain(replica)
	if a.Peer == "" {
		e.Pending = m.pendingText(e.Verdicts)
		guard(func() { e.Remedy = m.planner.view.Remedy(m.planner.plan, replica) })
	}
	return e, true
}

// explainHeld explains a replica that a budget keeps where it is: as if that were not so, for the others' rules are about the replica.
func (m *Machine) explainHeld(a *placement.Assignment, held string) []placement.Verdict {
	view := m.PlacementView()
	for i := range view.Wanted {
		if view.Wanted[i].Replica == a.Replica {
			view.Wanted[i].Only = ""
		}
	}
	verdicts := view.Explain(m.planner.plan, a.Replica)
	for i := range verdicts {
		if verdicts[i].Peer == a.Peer {
			verdicts[i].Detail = held
		}
	}
	return verdicts
}

// Orders returns the hash order of each replica: the peers to which it would go if nothing but room and health counted.
func (m *Machine) Orders(replicas []placement.ReplicaID) [][]placement.PeerID {
	var orders [][]placement.PeerID
	guard(func() { orders = m.PlacementView().Orders(replicas) })
	return orders
}

// pendingTexts explains pending replicas, once for all of a workload that nobody has refused.
type pendingTexts map[placement.WorkloadID]string

func (p pendingTexts) of(m *Machine, id placement.ReplicaID, a placement.Assignment) string {
	if a.Replica == "" {
		return "not planned: its object cannot be used as it is, or nothing was planned yet"
	}
	if text, ok := p[a.Workload]; ok {
		return text
	}
	verdicts, _ := m.Why(id)
	text := m.pendingText(verdicts)
	if !slices.ContainsFunc(verdicts, func(v placement.Verdict) bool { return v.Rule == placement.Refused }) {
		p[a.Workload] = text
	}
	return text
}

// pendingText sums verdicts up: "0 of 3 peers fit: 2 no-cpu, 1 refused (p3: ImageMissing: …)".
func (m *Machine) pendingText(verdicts []placement.Verdict) string {
	return PendingText(verdicts, func(id placement.PeerID) string { return m.peerName(crdt.PeerID(id)) })
}

// PendingText says why a replica with these verdicts has no place. Of each rule it gives the first peer's numbers.
func PendingText(verdicts []placement.Verdict, name func(placement.PeerID) string) string {
	if len(verdicts) == 0 {
		return "no verdict is known"
	}
	counts := map[placement.Rule]int{}
	details := map[placement.Rule]string{}
	for _, v := range verdicts {
		counts[v.Rule]++
		if details[v.Rule] == "" && v.Detail != "" {
			details[v.Rule] = name(v.Peer) + ": " + v.Detail
		}
	}
	var parts []string
	for _, rule := range slices.Sorted(maps.Keys(counts)) {
		part := fmt.Sprintf("%d %s", counts[rule], rule)
		if d := details[rule]; d != "" {
			part += " (" + d + ")"
		}
		parts = append(parts, part)
	}
	return fmt.Sprintf("0 of %d peers fit: %s", len(verdicts), strings.Join(parts, ", "))
}

// Version is this peer's own resource version: it rises with every change that a reader could see.
func (m *Machine) Version() uint64 { return m.version }

// Digests returns the digest of the intent and that of the plan.
func (m *Machine) Digests() (intent, plan [32]byte) { return m.set.Digest(), m.planner.plan.Digest }

// ViewDigest returns that of the view that the plan in force was made from: machines with equal ones have equal plans.
func (m *Machine) ViewDigest() ViewDigest { return m.planner.digest }

// Admitted returns the sum of requests admitted here, and the room it must stay within (P6).
func (m *Machine) Admitted() (sum, room placement.Resources) { return m.admitted(), roomOf(m.room) }
