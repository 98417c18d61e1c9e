package manifest

import (
	"encoding/json"
	"slices"
	"strings"

	"shoal/crdt"
)

// Managed is what one owner has of an object.
type Managed struct {
	Owner
	Latest crdt.Stamp // of the writes that made its fields what they are
	// FieldsV1 names its fields as Kubernetes does (sigs.k8s.io/structured-merge-diff, fieldpath): a tree of JSON whose keys are
	// "f:NAME" for a member, `k:{"name":"web"}` for an entry of a list with a key, and "." for such an entry itself.
	FieldsV1 json.RawMessage
}

// ManagedBy returns who owns what of an object, sorted by owner. The fields are sorted by path.
func ManagedBy(key crdt.Key, current []crdt.Field) []Managed {
	h, of := hold(current), map[Owner][]crdt.Field{}
	for _, f := range current {
		if Hidden(f.Path) {
			continue
		}
		for _, owner := range h.owners(f) {
			of[owner] = append(of[owner], f)
		}
	}
	all := make([]Managed, 0, len(of))
	for owner, fields := range of {
		m := Managed{Owner: owner}
		for _, f := range fields {
			if f.Writer.Compare(m.Latest) > 0 {
				m.Latest = f.Writer
			}
		}
		var b strings.Builder
		b.Grow(32 * len(fields))
		writeFieldsV1(&b, fields, 0, &field{of: kinds[key.Kind].shape}, "")
		m.FieldsV1 = json.RawMessage(b.String())
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Managed) int { return a.Owner.compare(b.Owner) })
	return all
}

// writeFieldsV1 writes the tree of fields, sorted by path, that all go on below their first at bytes; first is what it begins with.
func writeFieldsV1(b *strings.Builder, fields []crdt.Field, at int, f *field, first string) {
	s, empty := shapeOf(f), first == ""
	b.WriteString("{" + first)
	for len(fields) > 0 {
		segment, below, rest := split(fields, at)
		fields = rest
		leaf := len(below[0].Path) == at+len(segment)
		if leaf && anyBelow(rest, below[0].Path) {
			continue // of a value and longer paths the latter show
		}
		if !empty {
			b.WriteByte(',')
		}
		empty = false
		name, text, inner := unescaped(segment), "f:", ""
		var of *field
		switch {
		case f != nil && len(f.keys) > 0:
			of, text, inner = &field{of: f.of.Elem()}, f.entryName(name), `".":{}`
		case s != nil:
			of, text = s.byName[name], text+name
		default:
			text += name
		}
		writeName(b, text)
		b.WriteByte(':')
		if leaf {
			below = nil
		}
		writeFieldsV1(b, below, at+len(segment)+1, of, inner)
	}
	b.WriteByte('}')
}

// writeName writes a key of JSON. Nearly all are plain.
func writeName(b *strings.Builder, name string) {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b.Write(encode(name))
			return
		}
	}
	b.WriteByte('"')
	b.WriteString(name)
	b.WriteByte('"')
}

// anyBelow says whether a path has longer ones among fields, sorted by path.
func anyBelow(fields []crdt.Field, path crdt.Path) bool {
	n, _ := slices.BinarySearchFunc(fields, path+"/", func(f crdt.Field, p crdt.Path) int { return strings.Compare(string(f.Path), string(p)) })
	return n < len(fields) && strings.HasPrefix(string(fields[n].Path), string(path)+"/")
}

// entryName is a segment of a list with a key as FieldsV1 has it.
func (f *field) entryName(segment string) string {
	values, ok := f.keyValues(segment)
	if !ok {
		return "f:" + segment
	}
	keys := make(map[string]any, len(values))
	f.setKeys(keys, values)
	return "k:" + string(encode(keys))
}
