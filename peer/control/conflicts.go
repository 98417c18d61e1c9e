package control

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/peer/manifest"
)

// dispute lists what is in conflict about an object: fields with rivals of one that is live, fields that were
// written by who had not seen the deletion of one that is not. The API's own bookkeeping is in no dispute.
func dispute(o *crdt.Object) (fields []crdt.Field) {
	for _, f := range o.Fields {
		if !manifest.Hidden(f.Path) && (!o.Live || len(f.Conflicts) > 0) {
			fields = append(fields, f)
		}
	}
	if !o.Live {
		return fields
	}
	for _, f := range o.Deleted {
		if !manifest.Hidden(f.Path) {
			fields = append(fields, f)
		}
	}
	slices.SortFunc(fields, func(a, b crdt.Field) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return fields
}

// noteDispute keeps the index of objects with conflicts, and says when one appears and when it is over.
func (m *Machine) noteDispute(key crdt.Key, old, o *object) {
	was := 0
	if old != nil {
		was = old.conflicts
	}
	if o.conflicts > 0 {
		m.disputes[key] = true
	} else {
		delete(m.disputes, key)
	}
	if o.conflicts > was {
		m.healDisputed(key)
	}
	switch {
	case o.conflicts > was && o.merged.Live:
		m.note(Note{Warning: true, Reason: "Conflict", Object: key,
			Text: fmt.Sprintf("%d fields were written by several who had not seen each other; the highest stamp is in force", o.conflicts)})
	case o.conflicts > was:
		m.note(Note{Warning: true, Reason: "Conflict", Object: key,
			Text: fmt.Sprintf("%d fields were written by who had not seen that the object was deleted; it stays deleted", o.conflicts)})
	case was > 0 && o.conflicts == 0:
		m.note(Note{Reason: "ConflictResolved", Object: key, Text: "no field of it is in conflict any more"})
	}
}

// Conflicts returns the objects that have rivals, or are dead with orphans, sorted by key.
func (m *Machine) Conflicts() []Conflicted {
	var all []Conflicted
	for _, key := range slices.SortedFunc(maps.Keys(m.disputes), compareKeys) {
		o := m.objects[key]
		if o == nil {
			continue
		}
		c := Conflicted{Key: key, Live: o.merged.Live}
		if c.Live {
			c.Fields = dispute(&o.merged)
		} else {
			c.Orphans, c.Deleted = dispute(&o.merged), m.deletionOf(key)
		}
		all = append(all, c)
	}
	return all
}

// deletionOf is the latest deletion of an object that is retained.
func (m *Machine) deletionOf(key crdt.Key) (d Deletion) {
	for _, op := range m.set.Ops(key) {
		if op.Verb == crdt.Delete {
			d = Deletion{Stamp: op.Stamp, Manager: op.Manager, User: op.User}
		}
	}
	return d
}

// orphaned says whether an object is dead and holds fields of who had not seen that.
func (m *Machine) orphaned(key crdt.Key) bool {
	o := m.objects[key]
	return o != nil && !o.merged.Live && len(o.merged.Fields) > 0
}

// OpsOf names the retained operations of one object, oldest stamp first.
func (m *Machine) OpsOf(key crdt.Key) []crdt.OpID {
	ops := m.set.Ops(key)
	ids := make([]crdt.OpID, len(ops))
	for i, op := range ops {
		ids[i] = op.ID()
	}
	return ids
}
