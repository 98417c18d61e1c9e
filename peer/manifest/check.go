package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// taker is a type that reads itself from a scalar and says what is wrong; empty when nothing is.
type taker interface{ take(n *node) string }

// checker decodes nodes into the structs of kinds.go and collects everything wrong on the way.
type checker struct {
	faults   Faults
	warnings []string
	part     bool // the object may be incomplete: nothing is required, and fields are not held against each other
}

// place is where a value stands, for rules that look at more than one field.
type place struct {
	c    *checker
	node *node
	path string
}

// at is a place below this one.
func (p place) at(name string) place {
	below := p.node.get(name)
	if below == nil {
		return place{c: p.c, node: p.node, path: join(p.path, name)}
	}
	return place{c: p.c, node: below, path: join(p.path, name)}
}

// item is the place of an entry of a list.
func (p place) item(i int) place {
	path := p.path + "[" + strconv.Itoa(i) + "]"
	if p.node.kind == list && i < len(p.node.items) {
		return place{c: p.c, node: p.node.items[i], path: path}
	}
	return place{c: p.c, node: p.node, path: path}
}

func (p place) fault(format string, args ...any) {
	p.c.add(Fault{Line: p.node.line, Column: p.node.column, Path: p.path, Text: fmt.Sprintf(format, args...)})
}

// faulty says whether anything below is wrong already.
func (p place) faulty() bool {
	return slices.ContainsFunc(p.c.faults, func(f Fault) bool { return strings.HasPrefix(f.Path, p.path) })
}

func (p place) warn(format string, args ...any) {
	p.c.warnings = append(p.c.warnings, p.path+": "+fmt.Sprintf(format, args...))
}

func (c *checker) add(fault Fault) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fault)
	}
}

// sorted is all faults in the order of their places.
func (c *checker) sorted() Faults {
	sort.SliceStable(c.faults, func(i, j int) bool {
		a, b := c.faults[i], c.faults[j]
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return c.faults
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// value decodes n into v, which f describes.
func (c *checker) value(p place, v reflect.Value, f *field) {
	if p.node.null() {
		return
	}
	if p.node.decoded != nil {
		v.Set(reflect.ValueOf(p.node.decoded))
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	before := len(c.faults)
	if t, ok := v.Addr().Interface().(taker); ok {
		if text := t.take(p.node); text != "" {
			p.fault("%s", text)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		c.structure(p, v)
	case reflect.Slice:
		c.list(p, v, f)
	case reflect.Map:
		c.mapping(p, v, f)
	default:
		c.scalar(p, v)
	}
	if len(c.faults) > before {
		return
	}
	for _, check := range f.rules {
		if text := check(v); text != "" {
			p.fault("%s", text)
		}
	}
}

func (c *checker) scalar(p place, v reflect.Value) {
	switch value := p.node.value.(type) {
	case string:
		if v.Kind() == reflect.String {
			if strings.ContainsRune(value, 0) {
				p.fault("a zero byte cannot stand in a text")
			}
			v.SetString(value)
			return
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(value)
			return
		}
	case json.Number:
		if v.Kind() == reflect.Int64 {
			number, err := strconv.ParseInt(value.String(), 10, 64)
			if err != nil {
				p.fault("must be a whole number, not %s", clip(value.String()))
			}
			v.SetInt(number)
			return
		}
	}
	wanted, hint := map[reflect.Kind]string{reflect.String: "text", reflect.Bool: "true or false", reflect.Int64: "a whole number"}[v.Kind()], ""
	if v.Kind() == reflect.String && p.node.kind == scalar {
		hint = ": put it in quotes"
	}
	p.fault("must be %s, not %s%s", wanted, p.node.what(), hint)
}

func (c *checker) list(p place, v reflect.Value, f *field) {
	if p.node.kind != list {
		p.fault("must be a list, not %s", p.node.what())
		return
	}
	seen := map[string]bool{}
	v.Set(reflect.MakeSlice(v.Type(), len(p.node.items), len(p.node.items)))
	for i, item := range p.node.items {
		at := p.item(i)
		if item.null() {
			at.fault("must not be empty")
			continue
		}
		c.value(at, v.Index(i), &field{of: v.Type().Elem()})
		if len(f.keys) == 0 || item.kind != mapping {
			continue
		}
		key, ok := f.keySegment(func(key string) any { return scalarOf(item.get(key)) })
		if ok && seen[key] {
			at.fault("a second entry with %s", clip(key))
		}
		seen[key] = true
	}
}

func scalarOf(n *node) any {
	if n == nil {
		return nil
	}
	return n.value
}

// scalarText is the text of a key's value; empty for what cannot be one.
func scalarText(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	}
	return ""
}

func (c *checker) mapping(p place, v reflect.Value, f *field) {
	if p.node.kind != mapping {
		p.fault("must be a map, not %s", p.node.what())
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	seen := map[string]bool{}
	for _, e := range p.node.entries {
		at := place{c: c, node: e.node, path: join(p.path, e.key)}
		switch {
		case seen[e.key]:
			c.add(Fault{Line: e.line, Column: e.column, Path: at.path, Text: "given twice"})
			continue
		case f.later[e.key] && !e.node.empty():
			at.fault("not supported yet")
			continue
		case f.values != nil && !f.values[e.key] && !(f.also && extended(e.key)):
			c.add(Fault{Line: e.line, Column: e.column, Path: at.path,
				Text: fmt.Sprintf("unknown key %q", clip(e.key)), Suggest: nearest(e.key, sortedKeys(f.values))})
			continue
		}
		seen[e.key] = true
		below := reflect.New(v.Type().Elem()).Elem()
		c.value(at, below, &field{of: below.Type()})
		v.SetMapIndex(reflect.ValueOf(e.key), below)
	}
}

func (c *checker) structure(p place, v reflect.Value) {
	if p.node.kind != mapping {
		p.fault("must be a map, not %s", p.node.what())
		return
	}
	s := shapes[v.Type()]
	seen, misspelt := map[string]*node{}, map[string]bool{}
	for _, e := range p.node.entries {
		at := place{c: c, node: e.node, path: join(p.path, e.key)}
		f, known := s.byName[e.key]
		switch {
		case seen[e.key] != nil:
			c.add(Fault{Line: e.line, Column: e.column, Path: at.path, Text: "given twice"})
		case known:
			c.value(at, v.Field(f.index), f)
		default:
			if meant := c.unsupported(at, s, e); meant != "" && seen[meant] == nil {
				misspelt[meant] = true
			}
		}
		seen[e.key] = e.node
	}
	for i := range s.fields {
		f := &s.fields[i]
		if !misspelt[f.name] {
			c.finish(p, v.Field(f.index), f, seen[f.name])
		}
	}
	if c.part {
		return
	}
	if whole, ok := v.Addr().Interface().(interface{ check(p place) }); ok {
		whole.check(p)
	}
}

// unsupported deals with a field that the struct has not, and returns the field that was perhaps meant.
func (c *checker) unsupported(at place, s *shape, e entry) (meant string) {
	switch {
	case s.server[e.key]:
	case s.later[e.key]:
		if !e.node.empty() {
			c.add(Fault{Line: e.line, Column: e.column, Path: at.path, Text: "not supported yet"})
		}
	case s.harmless[e.key]:
		if !e.node.empty() {
			at.warn("has no effect")
		}
	default:
		known := sortedKeys(s.byName)
		for _, more := range []map[string]bool{s.later, s.harmless, s.server} {
			known = append(known, sortedKeys(more)...)
		}
		meant = nearest(e.key, known)
		c.add(Fault{Line: e.line, Column: e.column, Path: at.path,
			Text: fmt.Sprintf("unknown field %q", clip(e.key)), Suggest: meant})
	}
	return meant
}

// finish faults a required field that is missing, and fills in a default.
func (c *checker) finish(p place, v reflect.Value, f *field, given *node) {
	if c.part {
		return
	}
	if f.required && given.null() {
		p.at(f.name).fault("required, but missing")
		return
	}
	if structured := f.of.Kind() == reflect.Struct; f.required && !structured && given.empty() {
		p.at(f.name).fault("must not be empty")
		return
	}
	if f.fallback == "" || !v.IsZero() {
		return
	}
	if v.Kind() == reflect.Pointer {
		number, err := strconv.ParseInt(f.fallback, 10, 64)
		if err != nil {
			panic("manifest: default of " + f.name)
		}
		v.Set(reflect.ValueOf(&number))
		return
	}
	v.SetString(f.fallback)
}
