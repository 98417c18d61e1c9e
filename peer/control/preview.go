package control

import (
	"shoal/crdt"
	"shoal/placement"
)

// PlacementView is the view that a plan would be made from now. It belongs to the caller.
func (m *Machine) PlacementView() placement.View {
	var v placement.View
	p := &m.planner
	if len(p.base) > 0 {
		m.viewPeers(&v)
	}
	c := pacing{budgets: p.budgets}
	c.fill(p.spans, p.wantedList, &v)
	return v
}

// PreviewChange is an object as it would be.
type PreviewChange struct {
	Key    crdt.Key
	Fields []crdt.Field // all of them, sorted by path; none: it would be deleted
}
