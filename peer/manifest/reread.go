package manifest

import (
	"bytes"
	"reflect"
	"slices"
	"strings"

	"shoal/crdt"
)

// Reread is Read of fields, of an object that was valid with the fields before and asked to run was. Most of an object is its
// spec, and most of that its template, and these rarely change: where one has not, only what stands beside it is read, and the
// rest comes from was. Faults are those of Read. fields and before are sorted by path; was may be nil, where there was nothing
// of that kind.
func Reread(key crdt.Key, fields, before []crdt.Field, was *Workload) (*Workload, Faults) {
	if was != nil {
		for _, part := range []string{wholeSpec, onlyTemplate} {
			same, rest := below(part, fields)
			if old, _ := below(part, before); len(same) > 0 && slices.EqualFunc(same, old, sameValue) {
				if w := was.reread(key, rest, part); w != nil {
					return w, nil
				}
			}
		}
	}
	return Read(key, Tree(key, fields))
}

const (
	wholeSpec    = "spec/"
	onlyTemplate = "spec/template/"
)

func sameValue(a, b crdt.Field) bool { return a.Path == b.Path && bytes.Equal(a.Value, b.Value) }

// below takes the fields with a prefix out of those of an object.
func below(prefix string, fields []crdt.Field) (part, rest []crdt.Field) {
	from, _ := slices.BinarySearchFunc(fields, prefix, func(f crdt.Field, path string) int { return strings.Compare(string(f.Path), path) })
	to := from
	for to < len(fields) && strings.HasPrefix(string(fields[to].Path), prefix) {
		to++
	}
	return fields[from:to], slices.Concat(fields[:from], fields[to:])
}

// reread is the workload with the same part and other fields beside it; nil where those are not valid.
func (w *Workload) reread(key crdt.Key, rest []crdt.Field, part string) *Workload {
	tree := Tree(key, rest)
	if part == wholeSpec {
		tree["spec"] = decoded{emptySpec(key.Kind)}
	} else if spec, ok := tree["spec"].(map[string]any); ok {
		spec["template"] = decoded{template{Metadata: templateMetadata{Labels: w.Labels}}}
	}
	object, faults := validate(key, tree)
	if len(faults) > 0 {
		return nil
	}
	now := *w
	if part == onlyTemplate {
		now.beside(object)
	}
	now.annotated(object)
	return &now
}

// emptySpec is the spec of a kind that runs something, without anything in it.
func emptySpec(kind string) any {
	spec, ok := kinds[kind].shape.FieldByName("Spec")
	if !ok {
		panic("manifest: a workload without spec")
	}
	return reflect.Zero(spec.Type).Interface()
}
