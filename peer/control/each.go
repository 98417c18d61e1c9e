package control

import (
	"cmp"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/peer/manifest"
	"shoal/placement"
)

// A workload that wants one replica on each peer wants one on each that is live and that its rules allow: a peer that is cut off
// sees itself as live, and keeps its own. What hands over all its work before it leaves wants none.

// eachPeer is a peer that such a workload wants a replica on.
type eachPeer struct {
	id   placement.PeerID
	name string
}

// eachOf lists the peers, of those given, that a workload wants a replica on, by name.
func (m *Machine) eachOf(w *manifest.Workload, peers []placement.Peer) []eachPeer {
	var each []eachPeer
	wants := placement.Wanted{NodeSelector: w.NodeSelector, Rules: w.Rules}
	for i := range peers {
		p := &peers[i]
		if p.Live && !leaves(m.rows[crdt.PeerID(p.ID)]) && wants.Allows(p) {
			each = append(each, eachPeer{p.ID, p.Name})
		}
	}
	slices.SortFunc(each, func(a, b eachPeer) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(string(a.id), string(b.id)))
	})
	return slices.CompactFunc(each, func(a, b eachPeer) bool { return a.name == b.name }) // of two with one name the first has the replica
}

// refreshEach finds the peers of a workload anew, and says whether they are others than before.
func (m *Machine) refreshEach(o *object) bool {
	var peers []placement.Peer
	for _, id := range m.peerIDs() {
		if peer, ok := m.viewPeer(id, m.rows[id]); ok {
			peers = append(peers, peer)
		}
	}
	each := m.eachOf(o.workload, peers)
	if slices.Equal(each, o.each) {
		return false
	}
	o.each, o.wanted, o.asks = each, nil, ViewDigest{}
	return true
}

// leaves says whether a peer was told to hand over all it has, by its own word.
func leaves(r *row) bool { return r != nil && r.observation.Draining }

// eachChanged says whether some workload wants replicas on other peers than before.
func (m *Machine) eachChanged() (changed bool) {
	for i := range m.planner.spans {
		if o := m.planner.spans[i].object; o.workload.EachPeer && m.refreshEach(o) {
			changed = true
		}
	}
	return changed
}
