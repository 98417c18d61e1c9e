package control

import "shoal/crdt"

// Conflicts returns the objects that have rivals, or are dead with orphans, sorted by key.
func (m *Machine) Conflicts() []Conflicted { return nil }

// OpsOf names the retained operations of one object, oldest stamp first.
func (m *Machine) OpsOf(key crdt.Key) []crdt.OpID {
	ops := m.set.Ops(key)
	ids := make([]crdt.OpID, len(ops))
	for i, op := range ops {
		ids[i] = op.ID()
	}
	return ids
}
