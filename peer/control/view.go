package control

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"shoal/crdt"
	"shoal/peer/wire"
	"shoal/placement"
)

// ViewDigest names all that a plan is made from: machines with equal ones plan alike. It is a sum of hashes (AdHash;
// Bellare and Micciancio 1997): one of each peer that has not left, one of what each live peer holds and refuses, and one
// of each workload. A lost peer whose replicas are waited for counts as a live one. So it is kept up at the cost of what changes, and the order in which things came leaves no trace
// in it. The zero value means that nothing is wanted: then every plan is empty, whatever else there is.
type ViewDigest [4]uint64

// String is the digest in hexadecimal.
func (d ViewDigest) String() string {
	return fmt.Sprintf("%016x%016x%016x%016x", d[0], d[1], d[2], d[3])
}

func (d *ViewDigest) add(o ViewDigest) {
	for i := range d {
		d[i] += o[i]
	}
}

func (d *ViewDigest) take(o ViewDigest) {
	for i := range d {
		d[i] -= o[i]
	}
}

// viewText is what is hashed of one part of a view: its kind, then its words, each with its length, and numbers.
type viewText []byte

func (t viewText) word(word string) viewText {
	return append(binary.AppendUvarint(t, uint64(len(word))), word...)
}

func (t viewText) number(n int64) viewText { return binary.AppendVarint(t, n) }

func (t viewText) flag(set bool) viewText {
	if set {
		return append(t, 1)
	}
	return append(t, 0)
}

func (t viewText) amount(r placement.Resources) viewText {
	return t.number(r.CPUMillis).number(r.MemoryBytes).number(r.StorageBytes).number(r.Pids)
}

func (t viewText) amounts(all []placement.Amount) viewText {
	t = t.number(int64(len(all)))
	for _, a := range all {
		t = t.word(a.Name).number(a.Count)
	}
	return t
}

func (t viewText) ports(all []placement.Port) viewText {
	t = t.number(int64(len(all)))
	for _, p := range all {
		t = t.word(p.IP).number(int64(p.Number)).word(p.Protocol)
	}
	return t
}

func (t viewText) taints(all []placement.Taint) viewText {
	t = t.number(int64(len(all)))
	for _, taint := range all {
		t = t.word(taint.Key).word(taint.Value).word(string(taint.Effect)).number(int64(taint.For))
	}
	return t
}

func (t viewText) digest(d ViewDigest) viewText {
	for _, part := range d {
		t = binary.BigEndian.AppendUint64(t, part)
	}
	return t
}

func (t viewText) labels(labels map[string]string) viewText {
	t = t.number(int64(len(labels)))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		t = t.word(name).word(labels[name])
	}
	return t
}

func (t viewText) sum() (d ViewDigest) {
	sum := sha256.Sum256(t)
	for i := range d {
		d[i] = binary.BigEndian.Uint64(sum[8*i:])
	}
	return d
}

// said is what a row says, as planning reads it: worked out once, and never changed.
type said struct {
	observation *wire.Observation
	incumbents  []placement.Incumbent // one for each instance, in the same order
	refusals    []placement.Refusal
	devices     []placement.Amount
	about       ViewDigest // of what it says of its peer, save labels
	labelled    ViewDigest // of its peer's labels
	holds       ViewDigest // of incumbents and refusals
	abiding     ViewDigest // of about, save what passes with time
}

func sayingOf(peer crdt.PeerID, o *wire.Observation) *said {
	s := &said{observation: o, devices: devicesOf(o.Devices), labelled: labelledOf(o.Labels)}
	s.about, s.abiding = s.describing(true), s.describing(false)
	s.incumbents = make([]placement.Incumbent, len(o.Instances))
	for i, in := range o.Instances {
		s.incumbents[i] = incumbentOf(peer, in)
	}
	for _, refused := range o.Refusals {
		s.refusals = append(s.refusals, refusalOf(peer, o.At, refused))
	}
	s.holds = s.holding(peer)
	return s
}

// restamped is s said again at another time.
func (s said) restamped(o *wire.Observation) *said {
	s.observation = o
	return &s
}

func labelledOf(labels map[string]string) ViewDigest { return viewText("labels").labels(labels).sum() }

var labelledNothing = labelledOf(nil)

// spaceOf is the room that a row gives its peer.
func spaceOf(o *wire.Observation) placement.Resources {
	return resources(placement.Resources{CPUMillis: o.CPUMillis, MemoryBytes: o.Memory, StorageBytes: o.Storage, Pids: o.Pids})
}

// describing leaves out what passes with time, that its peer came, where that is not asked for.
func (s *said) describing(passing bool) ViewDigest {
	o := s.observation
	t := viewText("about").amount(spaceOf(o)).amounts(s.devices).flag(o.Draining).flag(o.Damped)
	if passing {
		t = t.flag(o.Steady).number(o.Came)
	}
	return t.sum()
}

// holding leaves out until when a refusal stands: no plan looks at that, for its peer alone ends it.
func (s *said) holding(peer crdt.PeerID) ViewDigest {
	if len(s.incumbents) == 0 && len(s.refusals) == 0 {
		return ViewDigest{}
	}
	t := viewText("holds").word(string(peer)).number(int64(len(s.incumbents)))
	for i := range s.incumbents {
		in := &s.incumbents[i]
		t = t.word(string(in.Replica)).word(string(in.Revision)).amount(in.Request)
		t = t.amounts(in.Devices).ports(in.Ports)
		t = t.flag(in.Ready).flag(in.Stopping).flag(in.Arriving).flag(in.Young).number(millis(in.Since))
	}
	for i := range s.refusals {
		r := &s.refusals[i]
		t = t.word(string(r.Replica)).word(string(r.Revision)).word(r.Reason).flag(r.Soft)
	}
	return t.sum()
}

// asksOf is the digest of what an object in force asks to run, and how; zero if it asks for no replica.
func (m *Machine) asksOf(o *object) ViewDigest {
	w := o.workload
	if o.count() == 0 {
		return ViewDigest{}
	}
	t := viewText("asks").word(w.Key.String()).word(w.Revision).number(int64(w.Replicas))
	t = t.amount(requestOf(w)).amounts(w.Devices).ports(w.Ports).number(int64(w.MaxSurge)).number(int64(w.SurgePercent)).labels(w.NodeSelector).flag(o.frozen)
	if w.MaxSurge == 0 { // then how many may be missing decides who wants what
		t = t.number(int64(w.MaxUnavailable)).flag(w.Recreate)
	}
	for _, ordinal := range slices.Sorted(maps.Keys(w.Restarts)) {
		t = t.number(int64(ordinal)).word(w.Restarts[ordinal])
	}
	for _, peer := range slices.Sorted(maps.Keys(w.RestartsOn)) {
		t = t.word(peer).word(w.RestartsOn[peer])
	}
	priority, never := m.priorityOf(w)
	t = t.number(int64(priority)).flag(never).number(int64(w.Split.LostWait)).number(int64(w.MostMoving)).rules(w.Rules)
	for i := range o.each {
		t = t.word(string(o.each[i].id)).word(o.each[i].name)
	}
	return t.sum()
}

// rules hashes all that rules say: nothing of them may be left out, so their whole form as JSON stands for them.
func (t viewText) rules(r *placement.Rules) viewText {
	if r == nil {
		return t.word("")
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // words, numbers and lists always encode
	}
	return t.word(string(text))
}

// counted is what a sum holds of one peer.
type counted struct {
	digest ViewDigest
	moved  bool // the peer has changed since
}

// peersDigest is the sum over all peers, and who in it is to be counted again.
type peersDigest struct {
	sum   ViewDigest
	own   counted
	moved []*member
}

// moved notes that what a plan looks at of a peer may have changed.
func (m *Machine) moved(id crdt.PeerID) {
	m.planner.stale = true
	m.recount(id)
}

// recount has a peer counted again in the digest of the view.
func (m *Machine) recount(id crdt.PeerID) {
	p := &m.planner
	if id == m.self {
		p.peers.own.moved = true
	} else if n := m.members[id]; n != nil && !n.counted.moved {
		n.counted.moved = true
		p.peers.moved = append(p.peers.moved, n)
	}
}

// viewDigest is that of the view as it is now, with the workloads that were gathered last.
func (m *Machine) viewDigest() ViewDigest {
	p := &m.planner
	if len(p.base) == 0 {
		return ViewDigest{}
	}
	if p.peers.own.moved {
		m.count(m.self, &p.peers.own)
	}
	for i, n := range p.peers.moved {
		m.count(crdt.PeerID(n.ID), &n.counted)
		p.peers.moved[i] = nil
	}
	p.peers.moved = p.peers.moved[:0]
	d := p.peers.sum
	d.add(p.asks)
	return d
}

func (m *Machine) count(id crdt.PeerID, c *counted) {
	c.moved = false
	now := m.peerDigest(id)
	if now == c.digest {
		return
	}
	m.planner.changes++
	if m.config.Shared == nil && m.config.Plan == nil {
		m.planner.feed.changed = append(m.planner.feed.changed, id)
	}
	m.planner.peers.sum.take(c.digest)
	m.planner.peers.sum.add(now)
	c.digest = now
}

// countedOf is what the sum holds of a peer.
func (m *Machine) countedOf(id crdt.PeerID) ViewDigest {
	if id == m.self {
		return m.planner.peers.own.digest
	}
	return m.members[id].counted.digest
}

// peerDigest is that of one peer and, while it is live, of what it holds.
func (m *Machine) peerDigest(id crdt.PeerID) ViewDigest {
	r := m.rows[id]
	peer, ok := m.viewPeer(id, r)
	if !ok {
		return ViewDigest{}
	}
	labelled := labelledNothing
	if n := m.nodes[peer.Name]; n != nil && len(n.labels) > 0 {
		labelled = labelledOf(peer.Labels)
	} else if r != nil {
		labelled = r.labelled
	}
	var space [256]byte
	t := append(viewText(space[:0]), "peer"...).word(string(id)).word(peer.Name).flag(peer.Live).number(int64(peer.Health)).amount(peer.Room)
	t = t.amounts(peer.Devices).taints(peer.Taints).number(int64(peer.LostFor))
	t = t.flag(peer.Draining).flag(peer.Cordoned).flag(peer.Damped).flag(peer.Steady).number(millis(peer.Came)).digest(labelled)
	d := t.sum()
	if r != nil && m.counts(id, &peer) {
		d.add(r.holds)
	}
	return d
}
