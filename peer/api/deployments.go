package api

import (
	"crypto/sha256"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
)

var readVerbs = []string{"get", "list", "watch"}

var writeVerbs = []string{"create", "delete", "get", "list", "patch", "update", "watch"}

var deployments = &resource{
	group: "apps", kind: "Deployment", plural: "deployments", singular: "deployment", short: []string{"deploy"},
	namespaced: true, writable: true, verbs: writeVerbs, needs: needs{objects: true, replicas: true}, alone: true,
	objects: deploymentObjects,
	columns: []column{{"Name", "string", 0}, {"Ready", "string", 0}, {"Up-to-date", "integer", 0}, {"Available", "integer", 0},
		{"Age", "string", 0}, {"Containers", "string", 1}, {"Images", "string", 1}, {"Condition", "string", 1}},
	row: deploymentRow,
}

var namespaces = &resource{
	kind: "Namespace", plural: "namespaces", singular: "namespace", short: []string{"ns"},
	writable: true, verbs: writeVerbs, needs: needs{objects: true},
	objects: namespaceObjects,
	fields:  []string{"status.phase"},
	columns: []column{{"Name", "string", 0}, {"Status", "string", 0}, {"Age", "string", 0}},
	row: func(o object) []any {
		return []any{dig(o, "metadata", "name"), dig(o, "status", "phase"), ageOf(o)}
	},
}

// intent is an object of the intent in the form in which it is served, without status.
func intent(o crdt.Object) object {
	tree := manifest.Tree(o.Key, o.Fields)
	meta := tree["metadata"].(object)
	meta["uid"] = objectUID(o)
	meta["creationTimestamp"] = timestamp(wallTime(o.Created.Time))
	meta["generation"] = int64(o.Modified.Time >> 16)
	return tree
}

func objectUID(o crdt.Object) string { return uid(o.Key.String(), fmt.Sprint(o.Created)) }

// wallTime is the wall-clock part of a hybrid time.
func wallTime(t crdt.Time) time.Time { return time.UnixMilli(int64(t >> 16)) }

// timestamp is a time as Kubernetes writes it; nil for none.
func timestamp(t time.Time) any {
	if t.IsZero() || t.Year() > 9999 {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

// uid makes an identifier out of what makes a thing that thing: it is the same on every peer.
func uid(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

func (v *view) byWorkload() map[crdt.Key][]control.ReplicaView {
	all := map[crdt.Key][]control.ReplicaView{}
	for _, r := range v.replicas {
		all[r.Workload] = append(all[r.Workload], r)
	}
	return all
}

func deploymentObjects(v *view) []object {
	byWorkload := v.byWorkload()
	var list []object
	for _, o := range v.objects["Deployment"] {
		tree := intent(o)
		tree["status"] = deploymentStatus(o, tree, tally(wantedNumber(tree), byWorkload[o.Key]), v.invalid[o.Key])
		list = append(list, tree)
	}
	return list
}

// counts sums up the replicas of one workload.
type counts struct {
	wanted, running, updated, ready, readyUpdated int
	waiting                                       []string // one line for each replica that is not ready
}

func tally(wanted int, replicas []control.ReplicaView) counts {
	c := counts{wanted: wanted}
	for _, r := range replicas {
		best := newest(r)
		if best != nil && best.State != control.Stopping {
			c.running++
			if best.Ready {
				c.ready++
			}
			if best.Current {
				c.updated++
				if best.Ready {
					c.readyUpdated++
				}
			}
		}
		if r.Wanted && (best == nil || !best.Ready || !best.Current) {
			c.waiting = append(c.waiting, waitingText(r, best))
		}
	}
	return c
}

// newest is the instance that stands for a replica: the current one before others, a ready one before others,
// one that stays before one that stops; among equals the one admitted last. Nil when nobody holds it.
func newest(r control.ReplicaView) *control.InstanceView {
	if len(r.Instances) == 0 {
		return nil
	}
	rank := func(i control.InstanceView) int {
		n := 0
		if i.State != control.Stopping {
			n += 4
		}
		if i.Ready {
			n += 2
		}
		if i.Current {
			n++
		}
		return n
	}
	sorted := append([]control.InstanceView(nil), r.Instances...)
	sort.SliceStable(sorted, func(a, b int) bool {
		if x, y := rank(sorted[a]), rank(sorted[b]); x != y {
			return x > y
		}
		return sorted[a].Since.After(sorted[b].Since)
	})
	return &sorted[0]
}

// waitingText says in a few words what a replica waits for.
func waitingText(r control.ReplicaView, best *control.InstanceView) string {
	name := podName(r)
	switch {
	case r.Pending != "":
		return name + ": " + r.Pending
	case r.Waits != "":
		return name + ": " + r.Waits
	case best == nil:
		return name + ": not started yet"
	case !best.Current:
		return name + ": still runs the revision before"
	case best.Waits != "":
		return name + ": " + best.Waits
	}
	for _, c := range best.Containers {
		if c.Reason != "" && !c.Ready {
			return strings.TrimSuffix(name+": "+c.Reason+" "+c.Detail, " ")
		}
		if !c.Ready && c.Detail != "" {
			return name + ": not ready: " + c.Detail
		}
	}
	return name + ": " + string(best.State) + ", not ready yet"
}

// summary shortens what replicas wait for to a few lines.
func (c counts) summary() string {
	const most = 3
	text := fmt.Sprintf("%d of %d replicas are updated and ready", c.readyUpdated, c.wanted)
	for i, line := range c.waiting {
		if i == most {
			text += fmt.Sprintf("; and %d more", len(c.waiting)-most)
			break
		}
		text += "; " + line
	}
	return text
}

// conditions are those of every workload: whether enough of it is ready, and whether all is as it was last wanted.
func (c counts) conditions() []any {
	progress := condition("Progressing", true, "ReplicaSetUpdated", "", c.summary())
	if len(c.waiting) == 0 {
		progress["reason"] = "NewReplicaSetAvailable"
	}
	return []any{
		condition("Available", c.ready >= c.wanted, "MinimumReplicasAvailable", "MinimumReplicasUnavailable", fmt.Sprintf("%d of %d replicas are ready", c.ready, c.wanted)),
		progress,
	}
}

func deploymentStatus(o crdt.Object, tree object, c counts, invalid []string) object {
	conditions := append(c.conditions(), troubles(o, invalid)...)
	status := object{
		"observedGeneration": tree["metadata"].(object)["generation"],
		"replicas":           c.running, "updatedReplicas": c.updated, "readyReplicas": c.ready, "availableReplicas": c.ready,
		"conditions": conditions,
	}
	if missing := c.wanted - c.ready; missing > 0 {
		status["unavailableReplicas"] = missing
	}
	return status
}

// troubles are conditions of an object that there are only while they hold: values in conflict, and a form that is not valid.
func troubles(o crdt.Object, invalid []string) []any {
	var list []any
	if text := conflictText(o); text != "" {
		list = append(list, condition("Conflicted", true, "ConcurrentWrites", "", text))
	}
	if len(invalid) > 0 {
		list = append(list, condition("Invalid", true, "HeldAtLastValidForm", "",
			"it stays as it last was when it was valid: "+strings.Join(invalid, "; ")))
	}
	return list
}

func condition(kind string, holds bool, yes, no, message string) object {
	if holds {
		return object{"type": kind, "status": "True", "reason": yes, "message": message}
	}
	return object{"type": kind, "status": "False", "reason": no, "message": message}
}

func deploymentRow(o object) []any {
	names, images := containersOf(o)
	return []any{dig(o, "metadata", "name"),
		fmt.Sprintf("%v/%v", dig(o, "status", "readyReplicas"), wantedReplicas(o)),
		dig(o, "status", "updatedReplicas"), dig(o, "status", "availableReplicas"), ageOf(o), names, images, conditionNames(o)}
}

// containersOf are the names and images in a workload's template.
func containersOf(o object) (string, string) {
	var names, images []string
	list, _ := dig(o, "spec", "template", "spec", "containers").([]any)
	for _, item := range list {
		c, _ := item.(object)
		names = append(names, fmt.Sprint(orEmpty(c["name"])))
		images = append(images, fmt.Sprint(orEmpty(c["image"])))
	}
	return strings.Join(names, ","), strings.Join(images, ",")
}

// conditionNames are the conditions that a reader should look at.
func conditionNames(o object) string {
	var names []string
	list, _ := dig(o, "status", "conditions").([]any)
	for _, item := range list {
		if c := item.(object); c["status"] == "True" && c["type"] != "Progressing" {
			names = append(names, fmt.Sprint(c["type"]))
		}
	}
	return strings.Join(names, ",")
}

// wantedReplicas is spec.replicas with its default.
func wantedReplicas(o object) string {
	if n := dig(o, "spec", "replicas"); n != nil {
		return fmt.Sprint(n)
	}
	return "1"
}

// wantedNumber is wantedReplicas as a number; 0 where it is none.
func wantedNumber(o object) int {
	n, err := strconv.Atoi(wantedReplicas(o))
	if err != nil {
		return 0
	}
	return n
}

// namespaceObjects adds the namespaces that exist without anyone having written them.
func namespaceObjects(v *view) []object {
	var list []object
	there := map[string]bool{}
	for _, o := range v.objects["Namespace"] {
		tree := intent(o)
		status := object{"phase": "Active"}
		if conditions := troubles(o, v.invalid[o.Key]); conditions != nil {
			status["conditions"] = conditions
		}
		tree["status"] = status
		list, there[o.Key.Name] = append(list, tree), true
	}
	implied := []string{manifest.DefaultNamespace}
	for _, kind := range sortedNames(v.objects) {
		for _, o := range v.objects[kind] {
			if o.Key.Namespace != "" {
				implied = append(implied, o.Key.Namespace)
			}
		}
	}
	for _, name := range implied {
		if !there[name] {
			there[name] = true
			list = append(list, object{"apiVersion": "v1", "kind": "Namespace",
				"metadata": object{"name": name, "uid": uid("Namespace", name)}, "status": object{"phase": "Active"}})
		}
	}
	sort.Slice(list, func(i, j int) bool { return nameOf(list[i]) < nameOf(list[j]) })
	return list
}
