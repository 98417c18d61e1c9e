package control

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/wire"
	"shoal/placement"
)

// Verbs about where things may be:
//
//	node NAME [label=K:V] [taint=K:V:EFFECT] [cordon] [drain]   what intent says of a peer, all of it
//	budget NAME of=WORKLOAD min=N|max=N   class NAME VALUE [never]   daemons NAME k=v…
//	drop KIND NAME                       deletes such an object, or a Deployment
//	draining NAME  evict REPLICA         how far a peer is with handing over; whether the budgets let a replica go
func (w *world) placingVerbs() map[string]func([]string) error {
	return map[string]func([]string) error{"node": w.nodeVerb, "budget": w.budgetVerb, "class": w.classVerb, "daemons": w.daemons,
		"drop": w.drop, "draining": w.drainingVerb, "evict": w.evictVerb}
}

func objectTree(apiVersion string, key crdt.Key, spec map[string]any) map[string]any {
	metadata := map[string]any{"name": key.Name}
	if key.Namespace != "" {
		metadata["namespace"] = key.Namespace
	}
	return map[string]any{"apiVersion": apiVersion, "kind": key.Kind, "metadata": metadata, "spec": spec}
}

func (w *world) nodeVerb(args []string) error {
	key := crdt.Key{Kind: kindNode, Name: args[0]}
	spec := map[string]any{}
	tree := objectTree("v1", key, spec)
	labels, annotations, taints := map[string]any{}, map[string]any{}, []any{}
	for _, word := range args[1:] {
		name, value, _ := strings.Cut(word, "=")
		parts := strings.Split(value, ":")
		switch name {
		case "label":
			labels[parts[0]] = parts[1]
		case "taint":
			taints = append(taints, map[string]any{"key": parts[0], "value": parts[1], "effect": parts[2]})
		case "cordon":
			spec["unschedulable"] = true
		case "drain":
			annotations["shoal/drain"] = "true"
		default:
			return fmt.Errorf("unknown word %s", word)
		}
	}
	if len(taints) > 0 {
		spec["taints"] = taints
	}
	tree["metadata"].(map[string]any)["labels"] = labels
	tree["metadata"].(map[string]any)["annotations"] = annotations
	return w.writeTree(key, tree)
}

func (w *world) budgetVerb(args []string) error {
	options := pairs(args[1:])
	spec := map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": options["of"]}}}
	for word, field := range map[string]string{"min": "minAvailable", "max": "maxUnavailable"} {
		if v := options[word]; v != "" {
			spec[field] = json.Number(v)
		}
	}
	key := crdt.Key{Kind: kindBudget, Namespace: "default", Name: args[0]}
	return w.writeTree(key, objectTree("policy/v1", key, spec))
}

func (w *world) classVerb(args []string) error {
	key := crdt.Key{Kind: kindPriority, Name: args[0]}
	tree := objectTree("scheduling.k8s.io/v1", key, nil)
	delete(tree, "spec")
	tree["value"] = json.Number(args[1])
	if len(args) > 2 {
		tree["preemptionPolicy"] = "Never"
	}
	return w.writeTree(key, tree)
}

func (w *world) daemons(args []string) error {
	key := crdt.Key{Kind: "DaemonSet", Namespace: "default", Name: args[0]}
	tree := manifestOf(key, pairs(args[1:]))
	tree["kind"] = key.Kind
	spec := tree["spec"].(map[string]any)
	delete(spec, "replicas")
	delete(spec, "strategy")
	return w.writeTree(key, tree)
}

func (w *world) drop(args []string) error {
	key := crdt.Key{Kind: args[0], Name: args[1]}
	if key.Kind != kindNode && key.Kind != kindPriority {
		key.Namespace = "default"
	}
	return w.deleteKey(key)
}

func (w *world) drainingVerb(args []string) error {
	view, ok := w.machine.Drain(peerID(args[0]))
	if !ok {
		return fmt.Errorf("there is no such peer")
	}
	w.print("draining %t", view.Draining)
	for _, left := range view.Left {
		w.print("%s", strings.TrimSpace(fmt.Sprintf("%s to %s: %s", strings.TrimPrefix(string(left.Replica), "default/"), orDash(string(left.To)), left.Why)))
	}
	return nil
}

func (w *world) evictVerb(args []string) error {
	e := w.machine.Eviction(placement.ReplicaID("default/" + args[0]))
	if e.Under {
		w.print("under way")
	}
	w.print("%t %s", e.Held == "", e.Held)
	return nil
}

// placed adds to a pod, and to the object around it, what options say of where it may be.
func placed(pod, annotations map[string]any, options map[string]string) {
	if v := options["priority"]; v != "" {
		pod["priorityClassName"] = v
	}
	container := pod["containers"].([]any)[0].(map[string]any)
	requests := container["resources"].(map[string]any)["requests"].(map[string]any)
	if v := options["storage"]; v != "" {
		requests["ephemeral-storage"] = v
	}
	if v := options["device"]; v != "" {
		requests["example.com/gpu"] = v
		container["resources"].(map[string]any)["limits"] = map[string]any{"example.com/gpu": v}
	}
	if v := options["port"]; v != "" {
		container["ports"] = []any{map[string]any{"containerPort": json.Number("80"), "hostPort": json.Number(v)}}
	}
	if v := options["tolerate"]; v != "" { // KEY:SECONDS
		key, seconds, _ := strings.Cut(v, ":")
		toleration := map[string]any{"key": key, "operator": "Exists", "effect": "NoExecute"}
		if seconds != "" {
			toleration["tolerationSeconds"] = json.Number(seconds)
		}
		pod["tolerations"] = []any{toleration}
	}
	for word, annotation := range map[string]string{"lost-wait": "shoal/lost-wait", "split": "shoal/split",
		"exclusive": "shoal/exclusive", "witnesses": "shoal/witnesses", "home": "shoal/home"} {
		if v := options[word]; v != "" {
			annotations[annotation] = v
		}
	}
}

// rowWord reads one word of a row about its peer, and what belongs to it; 0 if it is none.
func (w *world) rowWord(o *wire.Observation, args []string) int {
	switch args[0] {
	case "steady":
		o.Steady = true
	case "damped":
		o.Damped = true
	case "storage":
		o.Storage, _ = strconv.ParseInt(args[1], 10, 64)
		return 2
	case "gpus":
		n, _ := strconv.ParseInt(args[1], 10, 64)
		o.Devices = map[string]int64{"example.com/gpu": n}
		return 2
	case "ended": // REPLICA FROM UNTIL REASON TEXT CAUSE: it ran there from one span after the start to another
		from, _ := time.ParseDuration(args[2])
		until, _ := time.ParseDuration(args[3])
		o.Ran = append(o.Ran, wire.Ran{Replica: "default/" + args[1], From: epoch.Add(from).UnixMilli(), Until: epoch.Add(until).UnixMilli(),
			Reason: args[4], Text: args[5], Cause: args[6]})
		return 7
	case "cut-short": // it ended more just now than its row can tell
		o.RanCut = w.wall.UnixMilli()
	case "softly":
		o.Refusals = append(o.Refusals, wire.Refusal{Replica: "default/" + args[1],
			Revision: w.realRevision(args[2]), Reason: args[3], ForMillis: 30_000, Soft: true})
		return 4
	default:
		return 0
	}
	return 1
}

// setSpace reads a word of start about what the peer has to give.
func (w *world) setSpace(word, value string) bool {
	n, _ := strconv.ParseInt(value, 10, 64)
	switch word {
	case "storage":
		w.space.StorageBytes = n
	case "pids":
		w.space.Pids = n
	case "gpus":
		w.devices = []placement.Amount{{Name: "example.com/gpu", Count: n}}
	default:
		return false
	}
	return true
}
