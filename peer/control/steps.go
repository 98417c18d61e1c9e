package control

import (
	"slices"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/placement"
)

// A plan looks at two spans: for how long a peer has been lost, and for how long a taint has stood. It sees them as step
// functions that rise only at the spans that somebody asks for, so that the digest of the view changes when that matters to
// somebody, and at no other time.

// steps are the spans asked for, and when the next one passes.
type steps struct {
	lost   []time.Duration // sorted: for which some workload waits for a lost peer
	taints []time.Duration // sorted: for which some workload tolerates a taint that drives it away
	due    time.Duration   // 0 for none
}

// stepOf is the longest of the spans that has passed.
func stepOf(spans []time.Duration, passed time.Duration) time.Duration {
	at, found := slices.BinarySearch(spans, passed)
	switch {
	case found:
		return spans[at]
	case at == 0:
		return 0
	}
	return spans[at-1]
}

// nextStep is when the next span passes of what began at a moment; 0 for never.
func nextStep(spans []time.Duration, since, now time.Duration) time.Duration {
	at, found := slices.BinarySearch(spans, now-since)
	if found {
		at++
	}
	if at == len(spans) || spans[at] > placement.Forever/2 { // then it ends no earlier than this program
		return 0
	}
	return since + spans[at]
}

// askedSpans collects the spans that the workloads gathered ask for.
func (m *Machine) askedSpans() {
	lost, taints := map[time.Duration]bool{}, map[time.Duration]bool{}
	var waiting []crdt.Key
	for _, s := range m.planner.spans {
		w := s.object.workload
		if wait := w.Split.LostWait; wait > 0 {
			lost[wait] = true
			waiting = append(waiting, w.Key)
		}
		if w.Rules == nil {
			continue
		}
		for _, t := range w.Rules.Tolerations {
			if t.For > 0 && t.For != placement.Forever {
				taints[t.For] = true
			}
		}
	}
	m.waitersChanged(waiting)
	was := m.steps
	m.steps.lost, m.steps.taints = sortedSpans(lost), sortedSpans(taints)
	if !slices.Equal(was.lost, m.steps.lost) || !slices.Equal(was.taints, m.steps.taints) {
		for id := range m.lost {
			m.moved(id)
		}
		m.away.dirty = m.away.dirty || len(m.away.since) > 0
		m.passSteps()
	}
}

func sortedSpans(set map[time.Duration]bool) []time.Duration {
	spans := make([]time.Duration, 0, len(set))
	for span := range set {
		spans = append(spans, span)
	}
	slices.Sort(spans)
	return spans
}

// waitsFor says whether somebody still waits for a peer that has been lost for so long.
func (s *steps) waitsFor(lostFor time.Duration) bool {
	return len(s.lost) > 0 && s.lost[len(s.lost)-1] > lostFor
}

// passSteps raises what has reached its next step.
func (m *Machine) passSteps() {
	m.steps.due = 0
	for id, n := range m.lost {
		m.lostStep(id, n)
	}
	for name, n := range m.nodes {
		if m.taintSteps(n) {
			m.movedNamed(name)
		}
	}
}

// lostStep sets for how long a peer counts as lost.
func (m *Machine) lostStep(id crdt.PeerID, n *member) {
	passed := stepOf(m.steps.lost, m.now.Elapsed-n.since)
	if n.lostFor != passed {
		n.lostFor = passed
		m.moved(id)
	}
	m.steps.due = earlier(m.steps.due, nextStep(m.steps.lost, n.since, m.now.Elapsed))
}

// lostSince begins to count for how long a peer has been lost, when it is. By then this one has been filled, if there was nothing to move.
func (m *Machine) lostSince(id crdt.PeerID, n *member, was gossip.State) {
	m.goneSince(id, !n.live() && n.State != gossip.Left)
	if !n.live() && n.State != was {
		if m.flap.still != 0 {
			m.filled()
		}
		m.lostStep(id, n)
	}
}

func (m *Machine) taintSteps(n *node) (rose bool) {
	for i := range n.taints {
		t := &n.taints[i]
		if t.Effect != placement.NoExecute {
			continue
		}
		if passed := stepOf(m.steps.taints, m.now.Elapsed-n.since[i]); passed != t.For {
			if !rose {
				n.taints, rose = slices.Clone(n.taints), true
				t = &n.taints[i]
			}
			t.For = passed
		}
		m.steps.due = earlier(m.steps.due, nextStep(m.steps.taints, n.since[i], m.now.Elapsed))
	}
	return rose
}

// movedNamed is moved for all peers with a name.
func (m *Machine) movedNamed(name string) {
	for _, id := range m.peerIDs() {
		if m.peerName(id) == name {
			m.moved(id)
		}
	}
}
