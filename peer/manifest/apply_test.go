package manifest

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/crdt"
)

func TestApply(t *testing.T) {
	held := []crdt.Field{
		{Path: "spec/replicas", Value: []byte("6"), Manager: "shoal-scale"},
		{Path: "spec/same", Value: []byte("1"), Manager: "shoal"},
		{Path: "spec/settled", Value: []byte("1"), Manager: "shoal", Conflicts: []crdt.Rival{{Value: []byte("2")}}},
		{Path: "spec/other", Value: []byte("1"), Manager: "shoal"},
		{Path: "spec/removed", Value: []byte("1"), Manager: "shoal"},
		{Path: "spec/list", Value: []byte("[]"), Manager: "shoal"},
	}
	desired := map[crdt.Path]json.RawMessage{
		"spec/same": []byte("1"), "spec/settled": []byte("1"), "spec/other": []byte("2"), "spec/new": []byte(`"x"`),
		"spec/list/name=a/name": []byte(`"a"`),
	}
	want := []crdt.Change{
		{Path: "spec/list/name=a/name", Value: []byte(`"a"`)},
		{Path: "spec/new", Value: []byte(`"x"`)},
		{Path: "spec/other", Value: []byte("2")},
		{Path: "spec/removed"},
		{Path: "spec/settled", Value: []byte("1")},
	}
	if diff := cmp.Diff(want, Apply(held, Owner{Manager: "shoal"}, desired)); diff != "" {
		t.Errorf("Apply: %s", diff)
	}
	all := append([]crdt.Change{}, want[:4]...)
	all = append(all, crdt.Change{Path: "spec/replicas"}, want[4])
	if diff := cmp.Diff(all, Replace(held, desired)); diff != "" {
		t.Errorf("Replace: %s", diff)
	}
}
