package manifest

import (
	"reflect"
	"strings"
)

// shape is what the tags of one struct say.
type shape struct {
	fields   []field
	byName   map[string]*field
	sorted   []string // the names in byName
	later    map[string]bool
	harmless map[string]bool
	server   map[string]bool
}

// field is what the tags of one of its fields say.
type field struct {
	name     string
	index    int
	of       reflect.Type // its own type, without pointer
	required bool
	rules    []rule
	fallback string
	keys     []string        // the merge key of a list
	values   map[string]bool // the keys that a map may have; nil for any
	also     bool            // of a map with values: keys with a domain too
	replaced bool            // of a list with a merge key: a strategic merge patch replaces it
	later    map[string]bool // keys of a map that are refused for now
}

// shapes holds the shape of every struct of the language; nothing changes it after start.
var shapes = func() map[reflect.Type]*shape {
	all := map[reflect.Type]*shape{}
	for _, k := range Kinds() {
		describe(all, k.shape)
	}
	return all
}()

func describe(all map[reflect.Type]*shape, t reflect.Type) {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		describe(all, t.Elem())
		return
	}
	if t.Kind() != reflect.Struct || all[t] != nil || reflect.PointerTo(t).Implements(reflect.TypeFor[taker]()) {
		return
	}
	s := &shape{byName: map[string]*field{}}
	all[t] = s
	for i := range t.NumField() {
		from := t.Field(i)
		if from.Name == "_" {
			s.later, s.harmless, s.server = names(from.Tag, "later"), names(from.Tag, "harmless"), names(from.Tag, "server")
			continue
		}
		s.fields = append(s.fields, describeField(from, i))
		describe(all, from.Type)
	}
	for i := range s.fields {
		s.byName[s.fields[i].name] = &s.fields[i]
	}
	s.sorted = sortedKeys(s.byName)
}

func describeField(from reflect.StructField, index int) field {
	f := field{name: from.Tag.Get("json"), index: index, of: from.Type, fallback: from.Tag.Get("default")}
	if f.of.Kind() == reflect.Pointer {
		f.of = f.of.Elem()
	}
	f.values, f.later = names(from.Tag, "values"), names(from.Tag, "later")
	f.also, f.replaced = from.Tag.Get("also") != "", from.Tag.Get("patch") == "replace"
	if key := from.Tag.Get("key"); key != "" {
		f.keys = strings.Split(key, ",")
	}
	for _, text := range strings.Split(from.Tag.Get("rule"), ",") {
		switch text {
		case "":
		case "required":
			f.required = true
		default:
			f.rules = append(f.rules, ruleOf(text))
		}
	}
	return f
}

func names(tag reflect.StructTag, key string) map[string]bool {
	text, ok := tag.Lookup(key)
	if !ok {
		return nil
	}
	set := map[string]bool{}
	for _, name := range strings.Fields(text) {
		set[name] = true
	}
	return set
}

// keySegment is the path segment of an entry of f's list, made of the entry's keys; false when one is missing.
func (f *field) keySegment(entry func(key string) any) (string, bool) {
	parts := make([]string, len(f.keys))
	for i, key := range f.keys {
		text := scalarText(entry(key))
		if text == "" {
			text = f.keyField(key).fallback
		}
		if text == "" {
			return "", false
		}
		parts[i] = key + "=" + text
	}
	return strings.Join(parts, ","), true
}

// keyValues reads what keySegment wrote.
func (f *field) keyValues(segment string) (map[string]string, bool) {
	values := map[string]string{}
	for i, key := range f.keys {
		rest, ok := strings.CutPrefix(segment, key+"=")
		if !ok {
			return nil, false
		}
		if i+1 < len(f.keys) {
			value, after, found := strings.Cut(rest, ","+f.keys[i+1]+"=")
			if !found {
				return nil, false
			}
			rest, segment = value, f.keys[i+1]+"="+after
		}
		values[key] = rest
	}
	return values, true
}

func (f *field) keyField(key string) *field { return shapes[f.of.Elem()].byName[key] }
