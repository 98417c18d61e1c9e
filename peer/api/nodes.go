package api

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/manifest"
)

// nodes are what peers say of themselves, with what users say of them over it.
var nodes = &resource{
	kind: "Node", plural: "nodes", singular: "node", short: []string{"no"},
	writable: true, verbs: writeVerbs, needs: needs{objects: true},
	objects: nodeObjects,
	fields:  []string{"spec.unschedulable"},
	columns: []column{{"Name", "string", 0}, {"Status", "string", 0}, {"Health", "string", 0}, {"CPU", "string", 0}, {"Memory", "string", 0},
		{"Address", "string", 0}, {"Zone", "string", 1}, {"Taints", "string", 1}, {"Subnet", "string", 1}, {"Peer", "string", 1}},
	row: func(o object) []any {
		return []any{dig(o, "metadata", "name"), nodeWord(o), nodeHealth(o), orNone(dig(o, "status", "allocatable", "cpu")), orNone(dig(o, "status", "allocatable", "memory")),
			nodeAddress(o), orNone(labelsOf(o)[zoneLabel]), orNone(taintsText(o)), orNone(dig(o, "spec", "podCIDR")), orNone(dig(o, "metadata", "annotations", manifest.PeerAnnotation))}
	},
}

const zoneLabel = "topology.kubernetes.io/zone"

func nodeObjects(v *view) []object {
	written := map[string]*crdt.Object{}
	for i := range v.objects["Node"] {
		written[v.objects["Node"][i].Key.Name] = &v.objects["Node"][i]
	}
	var list []object
	for _, m := range v.members {
		name := v.name(crdt.PeerID(m.ID))
		list = append(list, v.merged(v.node(m), written[name]))
		delete(written, name)
	}
	for _, name := range sortedNames(written) {
		list = append(list, v.merged(unknownNode(name), written[name]))
	}
	sort.Slice(list, func(i, j int) bool { return nameOf(list[i]) < nameOf(list[j]) })
	return list
}

// unknownNode is what is known of a peer of which there is nothing but what users say of it.
func unknownNode(name string) object {
	return object{"apiVersion": "v1", "kind": "Node", "metadata": object{"name": name, "labels": object{}, "annotations": object{}}, "spec": object{},
		"status": object{"conditions": []any{object{"type": "Ready", "status": "Unknown", "reason": "NoSuchPeer", "message": "no peer of this name is known"}},
			"addresses": []any{object{"type": "Hostname", "address": name}}}}
}

// merged lays what users wrote over what a peer says of itself.
func (v *view) merged(own object, written *crdt.Object) object {
	if written == nil {
		return own
	}
	tree := intent(*written)
	meta, spec := own["metadata"].(object), own["spec"].(object)
	for name, value := range tree["metadata"].(object) {
		below, isMap := value.(object)
		switch {
		case isMap && (name == "labels" || name == "annotations"):
			for key, value := range below {
				if key != manifest.PeerAnnotation {
					meta[name].(object)[key] = value
				}
			}
		default:
			meta[name] = value
		}
	}
	if wrote, ok := tree["spec"].(object); ok {
		for name, value := range wrote {
			if name != "unschedulable" || value == true {
				spec[name] = value
			}
		}
	}
	if meta["annotations"].(object)[manifest.DrainAnnotation] == "true" {
		spec["unschedulable"] = true
	}
	status := own["status"].(object)
	status["conditions"] = append(status["conditions"].([]any), troubles(*written, v.invalid[written.Key])...)
	return own
}

// intended turns the fields of a whole Node, as it is served and then changed, into those that users want of it: what the peer says
// of itself is left out, and cannot be removed.
func (v *view) intended(current crdt.Object, fields map[crdt.Path]json.RawMessage) (map[crdt.Path]json.RawMessage, error) {
	held := map[crdt.Path]string{}
	for _, f := range current.Fields {
		held[f.Path] = string(f.Value)
	}
	for _, m := range v.members {
		if v.name(crdt.PeerID(m.ID)) != current.Key.Name {
			continue
		}
		own, err := manifest.Flatten("Node", v.node(m))
		if err != nil {
			return nil, internal(err)
		}
		for path, value := range own {
			now, there := fields[path]
			if _, written := held[path]; written {
				continue
			}
			if !there && strings.HasPrefix(string(path), "metadata/labels/") {
				return nil, badRequest("the label %s is the peer's own: it is set in the configuration of the agent, and can be given another value here, but not be removed",
					strings.TrimPrefix(manifest.FieldPath(path), ".metadata.labels."))
			}
			if there && string(now) == string(value) {
				delete(fields, path)
			}
		}
	}
	for _, none := range []crdt.Path{"spec", "metadata/labels", "metadata/annotations"} {
		if value := string(fields[none]); value == "{}" {
			delete(fields, none)
		}
	}
	delete(fields, annotationPath(manifest.PeerAnnotation))
	if held["spec/unschedulable"] == "true" && string(fields["spec/unschedulable"]) != "true" {
		delete(fields, annotationPath(manifest.DrainAnnotation)) // who uncordons ends the drain
	}
	return fields, nil
}

func annotationPath(name string) crdt.Path {
	return crdt.Path("metadata/annotations/" + strings.ReplaceAll(name, "/", "~1"))
}

func taintsText(o object) string {
	list, _ := dig(o, "spec", "taints").([]any)
	var texts []string
	for _, item := range list {
		t, _ := item.(object)
		text := fmt.Sprint(orEmpty(t["key"]))
		if value := t["value"]; value != nil && value != "" {
			text += fmt.Sprintf("=%v", value)
		}
		texts = append(texts, text+":"+fmt.Sprint(orEmpty(t["effect"])))
	}
	return strings.Join(texts, ",")
}

// StateName is a member's state in one word.
func StateName(s gossip.State) string {
	switch s {
	case gossip.Alive:
		return "alive"
	case gossip.Suspect:
		return "suspect"
	case gossip.Failed:
		return "failed"
	}
	return "left"
}

func (v *view) node(m control.MemberView) object {
	id := crdt.PeerID(m.ID)
	name := v.name(id)
	labels := object{"kubernetes.io/hostname": name}
	for key, value := range m.Labels {
		labels[key] = value
	}
	room := capacity(m)
	spec := object{}
	if m.Leaving {
		spec["unschedulable"] = true
	}
	if m.Subnet.IsValid() {
		spec["podCIDR"] = m.Subnet.String()
	}
	images := []any{}
	for _, image := range m.Images {
		images = append(images, object{"names": []any{image}})
	}
	return object{"apiVersion": "v1", "kind": "Node",
		"metadata": object{"name": name, "uid": uid("Node", string(id)), "labels": labels, "annotations": object{manifest.PeerAnnotation: string(id)}},
		"spec":     spec,
		"status": object{"capacity": room, "allocatable": room, "images": images, "conditions": []any{nodeReady(m), nodeHealthy(m)},
			"addresses": addresses(m, name),
			"nodeInfo":  object{"operatingSystem": "linux", "architecture": orEmpty(labels["kubernetes.io/arch"]), "kubeletVersion": "shoal"}}}
}

// capacity is what a peer has to give. pids is no resource of Kubernetes' nodes, and shown where it is known.
func capacity(m control.MemberView) object {
	room := object{"cpu": fmt.Sprintf("%dm", m.Room.CPUMillis), "memory": fmt.Sprintf("%dKi", m.Room.MemoryBytes>>10)}
	if m.Space.StorageBytes > 0 {
		room["ephemeral-storage"] = fmt.Sprintf("%dKi", m.Space.StorageBytes>>10)
	}
	if m.Space.Pids > 0 {
		room["pids"] = fmt.Sprint(m.Space.Pids)
	}
	for _, d := range m.Devices {
		room[d.Name] = fmt.Sprint(d.Count)
	}
	return room
}

func nodeReady(m control.MemberView) object {
	c := object{"type": "Ready", "status": "True", "reason": "Alive", "message": "it answers"}
	if m.State != gossip.Alive {
		c["status"], c["reason"] = "Unknown", strings.ToUpper(StateName(m.State)[:1])+StateName(m.State)[1:]
		c["message"] = "this peer does not hear it"
	}
	return c
}

// healthy is the condition of a Node that shows how its peer judges its own health.
const healthy = "Healthy"

func nodeHealthy(m control.MemberView) object {
	word := m.Health.String()
	c := object{"type": healthy, "status": "True", "reason": strings.ToUpper(word[:1]) + word[1:], "message": "nothing speaks against it"}
	if m.Health != gossip.Good {
		c["status"], c["message"] = "False", "it is given less than others of its size; its events say why"
	}
	return c
}

// nodeHealth is the class of a Node's health in one word.
func nodeHealth(o object) string {
	for _, item := range dig(o, "status", "conditions").([]any) {
		if c, _ := item.(object); c["type"] == healthy {
			return strings.ToLower(fmt.Sprint(c["reason"]))
		}
	}
	return "<none>"
}

func nodeWord(o object) string {
	word := "NotReady"
	list := dig(o, "status", "conditions").([]any)
	if list[0].(object)["status"] == "True" {
		word = "Ready"
	}
	if dig(o, "spec", "unschedulable") == true {
		word += ",SchedulingDisabled"
	}
	if dig(o, "metadata", "annotations", manifest.DrainAnnotation) == "true" {
		word += ",Draining"
	}
	return word
}

// addresses are where a peer can be reached: its host's address, where it is known, and its name.
func addresses(m control.MemberView, name string) []any {
	list := []any{}
	for _, at := range []netip.AddrPort{m.Addr, m.Stream} {
		if at.Addr().IsValid() && !at.Addr().IsUnspecified() {
			list = append(list, object{"type": "InternalIP", "address": at.Addr().String()})
			break
		}
	}
	return append(list, object{"type": "Hostname", "address": name})
}

func nodeAddress(o object) any {
	return dig(o, "status", "addresses").([]any)[0].(object)["address"]
}
