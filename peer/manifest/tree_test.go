package manifest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/crdt"
)

// branch is the obvious way to a tree: each path is walked segment by segment. Where a value and longer paths meet, the longer
// paths win.
type branch struct {
	leaf     []byte
	children map[string]*branch
}

func (b *branch) child(segment string) *branch {
	if b.children == nil {
		b.children = map[string]*branch{}
	}
	if b.children[segment] == nil {
		b.children[segment] = &branch{}
	}
	return b.children[segment]
}

func (b *branch) tree(f *field) any {
	if len(b.children) == 0 {
		return decodeValue(b.leaf)
	}
	if f != nil && len(f.keys) > 0 {
		return b.list(f)
	}
	s := shapeOf(f)
	m := make(map[string]any, len(b.children))
	for name, below := range b.children {
		var of *field
		if s != nil {
			of = s.byName[name]
		}
		m[name] = below.tree(of)
	}
	return m
}

func (b *branch) list(f *field) []any {
	entries := []any{}
	for _, segment := range sortedKeys(b.children) {
		keys, ok := f.keyValues(segment)
		if !ok {
			continue
		}
		entry, ok := b.children[segment].tree(&field{of: f.of.Elem()}).(map[string]any)
		if !ok {
			entry = map[string]any{}
		}
		for _, key := range f.keys {
			entry[key] = keys[key]
			if f.keyField(key).of.Kind() == reflect.Int64 && digits(keys[key]) {
				entry[key] = json.Number(keys[key])
			}
		}
		entries = append(entries, entry)
	}
	return entries
}

// TestTreeIsTheObviousOne holds Tree against the model, for fields in every state that a merge can leave them in.
func TestTreeIsTheObviousOne(t *testing.T) {
	segment := rapid.SampledFrom([]string{"a", "a-b", "a=", "containers", "name=web", "name=a~1b", "name=web-2", "ports", "containerPort=80,protocol=TCP", "~1", ""})
	value := rapid.SampledFrom([]string{`{}`, `[]`, `1`, `"x"`, `{"a":[1]}`, `not json`})
	pod := &field{of: reflect.TypeFor[podSpec]()}
	rapid.Check(t, func(t *rapid.T) {
		fields := map[crdt.Path]json.RawMessage{}
		for range rapid.IntRange(1, 12).Draw(t, "fields") {
			path := strings.Join(rapid.SliceOfN(segment, 1, 6).Draw(t, "path"), "/")
			if !Hidden(crdt.Path(path)) {
				fields[crdt.Path(path)] = json.RawMessage(value.Draw(t, "value"))
			}
		}
		if len(fields) == 0 {
			t.Skip("only bookkeeping")
		}
		root := &branch{}
		for path, value := range fields {
			at := root
			for _, segment := range strings.Split(string(path), "/") {
				at = at.child(unescape.Replace(segment))
			}
			at.leaf = value
		}
		if diff := cmp.Diff(root.tree(pod), treeOf(asFields(fields), 0, pod)); diff != "" {
			t.Errorf("(-model +tree):\n%s", diff)
		}
	})
}
