package manifest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/crdt"
	"shoal/placement"
	"shoal/runtime"
)

func workloadOf(t *testing.T, text string) Workload {
	t.Helper()
	d := decodeOne(t, text)
	fields, err := Flatten(d.Key.Kind, d.Tree)
	if err != nil {
		t.Fatal(err)
	}
	w, ok := WorkloadOf(d.Key, Tree(d.Key, asFields(fields)))
	if !ok {
		t.Fatal("no workload")
	}
	return w
}

func TestWorkloadOf(t *testing.T) {
	w := workloadOf(t, web)
	if len(w.Revision) != 8 {
		t.Errorf("revision %q", w.Revision)
	}
	want := Workload{
		Key: w.Key, Replicas: 6, Revision: w.Revision, RequestCPUMillis: 50, RequestMemoryBytes: 32 << 20,
		GraceSeconds: 30, MaxSurge: 2, MostMoving: 1, Labels: map[string]string{"app": "web"},
		Rules: &placement.Rules{Namespace: "default", Labels: map[string]string{"app": "web"}}, Split: Split{Policy: Everywhere},
		Template: runtime.Spec{Containers: []runtime.Container{{
			Name: "web", Image: "shoal.example/web:1",
			Env:    []runtime.Env{{Name: "GREETING", Value: "hello"}},
			Limits: runtime.Limits{CPURequestMillis: 50, MemoryBytes: 64 << 20},
			Ports:  []runtime.Port{{Name: "http", Number: 8080, Protocol: "TCP"}},
			Readiness: &runtime.Probe{
				HTTP:   &runtime.HTTPProbe{Path: "/ready", Port: 8080, Scheme: "HTTP"},
				Period: time.Second, Timeout: time.Second, SuccessThreshold: 1, FailureThreshold: 3,
			},
			Mounts: []runtime.Mount{{Volume: "scratch", Path: "/tmp/scratch"}},
		}}},
	}
	if diff := cmp.Diff(want, w); diff != "" {
		t.Error(diff)
	}
}

// TestStorageOf is what containers and volumes may hold; a limit is a request too, where there is none.
func TestStorageOf(t *testing.T) {
	text := strings.Replace(edit(t, "memory: 64Mi", "memory: 64Mi, ephemeral-storage: 10Mi"), "emptyDir: {}", "emptyDir: {sizeLimit: 4Mi}", 1)
	w := workloadOf(t, text)
	c := w.Template.Containers[0]
	if c.Limits.StorageBytes != 10<<20 || c.Mounts[0].VolumeBytes != 4<<20 || w.RequestStorageBytes != 10<<20 {
		t.Errorf("%+v %+v, requested %d", c.Limits, c.Mounts, w.RequestStorageBytes)
	}
	if without := workloadOf(t, web); w.Revision == without.Revision {
		t.Error("other limits, and the same revision")
	}
}

func TestRevision(t *testing.T) {
	base := workloadOf(t, web).Revision
	same := map[string]string{
		"replicas":          edit(t, "replicas: 6", "replicas: 8"),
		"default written":   edit(t, "periodSeconds: 1", "periodSeconds: 1\n          failureThreshold: 3"),
		"same amount":       edit(t, "cpu: 50m", "cpu: 0.05"),
		"labels of its own": edit(t, "  labels: {app: web}", "  labels: {app: web, more: x}"),
		"no effect":         edit(t, "imagePullPolicy: IfNotPresent", "imagePullPolicy: Always"),
		"order":             edit(t, "        image: shoal.example/web:1\n        imagePullPolicy: IfNotPresent\n", "        imagePullPolicy: IfNotPresent\n        image: shoal.example/web:1\n"),
	}
	for name, text := range same {
		if got := workloadOf(t, text).Revision; got != base {
			t.Errorf("%s: made revision %s of %s", name, got, base)
		}
	}
	seen := map[string]string{base: "base"}
	for name, text := range map[string]string{
		"image":       edit(t, "web:1", "web:2"),
		"env":         edit(t, `"hello"`, `"bye"`),
		"no grace":    edit(t, "      volumes:", "      terminationGracePeriodSeconds: 0\n      volumes:"),
		"root":        edit(t, "        ports:", "        securityContext: {runAsUser: 0}\n        ports:"),
		"annotation":  edit(t, "      labels:\n        app: web\n", "      labels:\n        app: web\n      annotations: {restartedAt: now}\n"),
		"probe":       edit(t, "periodSeconds: 1", "periodSeconds: 2"),
		"more limits": edit(t, "memory: 64Mi", "memory: 65Mi"),
	} {
		got := workloadOf(t, text).Revision
		if other, taken := seen[got]; taken {
			t.Errorf("%s has the revision of %s", name, other)
		}
		seen[got] = name
	}
}

// TestRevisionIsForEver pins a revision: another value would restart every container of every
// cluster at the next upgrade of the program.
func TestRevisionIsForEver(t *testing.T) {
	if got := workloadOf(t, web).Revision; got != "b9393238" {
		t.Errorf("revision %s", got)
	}
}

func TestStrategy(t *testing.T) {
	type pace struct {
		surge, lack int
		recreate    bool
	}
	for strategy, want := range map[string]pace{
		"{}":                                                  {surge: 2},
		"{rollingUpdate: {}}":                                 {surge: 2},
		"{rollingUpdate: {maxSurge: 1}}":                      {surge: 1},
		"{rollingUpdate: {maxSurge: 3}}":                      {surge: 3},
		`{rollingUpdate: {maxSurge: "50%"}}`:                  {surge: 3},
		`{rollingUpdate: {maxSurge: "1%"}}`:                   {surge: 1},
		`{rollingUpdate: {maxSurge: "100%"}}`:                 {surge: 6},
		"{rollingUpdate: {maxUnavailable: 0}}":                {surge: 2},
		"{rollingUpdate: {maxUnavailable: 2}}":                {surge: 2, lack: 2},
		"{rollingUpdate: {maxUnavailable: 50%}}":              {surge: 2, lack: 3},
		"{rollingUpdate: {maxUnavailable: 10%}}":              {surge: 2},
		"{rollingUpdate: {maxSurge: 0}}":                      {lack: 1},
		`{rollingUpdate: {maxSurge: "0%"}}`:                   {lack: 1},
		"{rollingUpdate: {maxSurge: 0, maxUnavailable: 2}}":   {lack: 2},
		"{rollingUpdate: {maxSurge: 0, maxUnavailable: 1%}}":  {lack: 1},
		"{rollingUpdate: {maxSurge: 0, maxUnavailable: 50%}}": {lack: 3},
		"{type: Recreate}":                                    {lack: 6, recreate: true},
	} {
		w := workloadOf(t, edit(t, "  replicas: 6\n", "  replicas: 6\n  strategy: "+strategy+"\n"))
		if got := (pace{w.MaxSurge, w.MaxUnavailable, w.Recreate}); got != want {
			t.Errorf("strategy %s gave %+v, want %+v", strategy, got, want)
		}
	}
	if got := workloadOf(t, edit(t, "  replicas: 6\n", "  replicas: 0\n")).MaxSurge; got != 1 {
		t.Errorf("none of none gave a surge of %d", got)
	}
}

func TestRestartMarks(t *testing.T) {
	w := workloadOf(t, edit(t, "  labels: {app: web}", "  annotations: {shoal/restart.2: \"a\", other: b}"))
	if diff := cmp.Diff(map[int]string{2: "a"}, w.Restarts); diff != "" {
		t.Error(diff)
	}
}

func TestNamespaceRunsNothing(t *testing.T) {
	d := decodeOne(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")
	if _, ok := WorkloadOf(d.Key, d.Tree); ok || d.Key.Namespace != "" {
		t.Errorf("%v %v", d.Key, ok)
	}
}

func TestQuantities(t *testing.T) {
	for text, want := range map[string]int64{"1": 1000, "50m": 50, "0.5": 500, ".5": 500, "1.": 1000, "32Mi": 32 << 20 * 1000,
		"1G": 1e12, "1e3": 1e6, "1E": 1e18 * 1000 / 1000, "100n": 1, "0": 0, "+1": 1000} {
		q, err := ParseQuantity(text)
		if text == "1E" {
			if err == nil {
				t.Error("1E must be too large")
			}
			continue
		}
		if err != nil || q.Millis() != want {
			t.Errorf("%s: %d, %v; want %d", text, q.Millis(), err, want)
		}
	}
	for _, text := range []string{"", "m", "1x", "-1", "1 ", "0x1", "1_0", "1e400", "1/2", "Inf", strings.Repeat("9", 41), "1Mim", "1e1Mi", "."} {
		if _, err := ParseQuantity(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestReadIsValidateAndWorkloadOf(t *testing.T) {
	key := crdt.Key{Kind: "Deployment", Namespace: "default", Name: "x"}
	rapid.Check(t, func(t *rapid.T) {
		tree := genDeployment().Draw(t, "tree")
		if rapid.Bool().Draw(t, "spoil") {
			tree["spec"].(map[string]any)["replicas"] = "many"
		}
		w, faults := Read(key, tree)
		if diff := cmp.Diff(Validate(key, tree), faults); diff != "" {
			t.Fatal(diff)
		}
		want, _ := WorkloadOf(key, tree)
		if faults == nil && cmp.Diff(&want, w) != "" || faults != nil && w != nil {
			t.Errorf("reads %+v, want %+v", w, want)
		}
	})
	if w, faults := Read(crdt.Key{Kind: "Namespace", Name: "x"}, Tree(crdt.Key{Kind: "Namespace", Name: "x"}, nil)); w != nil || faults != nil {
		t.Errorf("a namespace runs %v, %v", w, faults)
	}
}
