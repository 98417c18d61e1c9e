package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"shoal/crdt"
)

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// Flatten turns an object's tree into fields. Lists with a merge key of Kubernetes (containers and env by
// name, ports by containerPort and protocol, volumeMounts by mountPath, …) become maps; other lists are one value.
// status and the server's own metadata are left out.
func Flatten(kind string, tree map[string]any) (map[crdt.Path]json.RawMessage, error) {
	k, ok := kinds[kind]
	if !ok {
		return nil, Faults{{Path: "kind", Text: fmt.Sprintf("there is no kind %q", clip(kind)), Suggest: nearest(kind, sortedKeys(kinds))}}
	}
	w := flattener{fields: map[crdt.Path]json.RawMessage{}}
	for _, name := range sortedKeys(tree) {
		if name == "apiVersion" || name == "kind" {
			continue
		}
		value := tree[name]
		if meta, ok := value.(map[string]any); ok && name == "metadata" {
			value = without(meta, "name", "namespace")
			if len(value.(map[string]any)) == 0 {
				continue
			}
		}
		w.member(shapes[k.shape], name, name, value)
	}
	return w.fields, w.err
}

func without(m map[string]any, names ...string) map[string]any {
	kept := make(map[string]any, len(m))
	for key, value := range m {
		kept[key] = value
	}
	for _, name := range names {
		delete(kept, name)
	}
	return kept
}

type flattener struct {
	fields map[crdt.Path]json.RawMessage
	err    error
}

// member flattens one entry of a struct, or of a map when s is nil.
func (w *flattener) member(s *shape, path, name string, value any) {
	if s == nil {
		w.value(path, nil, value)
		return
	}
	if !s.server[name] {
		w.value(path, s.byName[name], value)
	}
}

func (w *flattener) value(path string, f *field, value any) {
	switch value := value.(type) {
	case nil:
	case map[string]any:
		before := len(w.fields)
		if s := shapeOf(f); s != nil && len(value) > 0 && s.allServers(value) {
			return
		}
		for _, name := range sortedKeys(value) {
			w.member(shapeOf(f), path+"/"+escape.Replace(name), name, value[name])
		}
		if len(w.fields) == before {
			w.fields[crdt.Path(path)] = json.RawMessage("{}")
		}
	case []any:
		if f == nil || len(f.keys) == 0 || len(value) == 0 {
			w.fields[crdt.Path(path)] = encode(value)
			return
		}
		for i, item := range value {
			w.item(path, f, i, item)
		}
	default:
		w.fields[crdt.Path(path)] = encode(value)
	}
}

func (w *flattener) item(path string, f *field, index int, item any) {
	entry, ok := item.(map[string]any)
	segment, complete := "", false
	if ok {
		segment, complete = f.keySegment(func(key string) any { return entry[key] })
	}
	below := path + "/" + escape.Replace(segment)
	_, taken := w.fields[crdt.Path(below+"/"+f.keys[0])]
	if !complete || taken {
		w.err = Faults{{Path: path, Text: fmt.Sprintf("entry %d needs %s, unlike those before", index, strings.Join(f.keys, " and "))}}
		return
	}
	w.value(below, &field{of: f.of.Elem()}, entry)
}

// allServers says whether nothing of a struct is the user's.
func (s *shape) allServers(value map[string]any) bool {
	for name := range value {
		if !s.server[name] {
			return false
		}
	}
	return true
}

// shapeOf is the shape of a field that is a struct; nil for all others.
func shapeOf(f *field) *shape {
	if f == nil {
		return nil
	}
	return shapes[f.of]
}

// Tree turns fields back into an object's tree, with apiVersion, kind, metadata.name and metadata.namespace.
// Entries of keyed lists are in the order of their keys. It is total: whatever merge produced gives some tree.
func Tree(key crdt.Key, fields []crdt.Field) map[string]any {
	root := &branch{}
	for _, f := range fields {
		if Hidden(f.Path) {
			continue
		}
		at := root
		for _, segment := range strings.Split(string(f.Path), "/") {
			at = at.child(unescape.Replace(segment))
		}
		at.leaf = f.Value
	}
	k := kinds[key.Kind]
	tree, _ := root.tree(&field{of: k.shape}).(map[string]any)
	if tree == nil {
		tree = map[string]any{}
	}
	meta, ok := tree["metadata"].(map[string]any)
	if !ok {
		meta = map[string]any{}
	}
	meta["name"] = key.Name
	delete(meta, "namespace")
	if key.Namespace != "" {
		meta["namespace"] = key.Namespace
	}
	tree["apiVersion"], tree["kind"], tree["metadata"] = k.APIVersion, key.Kind, meta
	return tree
}

// branch is a tree of path segments. Where a value and longer paths meet, the longer paths win.
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
	entries := make([]any, 0, len(b.children))
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
