package api

import (
	"encoding/json"
	"sort"
	"strconv"

	"shoal/peer/manifest"
)

var priorities = &resource{
	group: "scheduling.k8s.io", kind: "PriorityClass", plural: "priorityclasses", singular: "priorityclass", short: []string{"pc"},
	writable: true, verbs: writeVerbs, needs: needs{objects: true},
	objects: priorityObjects,
	columns: []column{{"Name", "string", 0}, {"Value", "integer", 0}, {"Global-Default", "boolean", 0}, {"Age", "string", 0}, {"PreemptionPolicy", "string", 0}},
	row: func(o object) []any {
		preempts := o["preemptionPolicy"]
		if preempts == nil {
			preempts = "PreemptLowerPriority"
		}
		return []any{dig(o, "metadata", "name"), o["value"], o["globalDefault"] == true, ageOf(o), preempts}
	},
}

// priorityObjects adds the classes that exist without anyone having written them.
func priorityObjects(v *view) []object {
	var list []object
	for _, o := range v.objects["PriorityClass"] {
		list = append(list, intent(o))
	}
	builtin := manifest.Priorities(nil)
	for _, name := range sortedNames(builtin) {
		if name != "" {
			list = append(list, object{"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": object{"name": name, "uid": uid("PriorityClass", name)},
				"value": json.Number(strconv.Itoa(int(builtin[name].Value))), "description": "built in"})
		}
	}
	sort.Slice(list, func(i, j int) bool { return nameOf(list[i]) < nameOf(list[j]) })
	return list
}
