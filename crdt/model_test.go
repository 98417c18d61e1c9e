package crdt

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// model is the slow, obvious form of one object: all operations ever made on it, nothing pruned.
type model []Op

func modelSaw(b, a Op) bool { return a.Stamp.Time <= b.Seen[a.Stamp.Writer] }

// ended says whether all that op did was ended by a Create or Delete that had seen it.
func (m model) ended(op Op) bool {
	return slices.ContainsFunc(m, func(b Op) bool { return b.Verb != Update && modelSaw(b, op) })
}

func modelChanges(op Op) map[Path][]byte {
	changes := map[Path][]byte{}
	if op.Verb != Delete {
		for _, c := range op.Changes {
			changes[c.Path] = c.Value
		}
	}
	return changes
}

func below(q, p Path) bool {
	return p == "" && q != "" || strings.HasPrefix(string(q), string(p)+"/") && p != ""
}

// written says whether someone who had seen op wrote p or, as where says, above or below it.
func (m model) written(op Op, where func(q Path) bool) bool {
	for _, b := range m {
		if !modelSaw(b, op) {
			continue
		}
		for q := range modelChanges(b) {
			if where(q) {
				return true
			}
		}
	}
	return false
}

func (m model) overwritten(op Op, p Path) bool {
	return m.ended(op) || m.written(op, func(q Path) bool { return q == p || below(p, q) })
}

func (m model) hidden(op Op, p Path) bool {
	for q := range modelChanges(op) {
		if below(q, p) {
			return true
		}
	}
	return m.written(op, func(q Path) bool { return below(q, p) })
}

// retained are the operations with an effect that is not overwritten, oldest first.
func (m model) retained() []Op {
	var kept []Op
	for _, op := range m {
		alive := op.Verb != Update && !m.ended(op)
		for p := range modelChanges(op) {
			alive = alive || !m.overwritten(op, p)
		}
		if alive {
			kept = append(kept, op)
		}
	}
	slices.SortFunc(kept, func(a, b Op) int { return a.Stamp.Compare(b.Stamp) })
	return kept
}

func (m model) seen() Seen {
	seen := Seen{}
	for _, op := range m {
		seen[op.Stamp.Writer] = max(seen[op.Stamp.Writer], op.Stamp.Time)
	}
	return seen
}

type modelEffect struct {
	op    Op
	path  Path
	value []byte
}

// contenders are the values in the operations kept that nobody overwrote, the highest stamp first.
func (m model) contenders(kept []Op) []modelEffect {
	var all []modelEffect
	for _, op := range kept {
		for p, value := range modelChanges(op) {
			if !m.overwritten(op, p) && !m.hidden(op, p) {
				all = append(all, modelEffect{op, p, value})
			}
		}
	}
	slices.SortFunc(all, func(a, b modelEffect) int {
		return cmp.Or(b.op.Stamp.Compare(a.op.Stamp), cmp.Compare(a.path, b.path))
	})
	return all
}

// floor is one that was agreed on.
type floor struct{ first, second Seen }

func modelCovers(floor Seen, op Op) bool {
	settled := op.Stamp.Time <= floor[op.Stamp.Writer]
	for writer, at := range op.Seen {
		settled = settled && at <= floor[writer]
	}
	return settled
}

// kept are the operations that stay under these floors, which came in this order, oldest first.
func (m model) kept(floors []floor) []Op {
	kept := m.retained()
	for _, f := range floors {
		for before := -1; before != len(kept); {
			before = len(kept)
			kept = slices.DeleteFunc(slices.Clone(kept), func(op Op) bool {
				return modelCovers(f.first, op) && !m.stays(op, kept, f.second)
			})
		}
	}
	return kept
}

// stays says whether anything is left of op but deletions that nobody needs.
func (m model) stays(op Op, kept []Op, second Seen) bool {
	if op.Verb == Create {
		return true
	}
	for p, value := range modelChanges(op) {
		if !m.overwritten(op, p) && (value != nil || m.needed(op, p, kept, second)) {
			return true
		}
	}
	return false
}

func (m model) needed(op Op, p Path, kept []Op, second Seen) bool {
	for _, x := range kept {
		for q, value := range modelChanges(x) {
			live, inside, outside := !m.overwritten(x, q), q == p || below(q, p), below(p, q)
			switch {
			case x.Stamp == op.Stamp || !modelSaw(op, x):
			case value != nil && (inside || outside && live):
				return true
			case value == nil && outside && live && m.contends(x, q, kept, second):
				return true
			}
		}
	}
	return m.contends(op, p, kept, second)
}

func (m model) contends(op Op, p Path, kept []Op, second Seen) bool {
	for _, x := range kept {
		for q, value := range modelChanges(x) {
			overlap := q == p || below(q, p) || below(p, q)
			concurrent := x.Stamp != op.Stamp && !modelSaw(op, x) && !modelSaw(x, op)
			if value != nil && overlap && concurrent && !m.overwritten(x, q) && x.Stamp.Time <= second[x.Stamp.Writer] {
				return true
			}
		}
	}
	return false
}

// object merges: contenders take their places in turn, unless the place, or one above or below, is taken.
func (m model) object(key Key) Object { return m.objectOf(key, m.retained()) }

func (m model) objectOf(key Key, kept []Op) Object {
	o := Object{Key: key, Seen: m.seen()}
	for _, op := range kept {
		if op.Verb == Create && !o.Live {
			o.Live, o.Created = true, op.Stamp
		}
		o.Modified = op.Stamp
	}
	var winners []Field
	for _, e := range m.contenders(kept) {
		at := slices.IndexFunc(winners, func(f Field) bool {
			overlap := f.Path == e.path || below(f.Path, e.path) || below(e.path, f.Path)
			return overlap && (f.Value != nil || e.value != nil || f.Path == e.path) // deletions are not in each other's way
		})
		if at < 0 {
			winners = append(winners, Field{Path: e.path, Value: e.value, Writer: e.op.Stamp, Manager: e.op.Manager, User: e.op.User})
			continue
		}
		f := &winners[at]
		same := f.Path == e.path && bytes.Equal(f.Value, e.value)
		if f.Value == nil || e.value == nil {
			same = f.Value == nil && e.value == nil
		}
		if !same {
			f.Conflicts = append(f.Conflicts, Rival{Path: e.path, Value: e.value, Writer: e.op.Stamp, Manager: e.op.Manager, User: e.op.User})
		}
	}
	slices.SortFunc(winners, func(a, b Field) int { return cmp.Compare(a.Path, b.Path) })
	for _, f := range winners {
		if f.Value != nil {
			o.Fields = append(o.Fields, f)
		} else if f.Conflicts != nil {
			o.Deleted = append(o.Deleted, f)
		}
	}
	return o
}

// hashed stands in for sealing.
func hashed(op Op) Op {
	op.Hash = sha256.Sum256(fmt.Appendf(nil, "%v %v %v %v %q", op.Key, op.Stamp, op.Seen, op.Verb, op.Changes))
	return op
}
