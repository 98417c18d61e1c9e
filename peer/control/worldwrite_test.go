package control

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/manifest"
	"shoal/peer/replication"
)

// What users write, here and on other peers.

func deploymentKey(name string) crdt.Key {
	key := crdt.Key{Kind: "Deployment", Namespace: "default", Name: name}
	if space, rest, ok := strings.Cut(name, "/"); ok {
		key.Namespace, key.Name = space, rest
	}
	return key
}

// manifestOf makes a Deployment from the words of a script.
func manifestOf(key crdt.Key, options map[string]string) map[string]any {
	or := func(name, fallback string) string {
		if v, ok := options[name]; ok {
			return v
		}
		return fallback
	}
	number := func(name, fallback string) json.Number { return json.Number(or(name, fallback)) }
	requests := map[string]any{"cpu": or("cpu", "1000m"), "memory": or("memory", "64Mi")}
	c := map[string]any{"name": "web", "image": or("image", "web:1"), "resources": map[string]any{"requests": requests}}
	probe := map[string]any{"tcpSocket": map[string]any{"port": json.Number("80")}}
	if options["readiness"] != "" {
		c["readinessProbe"] = probe
	}
	if options["liveness"] != "" {
		c["livenessProbe"] = probe
	}
	if v := options["env"]; v != "" {
		c["env"] = []any{map[string]any{"name": "COLOUR", "value": v}}
	}
	pod := map[string]any{"containers": []any{c}, "terminationGracePeriodSeconds": number("grace", "5")}
	if v := options["on"]; v != "" {
		name, value, _ := strings.Cut(v, ":")
		pod["nodeSelector"] = map[string]any{name: value}
	}
	labels := map[string]any{"app": key.Name}
	annotations := map[string]any{}
	metadata := map[string]any{"name": key.Name, "namespace": key.Namespace}
	for _, mark := range strings.FieldsFunc(options["restart"], func(r rune) bool { return r == ',' }) { // ORDINAL, or ORDINAL@SPAN after the start
		ordinal, at, _ := strings.Cut(mark, "@")
		annotations[manifest.RestartAnnotation+ordinal] = "again"
		if after, err := time.ParseDuration(at); err == nil {
			annotations[manifest.RestartAnnotation+ordinal] = epoch.Add(after).Format(time.RFC3339Nano)
		}
	}
	placed(pod, annotations, options)
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	return map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
		"spec": map[string]any{
			"replicas": number("replicas", "1"),
			"selector": map[string]any{"matchLabels": labels},
			"strategy": strategyOf(options, number),
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": pod},
		}}
}

// strategyOf is surge=N, with lack=N also how many may be missing, or recreate=yes.
func strategyOf(options map[string]string, number func(name, fallback string) json.Number) map[string]any {
	if options["recreate"] == "yes" {
		return map[string]any{"type": "Recreate"}
	}
	rolling := map[string]any{"maxSurge": number("surge", "1")}
	if options["lack"] != "" {
		rolling["maxUnavailable"] = number("lack", "0")
	}
	return map[string]any{"rollingUpdate": rolling}
}

// changesFor is what the API would write for a manifest.
func changesFor(current crdt.Object, tree map[string]any) ([]crdt.Change, error) {
	fields, err := manifest.Flatten(current.Key.Kind, tree)
	if err != nil {
		return nil, err
	}
	var held []crdt.Field
	if current.Live {
		held = current.Fields
	}
	return manifest.Apply(held, manifest.Owner{Manager: "script"}, fields), nil
}

func (w *world) writeTree(key crdt.Key, tree map[string]any) error {
	current, _ := w.machine.Object(key)
	current.Key = key
	changes, err := changesFor(current, tree)
	if err != nil {
		return err
	}
	verb := crdt.Update
	if !current.Live {
		verb = crdt.Create
	}
	w.requests++
	w.machine.Step(Write{Request: w.requests, Key: key, Verb: verb, Seen: current.Seen, Manager: "script", User: "op", Changes: changes})
	return nil
}

func (w *world) apply(args []string) error {
	key := deploymentKey(args[0])
	return w.writeTree(key, manifestOf(key, pairs(args[1:])))
}

// staleApply writes as one who has read the object before this peer's own last write.
func (w *world) staleApply(args []string) error {
	key := deploymentKey(args[0])
	changes, err := changesFor(crdt.Object{Key: key}, manifestOf(key, pairs(args[1:])))
	w.requests++
	w.machine.Step(Write{Request: w.requests, Key: key, Verb: crdt.Update, Manager: "script", User: "op", Changes: changes})
	return err
}

func (w *world) delete(args []string) error { return w.deleteKey(deploymentKey(args[0])) }

func (w *world) deleteKey(key crdt.Key) error {
	current, _ := w.machine.Object(key)
	w.requests++
	w.machine.Step(Write{Request: w.requests, Key: key, Verb: crdt.Delete, Seen: current.Seen, Manager: "script", User: "op"})
	return nil
}

func (w *world) namespace(args []string) error {
	return w.writeTree(crdt.Key{Kind: "Namespace", Name: args[0]}, map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": args[0]}})
}

func (w *world) removeNamespace(args []string) error {
	return w.deleteKey(crdt.Key{Kind: "Namespace", Name: args[0]})
}

func (w *world) ticket(args []string) error {
	w.requests++
	w.machine.Step(Write{Request: w.requests, Key: crdt.Key{Kind: "Ticket", Name: args[0]}, Verb: crdt.Create,
		Changes: []crdt.Change{{Path: "uses", Value: []byte("3")}}})
	return nil
}

// remoteWrite is a write by another peer that has seen what p1 holds now of the object.
func (w *world) remoteWrite(args []string) error {
	writer, key := peerID(args[0]), deploymentKey(args[1])
	set := w.remote[args[0]]
	if set == nil {
		set = crdt.NewSet()
		w.remote[args[0]] = set
	}
	if len(set.Ops(key)) == 0 {
		set.AddObject(key, w.machine.set.Ops(key))
	}
	current, _ := set.Object(key)
	current.Key = key
	op := crdt.Op{Key: key, Verb: crdt.Update, Seen: set.Seen(key), Manager: "script", User: "op"}
	options := pairs(args[2:])
	if value, ok := options["field"]; ok {
		path, text, _ := strings.Cut(value, ":")
		op.Changes = []crdt.Change{{Path: crdt.Path(path), Value: []byte(text)}}
	} else if _, ok := options["delete"]; ok {
		op.Verb = crdt.Delete
	} else {
		changes, err := changesFor(current, manifestOf(key, options))
		if err != nil {
			return err
		}
		op.Changes = changes
		if !current.Live {
			op.Verb = crdt.Create
		}
	}
	op.Stamp = crdt.Stamp{Time: crdt.Next(0, op.Seen, w.wall), Writer: writer}
	op = replication.Seal(op, sign)
	if result, _ := set.Add(op); result != crdt.Applied {
		return fmt.Errorf("the writer's own set says %d", result)
	}
	w.machine.Step(Received{From: writer, Message: replication.Message{Objects: &replication.Objects{
		Objects: []replication.Object{{Key: key, Ops: set.Ops(key)}}}}})
	return nil
}
