package manifest

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"shoal/crdt"
)

// FuzzPatch patches an object in all three ways: what comes out flattens, and comes back out of its fields as it was, or is refused.
func FuzzPatch(f *testing.F) {
	documents, err := Decode("web", []byte(web))
	if err != nil {
		f.Fatal(err)
	}
	base, err := json.Marshal(documents[0].Tree)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		`{"spec":{"template":{"spec":{"containers":[{"name":"web","$patch":"delete"}]}}}}`, `{"spec":null}`, `{"$patch":"replace"}`,
		`{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"b"}],"$setElementOrder/env":[{"name":"A"}]}]}}}}`,
		`[{"op":"replace","path":"/spec/replicas","value":4},{"op":"test","path":"/kind","value":"Deployment"}]`,
		`[{"op":"move","from":"/spec","path":"/spec/template"},{"op":"add","path":"/spec/template/spec/containers/-","value":{}}]`, `[{"op":"copy","from":"","path":"/a"}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var patch any
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		if decoder.Decode(&patch) != nil {
			return
		}
		object := func() (tree map[string]any) {
			decoder := json.NewDecoder(bytes.NewReader(base))
			decoder.UseNumber()
			if err := decoder.Decode(&tree); err != nil {
				t.Fatal(err)
			}
			return tree
		}
		var all []map[string]any
		switch patch := patch.(type) {
		case map[string]any:
			all = append(all, MergePatch(object(), patch))
			if tree, err := StrategicPatch("Deployment", object(), patch); err == nil {
				all = append(all, tree)
			}
		case []any:
			if tree, err := JSONPatch(object(), patch); err == nil {
				all = append(all, tree)
			}
		}
		for _, tree := range all {
			fields, err := Flatten("Deployment", tree)
			if err != nil {
				continue
			}
			Warnings(tree)
			if again, err := Flatten("Deployment", Tree(documents[0].Key, asFields(fields))); Validate(documents[0].Key, tree) == nil && (err != nil || !equalFields(fields, again)) {
				t.Fatalf("%v are fields, and then %v: %v", fields, again, err)
			}
		}
	})
}

func equalFields(a, b map[crdt.Path]json.RawMessage) bool {
	if len(a) != len(b) {
		return false
	}
	for path, value := range a {
		if !bytes.Equal(value, b[path]) {
			return false
		}
	}
	return true
}

// FuzzTree makes objects of fields that nobody checked, as a merge may: each gives some tree, and owners that are JSON.
func FuzzTree(f *testing.F) {
	f.Add([]byte("spec/replicas\x003\nspec\x00{}\n~owners/spec~1replicas\x00{\"of\":\"1\"}"))
	f.Add([]byte("metadata\x00[]\nmetadata/labels\x001\nspec/template/spec/containers/name=a/ports/containerPort=x,protocol=\x00{\nspec/template/spec/containers/b\x00null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key := crdt.Key{Kind: "Deployment", Namespace: "default", Name: "web"}
		var fields []crdt.Field
		for i, line := range bytes.Split(data, []byte("\n")) {
			path, value, _ := bytes.Cut(line, []byte{0})
			fields = append(fields, crdt.Field{Path: crdt.Path(path), Value: value, Manager: "shoal", User: string(rune('a' + i%3))})
		}
		slices.SortStableFunc(fields, byPath)
		fields = slices.CompactFunc(fields, func(a, b crdt.Field) bool { return a.Path == b.Path })
		tree := Tree(key, fields)
		Validate(key, tree)
		Read(key, tree)
		if _, err := json.Marshal(tree); err != nil {
			t.Fatal(err)
		}
		for _, m := range ManagedBy(key, fields) {
			if !json.Valid(m.FieldsV1) {
				t.Fatalf("%s of %s is not JSON", m.FieldsV1, m.Owner)
			}
		}
		for path := range Owners(fields) {
			FieldPath(path)
		}
	})
}

// FuzzKinds reads a manifest of any kind: what is valid comes back out of its fields as valid, and reads as what it asks for.
func FuzzKinds(f *testing.F) {
	for _, seed := range []string{web, placed, agent,
		"apiVersion: v1\nkind: Node\nmetadata: {name: p3, annotations: {shoal/drain: \"true\"}}\nspec: {taints: [{key: a/b, value: c, effect: NoExecute}]}\n",
		"apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: {maxUnavailable: 50%, selector: {matchExpressions: [{key: a, operator: Exists}]}}\n",
		"apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: -3\n",
		"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: x, annotations: {shoal/split: \"a;b\"}}\nspec: {}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		documents, _ := Decode("", data)
		for _, d := range documents {
			fields, err := Flatten(d.Key.Kind, d.Tree)
			if err != nil {
				t.Fatalf("valid, but without fields: %v", err)
			}
			tree := Tree(d.Key, asFields(fields))
			w, faults := Read(d.Key, tree)
			if faults != nil {
				t.Fatalf("valid, and not any more out of its fields: %v", faults)
			}
			if w != nil && (w.Rules == nil || w.MostMoving < 1 || w.MaxSurge < 1 && w.MaxUnavailable < 1 && !w.Recreate || w.Split.Leased() && len(w.Split.Witnesses) == 0) {
				t.Fatalf("%+v", w)
			}
			if b, ok := BudgetOf(d.Key, tree); ok && (b.Desired(7) < 0 || b.Desired(7) > 7) {
				t.Fatalf("of 7 replicas %d must stay", b.Desired(7))
			}
			NodeOf(d.Key, tree)
			PriorityOf(d.Key, tree)
		}
	})
}
