package manifest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/placement"
)

// placed is a manifest with everything that says where replicas may be.
const placed = `apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  replicas: 40
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      priorityClassName: high
      preemptionPolicy: Never
      os: {name: linux}
      nodeSelector: {disk: ssd}
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
            - matchExpressions:
              - {key: zone, operator: In, values: [a, b]}
              - {key: cores, operator: Gt, values: ["3"]}
            - matchFields: [{key: metadata.name, operator: NotIn, values: [p9]}]
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 7
            preference: {matchExpressions: [{key: gpu, operator: Exists}]}
        podAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - labelSelector: {matchLabels: {app: cache}, matchExpressions: [{key: a, operator: DoesNotExist}]}
            namespaces: [z, b, z]
            topologyKey: zone
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - labelSelector: {matchLabels: {app: db}}
            topologyKey: kubernetes.io/hostname
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 100
            podAffinityTerm: {labelSelector: {}, topologyKey: zone}
      topologySpreadConstraints:
      - {maxSkew: 2, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, minDomains: 3, nodeTaintsPolicy: Honor, nodeAffinityPolicy: Ignore, labelSelector: {matchLabels: {app: db}}}
      tolerations:
      - {key: dedicated, value: db, effect: NoSchedule}
      - {operator: Exists, effect: NoExecute, tolerationSeconds: 30}
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
      containers:
      - name: db
        image: shoal.example/db:1
        ports: [{containerPort: 5432, hostPort: 5432, hostIP: 0.0.0.0}]
        resources:
          requests: {cpu: 100m, ephemeral-storage: 1Gi, pids: 64}
          limits: {example.com/gpu: 2, pids: 100}
      - name: side
        image: shoal.example/side:1
        ports: [{containerPort: 53, hostPort: 53, hostIP: 10.0.0.1, protocol: UDP}]
        resources: {limits: {example.com/gpu: 1, ephemeral-storage: 1Mi}}
`

func TestWhereReplicasMayBe(t *testing.T) {
	w := workloadOf(t, placed)
	in := func(key string, values ...string) placement.Requirement {
		return placement.Requirement{Key: key, Operator: placement.In, Values: values}
	}
	want := &placement.Rules{
		Namespace: "shop", Labels: map[string]string{"app": "db"},
		Peers: []placement.PeerTerm{
			{Labels: []placement.Requirement{in("zone", "a", "b"), {Key: "cores", Operator: placement.Gt, Values: []string{"3"}}}},
			{Names: []placement.Requirement{{Key: "metadata.name", Operator: placement.NotIn, Values: []string{"p9"}}}},
		},
		PreferPeers: []placement.PeerTerm{{Labels: []placement.Requirement{{Key: "gpu", Operator: placement.Exists}}, Weight: 7}},
		Near: []placement.ReplicaTerm{{Namespaces: []string{"b", "z"}, TopologyKey: "zone",
			Labels: []placement.Requirement{{Key: "a", Operator: placement.DoesNotExist}, in("app", "cache")}}},
		Apart:       []placement.ReplicaTerm{{Namespaces: []string{"shop"}, Labels: []placement.Requirement{in("app", "db")}, TopologyKey: "kubernetes.io/hostname"}},
		PreferApart: []placement.ReplicaTerm{{Namespaces: []string{"shop"}, TopologyKey: "zone", Weight: 100}},
		Spread: []placement.Spread{{TopologyKey: "zone", Labels: []placement.Requirement{in("app", "db")}, MaxSkew: 2, MinDomains: 3,
			Required: true, IgnoreAffinity: true, HonorTaints: true}},
		Tolerations: []placement.Toleration{
			{Key: "dedicated", Value: "db", Effect: placement.NoSchedule, For: placement.Forever},
			{Exists: true, Effect: placement.NoExecute, For: 30 * time.Second},
			{Key: unreachable, Exists: true, Effect: placement.NoExecute, For: 5 * time.Minute},
		},
	}
	if diff := cmp.Diff(want, w.Rules); diff != "" {
		t.Error(diff)
	}
	got := Workload{RequestCPUMillis: w.RequestCPUMillis, RequestStorageBytes: w.RequestStorageBytes, RequestPids: w.RequestPids, Devices: w.Devices,
		Ports: w.Ports, PriorityClass: w.PriorityClass, NeverDisplace: w.NeverDisplace, MostMoving: w.MostMoving, Split: w.Split}
	if diff := cmp.Diff(Workload{RequestCPUMillis: 100, RequestStorageBytes: 1<<30 + 1<<20, RequestPids: 64,
		Devices:       []placement.Amount{{Name: "example.com/gpu", Count: 3}},
		Ports:         []placement.Port{{IP: "10.0.0.1", Number: 53, Protocol: "UDP"}, {Number: 5432, Protocol: "TCP"}},
		PriorityClass: "high", NeverDisplace: true, MostMoving: 4, Split: Split{Policy: Everywhere, LostWait: 5 * time.Minute}}, got); diff != "" {
		t.Error(diff)
	}
	if pids := w.Template.Containers[0].Limits.Pids; pids != 100 {
		t.Errorf("the container may have %d processes", pids)
	}
}

// faultsOf are the faults of a good manifest in which some text has become another, without line and column.
func faultsOf(t *testing.T, good, old, new string) []string {
	t.Helper()
	if strings.Count(good, old) != 1 {
		t.Fatalf("%q stands %d times in the manifest", old, strings.Count(good, old))
	}
	_, err := Decode("", []byte(strings.Replace(good, old, new, 1)))
	var faults Faults
	if err != nil && !errors.As(err, &faults) {
		t.Fatal(err)
	}
	for i := range faults {
		faults[i].Line = 0
	}
	return faults.Strings()
}

func TestFaultsOfPlaces(t *testing.T) {
	const spec = "spec.template.spec."
	const node, pods = spec + "affinity.nodeAffinity", "DuringSchedulingIgnoredDuringExecution"
	for _, c := range []struct{ name, old, new, want string }{
		{"operator", "operator: In,", "operator: Inn,", node + ".required" + pods + `.nodeSelectorTerms[0].matchExpressions[0].operator: must be one of In, NotIn, Exists, DoesNotExist, Gt, Lt, not "Inn": did you mean "In"?`},
		{"no values", "values: [a, b]", "values: []", node + ".required" + pods + ".nodeSelectorTerms[0].matchExpressions[0].values: In needs values to compare with"},
		{"no number", `values: ["3"]`, "values: [many]", node + ".required" + pods + `.nodeSelectorTerms[0].matchExpressions[1].values[0]: Gt compares whole numbers: "many" is none`},
		{"two numbers", `values: ["3"]`, `values: ["3", "4"]`, node + ".required" + pods + ".nodeSelectorTerms[0].matchExpressions[1].values: Gt needs exactly one whole number"},
		{"values of Exists", "{key: gpu, operator: Exists}", "{key: gpu, operator: Exists, values: [a]}", node + ".preferred" + pods + "[0].preference.matchExpressions[0].values: Exists looks at no value: leave values out, or use In or NotIn"},
		{"field", "key: metadata.name", "key: metadata.uid", node + ".required" + pods + `.nodeSelectorTerms[1].matchFields[0].key: "metadata.uid" is not supported yet: only metadata.name is`},
		{"weight", "weight: 7", "weight: 101", node + ".preferred" + pods + "[0].weight: must be at most 100, not 101"},
		{"contradiction", "            - matchFields: [{key: metadata.name, operator: NotIn, values: [p9]}]\n", "              - {key: disk, operator: NotIn, values: [ssd]}\n",
			spec + "affinity: can never hold: no peer can have disk!=ssd and disk=ssd"},
		{"no number between", "            - matchFields: [{key: metadata.name, operator: NotIn, values: [p9]}]\n", "              - {key: cores, operator: Lt, values: [\"4\"]}\n",
			spec + "affinity: can never hold: no peer can have cores<4 and cores>3"},
		{"near and apart", "labelSelector: {matchLabels: {app: db}}\n            topologyKey: kubernetes.io/hostname", "labelSelector: {matchLabels: {app: cache}}\n            namespaces: [b, z]\n            topologyKey: zone",
			spec + "affinity: can never hold: it must be near !a,app=cache and apart from it, both by zone"},
		{"selects nothing", "{key: a, operator: DoesNotExist}", "{key: app, operator: DoesNotExist}", spec + "affinity.podAffinity.required" + pods + "[0].labelSelector: selects nothing: !app and app=cache is true of none"},
		{"namespaces", "namespaces: [z, b, z]", "namespaceSelector: {}", spec + "affinity.podAffinity.required" + pods + "[0].namespaceSelector: not supported yet: name the namespaces in namespaces"},
		{"no selector", "podAffinityTerm: {labelSelector: {}, topologyKey: zone}", "podAffinityTerm: {topologyKey: zone}", spec + "affinity.podAntiAffinity.preferred" + pods + "[0].podAffinityTerm.labelSelector: required, but missing"},
		{"skew", "maxSkew: 2", "maxSkew: 0", spec + "topologySpreadConstraints[0].maxSkew: must be at least 1, not 0"},
		{"when", "whenUnsatisfiable: DoNotSchedule", "whenUnsatisfiable: DoNotScedule", spec + `topologySpreadConstraints[0].whenUnsatisfiable: must be one of DoNotSchedule, ScheduleAnyway, not "DoNotScedule": did you mean "DoNotSchedule"?`},
		{"domains", "whenUnsatisfiable: DoNotSchedule", "whenUnsatisfiable: ScheduleAnyway", spec + "topologySpreadConstraints[0].minDomains: goes with whenUnsatisfiable: DoNotSchedule alone"},
		{"effect", "value: db, effect: NoSchedule", "value: db, effect: NoScedule", spec + `tolerations[0].effect: must be one of NoSchedule, PreferNoSchedule, NoExecute, not "NoScedule": did you mean "NoSchedule"?`},
		{"toleration's time", "value: db, effect: NoSchedule", "value: db, effect: NoSchedule, tolerationSeconds: 3", spec + "tolerations[0].tolerationSeconds: goes with effect NoExecute alone: the other taints move nothing that runs"},
		{"toleration's key", "{key: dedicated, value: db,", "{value: db,", spec + "tolerations[0].key: required, but missing: only operator Exists goes without, and tolerates every taint"},
		{"toleration's value", "{key: dedicated, value: db,", "{key: dedicated, value: db, operator: Exists,", spec + "tolerations[0].value: Exists looks at no value: leave it out, or use Equal"},
		{"system", "name: linux", "name: windows", spec + `os.name: "windows" is not supported yet: only linux is`},
		{"half a device", "limits: {example.com/gpu: 2,", "limits: {example.com/gpu: 500m,", spec + "containers[0].resources.limits.example.com/gpu: 500m is not a whole number"},
		{"device without limit", "requests: {cpu: 100m,", "requests: {example.com/npu: 1, cpu: 100m,", spec + "containers[0].resources.limits.example.com/npu: must be the request, 1: a device is not shared"},
		{"resource", "limits: {example.com/gpu: 2,", "limits: {gpu: 2,", spec + `containers[0].resources.limits.gpu: unknown key "gpu": did you mean "cpu"?`},
		{"port twice", "containerPort: 53, hostPort: 53, hostIP: 10.0.0.1, protocol: UDP", "containerPort: 53, hostPort: 5432", spec + "containers[1].ports[0].hostPort: 5432/TCP is taken already by another port of the same replica"},
		{"address alone", "containerPort: 53, hostPort: 53,", "containerPort: 53,", spec + "containers[1].ports[0].hostIP: goes with hostPort alone"},
		{"address", "hostIP: 10.0.0.1", "hostIP: here", spec + `containers[1].ports[0].hostIP: "here" is not an IP address`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff([]string{c.want}, faultsOf(t, placed, c.old, c.new)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSplits(t *testing.T) {
	for _, c := range []struct {
		annotations string
		want        Split
	}{
		{`{shoal/split: everywhere}`, Split{Policy: Everywhere}},
		{`{shoal/split: witness, shoal/witnesses: "p3, p1,p2"}`, Split{Policy: Witness, Witnesses: []string{"p1", "p2", "p3"}}},
		{`{shoal/split: witness, shoal/witnesses: "p1,p2,p3; p5,p4, p3"}`, Split{Policy: Witness, Witnesses: []string{"p1", "p2", "p3"}, Also: [][]string{{"p3", "p4", "p5"}}}},
		{`{shoal/split: home, shoal/home: p1, shoal/lost-wait: 90s}`, Split{Policy: Home, Witnesses: []string{"p1"}, LostWait: 90 * time.Second}},
		{`{shoal/split: freeze}`, Split{Policy: Freeze, LostWait: placement.Forever}},
		{`{shoal/lost-wait: forever, shoal/exclusive: "false"}`, Split{Policy: Everywhere, LostWait: placement.Forever}},
		{`{shoal/exclusive: "true", shoal/witnesses: p1}`, Split{Policy: Witness, Exclusive: true, Witnesses: []string{"p1"}}},
		{`{shoal/exclusive: "true", shoal/home: p1}`, Split{Policy: Home, Exclusive: true, Witnesses: []string{"p1"}}},
	} {
		w := workloadOf(t, edit(t, "  labels: {app: web}", "  annotations: "+c.annotations))
		if diff := cmp.Diff(c.want, w.Split); diff != "" {
			t.Errorf("%s: %s", c.annotations, diff)
		}
		if plain := workloadOf(t, web); w.Revision != plain.Revision {
			t.Errorf("%s changes the revision", c.annotations)
		}
	}
	for text, want := range map[string]int{"3": 3, `"50%"`: 3, `"10%"`: 1, `"100%"`: 6} {
		if w := workloadOf(t, edit(t, "  labels: {app: web}", `  annotations: {shoal/max-moving: `+quoted(text)+`}`)); w.MostMoving != want {
			t.Errorf("%s of 6 gives %d, want %d", text, w.MostMoving, want)
		}
	}
}

func quoted(text string) string { return `"` + strings.Trim(text, `"`) + `"` }

func TestFaultsOfSplits(t *testing.T) {
	const at = "metadata.annotations.shoal/"
	for annotations, want := range map[string]string{
		`shoal/split: witnes, shoal/witnesses: p1`:                                   at + `split: must be one of everywhere, witness, home, freeze, not "witnes": did you mean "witness"?`,
		`shoal/spilt: home`:                                                          at + `spilt: there is no such annotation: did you mean "shoal/split"?`,
		`shoal/split: witness`:                                                       at + `witnesses: required, but missing: without witnesses there is never a majority, and nothing would run: name an odd number of peers, as in "p1,p2,p3"`,
		`shoal/split: witness, shoal/witnesses: " "`:                                 at + `witnesses: required, but missing: without witnesses there is never a majority, and nothing would run: name an odd number of peers, as in "p1,p2,p3"`,
		`shoal/exclusive: "true"`:                                                    at + `witnesses: required, but missing: without witnesses there is never a majority, and nothing would run: name an odd number of peers, as in "p1,p2,p3"`,
		`shoal/split: witness, shoal/witnesses: "p1,p2,p1"`:                          at + `witnesses: p1 is named twice, but has one voice: name an odd number of peers, as in "p1,p2,p3"`,
		`shoal/split: witness, shoal/witnesses: "p1,,p2"`:                            at + `witnesses: "" is not a peer's name, and has no voice: name an odd number of peers, as in "p1,p2,p3"`,
		`shoal/split: witness, shoal/witnesses: "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"`: at + `witnesses: more than 15 in one list: each lease asks all of them`,
		`shoal/split: witness, shoal/witnesses: "a;b;c;d;e"`:                         at + `witnesses: more than 4 lists: each lease asks all of them`,
		`shoal/split: home`:                                                          at + `home: must be the name of the one peer at whose side it runs, not ""`,
		`shoal/split: home, shoal/home: "p1,p2"`:                                     at + `home: must be the name of the one peer at whose side it runs, not "p1,p2"`,
		`shoal/witnesses: "p1,p2,p3"`:                                                at + `witnesses: says nothing without shoal/split: witness`,
		`shoal/split: freeze, shoal/home: p1`:                                        at + `home: says nothing without shoal/split: home`,
		`shoal/split: everywhere, shoal/exclusive: "true"`:                           at + `exclusive: goes with shoal/split: witness or home: with everywhere nobody says on which side of a split the one copy may run`,
		`shoal/exclusive: "true", shoal/home: p1, shoal/witnesses: p1`:               at + `exclusive: needs shoal/split to say which counts, shoal/witnesses or shoal/home`,
		`shoal/exclusive: "yes"`:                                                     at + `exclusive: must be "true" or "false", not "yes"`,
		`shoal/lost-wait: "-1s"`:                                                     at + `lost-wait: must be a span like "90s", "10m" or "24h", at most a year, or "forever", not "-1s"`,
		`shoal/split: freeze, shoal/lost-wait: 1m`:                                   at + `lost-wait: goes not with shoal/split: freeze, which waits for a lost peer for ever`,
		`shoal/max-moving: "0"`:                                                      at + `max-moving: must be a number of at least 1, or a share like "10%", not "0"`,
	} {
		if diff := cmp.Diff([]string{want}, faultsOf(t, web, "  labels: {app: web}", "  annotations: {"+annotations+"}")); diff != "" {
			t.Errorf("%s: %s", annotations, diff)
		}
	}
	d := decodeOne(t, edit(t, "  labels: {app: web}", `  annotations: {shoal/split: witness, shoal/witnesses: "p1,p2"}`))
	if want := "metadata.annotations.shoal/witnesses: 2 witnesses bear the loss of no more than 1 do, and a split that halves them leaves neither side a majority"; d.Warnings[1] != want {
		t.Errorf("warns %q", d.Warnings)
	}
	want := []string{`spec.template.metadata.annotations.shoal/split: belongs in metadata.annotations of the workload itself`}
	if diff := cmp.Diff(want, faultsOf(t, web, "      labels:\n        app: web\n", "      labels: {app: web}\n      annotations: {shoal/split: home}\n")); diff != "" {
		t.Error(diff)
	}
}
