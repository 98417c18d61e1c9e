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

// doubts says whether an operation with that stamp may be something that all others have forgotten.
func (m *Machine) doubts(stamp crdt.Stamp) bool { return m.doubt != nil && m.doubt.Has(stamp) }

// trusts says whether this peer is in doubt, and one that has applied that floor can end it.
func (m *Machine) trusts(floor FloorHash) bool { return m.doubt != nil && floor == m.doubted }

// againAtMost exchanges follow on each other at once; more only with the calls of Reconcile.
const againAtMost = 4

// settle drops what a peer that has applied the floor does not hold, after all that it holds has come. What has gone so
// may have overwritten something that came, and floors that were applied here may have refused something, which must
// come again: so the doubt ends with the first exchange in which nothing came or went at or below the floor, and
// nothing was withheld: a partner that is in doubt itself, of another floor, does not give all that it holds.
func (m *Machine) settle(received *Received, r *round) {
	if len(r.surplus) == 0 && r.below == 0 && r.withheld == 0 {
		m.endDoubt(received)
		return
	}
	var news gathered
	news.add(received.Delta)
	news.add(m.set.Abandon(r.surplus))
	received.Delta = news.delta()
	if r.again < againAtMost {
		m.open(received, r.partner)
		m.round.again = r.again + 1
	}
}

func (m *Machine) endDoubt(received *Received) {
	received.Settled = true
	m.doubt, m.doubted = nil, FloorHash{}
}
