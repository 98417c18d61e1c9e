package manifest

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"shoal/crdt"
)

// DefaultNamespace is where an object of a namespaced kind is that names no namespace.
const DefaultNamespace = "default"

// Decode reads YAML (also of several documents) or JSON. It returns all faults at once, as Faults.
// A kind outside Kinds is a fault that names those which exist. A List is read as its items.
func Decode(file string, data []byte) ([]Document, error) {
	nodes, faults := read(data)
	var documents []Document
	taken := map[crdt.Key]int{}
	for _, n := range nodes {
		for _, n := range items(n) {
			document, wrong := decodeDocument(n, &checker{})
			faults = append(faults, wrong...)
			if line, ok := taken[document.Key]; ok && document.Key.Name != "" {
				faults = append(faults, Fault{Line: n.line, Column: n.column,
					Text: fmt.Sprintf("%s is described twice: also in line %d", document.Key, line)})
			}
			taken[document.Key] = n.line
			documents = append(documents, document)
		}
	}
	if len(documents) == 0 && len(faults) == 0 {
		faults = Faults{{Text: "no object in it"}}
	}
	if len(faults) == 0 {
		return documents, nil
	}
	faults = faults[:min(len(faults), maxFaults)]
	for i := range faults {
		faults[i].File = file
	}
	return nil, faults
}

func read(data []byte) ([]*node, Faults) {
	if len(data) > MaxBytes {
		return nil, Faults{{Text: fmt.Sprintf("larger than %d MiB", MaxBytes>>20)}}
	}
	if !utf8.Valid(data) {
		return nil, Faults{{Text: "not UTF-8 text"}}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return readYAML(data)
	}
	n, fault := readJSON(data)
	if fault == nil {
		return []*node{n}, nil
	}
	if nodes, faults := readYAML(data); len(faults) == 0 {
		return nodes, nil // a YAML map in braces
	}
	return nil, Faults{*fault}
}

// items are the objects of a List; any other object is itself.
func items(n *node) []*node {
	if n.get("kind").text() != "List" || n.get("items") == nil || n.get("items").kind != list {
		return []*node{n}
	}
	return n.get("items").items
}

// DecodePart reads one object that may be incomplete, as server-side apply takes it: only what is there is
// checked, each value by itself. apiVersion, kind and metadata.name must be there.
func DecodePart(data []byte) (Document, error) {
	nodes, faults := read(data)
	if len(faults) == 0 && len(nodes) != 1 {
		faults = Faults{{Text: fmt.Sprintf("one object is needed, not %d", len(nodes))}}
	}
	if len(faults) > 0 {
		return Document{}, faults
	}
	document, faults := decodeDocument(nodes[0], &checker{part: true})
	if len(faults) == 0 && (document.Key.Name == "" || nodes[0].get("apiVersion").text() == "") {
		faults = Faults{{Text: "apiVersion, kind and metadata.name must be there"}}
	}
	if len(faults) > 0 {
		return Document{}, faults
	}
	return document, nil
}

func decodeDocument(n *node, c *checker) (Document, Faults) {
	object, kind, ok := c.object(n)
	if !ok {
		return Document{}, c.sorted()
	}
	meta := object.FieldByName("Metadata").Interface().(metadata)
	document := Document{Key: crdt.Key{Kind: kind.Name, Name: meta.Name}, Warnings: c.warnings, Line: n.line}
	if kind.Namespaced {
		document.Key.Namespace = meta.Namespace
		if meta.Namespace == "" {
			document.Key.Namespace = DefaultNamespace
		}
	} else if meta.Namespace != "" {
		place{c: c, node: n}.at("metadata").at("namespace").fault("a %s is in no namespace", kind.Name)
	}
	document.Tree, _ = n.tree().(map[string]any)
	return document, c.sorted()
}

// object decodes a whole object of any kind; false when its kind is not known.
func (c *checker) object(n *node) (reflect.Value, Kind, bool) {
	root := place{c: c, node: n}
	if n.kind != mapping {
		root.fault("must be an object with apiVersion, kind and metadata, not %s", n.what())
		return reflect.Value{}, Kind{}, false
	}
	name, version := n.get("kind").text(), n.get("apiVersion").text()
	kind, ok := kinds[name]
	if !ok {
		c.unknownKind(root.at("kind"), name)
		return reflect.Value{}, Kind{}, false
	}
	if version != "" && version != kind.APIVersion {
		at := root.at("apiVersion")
		c.add(Fault{Line: at.node.line, Column: at.node.column, Path: at.path,
			Text: fmt.Sprintf("%s is not in %q", name, clip(version)), Suggest: kind.APIVersion})
	}
	v := reflect.New(kind.shape).Elem()
	c.value(root, v, &field{of: kind.shape})
	return v, kind, true
}

func (c *checker) unknownKind(at place, name string) {
	known := sortedKeys(kinds)
	text := "required, but missing"
	if name != "" {
		text = fmt.Sprintf("there is no kind %q: known kinds are %s", clip(name), strings.Join(known, ", "))
	}
	c.add(Fault{Line: at.node.line, Column: at.node.column, Path: at.path, Text: text, Suggest: nearest(name, known)})
}

// Validate checks a whole object, defaults applied; nil when valid.
func Validate(key crdt.Key, tree map[string]any) Faults {
	_, faults := validate(key, tree)
	return faults
}

func validate(key crdt.Key, tree map[string]any) (reflect.Value, Faults) {
	c := &checker{}
	n := nodeOf(tree)
	object, kind, ok := c.object(n)
	if !ok {
		return object, c.sorted()
	}
	meta, root := object.FieldByName("Metadata").Interface().(metadata), place{c: c, node: n}
	if kind.Name != key.Kind || meta.Name != key.Name {
		root.at("metadata").at("name").fault("this is %s/%s, not %s", kind.Name, clip(meta.Name), key)
	}
	if meta.Namespace != key.Namespace && (kind.Namespaced || meta.Namespace != "") {
		root.at("metadata").at("namespace").fault("must be %q, not %q", key.Namespace, clip(meta.Namespace))
	}
	return object, c.sorted()
}

// Warnings names the fields of a tree that are accepted without effect.
func Warnings(tree map[string]any) []string {
	c := &checker{}
	c.object(nodeOf(tree))
	return c.warnings
}
