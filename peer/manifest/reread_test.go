package manifest

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/crdt"
)

// TestRereadIsRead changes an object step by step, in any way a merge can, and reads it from what it was and anew.
func TestRereadIsRead(t *testing.T) {
	d := decodeOne(t, web)
	start, err := Flatten(d.Key.Kind, d.Tree)
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		fields, valid := maps.Clone(start), start
		var before []crdt.Field
		var was *Workload
		for range rapid.IntRange(4, 12).Draw(t, "steps") {
			now := asFields(fields)
			want, wantFaults := Read(d.Key, Tree(d.Key, now))
			got, gotFaults := Reread(d.Key, now, before, was)
			if diff := cmp.Diff(want, got) + cmp.Diff(wantFaults, gotFaults); diff != "" {
				t.Fatalf("(-Read +Reread):\n%s", diff)
			}
			if wantFaults == nil {
				tried[how(d.Key, now, before, was)]++
				before, was, valid = now, got, maps.Clone(fields)
			} else if rapid.Bool().Draw(t, "mended") {
				fields = maps.Clone(valid)
			}
			for range rapid.IntRange(1, 2).Draw(t, "changes") {
				change(t, fields)
			}
		}
	})
	if len(tried) < 3 {
		t.Errorf("valid objects were read in these ways, of which there are three: %v", tried)
	}
}

var somePath = rapid.SampledFrom([]crdt.Path{
	"metadata/annotations/note", "metadata/annotations/shoal~1restart.1", "metadata/annotations/shoal~1restart.x", "metadata/annotations/shoal~1max-moving", "metadata/annotations/shoal~1lost-wait",
	"metadata/labels/app", "metadata/labels/~1",
	"metadata/name", "metadata", "spec/replicas", "spec/minReadySeconds", "spec/strategy/rollingUpdate/maxSurge", "spec/selector/matchLabels/app",
	"spec/selector/matchLabels/tier", "spec", "spec/unknown", "spec/template", "spec/template-x", "spec/template/metadata/labels/app", "spec/template/metadata/labels/tier",
	"spec/template/spec/containers/name=web/image", "spec/template/spec/nodeSelector/disk", "spec/template/spec/terminationGracePeriodSeconds", "status",
})

var someValue = rapid.SampledFrom([]string{`"web"`, `"x"`, `3`, `-1`, `"25%"`, `"10m"`, `{}`, `[]`, `not json`, ``})

// harmless changes leave a valid object valid: without them nearly all that is read is not.
var harmless = rapid.SampledFrom([][2]string{
	{"metadata/annotations/note", `"x"`}, {"metadata/labels/app", `"x"`}, {"spec/replicas", `3`}, {"spec/replicas", `4`}, {"spec/minReadySeconds", `3`},
	{"spec/strategy/rollingUpdate/maxSurge", `"25%"`}, {"spec/template/spec/containers/name=web/image", `"x"`}, {"spec/template/metadata/labels/tier", `"web"`},
})

// change writes or deletes one field: to any value, or, half of the time, harmlessly.
func change(t *rapid.T, fields map[crdt.Path]json.RawMessage) {
	if rapid.Bool().Draw(t, "harmless") {
		to := harmless.Draw(t, "change")
		fields[crdt.Path(to[0])] = json.RawMessage(to[1])
		return
	}
	at := somePath.Draw(t, "path")
	if fields[at] = json.RawMessage(someValue.Draw(t, "value")); len(fields[at]) == 0 {
		delete(fields, at)
	}
}

// how is the part that is taken from what was; empty when all is read anew.
func how(key crdt.Key, now, before []crdt.Field, was *Workload) string {
	for _, part := range []string{wholeSpec, onlyTemplate} {
		same, rest := below(part, now)
		if old, _ := below(part, before); was != nil && slices.EqualFunc(same, old, sameValue) && was.reread(key, rest, part) != nil {
			return part
		}
	}
	return ""
}

// BenchmarkRead measures how long an object is read of which one annotation has changed: anew, and from what it was.
func BenchmarkRead(b *testing.B) {
	d := decodeOne(b, web)
	flat, err := Flatten(d.Key.Kind, d.Tree)
	if err != nil {
		b.Fatal(err)
	}
	before := asFields(flat)
	was, _ := Read(d.Key, Tree(d.Key, before))
	flat["metadata/annotations/note"] = json.RawMessage(`"x"`)
	fields := asFields(flat)
	b.Run("anew", func(b *testing.B) {
		for range b.N {
			Read(d.Key, Tree(d.Key, fields))
		}
	})
	b.Run("from-what-it-was", func(b *testing.B) {
		for range b.N {
			Reread(d.Key, fields, before, was)
		}
	})
}
