package manifest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/crdt"
)

var merged = crdt.Key{Kind: "Deployment", Namespace: "default", Name: "x"}

// side writes whole trees to its own set, as a peer does for a user who changesByPeople.
type side struct {
	id   crdt.PeerID
	set  *crdt.Set
	last crdt.Time
}

func (s *side) write(t *rapid.T, tree map[string]any) crdt.Op {
	fields, err := Flatten("Deployment", tree)
	if err != nil {
		t.Fatal(err)
	}
	held, _ := s.set.Object(merged)
	op := crdt.Op{Key: merged, Seen: held.Seen, Verb: crdt.Update, User: string(s.id), Changes: Replace(held.Fields, fields)}
	if !held.Live {
		op.Verb = crdt.Create
	}
	s.last = max(s.last, 1)
	for _, seen := range held.Seen {
		s.last = max(s.last, seen)
	}
	s.last++
	op.Stamp = crdt.Stamp{Time: s.last, Writer: s.id}
	op.Hash = sha256.Sum256([]byte(fmt.Sprint(op)))
	if len(op.Changes) > 0 {
		s.set.Add(op)
	}
	return op
}

func (s *side) tree() map[string]any {
	o, _ := s.set.Object(merged)
	return Tree(merged, o.Fields)
}

// TestEditsOfDifferentEntriesMerge lets two people, who do not see each other, each add, change and remove entries of
// their own in every list that has a merge key: both edits hold, and nothing is in conflict.
func TestEditsOfDifferentEntriesMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := genDeployment().Draw(t, "base")
		left, right := &side{id: "l", set: crdt.NewSet()}, &side{id: "r", set: crdt.NewSet()}
		right.set.AddObject(merged, []crdt.Op{left.write(t, base)})

		chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(changesByPeople), 2, len(changesByPeople), func(e userEdit) string { return e.name }).Draw(t, "edits")
		at := rapid.IntRange(1, len(chosen)-1).Draw(t, "of the left")
		both := base
		for i, e := range chosen {
			who := left
			if i >= at {
				who = right
			}
			who.write(t, e.make(who.tree()))
			both = e.make(Tree(merged, flat(t, both)))
		}
		mine, theirs := left.set.Ops(merged), right.set.Ops(merged)
		left.set.AddObject(merged, theirs)
		right.set.AddObject(merged, mine)
		for _, s := range []*side{left, right} {
			o, _ := s.set.Object(merged)
			for _, f := range append(o.Fields, o.Deleted...) {
				if len(f.Conflicts) > 0 {
					t.Fatalf("%s is in conflict", f.Path)
				}
			}
			if diff := cmp.Diff(Tree(merged, flat(t, both)), s.tree()); diff != "" {
				t.Fatalf("%s holds something else than both edits (-both +merged):\n%s", s.id, diff)
			}
		}
	})
}

func flat(t *rapid.T, tree map[string]any) []crdt.Field {
	fields, err := Flatten("Deployment", tree)
	if err != nil {
		t.Fatal(err)
	}
	return asFields(fields)
}

// userEdit is one change that people make; no two of those below touch the same field.
type userEdit struct {
	name string
	make func(tree map[string]any) map[string]any
}

func (e userEdit) String() string { return e.name }

// What is added comes after all that an object may have, so that what is first stays first.
var changesByPeople = []userEdit{
	{"add a container", addTo("containers", "name", "zzzzzzzzz-added", "image", "x/added")},
	{"add another container", addTo("containers", "name", "zzzzzzzzz-other", "image", "x/other")},
	{"add a volume", addTo("volumes", "name", "zz-volume", "emptyDir", map[string]any{})},
	{"add a variable", addToFirst("env", "name", "ZZ", "value", "1")},
	{"add another variable", addToFirst("env", "name", "ZZZ", "value", "2")},
	{"add a TCP port", addToFirst("ports", "containerPort", json.Number("8080"), "protocol", "TCP")},
	{"add a UDP port of that number", addToFirst("ports", "containerPort", json.Number("8080"), "protocol", "UDP")},
	{"add a mount", addToFirst("volumeMounts", "mountPath", "/zz/a", "name", "data")},
	{"add a mount below it", addToFirst("volumeMounts", "mountPath", "/zz/a/b", "name", "data")},
	{"change the image of the first container", func(tree map[string]any) map[string]any {
		return patched(tree, map[string]any{"image": "x/changed"})
	}},
	{"remove the last container of several", func(tree map[string]any) map[string]any {
		spec := dig(tree, "spec", "template", "spec")
		var kept []any
		list := spec["containers"].([]any)
		for i, item := range list {
			name := item.(map[string]any)["name"].(string)
			if last := i+1 == len(list) || list[i+1].(map[string]any)["name"].(string) >= "zz"; i == 0 || !last || name >= "zz" {
				kept = append(kept, item)
			}
		}
		return strategicAt(tree, map[string]any{"containers": append([]any{map[string]any{"$patch": "replace"}}, kept...)})
	}},
	{"scale", func(tree map[string]any) map[string]any {
		return MergePatch(tree, map[string]any{"spec": map[string]any{"replicas": json.Number("7")}})
	}},
	{"label", func(tree map[string]any) map[string]any {
		return MergePatch(tree, map[string]any{"metadata": map[string]any{"labels": map[string]any{"zz": "1"}}})
	}},
}

func dig(tree map[string]any, names ...string) map[string]any {
	for _, name := range names {
		tree, _ = tree[name].(map[string]any)
	}
	return tree
}

func strategicAt(tree, podSpec map[string]any) map[string]any {
	after, err := StrategicPatch("Deployment", tree, map[string]any{"spec": map[string]any{"template": map[string]any{"spec": podSpec}}})
	if err != nil {
		panic(err)
	}
	return after
}

func pairs(of ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(of); i += 2 {
		m[of[i].(string)] = of[i+1]
	}
	return m
}

func addTo(list string, of ...any) func(map[string]any) map[string]any {
	return func(tree map[string]any) map[string]any {
		return strategicAt(tree, map[string]any{list: []any{pairs(of...)}})
	}
}

func addToFirst(list string, of ...any) func(map[string]any) map[string]any {
	return func(tree map[string]any) map[string]any {
		return patched(tree, map[string]any{list: []any{pairs(of...)}})
	}
}

// patched patches the first container, which no userEdit removes.
func patched(tree, container map[string]any) map[string]any {
	first := dig(tree, "spec", "template", "spec")["containers"].([]any)[0].(map[string]any)
	container["name"] = first["name"]
	return strategicAt(tree, map[string]any{"containers": []any{container}})
}
