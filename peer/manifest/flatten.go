package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
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
	for _, key := range f.keys {
		if scalarText(entry[key]) == "" { // Tree shows it all the same: whoever wrote the entry owns it
			w.fields[crdt.Path(below+"/"+key)] = encode(f.keyField(key).fallback)
		}
	}
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
	if !slices.IsSortedFunc(fields, byPath) {
		fields = slices.SortedFunc(slices.Values(fields), byPath)
	}
	k := kinds[key.Kind]
	tree, _ := treeOf(fields, 0, &field{of: k.shape}).(map[string]any)
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

func byPath(a, b crdt.Field) int { return strings.Compare(string(a.Path), string(b.Path)) }

// treeOf is the tree of fields, sorted by path, that all go on below their first at bytes. Where a value and longer paths
// meet, the longer paths win.
func treeOf(fields []crdt.Field, at int, f *field) any {
	if f != nil && len(f.keys) > 0 {
		return listOf(fields, at, f)
	}
	s := shapeOf(f)
	m := make(map[string]any, min(len(fields), 8))
	for len(fields) > 0 {
		segment, below, rest := split(fields, at)
		fields = rest
		if at == 0 && Hidden(below[0].Path) {
			continue
		}
		name := unescaped(segment)
		if len(below[0].Path) == at+len(segment) {
			m[name] = decodeValue(below[0].Value) // longer paths come after it, and win
			continue
		}
		var of *field
		if s != nil {
			of = s.byName[name]
		}
		m[name] = treeOf(below, at+len(segment)+1, of)
	}
	return m
}

// split takes the first field off, with all that lie below the same segment.
func split(fields []crdt.Field, at int) (segment string, below, rest []crdt.Field) {
	path := string(fields[0].Path)
	end := strings.IndexByte(path[at:], '/')
	if end < 0 {
		return path[at:], fields[:1], fields[1:]
	}
	prefix := path[:at+end+1]
	n := 1
	for n < len(fields) && strings.HasPrefix(string(fields[n].Path), prefix) {
		n++
	}
	return path[at : at+end], fields[:n], fields[n:]
}

func unescaped(segment string) string {
	if strings.IndexByte(segment, '~') < 0 {
		return segment
	}
	return unescape.Replace(segment)
}

// listOf is treeOf for a list with a merge key: its entries are in the order of their keys.
func listOf(fields []crdt.Field, at int, f *field) []any {
	type keyed struct {
		segment string
		entry   map[string]any
	}
	var entries []keyed
	of := &field{of: f.of.Elem()}
	for len(fields) > 0 {
		segment, below, rest := split(fields, at)
		fields = rest
		name := unescaped(segment)
		keys, ok := f.keyValues(name)
		if !ok {
			continue
		}
		var tree any
		if len(below[0].Path) == at+len(segment) {
			tree = decodeValue(below[0].Value)
		} else {
			tree = treeOf(below, at+len(segment)+1, of)
		}
		entry, ok := tree.(map[string]any)
		if !ok {
			entry = map[string]any{}
		}
		f.setKeys(entry, keys)
		entries = append(entries, keyed{name, entry})
	}
	slices.SortStableFunc(entries, func(a, b keyed) int { return strings.Compare(a.segment, b.segment) })
	list := make([]any, 0, len(entries))
	for i, e := range entries {
		if i+1 == len(entries) || entries[i+1].segment != e.segment { // of a value and longer paths the latter come last, and win
			list = append(list, e.entry)
		}
	}
	return list
}

// setKeys puts the values of an entry's merge key into it: its segment knows them, also where a merge has left nothing else of them.
func (f *field) setKeys(entry map[string]any, keys map[string]string) {
	for _, key := range f.keys {
		entry[key] = keys[key]
		if f.keyField(key).of.Kind() == reflect.Int64 && digits(keys[key]) {
			entry[key] = json.Number(keys[key])
		}
	}
}
