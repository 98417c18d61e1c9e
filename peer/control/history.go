package control

import (
	"bytes"
	"slices"
	"strings"

	"shoal/crdt"
)

const (
	mostNews    = 64   // operations on one object that are told apart between two readings of it
	mostHistory = 1024 // entries of one flush; what is beyond is not kept
	bulkOps     = 64   // a message with more operations brings a store up to date, and tells no news of single objects
)

// arrivals are the operations on one object that came since it was last read.
type arrivals struct {
	ops  []crdt.Op
	bulk bool
}

// arrived notes operations for the history of their objects.
func (m *Machine) arrived(ops []crdt.Op) {
	bulk := len(ops) > bulkOps
	for _, op := range ops {
		if op.Key == floorKey {
			continue
		}
		a := m.news[op.Key]
		if a == nil {
			a = &arrivals{}
			m.news[op.Key] = a
		}
		a.bulk = a.bulk || bulk
		if a.ops = append(a.ops, op); len(a.ops) > mostNews {
			a.ops = slices.Delete(a.ops, 0, 1)
		}
	}
}

// tellHistory adds what became of an object to its history: one entry for each operation that came, and in it
// what that one changed. Of an object that was not known here only the newest counts.
func (m *Machine) tellHistory(key crdt.Key, old, now *object) {
	a := m.news[key]
	if a == nil {
		return
	}
	delete(m.news, key)
	slices.SortFunc(a.ops, func(x, y crdt.Op) int { return x.Stamp.Compare(y.Stamp) })
	isNew := old == nil
	if isNew {
		a.ops = a.ops[len(a.ops)-1:]
	}
	entries := make([]HistoryEntry, len(a.ops))
	for i, op := range a.ops {
		entries[i] = HistoryEntry{Key: key, Stamp: op.Stamp, Verb: op.Verb, Manager: op.Manager, User: op.User, At: m.now.Wall}
	}
	if !isNew || !a.bulk {
		attribute(entries, a.ops, diffs(valuesOf(old), valuesOf(now)))
	}
	room := mostHistory - len(m.out.Persist.History)
	m.out.Persist.History = append(m.out.Persist.History, entries[:min(len(entries), max(room, 0))]...)
}

// valuesOf are the winning values of an object, sorted by path; none of one that is not live.
func valuesOf(o *object) []crdt.Field {
	if o == nil || !o.merged.Live {
		return nil
	}
	return o.merged.Fields
}

// attributed is a change with the operation that made it, where the field that is now there tells.
type attributed struct {
	Diff
	by crdt.Stamp // zero: a deletion
}

// diffs compares two sorted lists of fields.
func diffs(old, now []crdt.Field) []attributed {
	var all []attributed
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].Path < now[0].Path:
			all = append(all, attributed{Diff: Diff{Path: old[0].Path, Old: old[0].Value}})
			old = old[1:]
		case len(old) == 0 || now[0].Path < old[0].Path:
			all = append(all, attributed{Diff{Path: now[0].Path, New: now[0].Value}, now[0].Writer})
			now = now[1:]
		default:
			if !bytes.Equal(old[0].Value, now[0].Value) {
				all = append(all, attributed{Diff{Path: now[0].Path, Old: old[0].Value, New: now[0].Value}, now[0].Writer})
			}
			old, now = old[1:], now[1:]
		}
	}
	return all
}

// attribute puts each change under the operation that made it: the writer of what is there now, the newest one that
// deleted it, or else the newest of all.
func attribute(entries []HistoryEntry, ops []crdt.Op, all []attributed) {
	for _, d := range all {
		at := len(ops) - 1
		for i := at; i >= 0; i-- {
			if d.by != (crdt.Stamp{}) && ops[i].Stamp == d.by || d.by == (crdt.Stamp{}) && ends(&ops[i], d.Path) {
				at = i
				break
			}
		}
		entries[at].Diffs = append(entries[at].Diffs, d.Diff)
	}
}

// ends says whether op deletes the field at path.
func ends(op *crdt.Op, path crdt.Path) bool {
	if op.Verb != crdt.Update {
		return true
	}
	return slices.ContainsFunc(op.Changes, func(c crdt.Change) bool {
		return c.Value == nil && (c.Path == path || strings.HasPrefix(string(path), string(c.Path)+"/"))
	})
}
