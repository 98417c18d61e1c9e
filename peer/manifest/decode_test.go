package manifest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/crdt"
)

const web = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 6
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - name: web
        image: shoal.example/web:1
        imagePullPolicy: IfNotPresent
        env:
        - name: GREETING
          value: "hello"
        ports:
        - containerPort: 8080
          name: http
        resources:
          requests: {cpu: 50m, memory: 32Mi}
          limits: {memory: 64Mi}
        readinessProbe:
          httpGet: {path: /ready, port: http}
          periodSeconds: 1
        volumeMounts:
        - name: scratch
          mountPath: /tmp/scratch
      volumes:
      - name: scratch
        emptyDir: {}
`

func decodeOne(t testing.TB, text string) Document {
	t.Helper()
	documents, err := Decode("web.yaml", []byte(text))
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	if len(documents) != 1 {
		t.Fatalf("Decode gave %d documents", len(documents))
	}
	return documents[0]
}

func TestDecodeDeployment(t *testing.T) {
	d := decodeOne(t, web)
	if want := (crdt.Key{Kind: "Deployment", Namespace: "default", Name: "web"}); d.Key != want {
		t.Errorf("key %v, want %v", d.Key, want)
	}
	want := []string{"spec.template.spec.containers[0].imagePullPolicy: has no effect"}
	if diff := cmp.Diff(want, d.Warnings); diff != "" {
		t.Error(diff)
	}
	if got := d.Tree["spec"].(map[string]any)["replicas"]; got != json.Number("6") {
		t.Errorf("replicas %#v", got)
	}
}

func TestDecodeJSONIsTheSame(t *testing.T) {
	fromYAML := decodeOne(t, web)
	text, err := json.MarshalIndent(fromYAML.Tree, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromYAML.Tree, decodeOne(t, string(text)).Tree); diff != "" {
		t.Error(diff)
	}
}

// edit replaces one line's text of the good manifest.
func edit(t *testing.T, old, new string) string {
	t.Helper()
	if strings.Count(web, old) != 1 {
		t.Fatalf("%q stands %d times in the manifest", old, strings.Count(web, old))
	}
	return strings.Replace(web, old, new, 1)
}

func TestDecodeFaults(t *testing.T) {
	cases := []struct{ name, old, new, want string }{
		{"unknown field", "image: shoal", "imagee: shoal", `web.yaml:18:9: spec.template.spec.containers[0].imagee: unknown field "imagee": did you mean "image"?`},
		{"image missing", "        image: shoal.example/web:1\n", "", `web.yaml:17:9: spec.template.spec.containers[0].image: required, but missing`},
		{"kind", "kind: Deployment", "kind: Deploymnt", `web.yaml:2:7: kind: there is no kind "Deploymnt": known kinds are DaemonSet, Deployment, Namespace, Node, PodDisruptionBudget, PriorityClass: did you mean "Deployment"?`},
		{"version", "apps/v1", "apps/v1beta1", `web.yaml:1:13: apiVersion: Deployment is not in "apps/v1beta1": did you mean "apps/v1"?`},
		{"type", "replicas: 6", "replicas: six", `web.yaml:7:13: spec.replicas: must be a whole number, not the text "six"`},
		{"number for text", `value: "hello"`, "value: 1", `web.yaml:22:18: spec.template.spec.containers[0].env[0].value: must be text, not the number 1: put it in quotes`},
		{"negative", "replicas: 6", "replicas: -1", `web.yaml:7:13: spec.replicas: must be at least 0, not -1`},
		{"too many", "replicas: 6", "replicas: 10001", `web.yaml:7:13: spec.replicas: must be at most 10000, not 10001`},
		{"label", "  name: web\n  labels", "  name: Web_1\n  labels", `web.yaml:4:9: metadata.name: "Web_1" is not a DNS label: at most 63 lower-case letters, digits and '-', with a letter or digit at both ends`},
		{"selector", "      app: web\n  template", "      app: wob\n  template", `web.yaml:10:7: spec.selector.matchLabels: app=wob is not among the labels of spec.template.metadata: the selector would not find its own replicas`},
		{"port", "containerPort: 8080", "containerPort: 80800", `web.yaml:24:26: spec.template.spec.containers[0].ports[0].containerPort: must be at most 65535, not 80800`},
		{"probe port", "port: http}", "port: https}", `web.yaml:30:41: spec.template.spec.containers[0].readinessProbe.httpGet.port: no port of this container is called "https"`},
		{"limits below requests", "memory: 64Mi", "memory: 16Mi", `web.yaml:28:28: spec.template.spec.containers[0].resources.limits.memory: 16Mi is below the request of 32Mi`},
		{"quantity", "cpu: 50m", "cpu: 50 m", `web.yaml:27:27: spec.template.spec.containers[0].resources.requests.cpu: "50 m" is not an amount: write it like "500m", "0.5", "64Mi" or "1G"`},
		{"resource", "cpu: 50m", "cpus: 50m", `web.yaml:27:22: spec.template.spec.containers[0].resources.requests.cpus: unknown key "cpus": did you mean "cpu"?`},
		{"later", "      volumes:", "      hostNetwork: true\n      volumes:", `web.yaml:35:7: spec.template.spec.hostNetwork: not supported yet`},
		{"volume", "        emptyDir: {}", "        hostPath: {path: /}", `web.yaml:37:9: spec.template.spec.volumes[0].hostPath: not supported yet`},
		{"mount", "      - name: scratch\n        emptyDir", "      - name: other\n        emptyDir", `web.yaml:33:17: spec.template.spec.containers[0].volumeMounts[0].name: no volume is called "scratch"`},
		{"twice", "  replicas: 6", "  replicas: 6\n  replicas: 7", `web.yaml:8:3: spec.replicas: given twice`},
		{"duplicate env", `          value: "hello"`, "          value: a\n        - name: GREETING", `web.yaml:23:11: spec.template.spec.containers[0].env[1]: a second entry with name=GREETING`},
		{"restart", "  labels: {app: web}", "  annotations: {shoal/restart.x: y}", `web.yaml:5:17: metadata.annotations: shoal/restart.x must end with the ordinal of a replica`},
		{"strategy", "  replicas: 6", "  strategy: {type: Recreat}", `web.yaml:7:20: spec.strategy.type: must be one of RollingUpdate, Recreate, not "Recreat": did you mean "Recreate"?`},
		{"recreate bit by bit", "  replicas: 6", "  strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}", `web.yaml:7:46: spec.strategy.rollingUpdate: goes not with type: Recreate, which replaces all at once`},
		{"rollout that cannot go on", "  replicas: 6", "  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}", `web.yaml:7:59: spec.strategy.rollingUpdate.maxUnavailable: may not be 0 where maxSurge is 0: no replica could ever be replaced`},
		{"syntax", "  replicas: 6", "  replicas: [6", ``},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode("web.yaml", []byte(edit(t, c.old, c.new)))
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("no faults, but %v", err)
			}
			if c.want == "" {
				if len(faults) != 1 || faults[0].Line == 0 {
					t.Errorf("got %v", faults)
				}
				return
			}
			if diff := cmp.Diff([]string{c.want}, faults.Strings()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeFindsAllFaultsAtOnce(t *testing.T) {
	text := edit(t, "replicas: 6", "replicas: many") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {nam: x}\n"
	text = strings.Replace(text, "image: shoal", "imagee: shoal", 1)
	_, err := Decode("web.yaml", []byte(text))
	want := []string{
		`web.yaml:7:13: spec.replicas: must be a whole number, not the text "many"`,
		`web.yaml:18:9: spec.template.spec.containers[0].imagee: unknown field "imagee": did you mean "image"?`,
		`web.yaml:41:12: metadata.nam: unknown field "nam": did you mean "name"?`,
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeEmptyValuesAskForNothing(t *testing.T) {
	// What kubectl create deployment --dry-run=client -o yaml prints.
	decodeOne(t, `apiVersion: apps/v1
kind: Deployment
metadata:
  creationTimestamp: null
  labels: {app: web}
  name: web
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  strategy: {}
  template:
    metadata: {creationTimestamp: null, labels: {app: web}}
    spec:
      hostNetwork: false
      securityContext: {}
      containers:
      - {image: nginx, name: nginx, resources: {}}
status: {}
`)
}

func TestDecodePart(t *testing.T) {
	d, err := DecodePart([]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":3}}`))
	if err != nil || d.Key.Name != "web" {
		t.Fatalf("%v, %v", d, err)
	}
	for text, want := range map[string]string{
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":-1,"x":1}}`: "1:90: spec.replicas: must be at least 0, not -1\n1:93: spec.x: unknown field \"x\"",
		`{"apiVersion":"apps/v1","kind":"Deployment"}`:                                                        "metadata.name must be there",
		`{"kind":"Deployment","metadata":{"name":"web"}}`:                                                     "apiVersion",
		`{"kind":"Deploymen"}`: "there is no kind",
		"a: 1\n---\nb: 2\n":    "one object is needed, not 2",
	} {
		if _, err := DecodePart([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestDecodeList(t *testing.T) {
	documents, err := Decode("", []byte(`{"kind":"List","apiVersion":"v1","items":[
		{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"a"}},
		{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"b"}}]}`))
	if err != nil || len(documents) != 2 || documents[1].Key.Name != "b" {
		t.Fatalf("%v, %v", documents, err)
	}
}

func TestDecodeDirectivesAndMarks(t *testing.T) {
	text := "# first\n%YAML 1.2\n---\nkind: Namespace\napiVersion: v1\nmetadata:\n  name: a\n...\n--- # second\nkind: Namespace\napiVersion: v1\nmetadata: {name: b}\n---\n"
	documents, err := Decode("", []byte(text))
	if err != nil || len(documents) != 2 || documents[1].Key.Name != "b" || documents[1].Line != 10 {
		t.Fatalf("%v, %v", documents, err)
	}
}

func TestDecodeSameObjectTwice(t *testing.T) {
	_, err := Decode("a.yaml", []byte(web+"---\n"+web))
	if err == nil || !strings.Contains(err.Error(), "Deployment/default/web is described twice: also in line 1") {
		t.Fatal(err)
	}
}

func TestDecodeAliasesAndMergeKeys(t *testing.T) {
	text := strings.Replace(web, "      labels:\n        app: web\n", "      labels: &own\n        <<: *common\n        tier: front\n", 1)
	text = strings.Replace(text, "labels: {app: web}", "labels: &common {app: web, tier: back}", 1)
	d := decodeOne(t, text)
	got := d.Tree["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["labels"]
	if diff := cmp.Diff(map[string]any{"app": "web", "tier": "front"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeHostileInputIsBounded(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		ref := strings.Repeat("*a"+string(rune('0'+(i-1)%10))+",", 9) + "*a" + string(rune('0'+(i-1)%10))
		bomb += "b" + string(rune('0'+i%10)) + ": &a" + string(rune('0'+i%10)) + " [" + ref + "]\n"
	}
	for name, text := range map[string]string{
		"alias bomb":     bomb,
		"open brackets":  strings.Repeat("[", 1<<20),
		"open braces":    strings.Repeat("{", 1<<20),
		"nested JSON":    strings.Repeat(`{"a":`, 1<<19),
		"nested lists":   strings.Repeat("- ", 1<<20),
		"nested keys":    strings.Repeat("? ", 1<<20),
		"tags":           strings.Repeat("!!a ", 1<<19),
		"anchors":        strings.Repeat("&a ", 1<<20),
		"self reference": "a: &a [*a]\n",
		"many keys":      strings.Repeat("a: b\n", 1<<19),
		"many quotes":    strings.Repeat("\"", 1<<21),
		"many items":     strings.Repeat("- a\n", 1<<20),
		"long flow":      "[" + strings.Repeat("a,", 1<<20) + "]",
		"many documents": strings.Repeat("---\na\n", 1<<19),
		"too large":      strings.Repeat("a", MaxBytes+1),
		"not text":       "\xff\xfe",
		"nothing":        "",
		"only comments":  "# nothing\n---\n# here\n",
		"a scalar":       "hello",
		"a list":         "- a\n- b\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode("x", []byte(text))
			var faults Faults
			if !errors.As(err, &faults) || len(faults) == 0 || len(err.Error()) > 20_000 {
				t.Errorf("got %.200v", err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{web, "{}", "a: &a [*a]", "? a\n: b", "<<: x", "a: !!str 1", "--- |\n x", `{"kind":"List","items":[null]}`, "kind: Namespace\nmetadata: [x]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		documents, err := Decode("f", data)
		if err != nil {
			return
		}
		for _, d := range documents {
			fields, err := Flatten(d.Key.Kind, d.Tree)
			if err != nil {
				t.Fatalf("a valid object does not flatten: %v", err)
			}
			tree := Tree(d.Key, asFields(fields))
			if faults := Validate(d.Key, tree); faults != nil {
				t.Fatalf("valid, but not after a round trip: %v", faults)
			}
			WorkloadOf(d.Key, tree)
		}
	})
}
