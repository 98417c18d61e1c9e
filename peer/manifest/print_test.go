package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/crdt"
)

func TestYAMLIsReadAgain(t *testing.T) {
	d := decodeOne(t, web)
	text := YAML(d.Tree)
	if diff := cmp.Diff(d.Tree, decodeOne(t, string(text)).Tree); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
}

func TestYAMLOfAnything(t *testing.T) {
	key := crdt.Key{Kind: "Deployment", Namespace: "default", Name: "x"}
	rapid.Check(t, func(t *rapid.T) {
		tree := genDeployment().Draw(t, "tree")
		text := YAML(tree)
		documents, err := Decode("", text)
		if err != nil || len(documents) != 1 || documents[0].Key != key {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(tree, documents[0].Tree); diff != "" {
			t.Errorf("%s\n%s", diff, text)
		}
	})
}

func TestYAMLOfListsInLists(t *testing.T) {
	for _, text := range []string{`{"a":[{},[],[[]],[1,[2,{"b":null}]],{"c":[]},"x: y","- z",""]}`, `{"a":{"b":[{"c":{"d":1},"e":[{"f":"1"}]}]}}`} {
		tree := decodeValue([]byte(text))
		nodes, faults := readYAML(YAML(tree))
		if len(faults) > 0 {
			t.Fatalf("%v\n%s", faults, YAML(tree))
		}
		if diff := cmp.Diff(string(encode(tree)), string(encode(withNulls(nodes[0])))); diff != "" {
			t.Errorf("%s\n%s", diff, YAML(tree))
		}
	}
}

// withNulls is a node's tree, null entries included.
func withNulls(n *node) any {
	switch n.kind {
	case mapping:
		m := map[string]any{}
		for _, e := range n.entries {
			m[e.key] = withNulls(e.node)
		}
		return m
	case list:
		items := []any{}
		for _, item := range n.items {
			items = append(items, withNulls(item))
		}
		return items
	}
	return n.value
}
