package api

import (
	"fmt"
	"strings"

	"shoal/crdt"
	"shoal/peer/control"
)

var daemonsets = &resource{
	group: "apps", kind: "DaemonSet", plural: "daemonsets", singular: "daemonset", short: []string{"ds"},
	namespaced: true, writable: true, verbs: writeVerbs, needs: needs{objects: true, replicas: true}, alone: true,
	objects: daemonSetObjects,
	columns: []column{{"Name", "string", 0}, {"Desired", "integer", 0}, {"Current", "integer", 0}, {"Ready", "integer", 0}, {"Up-to-date", "integer", 0},
		{"Available", "integer", 0}, {"Node Selector", "string", 0}, {"Age", "string", 0}, {"Containers", "string", 1}, {"Images", "string", 1}, {"Condition", "string", 1}},
	row: func(o object) []any {
		names, images := containersOf(o)
		status := func(field string) any { return dig(o, "status", field) }
		return []any{dig(o, "metadata", "name"), status("desiredNumberScheduled"), status("currentNumberScheduled"), status("numberReady"),
			status("updatedNumberScheduled"), status("numberAvailable"), selectorText(o), ageOf(o), names, images, conditionNames(o)}
	},
}

const daemonSetKind = "DaemonSet"

// selectorText is a template's node selector.
func selectorText(o object) string {
	selector, _ := dig(o, "spec", "template", "spec", "nodeSelector").(object)
	var terms []string
	for _, key := range sortedNames(selector) {
		terms = append(terms, fmt.Sprintf("%s=%v", key, selector[key]))
	}
	if terms == nil {
		return "<none>"
	}
	return strings.Join(terms, ",")
}

func daemonSetObjects(v *view) []object {
	byWorkload := v.byWorkload()
	var list []object
	for _, o := range v.objects["DaemonSet"] {
		tree := intent(o)
		tree["status"] = daemonSetStatus(o, tree, byWorkload[o.Key], v.invalid[o.Key])
		list = append(list, tree)
	}
	return list
}

func daemonSetStatus(o crdt.Object, tree object, replicas []control.ReplicaView, invalid []string) object {
	wanted := 0
	for _, r := range replicas {
		if r.Wanted {
			wanted++
		}
	}
	c := tally(wanted, replicas)
	conditions := c.conditions()
	status := object{
		"observedGeneration":     tree["metadata"].(object)["generation"],
		"desiredNumberScheduled": c.wanted, "currentNumberScheduled": c.running, "updatedNumberScheduled": c.updated,
		"numberReady": c.ready, "numberAvailable": c.ready, "numberMisscheduled": c.running - min(c.running, c.wanted), "conditions": append(conditions, troubles(o, invalid)...),
	}
	if missing := c.wanted - c.ready; missing > 0 {
		status["numberUnavailable"] = missing
	}
	return status
}
