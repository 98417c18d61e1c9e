package manifest

import (
	"bytes"
	"slices"
	"strings"

	"shoal/crdt"
)

// Reread is Read of fields, of an object that was valid with the fields before and asked to run was. The template is most
// of an object and rarely changes: where it has not, only what stands beside it is read, and the rest comes from was. Faults are
// those of Read. fields and before are sorted by path; was may be nil, where there was nothing of that kind.
func Reread(key crdt.Key, fields, before []crdt.Field, was *Workload) (*Workload, Faults) {
	template, rest := withTemplate(fields)
	if was != nil && len(template) > 0 {
		if old, _ := withTemplate(before); slices.EqualFunc(template, old, sameValue) {
			if w := was.reread(key, rest); w != nil {
				return w, nil
			}
		}
	}
	return Read(key, Tree(key, fields))
}

func sameValue(a, b crdt.Field) bool { return a.Path == b.Path && bytes.Equal(a.Value, b.Value) }

// withTemplate takes the fields of a template out of those of an object.
func withTemplate(fields []crdt.Field) (template, rest []crdt.Field) {
	const prefix = "spec/template/"
	from, _ := slices.BinarySearchFunc(fields, prefix, func(f crdt.Field, path string) int { return strings.Compare(string(f.Path), path) })
	to := from
	for to < len(fields) && strings.HasPrefix(string(fields[to].Path), prefix) {
		to++
	}
	return fields[from:to], slices.Concat(fields[:from], fields[to:])
}

// reread is the workload with the same template and other fields beside it; nil where those are not valid.
func (w *Workload) reread(key crdt.Key, rest []crdt.Field) *Workload {
	tree := Tree(key, rest)
	spec, ok := tree["spec"].(map[string]any)
	if !ok {
		return nil
	}
	spec["template"] = decoded{template{Metadata: templateMetadata{Labels: w.Labels}}}
	object, faults := validate(key, tree)
	if len(faults) > 0 {
		return nil
	}
	d := object.Interface().(deployment)
	now := *w
	now.beside(&d)
	return &now
}
