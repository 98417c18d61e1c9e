package api

import (
	"fmt"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
)

var events = &resource{
	kind: "Event", plural: "events", singular: "event", short: []string{"ev"}, namespaced: true,
	verbs: readVerbs, needs: needs{notes: true, objects: true, replicas: true},
	objects: eventObjects,
	fields: []string{"involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "involvedObject.uid",
		"reason", "type"},
	columns: []column{{"Last Seen", "string", 0}, {"Type", "string", 0}, {"Reason", "string", 0}, {"Object", "string", 0},
		{"Peer", "string", 0}, {"Message", "string", 0}, {"Count", "integer", 1}, {"Name", "string", 1}},
	row: func(o object) []any {
		last, _ := o["lastTimestamp"].(string)
		age := "<unknown>"
		if t, err := time.Parse(time.RFC3339, last); err == nil {
			age = Age(time.Since(t))
		}
		return []any{age, o["type"], o["reason"], fmt.Sprintf("%v/%v", strings.ToLower(fmt.Sprint(dig(o, "involvedObject", "kind"))), dig(o, "involvedObject", "name")),
			orNone(dig(o, "source", "host")), o["message"], o["count"], dig(o, "metadata", "name")}
	},
}

// eventObjects are the notes of this peer, oldest first.
func eventObjects(v *view) []object {
	uids := map[string]string{}
	for _, r := range v.replicas {
		uids["Pod/"+string(r.ID)] = podUID(r, newest(r))
	}
	for _, objects := range v.objects {
		for _, o := range objects {
			uids[o.Key.Kind+"/"+o.Key.Namespace+"/"+o.Key.Name] = objectUID(o)
		}
	}
	for _, m := range v.members {
		uids["Node//"+v.name(crdt.PeerID(m.ID))] = uid("Node", string(m.ID))
	}
	var list []object
	for _, n := range v.notes {
		e := v.event(n)
		about := e["involvedObject"].(object)
		about["uid"] = uids[fmt.Sprintf("%v/%v/%v", about["kind"], about["namespace"], about["name"])]
		list = append(list, e)
	}
	return list
}

func (v *view) event(n control.Note) object {
	kind, namespace, name := n.Object.Kind, n.Object.Namespace, n.Object.Name
	if n.Replica != "" {
		kind = "Pod"
		namespace, name, _ = strings.Cut(n.Replica, "/")
	}
	if name == "" {
		kind, name = "Node", v.name(n.Peer)
	}
	scope := namespace
	if scope == "" {
		scope = "default"
	}
	word := "Normal"
	if n.Warning {
		word = "Warning"
	}
	id := uid(n.Object.String(), n.Replica, n.Reason, string(n.Peer), n.Text, n.Cause)
	return object{"apiVersion": "v1", "kind": "Event", "type": word, "reason": n.Reason, "message": n.Text, "count": n.Count,
		"metadata":       object{"name": name + "." + id[:16], "namespace": scope, "uid": id, "creationTimestamp": timestamp(n.At)},
		"firstTimestamp": timestamp(n.At), "lastTimestamp": timestamp(n.At),
		"source":         object{"component": "shoal", "host": v.name(crdt.PeerID(n.Peer))},
		"involvedObject": object{"kind": kind, "namespace": namespace, "name": name}}
}
