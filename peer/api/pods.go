package api

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/runtime"
)

var pods = &resource{
	kind: "Pod", plural: "pods", singular: "pod", short: []string{"po"}, namespaced: true,
	verbs: append([]string{"delete"}, readVerbs...), needs: needs{objects: true, replicas: true},
	objects: podObjects,
	fields:  []string{"spec.nodeName", "status.phase"},
	columns: []column{{"Name", "string", 0}, {"Ready", "string", 0}, {"Status", "string", 0}, {"Restarts", "integer", 0},
		{"Age", "string", 0}, {"Node", "string", 0}, {"IP", "string", 1}, {"Revision", "string", 1}, {"Message", "string", 1}},
	row: podRow,
}

// podName is how users of Kubernetes know a replica: workload-ordinal, or workload-peer for one on each peer.
func podName(r control.ReplicaView) string {
	if r.Workload.Kind == daemonSetKind {
		return r.Workload.Name + "-" + peerOf(r)
	}
	return r.Workload.Name + "-" + strconv.Itoa(r.Ordinal)
}

// peerOf is the name of the peer that a replica of a DaemonSet belongs to.
func peerOf(r control.ReplicaView) string {
	return strings.TrimPrefix(string(r.ID), r.Workload.Namespace+"/"+r.Workload.Name+"-")
}

func podObjects(v *view) []object {
	templates := map[crdt.Key]object{}
	owners := map[crdt.Key]object{}
	for _, kind := range workloads {
		for _, o := range v.objects[kind] {
			tree := intent(o)
			owners[o.Key] = tree
			templates[o.Key], _ = dig(tree, "spec", "template").(object)
		}
	}
	list := make([]object, 0, len(v.replicas))
	for _, r := range v.replicas {
		list = append(list, v.pod(r, owners[r.Workload], templates[r.Workload]))
	}
	sort.Slice(list, func(i, j int) bool { return podLess(list[i], list[j]) })
	return list
}

// podLess orders by namespace and workload, and then by ordinal, so that web-10 comes after web-9.
func podLess(a, b object) bool {
	x, y := nameOf(a), nameOf(b)
	i, j := strings.LastIndexByte(x, '-'), strings.LastIndexByte(y, '-')
	if x[:i] != y[:j] {
		return x[:i] < y[:j]
	}
	return len(x) < len(y) || len(x) == len(y) && x < y
}

func (v *view) pod(r control.ReplicaView, owner, template object) object {
	best := newest(r)
	meta := object{"name": podName(r), "namespace": r.Workload.Namespace, "uid": podUID(r, best),
		"labels": orMap(dig(template, "metadata", "labels")), "annotations": v.podAnnotations(r, best)}
	if owner != nil {
		meta["ownerReferences"] = []any{object{"apiVersion": "apps/v1", "kind": r.Workload.Kind, "name": r.Workload.Name,
			"uid": dig(owner, "metadata", "uid"), "controller": true}}
		meta["creationTimestamp"] = dig(owner, "metadata", "creationTimestamp")
	}
	spec := object{"containers": []any{}}
	if from, ok := template["spec"].(object); ok {
		spec = shallow(from)
	}
	if best != nil {
		meta["creationTimestamp"] = timestamp(best.Since)
		spec["nodeName"] = v.name(best.Peer)
		if best.State == control.Stopping || !r.Wanted {
			meta["deletionTimestamp"] = timestamp(best.Since)
		}
	} else if r.Assignment.Peer != "" {
		spec["nodeName"] = v.name(crdt.PeerID(r.Assignment.Peer))
	}
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": podStatus(r, best)}
}

func shallow(from object) object {
	to := make(object, len(from)+1)
	for key, value := range from {
		to[key] = value
	}
	return to
}

func orMap(value any) any {
	if value == nil {
		return object{}
	}
	return value
}

func podUID(r control.ReplicaView, best *control.InstanceView) string {
	if best == nil {
		return uid(string(r.ID))
	}
	return uid(string(r.ID), string(best.Peer), string(best.Revision), best.Since.String())
}

// podAnnotations carry what Kubernetes has no field for.
func (v *view) podAnnotations(r control.ReplicaView, best *control.InstanceView) object {
	a := object{"shoal/replica": string(r.ID)}
	if r.Assignment.Rule != "" {
		a["shoal/assigned"] = v.name(crdt.PeerID(r.Assignment.Peer)) + ": " + string(r.Assignment.Rule)
	}
	if best != nil {
		a["shoal/revision"], a["shoal/peer"] = string(best.Revision), string(best.Peer)
	}
	if len(r.Instances) > 1 {
		var where []string
		for _, i := range r.Instances {
			where = append(where, v.name(i.Peer)+" "+string(i.State))
		}
		a["shoal/instances"] = strings.Join(where, ", ")
	}
	return a
}

func podStatus(r control.ReplicaView, best *control.InstanceView) object {
	if best == nil {
		reason, message := "Pending", r.Pending+r.Waits // one of them at most
		if message == "" {
			message = "assigned, not admitted yet"
		}
		if r.Assignment.Peer == "" {
			reason = "Unschedulable"
		}
		return object{"phase": "Pending", "reason": reason, "message": message,
			"conditions": []any{condition("PodScheduled", r.Assignment.Peer != "", "Assigned", reason, message),
				condition("Ready", false, "", reason, message)}}
	}
	status := object{"phase": podPhase(best), "startTime": timestamp(best.Since), "containerStatuses": containerStatuses(best),
		"conditions": []any{condition("PodScheduled", true, "Assigned", "", ""), condition("Initialized", true, "Admitted", "", ""),
			condition("ContainersReady", best.Ready, "Ready", "ContainersNotReady", notReadyText(best)),
			condition("Ready", best.Ready, "Ready", "ContainersNotReady", notReadyText(best))}}
	if best.Address.IsValid() {
		status["podIP"] = best.Address.String()
		status["podIPs"] = []any{object{"ip": best.Address.String()}}
	}
	return status
}

func podPhase(i *control.InstanceView) string {
	switch i.State {
	case control.Running, control.BackOff, control.Stopping:
		return "Running"
	}
	return "Pending"
}

func notReadyText(i *control.InstanceView) string {
	var texts []string
	for _, c := range i.Containers {
		switch {
		case c.Ready:
		case i.State == control.Leasing: // how it ended before is not why it does not run
			texts = append(texts, c.Name+": "+orElse(i.Waits, strings.ToLower(string(i.State))))
		default:
			texts = append(texts, c.Name+": "+orElse(strings.TrimSpace(c.Reason+" "+c.Detail), orElse(i.Waits, strings.ToLower(string(i.State)))))
		}
	}
	return strings.Join(texts, "; ")
}

func containerStatuses(i *control.InstanceView) []any {
	list := []any{}
	for _, c := range i.Containers {
		status := object{"name": c.Name, "image": c.Image, "imageID": "", "ready": c.Ready, "restartCount": c.Restarts,
			"started": c.Phase == runtime.Running, "state": containerState(i, c)}
		if c.Restarts > 0 && c.Phase == runtime.Running {
			status["lastState"] = object{"terminated": object{"exitCode": c.ExitCode, "reason": c.Reason}}
		}
		list = append(list, status)
	}
	return list
}

func containerState(i *control.InstanceView, c control.ContainerView) object {
	switch {
	case c.Phase == runtime.Running:
		return object{"running": object{"startedAt": timestamp(c.StartedAt)}}
	case i.State == control.Leasing:
		return object{"waiting": object{"reason": string(i.State), "message": i.Waits}}
	case i.State == control.BackOff:
		return object{"waiting": object{"reason": "CrashLoopBackOff",
			"message": fmt.Sprintf("ended with exit code %d (%s); it is started again after a pause", c.ExitCode, strings.TrimSuffix(c.Reason+": "+c.Detail, ": "))}}
	case c.Phase == runtime.Exited:
		return object{"terminated": object{"exitCode": c.ExitCode, "reason": c.Reason, "message": c.Detail, "startedAt": timestamp(c.StartedAt)}}
	case c.Reason != "":
		return object{"waiting": object{"reason": c.Reason, "message": c.Detail}}
	}
	if i.Waits != "" {
		return object{"waiting": object{"reason": string(i.State), "message": i.Waits}}
	}
	return object{"waiting": object{"reason": "ContainerCreating", "message": string(i.State)}}
}

func podRow(o object) []any {
	ready, total, restarts := 0, 0, 0
	list, _ := dig(o, "status", "containerStatuses").([]any)
	for _, item := range list {
		c := item.(object)
		total++
		if c["ready"] == true {
			ready++
		}
		restarts += c["restartCount"].(int)
	}
	if wanted, _ := dig(o, "spec", "containers").([]any); total == 0 {
		total = len(wanted)
	}
	return []any{dig(o, "metadata", "name"), fmt.Sprintf("%d/%d", ready, total), podWord(o, ready == total), restarts, ageOf(o),
		orNone(dig(o, "spec", "nodeName")), orNone(dig(o, "status", "podIP")), orNone(dig(o, "metadata", "annotations", "shoal/revision")),
		podMessage(o)}
}

func orNone(value any) any {
	if value == nil || value == "" {
		return "<none>"
	}
	return value
}

// podWord is the STATUS that kubectl would show.
func podWord(o object, ready bool) string {
	if dig(o, "metadata", "deletionTimestamp") != nil {
		return "Terminating"
	}
	list, _ := dig(o, "status", "containerStatuses").([]any)
	for _, item := range list {
		state := item.(object)["state"].(object)
		for _, kind := range []string{"waiting", "terminated"} {
			if reason, _ := dig(state, kind, "reason").(string); reason != "" {
				return reason
			}
		}
	}
	return fmt.Sprint(dig(o, "status", "phase"))
}

// podMessage says why a pod is not ready; empty for one that is.
func podMessage(o object) string {
	if message, _ := dig(o, "status", "message").(string); message != "" {
		return message
	}
	list, _ := dig(o, "status", "conditions").([]any)
	for _, item := range list {
		if c := item.(object); c["type"] == "Ready" && c["status"] == "False" {
			return fmt.Sprint(orEmpty(c["message"]))
		}
	}
	return ""
}

// ageOf is how long an object has existed, as kubectl writes it.
func ageOf(o object) string {
	text, _ := dig(o, "metadata", "creationTimestamp").(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "<unknown>"
	}
	return Age(time.Since(t))
}

// Age is a span in the two largest units that matter: "42s", "3m10s", "5h2m", "3d4h", "400d".
func Age(d time.Duration) string {
	d = max(0, d)
	two := func(large, small time.Duration, units string) string {
		if rest := d % large / small; rest > 0 {
			return fmt.Sprintf("%d%c%d%c", d/large, units[0], rest, units[1])
		}
		return fmt.Sprintf("%d%c", d/large, units[0])
	}
	const day = 24 * time.Hour
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 10*time.Minute:
		return two(time.Minute, time.Second, "ms")
	case d < 3*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 8*time.Hour:
		return two(time.Hour, time.Minute, "hm")
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 8*day:
		return two(day, time.Hour, "dh")
	}
	return fmt.Sprintf("%dd", d/day)
}

// workloadOf finds the replica that a pod's name stands for.
func workloadOf(v *view, namespace, pod string) (control.ReplicaView, bool) {
	for _, r := range v.replicas {
		if r.Workload.Namespace == namespace && podName(r) == pod {
			return r, true
		}
	}
	return control.ReplicaView{}, false
}

// restartPath is the field that replaces one replica when it is written.
func restartPath(r control.ReplicaView) crdt.Path {
	which := strconv.Itoa(r.Ordinal)
	if r.Workload.Kind == daemonSetKind {
		which = peerOf(r)
	}
	return crdt.Path("metadata/annotations/" + strings.ReplaceAll(manifest.RestartAnnotation, "/", "~1") + which)
}
