package manifest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/crdt"
)

func TestManagedFieldsAreThoseOfKubernetes(t *testing.T) {
	const web = "spec/template/spec/containers/name=web"
	fields := map[crdt.Path]json.RawMessage{
		"metadata/annotations/example.com~1note": json.RawMessage(`"x"`), "spec/replicas": json.RawMessage("3"),
		web + "/name": json.RawMessage(`"web"`), web + "/image": json.RawMessage(`"web:1"`), web + "/args": json.RawMessage(`["a"]`),
		web + "/ports/containerPort=80,protocol=TCP/containerPort": json.RawMessage("80"),
		"spec/strategy": json.RawMessage("{}"), "spec/strategy/type": json.RawMessage(`"RollingUpdate"`),
	}
	object := written(nil, alice, Apply(nil, alice, fields))
	object = written(object, bob, Apply(object, bob, map[crdt.Path]json.RawMessage{"spec/replicas": json.RawMessage("3"), web + "/image": json.RawMessage(`"web:1"`)}))
	object = written(object, ci, []crdt.Change{{Path: "metadata/labels/tier", Value: []byte(`"front"`)}})
	for i := range object {
		object[i].Writer = crdt.Stamp{Time: crdt.Time(i + 1), Writer: "p1"}
	}
	got := map[Owner]string{}
	for _, m := range ManagedBy(crdt.Key{Kind: "Deployment", Name: "web"}, object) {
		got[m.Owner] = string(m.FieldsV1)
		if m.Latest.Time == 0 {
			t.Errorf("%s has %s since never", m.Owner, m.FieldsV1)
		}
	}
	want := map[Owner]string{
		alice: `{"f:metadata":{"f:annotations":{"f:example.com/note":{}}},"f:spec":{"f:replicas":{},"f:strategy":{"f:type":{}},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":` +
			`{".":{},"f:args":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}}}`,
		bob: `{"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{}}}}}}}`,
		ci:  `{"f:metadata":{"f:labels":{"f:tier":{}}}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// leaves lists what a FieldsV1 names, a step a line.
func leaves(t *rapid.T, text []byte) (all []string) {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	var walk func(above string)
	walk = func(above string) {
		empty, seen := true, map[string]bool{}
		for {
			token, err := decoder.Token()
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if token == json.Delim('}') {
				break
			}
			name := token.(string)
			if seen[name] {
				t.Fatalf("%s: %q twice", text, name)
			}
			seen[name] = true
			if token, err = decoder.Token(); err != nil || token != json.Delim('{') {
				t.Fatalf("%s: %v %v", text, token, err)
			}
			if name == "." {
				decoder.Token()
				continue
			}
			empty = false
			walk(above + "\n" + name)
		}
		if empty {
			all = append(all, above)
		}
	}
	decoder.Token()
	walk("")
	return all
}

// TestManagedFieldsNameEveryFieldOnce holds what is named against the paths, whatever they are.
func TestManagedFieldsNameEveryFieldOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.SampledFrom([]string{"spec", "template", "spec", "containers", "name=a", "name=b", "ports", "containerPort=1,protocol=UDP", "x-y", "x", "~0", "a~1b"})
		paths := map[string]bool{}
		for _, parts := range rapid.SliceOfN(rapid.SliceOfN(segment, 1, 6), 1, 12).Draw(t, "paths") {
			paths[strings.Join(parts, "/")] = true
		}
		var fields []crdt.Field
		want := 0
		for _, path := range sortedKeys(paths) {
			if Hidden(crdt.Path(path)) {
				continue
			}
			fields = append(fields, crdt.Field{Path: crdt.Path(path), Value: []byte("1"), Manager: "shoal", User: "alice"})
			if !slices.ContainsFunc(sortedKeys(paths), func(longer string) bool { return strings.HasPrefix(longer, path+"/") }) {
				want++
			}
		}
		all := ManagedBy(crdt.Key{Kind: "Deployment", Name: "web"}, fields)
		if len(fields) == 0 {
			return
		}
		if len(all) != 1 || all[0].Owner != alice {
			t.Fatalf("got %+v", all)
		}
		if got := leaves(t, all[0].FieldsV1); len(got) != want {
			t.Fatalf("%s names %d fields, want %d of %v", all[0].FieldsV1, len(got), want, sortedKeys(paths))
		}
	})
}
