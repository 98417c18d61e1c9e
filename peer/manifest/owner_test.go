package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/crdt"
)

var (
	alice = Owner{Manager: "shoal", User: "alice"}
	bob   = Owner{Manager: "shoal", User: "bob"}
	ci    = Owner{Manager: "ci", User: "alice"}
)

// written is what an object's fields are after one more operation by an owner.
func written(current []crdt.Field, by Owner, changes []crdt.Change) []crdt.Field {
	fields := map[crdt.Path]crdt.Field{}
	for _, f := range current {
		fields[f.Path] = f
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(fields, c.Path)
			continue
		}
		fields[c.Path] = crdt.Field{Path: c.Path, Value: c.Value, Manager: by.Manager, User: by.User}
	}
	var all []crdt.Field
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		all = append(all, fields[path])
	}
	return all
}

// ownership is the slow, obvious model of server-side apply: each field's value and the set of its owners.
type ownership struct {
	values map[crdt.Path]string
	owners map[crdt.Path]map[Owner]bool
}

func (o ownership) apply(by Owner, desired map[crdt.Path]json.RawMessage) {
	for path := range o.values {
		if _, wanted := desired[path]; !wanted {
			if delete(o.owners[path], by); len(o.owners[path]) == 0 {
				delete(o.values, path)
				delete(o.owners, path)
			}
		}
	}
	for path, value := range desired {
		if o.values[path] != string(value) {
			o.values[path], o.owners[path] = string(value), map[Owner]bool{}
		}
		o.owners[path][by] = true
	}
}

func (o ownership) sets() map[crdt.Path][]Owner {
	all := map[crdt.Path][]Owner{}
	for path, owners := range o.owners {
		all[path] = slices.SortedFunc(maps.Keys(owners), Owner.compare)
	}
	return all
}

// disputed is which paths another owner would lose.
func (o ownership) disputed(by Owner, desired map[crdt.Path]json.RawMessage) []crdt.Path {
	var paths []crdt.Path
	for path, value := range desired {
		owners := maps.Clone(o.owners[path])
		delete(owners, by)
		if len(owners) > 0 && o.values[path] != string(value) {
			paths = append(paths, path)
		}
	}
	return sortedPaths(paths)
}

func sortedPaths(paths []crdt.Path) []crdt.Path {
	slices.Sort(paths)
	return paths
}

// TestApplyOwnsAsServerSideApplyDoes plays random applies of several owners against the model.
func TestApplyOwnsAsServerSideApplyDoes(t *testing.T) {
	paths := []crdt.Path{"spec/a", "spec/b", "spec/list/name=x~1y/name", "metadata/labels/c"}
	rapid.Check(t, func(t *rapid.T) {
		model := ownership{values: map[crdt.Path]string{}, owners: map[crdt.Path]map[Owner]bool{}}
		var fields []crdt.Field
		for step := range rapid.IntRange(1, 12).Draw(t, "steps") {
			by := rapid.SampledFrom([]Owner{alice, bob, ci}).Draw(t, "by")
			desired := map[crdt.Path]json.RawMessage{}
			for _, path := range rapid.SliceOfNDistinct(rapid.SampledFrom(paths), 0, 4, rapid.ID).Draw(t, "paths") {
				desired[path] = json.RawMessage(rapid.SampledFrom([]string{"1", "2", "{}"}).Draw(t, "value"))
			}
			changes := Apply(fields, by, desired)
			var disputed []crdt.Path
			for _, d := range Disputes(fields, by, changes) {
				disputed = append(disputed, d.Path)
			}
			if diff := cmp.Diff(model.disputed(by, desired), disputed); diff != "" {
				t.Fatalf("step %d: other disputes than the model (-model +got):\n%s", step, diff)
			}
			model.apply(by, desired)
			fields = written(fields, by, changes)
			if diff := cmp.Diff(model.sets(), Owners(fields)); diff != "" {
				t.Fatalf("step %d: other owners than the model (-model +got):\n%s", step, diff)
			}
			for path, value := range model.values {
				if got := hold(fields)[path].Value; string(got) != value {
					t.Fatalf("step %d: %s is %s, want %s", step, path, got, value)
				}
			}
			if again := Apply(fields, by, desired); len(again) != 0 {
				t.Fatalf("step %d: applying the same again changes %v", step, again)
			}
		}
	})
}

func TestAnEmptyListOfOneOwnerKeepsWhatOthersPutIntoIt(t *testing.T) {
	held := []crdt.Field{{Path: "spec/env/name=A/name", Value: []byte(`"A"`), Manager: "ci", User: "alice"}}
	empty := map[crdt.Path]json.RawMessage{"spec/env": json.RawMessage("[]")}
	if got := Apply(held, bob, empty); got != nil {
		t.Errorf("it changes %v", got)
	}
	want := []crdt.Change{{Path: "spec/env", Value: []byte("[]")}, {Path: "spec/env/name=A/name"}}
	if diff := cmp.Diff(want, Apply(held, ci, empty)); diff != "" {
		t.Errorf("whose own it is: %s", diff)
	}
}

func TestOwnersWrittenAtTheSameTimeCountTogether(t *testing.T) {
	value := []byte("3")
	held := []crdt.Field{
		{Path: "spec/a", Value: value, Manager: "ci", User: "alice"},
		{Path: ownersPath("spec/a"), Value: recordOf(value, []Owner{ci, alice}),
			Conflicts: []crdt.Rival{{Value: recordOf(value, []Owner{ci, bob})}, {Value: []byte("nonsense")}, {}}},
		{Path: "spec/b", Value: value, Manager: "ci", User: "alice"},
		{Path: ownersPath("spec/b"), Value: recordOf([]byte("4"), []Owner{bob})},
	}
	want := map[crdt.Path][]Owner{"spec/a": {ci, alice, bob}, "spec/b": {ci}}
	if diff := cmp.Diff(want, Owners(held)); diff != "" {
		t.Error(diff)
	}
	tree := Tree(crdt.Key{Kind: "Namespace", Name: "x"}, held)
	if diff := cmp.Diff(map[string]any{"a": json.Number("3"), "b": json.Number("3")}, tree["spec"]); diff != "" || len(tree) != 4 {
		t.Errorf("bookkeeping shows in the object: %v", tree)
	}
}

func TestDisown(t *testing.T) {
	held := []crdt.Field{{Path: "spec/a", Value: []byte("3")}, {Path: ownersPath("spec/a"), Value: recordOf([]byte("3"), []Owner{ci})}}
	got := Disown(held, []crdt.Change{{Path: "spec/b", Value: []byte("1")}, {Path: "spec/a", Value: []byte("4")}})
	want := []crdt.Change{{Path: "spec/a", Value: []byte("4")}, {Path: "spec/b", Value: []byte("1")}, {Path: "~owners/spec~1a"}}
	slices.SortFunc(want, func(a, b crdt.Change) int { return slices.Compare([]byte(a.Path), []byte(b.Path)) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestGrant(t *testing.T) {
	change := crdt.Change{Path: "spec/a", Value: []byte("4")}
	for _, owners := range [][]Owner{{ci}, {bob}, {ci, bob}} {
		held := []crdt.Field{{Path: "spec/a", Value: []byte("3")}, {Path: ownersPath("spec/a"), Value: recordOf([]byte("3"), []Owner{alice})}}
		held = written(held, ci, Grant(held, change, ci, owners))
		if diff := cmp.Diff(map[crdt.Path][]Owner{"spec/a": owners}, Owners(held)); diff != "" || string(hold(held)["spec/a"].Value) != "4" {
			t.Errorf("%v: %s", owners, diff)
		}
		if held = written(held, ci, Grant(held, crdt.Change{Path: "spec/a"}, ci, owners)); len(held) != 0 {
			t.Errorf("deleted, and %v is left", held)
		}
	}
}

func ExampleOwner_String() {
	fmt.Println(alice, Owner{Manager: "ci"})
	// Output: "shoal" of alice "ci"
}

func ExampleFieldPath() {
	fmt.Println(FieldPath("spec/template/spec/containers/name=web/ports/containerPort=80,protocol=TCP/name"))
	fmt.Println(FieldPath("spec/template/spec/containers/name=web/volumeMounts/mountPath=~1tmp/name"))
	// Output:
	// .spec.template.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"].name
	// .spec.template.spec.containers[name="web"].volumeMounts[mountPath="/tmp"].name
}
