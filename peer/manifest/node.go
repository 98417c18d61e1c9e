package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// node is one value of a manifest with the place where it stands: a mapping has entries, a list
// items, everything else a value (string, json.Number, bool or nil).
type node struct {
	line, column int
	kind         nodeKind
	value        any
	entries      []entry
	items        []*node
	size         int // values in it, itself included
	decoded      any // the struct that it stands for, where that is known; else nil
}

type nodeKind uint8

const (
	scalar nodeKind = iota
	mapping
	list
)

type entry struct {
	key          string
	line, column int
	node         *node
	merged       bool // came by YAML's "<<"
}

// get returns the value of a key; nil if there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key {
			return e.node
		}
	}
	return nil
}

// text is a scalar's string; empty for everything else.
func (n *node) text() string {
	if n == nil {
		return ""
	}
	s, _ := n.value.(string)
	return s
}

// null says whether the value is absent or null.
func (n *node) null() bool { return n == nil || n.kind == scalar && n.value == nil }

// empty says whether the value asks for nothing.
func (n *node) empty() bool {
	switch {
	case n.null():
		return true
	case n.kind == mapping:
		return len(n.entries) == 0
	case n.kind == list:
		return len(n.items) == 0
	}
	return n.value == "" || n.value == false
}

// what names the kind of value, for messages.
func (n *node) what() string {
	switch {
	case n.kind == mapping:
		return "a map"
	case n.kind == list:
		return "a list"
	}
	switch value := n.value.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("the text %q", clip(value))
	case bool:
		return fmt.Sprintf("%t (true or false)", value)
	}
	return fmt.Sprintf("the number %v", n.value)
}

// clip shortens what a message repeats of its input.
func clip(text string) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

// tree is the value as JSON decodes it. Null entries are left out: they ask for nothing.
func (n *node) tree() any {
	switch n.kind {
	case mapping:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			if !e.node.null() {
				m[e.key] = e.node.tree()
			}
		}
		return m
	case list:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			items[i] = item.tree()
		}
		return items
	}
	return n.value
}

// decoded stands in a tree for what was read before, as one of the structs of kinds.go, and found valid.
type decoded struct{ value any }

// nodeOf gives a tree the form that decoding works on, without places.
func nodeOf(tree any) *node {
	switch value := tree.(type) {
	case map[string]any:
		n := &node{kind: mapping, entries: make([]entry, 0, len(value))}
		for _, key := range sortedKeys(value) {
			n.entries = append(n.entries, entry{key: key, node: nodeOf(value[key])})
		}
		return n
	case []any:
		n := &node{kind: list, items: make([]*node, 0, len(value))}
		for _, item := range value {
			n.items = append(n.items, nodeOf(item))
		}
		return n
	case nil, string, bool, json.Number:
		return &node{value: value}
	case decoded:
		return &node{kind: mapping, decoded: value.value}
	default:
		return &node{value: json.Number(fmt.Sprint(value))}
	}
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// encode is the one JSON form of a value: no escaping for HTML, keys sorted.
func encode(value any) json.RawMessage {
	if text, ok := value.(string); ok && plain(text) {
		return json.RawMessage(`"` + text + `"`)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("manifest: a tree that JSON cannot hold: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// plain says whether a text stands in JSON as it is, between quotes: nearly all do.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// decodeValue reads one JSON value; text that is not JSON stands for itself.
func decodeValue(data []byte) any {
	text := string(data)
	if last := len(text) - 1; last > 0 && text[0] == '"' && text[last] == '"' && plain(text[1:last]) {
		return text[1:last]
	}
	if digits(text) && (text[0] != '0' || len(text) == 1) {
		return json.Number(text)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return text
	}
	return value
}
