package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/crdt"
	"shoal/placement"
)

const agent = `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, annotations: {shoal/restart.p2: now}}
spec:
  selector: {matchLabels: {app: agent}}
  updateStrategy: {rollingUpdate: {maxUnavailable: 20%}}
  minReadySeconds: 3
  template:
    metadata: {labels: {app: agent}}
    spec:
      nodeSelector: {disk: ssd}
      containers: [{name: agent, image: "shoal.example/agent:1", resources: {requests: {cpu: 10m}}}]
`

func TestDaemonSet(t *testing.T) {
	w := workloadOf(t, agent)
	if !w.EachPeer || w.Replicas != 0 || w.MaxSurge != 1 || w.SurgePercent != 20 || w.MinReadySeconds != 3 || w.RequestCPUMillis != 10 ||
		w.NodeSelector["disk"] != "ssd" || w.Split.Policy != Everywhere || w.Restarts != nil {
		t.Errorf("%+v", w)
	}
	if diff := cmp.Diff(map[string]string{"p2": "now"}, w.RestartsOn); diff != "" {
		t.Error(diff)
	}
	if w.Revision != "0f30daa0" {
		t.Errorf("revision %s: another one restarts every container at the next upgrade of the program", w.Revision)
	}
	const at = "metadata.annotations.shoal/"
	for annotations, want := range map[string]string{
		`shoal/exclusive: "true"`: at + "exclusive: goes not with a DaemonSet: each of its replicas belongs to one peer, and runs nowhere else",
		`shoal/split: freeze`:     at + "split: goes not with a DaemonSet: each of its replicas belongs to one peer, and runs nowhere else",
		`shoal/restart.P_2: now`:  `metadata.annotations: shoal/restart.P_2 must end with the name of a peer`,
	} {
		if diff := cmp.Diff([]string{want}, faultsOf(t, agent, "shoal/restart.p2: now", annotations)); diff != "" {
			t.Errorf("%s: %s", annotations, diff)
		}
	}
}

// TestRereadOfDaemonSet reads a DaemonSet again of which only the annotations, or the pace, have changed.
func TestRereadOfDaemonSet(t *testing.T) {
	d := decodeOne(t, agent)
	flat, err := Flatten(d.Key.Kind, d.Tree)
	if err != nil {
		t.Fatal(err)
	}
	before := asFields(flat)
	was, _ := Read(d.Key, Tree(d.Key, before))
	for path, value := range map[crdt.Path]string{"metadata/annotations/shoal~1restart.p3": `"x"`, "spec/minReadySeconds": "9", "metadata/annotations/shoal~1exclusive": `"true"`} {
		flat, _ := Flatten(d.Key.Kind, d.Tree)
		flat[path] = []byte(value)
		now := asFields(flat)
		want, wantFaults := Read(d.Key, Tree(d.Key, now))
		got, gotFaults := Reread(d.Key, now, before, was)
		if diff := cmp.Diff(want, got) + cmp.Diff(wantFaults, gotFaults); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

func TestNodeOf(t *testing.T) {
	d := decodeOne(t, `apiVersion: v1
kind: Node
metadata: {name: p3, labels: {zone: a}, annotations: {shoal/drain: "true", shoal/peer: abc}}
spec:
  unschedulable: true
  podCIDR: 10.0.0.0/24
  taints:
  - {key: b, effect: NoSchedule, timeAdded: "2026-01-01T00:00:00Z"}
  - {key: example.com/a, value: x, effect: NoExecute}
  - {key: b, effect: NoExecute}
`)
	flat, err := Flatten("Node", d.Tree)
	if err != nil {
		t.Fatal(err)
	}
	n, ok := NodeOf(d.Key, Tree(d.Key, asFields(flat)))
	want := Node{Name: "p3", Labels: map[string]string{"zone": "a"}, Unschedulable: true, Drain: true, Taints: []placement.Taint{
		{Key: "b", Effect: placement.NoExecute}, {Key: "b", Effect: placement.NoSchedule}, {Key: "example.com/a", Value: "x", Effect: placement.NoExecute}}}
	if diff := cmp.Diff(want, n); !ok || diff != "" {
		t.Error(diff)
	}
	for _, taint := range n.Taints {
		if flat[TaintPath(taint)] == nil {
			t.Errorf("there is no field %s", TaintPath(taint))
		}
	}
	if _, ok := NodeOf(d.Key, decodeOne(t, web).Tree); ok {
		t.Error("a Deployment is a Node")
	}
	const node = "apiVersion: v1\nkind: Node\nmetadata: {name: p3}\nspec: {taints: [{key: a, effect: NoSchedule}]}\n"
	for old, c := range map[string][2]string{
		"effect: NoSchedule": {"effect: NoShedule", `spec.taints[0].effect: must be one of NoSchedule, PreferNoSchedule, NoExecute, not "NoShedule": did you mean "NoSchedule"?`},
		"key: a":             {"key: a b", `spec.taints[0].key: "a b" is not a valid key: letters, digits, '-', '_' and '.', with an optional domain and '/' before`},
		"{name: p3}":         {"{name: p3, annotations: {shoal/drian: x}}", `metadata.annotations.shoal/drian: there is no such annotation: did you mean "shoal/drain"?`},
		"NoSchedule}]":       {"NoSchedule}, {key: a, value: b, effect: NoSchedule}]", `spec.taints[1]: a second entry with key=a,effect=NoSchedule`},
	} {
		if diff := cmp.Diff([]string{c[1]}, faultsOf(t, node, old, c[0])); diff != "" {
			t.Error(diff)
		}
	}
}

// TestTaintsArePatchedAsInKubernetes: kubectl taint sends all taints that shall be, so that those which it leaves out go.
func TestTaintsArePatchedAsInKubernetes(t *testing.T) {
	held := map[string]any{"spec": map[string]any{"taints": []any{map[string]any{"key": "a", "effect": "NoSchedule"}, map[string]any{"key": "b", "effect": "NoSchedule"}}}}
	patch := map[string]any{"spec": map[string]any{"taints": []any{map[string]any{"key": "b", "effect": "NoSchedule"}}}}
	got, err := StrategicPatch("Node", held, patch)
	if diff := cmp.Diff(patch, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func budgetOf(t *testing.T, spec string) Budget {
	t.Helper()
	d := decodeOne(t, "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: "+spec+"\n")
	b, ok := BudgetOf(d.Key, d.Tree)
	if !ok {
		t.Fatal("no budget")
	}
	return b
}

func TestBudgets(t *testing.T) {
	for _, c := range []struct {
		spec                     string
		expected, ready, allowed int
	}{
		{"{minAvailable: 2, selector: {}}", 3, 3, 1},
		{"{minAvailable: 2, selector: {}}", 3, 1, 0},
		{"{minAvailable: 5, selector: {}}", 3, 3, 0},
		{`{minAvailable: "50%", selector: {}}`, 3, 3, 1},
		{"{maxUnavailable: 1, selector: {}}", 3, 3, 1},
		{"{maxUnavailable: 0, selector: {}}", 3, 3, 0},
		{`{maxUnavailable: "30%", selector: {}}`, 7, 6, 2},
	} {
		if got := budgetOf(t, c.spec).Allowed(c.expected, c.ready); got != c.allowed {
			t.Errorf("%s: %d of %d ready allow %d, want %d", c.spec, c.ready, c.expected, got, c.allowed)
		}
	}
	b := budgetOf(t, "{maxUnavailable: 1, selector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: NotIn, values: [x]}, {key: old, operator: DoesNotExist}]}}")
	for _, labels := range []map[string]string{{"app": "web"}, {"app": "web", "tier": "y"}} {
		if !b.Selects(labels) {
			t.Errorf("%v is not selected", labels)
		}
	}
	for _, labels := range []map[string]string{nil, {"app": "db"}, {"app": "web", "tier": "x"}, {"app": "web", "old": ""}} {
		if b.Selects(labels) {
			t.Errorf("%v is selected", labels)
		}
	}
	const budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: {minAvailable: 1, selector: {}}\n"
	for new, want := range map[string]string{
		"minAvailable: 1, maxUnavailable: 1,": "spec.maxUnavailable: goes not with minAvailable: give one of them",
		`minAvailable: "101%",`:               "spec.minAvailable: a share is at most 100%",
		"":                                    "spec: needs minAvailable or maxUnavailable",
		"minAvailabel: 1,":                    `spec.minAvailabel: unknown field "minAvailabel": did you mean "minAvailable"?`,
	} {
		if faults := faultsOf(t, budget, "minAvailable: 1,", new); len(faults) == 0 || faults[len(faults)-1] != want && faults[0] != want {
			t.Errorf("%s: %q, want %q", new, faults, want)
		}
	}
}

func TestPriorities(t *testing.T) {
	class := func(text string) Priority {
		d := decodeOne(t, "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\n"+text)
		p, ok := PriorityOf(d.Key, d.Tree)
		if !ok {
			t.Fatal("no class")
		}
		return p
	}
	all := []Priority{class("metadata: {name: high}\nvalue: 1000\ndescription: x\n"), class("metadata: {name: mid}\nvalue: 10\nglobalDefault: true\n"),
		class("metadata: {name: low}\nvalue: -5\nglobalDefault: true\npreemptionPolicy: Never\n")}
	low := Priority{Name: "low", Value: -5, Default: true, NeverDisplace: true}
	want := map[string]Priority{"": low, "low": low, "high": all[0], "mid": {Name: "mid", Value: 10, Default: true},
		"system-cluster-critical": builtinPriorities[0], "system-node-critical": builtinPriorities[1]}
	if diff := cmp.Diff(want, Priorities(all)); diff != "" {
		t.Error(diff)
	}
	if none := Priorities(nil)[""]; none != (Priority{}) {
		t.Errorf("without a default there is %+v", none)
	}
	const text = "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 1000\n"
	for old, c := range map[string][2]string{
		"value: 1000\n": {"", "value: required, but missing"},
		"value: 1000":   {"value: 1000000001", "value: must be at most 1000000000, not 1000000001"},
		"name: high":    {"name: system-node-critical", "metadata.name: there is a class of this name already, with value 2000001000"},
	} {
		if diff := cmp.Diff([]string{c[1]}, faultsOf(t, text, old, c[0])); diff != "" {
			t.Error(diff)
		}
	}
}
