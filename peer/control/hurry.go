package control

import (
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/placement"
)

// A large cluster plans anew for each row that changes, and most of these only say that what was planned has come about, or that something
// grew older. Such a change hardly ever leads to another plan, so it waits for others of its kind, and all are planned for together. What is
// waited for is bounded, and anything else that changes is planned for as soon as ever, with all that waits.

// mostPassing is how long what passes may wait for a plan: rows of many peers that change together come within it.
const mostPassing = 3 * time.Second

// passed notes that what has changed of a peer is not worth a plan of its own. A small view is planned at once.
func (m *Machine) passed(id crdt.PeerID) {
	p := &m.planner
	if pause := planPause(m.parts(), 0); pause == 0 {
		p.stale = true
	} else if p.passing == 0 {
		p.passing = m.onBeat(min(32*pause, mostPassing))
	}
	m.recount(id)
}

// passes says whether a peer's new row means nothing to a plan save what passes with time, or what the plan in force put there.
func (m *Machine) passes(old, read *said) bool {
	if old.abiding != read.abiding || old.labelled != read.labelled || !slices.EqualFunc(old.refusals, read.refusals, sameRefusal) {
		return false
	}
	if old.holds == read.holds {
		return true
	}
	a, b := old.incumbents, read.incumbents
	for len(a) > 0 || len(b) > 0 {
		switch order := byInstance(a, b); {
		case order < 0:
			if !m.surplusThere(&a[0]) {
				return false
			}
			a = a[1:]
		case order > 0:
			if !m.plannedThere(&b[0]) {
				return false
			}
			b = b[1:]
		default:
			if !m.goesOn(&a[0], &b[0]) {
				return false
			}
			a, b = a[1:], b[1:]
		}
	}
	return true
}

// sameRefusal leaves out until when a refusal stands: see holding.
func sameRefusal(a, b placement.Refusal) bool {
	return a.Replica == b.Replica && a.Revision == b.Revision && a.Reason == b.Reason && a.Soft == b.Soft
}

// byInstance orders the first of two lists; one that is over comes last. Of a replica a peer holds its revisions in one order.
func byInstance(a, b []placement.Incumbent) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	case a[0].Replica != b[0].Replica:
		return strings.Compare(string(a[0].Replica), string(b[0].Replica))
	}
	return strings.Compare(string(a[0].Revision), string(b[0].Revision))
}

// goesOn says whether an instance is what it was, or only older, or became ready where the plan has it.
func (m *Machine) goesOn(was, is *placement.Incumbent) bool {
	if was.Stopping != is.Stopping || was.Arriving != is.Arriving || was.Ready && !is.Ready || !was.Since.Equal(is.Since) {
		return false
	}
	return was.Ready == is.Ready || m.plannedThere(is)
}

// plannedThere says whether the plan in force has an instance where it is. On its way from elsewhere, or in a rollout, the next step
// waits for it.
func (m *Machine) plannedThere(in *placement.Incumbent) bool {
	a, planned := m.assignment(in.Replica)
	return planned && a.Peer == in.Peer && a.Revision == in.Revision && !in.Stopping && !in.Arriving && m.planner.settles(&a)
}

// surplusThere says whether the plan in force has a replica elsewhere than on the peer that held it, and nothing waits for room.
func (m *Machine) surplusThere(in *placement.Incumbent) bool {
	a, planned := m.assignment(in.Replica)
	return planned && a.Peer != in.Peer && !in.Arriving && m.planner.pending == 0 && m.planner.settles(&a)
}

// settles says whether nothing comes after an assignment: it is no step of a move or of a rollout.
func (p *planner) settles(a *placement.Assignment) bool {
	return a.From == "" && p.paced != nil && !p.paced[a.Workload]
}
