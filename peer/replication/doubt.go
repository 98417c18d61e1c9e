package replication

import "shoal/crdt"

// Doubt says that a floor was closed which this peer did not attest: it may hold what all others have forgotten.
// Until Received.Settled it gives nobody what it holds at or below floor; it compares itself with a peer that has
// applied the floor with that hash and, once it has all that this one holds, drops what that one does not
// hold at or below floor. A nil floor ends the doubt.
func (m *Machine) Doubt(floor crdt.Seen, hash FloorHash) {
	if floor == nil {
		hash = FloorHash{}
	}
	if hash != m.doubted {
		m.round = nil // what it has found so far is about another floor
	}
	m.doubt, m.doubted = floor.Clone(), hash
	if floor == nil {
		m.doubt = nil
	}
}

// Applied says which floor is applied here. That ends a doubt of it.
func (m *Machine) Applied(hash FloorHash) {
	if m.applied = hash; hash == m.doubted {
		m.doubt, m.doubted = nil, FloorHash{}
	}
}

// doubts says whether op may be something that all others have forgotten.
func (m *Machine) doubts(op crdt.Op) bool { return m.doubt != nil && m.doubt.Has(op.Stamp) }

// trusts says whether this peer is in doubt and a peer that has applied floor can end that. One that is in doubt itself cannot.
func (m *Machine) trusts(floor FloorHash, doubtful bool) bool {
	return m.doubt != nil && floor == m.doubted && !doubtful
}

// settle ends the doubt: what is not held by a peer that has applied the floor goes.
func (m *Machine) settle(received *Received, surplus []crdt.OpID) {
	news := gathered{}
	news.add(received.Delta)
	news.add(m.set.Abandon(surplus))
	received.Delta = news.delta()
	received.Settled = true
	m.doubt, m.doubted = nil, FloorHash{}
}
