package control

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/lease"
	"shoal/peer/manifest"
)

// leaseTerms are the conditions for the leases of one workload: lists of witnesses, of each of which a majority must grant.
type leaseTerms struct {
	hash  lease.Terms
	names [][]string
	lists [][]crdt.PeerID // the same as peers; empty for one that is not known. None at all where there is a fault
	fault string          // why nobody can be asked, for people
}

// leaseTermsOf are the conditions of a workload, as this peer knows it. They are worked out anew when objects or members have changed.
func (m *Machine) leaseTermsOf(w *manifest.Workload) *leaseTerms {
	if t := m.leases.terms[w.Key]; t != nil {
		return t
	}
	t := &leaseTerms{names: m.witnessLists(w)}
	t.hash = hashTerms(w.Split.Exclusive, t.names)
	for _, list := range t.names {
		var peers []crdt.PeerID
		for _, name := range list {
			bearers := m.bearers(name)
			if len(bearers) > 1 {
				t.fault = fmt.Sprintf("two peers bear the name %s: rename one, or let the one that is gone leave", name)
			}
			if len(bearers) == 1 {
				peers = append(peers, bearers[0])
			} else {
				peers = append(peers, "")
			}
		}
		t.lists = append(t.lists, peers)
	}
	if t.fault != "" {
		t.lists = nil
	}
	m.leases.terms[w.Key] = t
	return t
}

// witnessLists are all lists that count: those in force, and those of writers who had not seen each other, until somebody settles that.
// So each two values that any two peers may take for the one in force have a list in common; see docs/decisions/0010.
func (m *Machine) witnessLists(w *manifest.Workload) [][]string {
	if o := m.objects[w.Key]; o != nil {
		return allLists(w, &o.merged)
	}
	return allLists(w, &crdt.Object{})
}

func allLists(w *manifest.Workload, merged *crdt.Object) [][]string {
	lists := append([][]string{w.Split.Witnesses}, w.Split.Also...)
	lists = append(lists, manifest.RivalWitnesses(merged)...)
	slices.SortFunc(lists, slices.Compare[[]string])
	return slices.CompactFunc(lists, slices.Equal[[]string])
}

func hashTerms(exclusive bool, lists [][]string) (hash lease.Terms) {
	text := []byte{0}
	if exclusive {
		text[0] = 1
	}
	for _, list := range lists {
		text = binary.AppendUvarint(text, uint64(len(list)))
		for _, name := range list {
			text = append(binary.AppendUvarint(text, uint64(len(name))), name...)
		}
	}
	sum := sha256.Sum256(text)
	copy(hash[:], sum[:])
	return hash
}

// bearers are the peers that bear a name, save those that left.
func (m *Machine) bearers(name string) []crdt.PeerID {
	if m.leases.named == nil {
		m.leases.named = map[string][]crdt.PeerID{}
		for _, id := range m.peerIDs() {
			if n := m.members[id]; id == m.self || n != nil && n.State != gossip.Left && n.Name != "" {
				own := m.peerName(id)
				m.leases.named[own] = append(m.leases.named[own], id)
			}
		}
	}
	return m.leases.named[name]
}

// namesake has this peer doubt, as a witness, when another one that bore its name has left or bears another name now: what that one granted counts
// for a term more.
func (m *Machine) namesake(was, news gossip.Member, wasLeft bool) {
	own := m.config.Self.Name
	gone := news.Name == own && news.State == gossip.Left && !wasLeft
	if gone || was.Name == own && news.Name != own {
		m.leases.witness.Doubt(m.now.Elapsed)
		m.leaseRecords()
	}
}

// forgetTerms is called when objects or members have changed.
func (m *Machine) forgetTerms() {
	m.leases.named = nil
	clear(m.leases.terms)
}

// knowsLease says what this peer, as a witness, thinks of what it is asked.
func (m *Machine) knowsLease(ask lease.Ask) lease.Verdict {
	key := keyOf(ask.Workload)
	o := m.objects[key]
	if o == nil || o.workload == nil || !o.workload.Split.Leased() || !strings.HasPrefix(ask.Name, key.Namespace+"/"+key.Name+"-") {
		return lease.Unknown
	}
	t := m.leaseTermsOf(o.workload)
	switch {
	case m.leases.retired:
		return lease.NoWitness
	case t.fault != "":
		return lease.NoWitness
	case t.hash != ask.Terms:
		return lease.OtherTerms
	case !slices.ContainsFunc(t.lists, func(list []crdt.PeerID) bool { return slices.Contains(list, m.self) }):
		return lease.NoWitness
	}
	return lease.Granted
}
