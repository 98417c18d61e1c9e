package manifest

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/crdt"
)

// asFields is what a crdt.Object holds after one operation that sets fields.
func asFields(values map[crdt.Path]json.RawMessage) []crdt.Field {
	var fields []crdt.Field
	for _, path := range sortedKeys(values) {
		fields = append(fields, crdt.Field{Path: path, Value: values[path], Manager: "shoal"})
	}
	return fields
}

func TestFlatten(t *testing.T) {
	d := decodeOne(t, web)
	fields, err := Flatten(d.Key.Kind, d.Tree)
	if err != nil {
		t.Fatal(err)
	}
	const c = "spec/template/spec/containers/name=web"
	want := map[crdt.Path]string{
		"metadata/labels/app":               `"web"`,
		"spec/replicas":                     `6`,
		"spec/selector/matchLabels/app":     `"web"`,
		"spec/template/metadata/labels/app": `"web"`,
		c + "/name":                         `"web"`,
		c + "/image":                        `"shoal.example/web:1"`,
		c + "/imagePullPolicy":              `"IfNotPresent"`,
		c + "/env/name=GREETING/name":       `"GREETING"`,
		c + "/env/name=GREETING/value":      `"hello"`,
		c + "/ports/containerPort=8080,protocol=TCP/containerPort": `8080`,
		c + "/ports/containerPort=8080,protocol=TCP/name":          `"http"`,
		c + "/ports/containerPort=8080,protocol=TCP/protocol":      `"TCP"`,
		c + "/resources/requests/cpu":                              `"50m"`,
		c + "/resources/requests/memory":                           `"32Mi"`,
		c + "/resources/limits/memory":                             `"64Mi"`,
		c + "/readinessProbe/httpGet/path":                         `"/ready"`,
		c + "/readinessProbe/httpGet/port":                         `"http"`,
		c + "/readinessProbe/periodSeconds":                        `1`,
		c + "/volumeMounts/mountPath=~1tmp~1scratch/mountPath":     `"/tmp/scratch"`,
		c + "/volumeMounts/mountPath=~1tmp~1scratch/name":          `"scratch"`,
		"spec/template/spec/volumes/name=scratch/name":             `"scratch"`,
		"spec/template/spec/volumes/name=scratch/emptyDir":         `{}`,
	}
	got := map[crdt.Path]string{}
	for path, value := range fields {
		got[path] = string(value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// genDeployment draws valid Deployments that use every list with a merge key.
func genDeployment() *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		name := rapid.StringMatching(`[a-z][a-z0-9]{0,8}`)
		labels := rapid.MapOfN(rapid.StringMatching(`([a-z]{1,5}\.[a-z]{1,3}/)?[A-Za-z][A-Za-z0-9]{0,5}`), name.AsAny(), 1, 4).Draw(t, "labels")
		container := func(name string) any {
			c := map[string]any{"name": name, "image": "x/" + name}
			env := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Z][A-Z~/_]{0,4}`), 0, 4, rapid.ID[string]).Draw(t, "env")
			list := []any{}
			for _, e := range sorted(env) {
				list = append(list, map[string]any{"name": e, "value": rapid.String().Filter(noZero).Draw(t, "value")})
			}
			c["env"] = list
			if len(list) == 0 && rapid.Bool().Draw(t, "no env") {
				delete(c, "env")
			}
			if ports := genPorts(t); len(ports) > 0 {
				c["ports"] = ports
			}
			if mounts := genMounts(t); len(mounts) > 0 {
				c["volumeMounts"] = mounts
			}
			if rapid.Bool().Draw(t, "resources") {
				c["resources"] = map[string]any{"requests": map[string]any{"cpu": "50m", "memory": "32Mi"}, "limits": map[string]any{"memory": "64Mi"}}
			}
			if args := rapid.SliceOfN(rapid.String().Filter(noZero), 0, 3).Draw(t, "args"); args != nil {
				c["args"] = toAny(args)
			}
			return c
		}
		containers := []any{}
		for _, n := range sorted(rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string]).Draw(t, "containers")) {
			containers = append(containers, container(n))
		}
		volumes := []any{}
		for _, n := range sorted(append(rapid.SliceOfNDistinct(name, 0, 3, rapid.ID[string]).Draw(t, "volumes"), "data")) {
			volumes = append(volumes, map[string]any{"name": n, "emptyDir": map[string]any{}})
		}
		return map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": map[string]any{"name": "x", "namespace": "default"},
			"spec": map[string]any{
				"replicas": json.Number("3"),
				"selector": map[string]any{"matchLabels": labels},
				"template": map[string]any{
					"metadata": map[string]any{"labels": labels},
					"spec":     map[string]any{"containers": containers, "volumes": volumes},
				},
			},
		}
	})
}

// genPorts draws ports in the order of their keys: containerPort alone is not one, since a port may be open for both protocols.
func genPorts(t *rapid.T) []any {
	ports := []any{}
	for _, number := range []string{"53", "80"} { // as texts in order, as Tree has them
		for _, protocol := range []string{"TCP", "UDP"} {
			if rapid.Bool().Draw(t, number+protocol) {
				ports = append(ports, map[string]any{"containerPort": json.Number(number), "protocol": protocol})
			}
		}
	}
	return ports
}

func genMounts(t *rapid.T) []any {
	mounts := []any{}
	for _, path := range sorted(rapid.SliceOfNDistinct(rapid.StringMatching(`/[a-z~]{0,3}(/[a-z]{1,3}){0,2}`), 0, 3, rapid.ID[string]).Draw(t, "mounts")) {
		mounts = append(mounts, map[string]any{"name": "data", "mountPath": path})
	}
	return mounts
}

func noZero(s string) bool { return len(s) < 20 && !containsZero(s) }

func containsZero(s string) bool {
	for _, c := range []byte(s) {
		if c == 0 {
			return true
		}
	}
	return false
}

func sorted(names []string) []string {
	set := map[string]bool{}
	for _, n := range names {
		set[n] = true
	}
	return sortedKeys(set)
}

func toAny(texts []string) []any {
	out := make([]any, len(texts))
	for i, s := range texts {
		out[i] = s
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	key := crdt.Key{Kind: "Deployment", Namespace: "default", Name: "x"}
	rapid.Check(t, func(t *rapid.T) {
		tree := genDeployment().Draw(t, "tree")
		if faults := Validate(key, tree); faults != nil {
			t.Fatalf("the generator made an invalid object: %v", faults)
		}
		fields, err := Flatten("Deployment", tree)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tree, Tree(key, asFields(fields))); diff != "" {
			t.Error(diff)
		}
	})
}

// TestTreeIsTotal builds trees of fields in every state that a merge can leave them in.
func TestTreeIsTotal(t *testing.T) {
	key := crdt.Key{Kind: "Deployment", Namespace: "default", Name: "x"}
	segment := rapid.SampledFrom([]string{"spec", "template", "containers", "name=web", "env", "name=A", "ports",
		"containerPort=80,protocol=TCP", "containerPort=x", "", "~", "~1", "metadata", "labels", "replicas"})
	value := rapid.SampledFrom([]string{`{}`, `[]`, `1`, `"x"`, `{"a":[1]}`, `not json`, ``})
	rapid.Check(t, func(t *rapid.T) {
		fields := map[crdt.Path]json.RawMessage{}
		for range rapid.IntRange(0, 12).Draw(t, "fields") {
			path := ""
			for _, s := range rapid.SliceOfN(segment, 1, 7).Draw(t, "path") {
				path += "/" + s
			}
			fields[crdt.Path(path[1:])] = json.RawMessage(value.Draw(t, "value"))
		}
		tree := Tree(key, asFields(fields))
		Validate(key, tree)
		WorkloadOf(key, tree)
		if tree["kind"] != "Deployment" || tree["metadata"].(map[string]any)["name"] != "x" {
			t.Errorf("got %v", tree)
		}
	})
}

func TestEntryWhoseKeyFieldIsGone(t *testing.T) {
	// One writer removed the container, another changed its image without having seen that.
	fields := []crdt.Field{{Path: "spec/template/spec/containers/name=web/image", Value: []byte(`"x"`)}}
	tree := Tree(crdt.Key{Kind: "Deployment", Namespace: "default", Name: "x"}, fields)
	got := tree["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"]
	if diff := cmp.Diff([]any{map[string]any{"name": "web", "image": "x"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFlattenRefusesEntriesWithoutKey(t *testing.T) {
	for _, containers := range []any{
		[]any{map[string]any{"image": "x"}},
		[]any{map[string]any{"name": "a"}, map[string]any{"name": "a"}},
		[]any{"a"},
	} {
		tree := map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}}}
		if _, err := Flatten("Deployment", tree); err == nil {
			t.Errorf("no error for %v", containers)
		}
	}
}

func TestFlattenLeavesOutTheServersFields(t *testing.T) {
	tree := map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "status": map[string]any{"replicas": json.Number("1")},
		"metadata": map[string]any{"name": "x", "namespace": "default", "uid": "u", "resourceVersion": "1", "generation": json.Number("2")},
		"spec":     map[string]any{"template": map[string]any{"metadata": map[string]any{"creationTimestamp": nil}}},
	}
	fields, err := Flatten("Deployment", tree)
	if diff := cmp.Diff(map[crdt.Path]json.RawMessage{"spec/template": json.RawMessage("{}")}, fields); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}
