package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, text string) any {
	t.Helper()
	return decodeValue([]byte(text))
}

func TestMergePatch(t *testing.T) {
	// The examples of RFC 7386, appendix A, that are objects.
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		before := parse(t, c[0]).(map[string]any)
		got := MergePatch(before, parse(t, c[1]).(map[string]any))
		if diff := cmp.Diff(parse(t, c[2]), any(got)); diff != "" {
			t.Errorf("%s with %s: %s", c[0], c[1], diff)
		}
		if diff := cmp.Diff(parse(t, c[0]), any(before)); diff != "" {
			t.Errorf("the original was changed: %s", diff)
		}
	}
}

const twoContainers = `{"spec":{"template":{"spec":{"containers":[
	{"name":"a","image":"x","env":[{"name":"P","value":"1"},{"name":"Q","value":"2"}]},
	{"name":"b","image":"y","args":["1","2"]}]}}}}`

func TestStrategicPatch(t *testing.T) {
	for name, c := range map[string][2]string{
		"one container": {
			`[{"name":"b","image":"z"}]`,
			`[{"name":"a","image":"x","env":[{"name":"P","value":"1"},{"name":"Q","value":"2"}]},{"name":"b","image":"z","args":["1","2"]}]`},
		"one variable": {
			`[{"name":"a","env":[{"name":"Q","value":"3"},{"name":"R","value":"4"}]}]`,
			`[{"name":"a","image":"x","env":[{"name":"P","value":"1"},{"name":"Q","value":"3"},{"name":"R","value":"4"}]},{"name":"b","image":"y","args":["1","2"]}]`},
		"delete": {
			`[{"name":"a","$patch":"delete"},{"name":"b","args":null}]`,
			`[{"name":"b","image":"y"}]`},
		"replace": {
			`[{"$patch":"replace"},{"name":"c","image":"w"}]`,
			`[{"name":"c","image":"w"}]`},
		"list without key": {
			`[{"$setElementOrder/env":[],"name":"b","args":["9"]}]`,
			`[{"name":"a","image":"x","env":[{"name":"P","value":"1"},{"name":"Q","value":"2"}]},{"name":"b","image":"y","args":["9"]}]`},
	} {
		t.Run(name, func(t *testing.T) {
			patch := parse(t, `{"spec":{"template":{"spec":{"containers":`+c[0]+`}}}}`).(map[string]any)
			got, err := StrategicPatch("Deployment", parse(t, twoContainers).(map[string]any), patch)
			if err != nil {
				t.Fatal(err)
			}
			want := parse(t, `{"spec":{"template":{"spec":{"containers":`+c[1]+`}}}}`)
			if diff := cmp.Diff(want, any(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	patch := parse(t, `{"spec":{"strategy":{"$retainKeys":["type"],"type":"RollingUpdate"}}}`).(map[string]any)
	got, err := StrategicPatch("Deployment", parse(t, `{"spec":{"strategy":{"rollingUpdate":{}}}}`).(map[string]any), patch)
	if diff := cmp.Diff(parse(t, `{"spec":{"strategy":{"type":"RollingUpdate"}}}`), any(got)); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestJSONPatch(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":1}`, `[{"op":"add","path":"/b","value":[2]},{"op":"add","path":"/b/-","value":3},{"op":"add","path":"/b/0","value":1}]`, `{"a":1,"b":[1,2,3]}`},
		{`{"a":{"x/y":1}}`, `[{"op":"replace","path":"/a/x~1y","value":2}]`, `{"a":{"x/y":2}}`},
		{`{"a":[1,2]}`, `[{"op":"remove","path":"/a/0"},{"op":"test","path":"/a","value":[2]}]`, `{"a":[2]}`},
		{`{"a":1}`, `[{"op":"move","from":"/a","path":"/b"},{"op":"copy","from":"/b","path":"/c"}]`, `{"b":1,"c":1}`},
		{`{"a":1}`, `[{"op":"test","path":"/a","value":2}]`, ``},
		{`{"a":1}`, `[{"op":"remove","path":"/b"}]`, ``},
		{`{"a":[1]}`, `[{"op":"replace","path":"/a/1","value":2}]`, ``},
		{`{"a":1}`, `[{"op":"add","path":"/a/b","value":2}]`, ``},
		{`{"a":1}`, `[{"op":"remove","path":""}]`, ``},
		{`{"a":1}`, `["x"]`, ``},
	} {
		before := parse(t, c[0]).(map[string]any)
		got, err := JSONPatch(before, parse(t, c[1]).([]any))
		if c[2] == "" {
			if err == nil {
				t.Errorf("%s with %s was taken", c[0], c[1])
			}
			continue
		}
		if diff := cmp.Diff(parse(t, c[2]), any(got)); diff != "" || err != nil {
			t.Errorf("%s with %s: %v %s", c[0], c[1], err, diff)
		}
		if diff := cmp.Diff(parse(t, c[0]), any(before)); diff != "" {
			t.Errorf("the original was changed: %s", diff)
		}
	}
}
