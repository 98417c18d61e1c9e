package api

import (
	"net/http"
	"strings"

	"shoal/crdt"
	"shoal/peer/manifest"
)

// showOwners adds metadata.managedFields to objects of a view that are read whole. It is no part of what a resourceVersion
// stands for, and costs as much as the rest of an object: so tables and answers to writes go without.
func (v *view) showOwners(r *http.Request, res *resource, objects []object) {
	if !res.writable || wantsTable(r) || len(objects) == 0 {
		return
	}
	written := make(map[crdt.Key]*crdt.Object, len(v.objects[res.kind]))
	for i := range v.objects[res.kind] {
		o := &v.objects[res.kind][i]
		written[o.Key] = o
	}
	for _, o := range objects {
		meta := o["metadata"].(object)
		key := crdt.Key{Kind: res.kind, Name: meta["name"].(string)}
		key.Namespace, _ = meta["namespace"].(string)
		if held := written[key]; held != nil {
			meta["managedFields"] = managedFields(res, held)
		}
	}
}

// managedFields is who owns which fields of an object. Beside what Kubernetes has in an entry it names the user.
func managedFields(res *resource, o *crdt.Object) []any {
	list := []any{}
	for _, m := range manifest.ManagedBy(o.Key, o.Fields) {
		list = append(list, object{"manager": m.Manager, "operation": operationOf(m.Manager), "apiVersion": res.apiVersion(),
			"fieldsType": "FieldsV1", "fieldsV1": m.FieldsV1, "user": m.User,
			"time": timestamp(wallTime(m.Latest.Time))})
	}
	return list
}

// operationOf tells Apply from Update by the name of the manager, since an owner here may do both: the commands of kubectl and
// shoal that change single fields call themselves PROGRAM-COMMAND.
func operationOf(manager string) string {
	program, _, single := strings.Cut(manager, "-")
	if single && (program == "kubectl" || program == "shoal") {
		return "Update"
	}
	return "Apply"
}
