package control

import (
	"maps"
	"slices"

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
	feeds []*feed // the last used first
}

type sharedRow struct {
	peer crdt.PeerID
	size int
	said *said
}

// sharedPlan is a plan, and which of its assignments are whose.
type sharedPlan struct {
	plan    placement.Plan
	paced   map[placement.WorkloadID]bool
	pending int
	asked   int
	mine    map[placement.PeerID][]*placement.Assignment // nil before many have asked
}

// planAskers is how many look through a plan for what is theirs before that is worked out for all.
const planAskers = 8

func (p *sharedPlan) of(peer placement.PeerID) []*placement.Assignment {
	if p.asked++; p.asked <= planAskers {
		mine, _ := assignedTo(&p.plan, peer)
		return mine
	}
	if p.mine == nil {
		p.mine = map[placement.PeerID][]*placement.Assignment{}
		for a := range p.plan.Assignments.All() {
			p.mine[a.Peer] = append(p.mine[a.Peer], a)
		}
	}
	return p.mine[peer]
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

func (s *Shared) keepPlan(view ViewDigest, plan placement.Plan, paced map[placement.WorkloadID]bool) {
	if s == nil {
		return
	}
	if s.plans == nil || len(s.plans) >= mostSharedPlans {
		s.plans = map[ViewDigest]*sharedPlan{}
	}
	_, pending := assignedTo(&plan, "")
	s.plans[view] = &sharedPlan{plan: plan, paced: paced, pending: pending}
}

// mostSharedFeeds bounds the planners. As each is fed what differs between the views of the machine that plans and of the one before, there is
// one for each side of a split.
const mostSharedFeeds = 4

// feedFor is the feed of all that differs least from a machine's view, with what differs.
func (s *Shared) feedFor(m *Machine) *feed {
	best, at := []crdt.PeerID(nil), -1
	for i, f := range s.feeds {
		if f.planner == nil || f.list != m.planner.wantedList {
			continue
		}
		if differ := f.differs(m); at < 0 || len(differ) < len(best) {
			best, at = differ, i
		}
	}
	switch {
	case at < 0 || len(best) > len(m.members)/8 && len(s.feeds) < mostSharedFeeds:
		if len(s.feeds) == mostSharedFeeds {
			s.feeds = s.feeds[:mostSharedFeeds-1]
		}
		s.feeds = slices.Insert(s.feeds, 0, &feed{})
	default:
		f := s.feeds[at]
		f.changed = best
		copy(s.feeds[1:at+1], s.feeds[:at])
		s.feeds[0] = f
	}
	return s.feeds[0]
}

// differs lists the peers that a machine sees otherwise than they were handed over.
func (f *feed) differs(m *Machine) []crdt.PeerID {
	var differ []crdt.PeerID
	known := 0
	for _, id := range m.peerIDs() {
		var view ViewDigest
		if fed := f.peers[id]; fed != nil {
			view = fed.view
			known++
		}
		if view != m.countedOf(id) {
			differ = append(differ, id)
		}
	}
	if known == len(f.peers) {
		return differ
	}
	for _, id := range slices.Sorted(maps.Keys(f.peers)) {
		if id != m.self && m.members[id] == nil {
			differ = append(differ, id)
		}
	}
	return differ
}
