package control

import (
	"shoal/crdt"
	"shoal/peer/replication"
	"shoal/placement"
)

// Shared is where the many machines of one simulation keep what each of them would work out alike: what is equal by
// its whole content, or by a digest of it, is worked out once. It changes nothing of what a machine does. The zero
// value is ready; a nil one shares nothing, as in production. Not safe for concurrent use.
type Shared struct {
	rows  map[*byte]sharedRow // by the first byte of their body: a row that is passed on is not copied
	lists map[ViewDigest]*wantedList
	plans map[ViewDigest]*sharedPlan

	// Space for a view: only one machine at a time needs it.
	view   placement.View
	pacing pacing
}

type sharedRow struct {
	peer crdt.PeerID
	size int
	said *said
}

// sharedPlan is a plan, and which of its assignments are whose.
type sharedPlan struct {
	plan placement.Plan
	mine map[placement.PeerID][]int
}

// At these sizes a kind is emptied.
const (
	mostSharedRows  = 1 << 15
	mostSharedLists = 64
	mostSharedPlans = 128
)

func (s *Shared) row(sealed *replication.Row) *said {
	if s == nil || len(sealed.Body) == 0 {
		return nil
	}
	if known := s.rows[&sealed.Body[0]]; known.peer == sealed.Peer && known.size == len(sealed.Body) {
		return known.said
	}
	return nil
}

func (s *Shared) keepRow(sealed *replication.Row, read *said) {
	if s == nil || len(sealed.Body) == 0 {
		return
	}
	if s.rows == nil || len(s.rows) >= mostSharedRows {
		s.rows = map[*byte]sharedRow{}
	}
	s.rows[&sealed.Body[0]] = sharedRow{sealed.Peer, len(sealed.Body), read}
}

func (s *Shared) list(asks ViewDigest) *wantedList {
	if s == nil {
		return nil
	}
	return s.lists[asks]
}

func (s *Shared) keepList(asks ViewDigest, list *wantedList) {
	if s == nil {
		return
	}
	if s.lists == nil || len(s.lists) >= mostSharedLists {
		s.lists = map[ViewDigest]*wantedList{}
	}
	s.lists[asks] = list
}

func (s *Shared) plan(view ViewDigest) *sharedPlan {
	if s == nil {
		return nil
	}
	return s.plans[view]
}

func (s *Shared) keepPlan(view ViewDigest, plan placement.Plan) {
	if s == nil {
		return
	}
	if s.plans == nil || len(s.plans) >= mostSharedPlans {
		s.plans = map[ViewDigest]*sharedPlan{}
	}
	shared := &sharedPlan{plan: plan, mine: map[placement.PeerID][]int{}}
	for i := range plan.Assignments {
		peer := plan.Assignments[i].Peer
		shared.mine[peer] = append(shared.mine[peer], i)
	}
	s.plans[view] = shared
}

// lendSpace gives a machine that is about to plan space for its view, and takeSpace takes the view away again; a machine that
// is asked to explain builds another.
func (s *Shared) lendSpace(p *planner) {
	if s != nil && p.view.Peers == nil {
		p.view, p.pacing = s.view, s.pacing
		s.view, s.pacing = placement.View{}, pacing{}
	}
}

func (s *Shared) takeSpace(p *planner) {
	if s != nil {
		s.view, s.pacing = p.view, p.pacing
		p.view, p.pacing, p.built = placement.View{}, pacing{}, ViewDigest{}
	}
}
