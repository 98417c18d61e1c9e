package control

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"shoal/crdt"
	"shoal/peer/wire"
	"shoal/placement"
)

// ViewDigest names all that a plan is made from: machines with equal ones plan alike. It is a sum of hashes (AdHash;
// Bellare and Micciancio 1997): one of each peer that has not left, one of what each live peer holds and refuses, and one
// of each workload. So it is kept up at the cost of what changes, and the order in which things came leaves no trace
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
	return t.number(r.CPUMillis).number(r.MemoryBytes)
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
	about       ViewDigest // of its peer's labels, and of whether it drains
	holds       ViewDigest // of incumbents and refusals
}

func sayingOf(peer crdt.PeerID, o *wire.Observation) *said {
	s := &said{observation: o, about: aboutOf(o.Labels, o.Draining)}
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

func aboutOf(labels map[string]string, draining bool) ViewDigest {
	return viewText("about").labels(labels).flag(draining).sum()
}

var aboutNothing = aboutOf(nil, false)

// holding leaves out until when a refusal stands: no plan looks at that, for its peer alone ends it.
func (s *said) holding(peer crdt.PeerID) ViewDigest {
	if len(s.incumbents) == 0 && len(s.refusals) == 0 {
		return ViewDigest{}
	}
	t := viewText("holds").word(string(peer)).number(int64(len(s.incumbents)))
	for i := range s.incumbents {
		in := &s.incumbents[i]
		t = t.word(string(in.Replica)).word(string(in.Revision)).amount(in.Request)
		t = t.flag(in.Ready).flag(in.Stopping).number(millis(in.Since))
	}
	for i := range s.refusals {
		r := &s.refusals[i]
		t = t.word(string(r.Replica)).word(string(r.Revision)).word(r.Reason)
	}
	return t.sum()
}

// asksOf is the digest of what an object in force asks to run, and how; zero if it asks for no replica.
func asksOf(o *object) ViewDigest {
	w := o.workload
	if w.Replicas <= 0 {
		return ViewDigest{}
	}
	t := viewText("asks").word(w.Key.String()).word(w.Revision).number(int64(w.Replicas))
	t = t.amount(requestOf(w)).number(int64(w.MaxSurge)).labels(w.NodeSelector).flag(o.frozen)
	for _, ordinal := range slices.Sorted(maps.Keys(w.Restarts)) {
		t = t.number(int64(ordinal)).word(w.Restarts[ordinal])
	}
	return t.sum()
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
	p := &m.planner
	p.stale = true
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
	m.planner.peers.sum.take(c.digest)
	m.planner.peers.sum.add(now)
	c.digest = now
}

// peerDigest is that of one peer and, while it is live, of what it holds.
func (m *Machine) peerDigest(id crdt.PeerID) ViewDigest {
	r := m.rows[id]
	peer, ok := m.viewPeer(id, r)
	if !ok {
		return ViewDigest{}
	}
	about := aboutNothing
	if r != nil {
		about = r.about
	}
	var space [256]byte
	t := append(viewText(space[:0]), "peer"...).word(string(id)).flag(peer.Live).number(int64(peer.Health)).amount(peer.Room)
	for _, part := range about {
		t = binary.BigEndian.AppendUint64(t, part)
	}
	d := t.sum()
	if r != nil && peer.Live {
		d.add(r.holds)
	}
	return d
}
