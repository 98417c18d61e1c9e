package api

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
)

var nodes = &resource{
	kind: "Node", plural: "nodes", singular: "node", short: []string{"no"},
	verbs: readVerbs,
	objects: func(v *view) []object {
		var list []object
		for _, m := range v.members {
			list = append(list, v.node(m))
		}
		sort.Slice(list, func(i, j int) bool { return nameOf(list[i]) < nameOf(list[j]) })
		return list
	},
	columns: []column{{"Name", "string", 0}, {"Status", "string", 0}, {"CPU", "string", 0}, {"Memory", "string", 0},
		{"Address", "string", 0}, {"Subnet", "string", 1}, {"Peer", "string", 1}},
	row: func(o object) []any {
		return []any{dig(o, "metadata", "name"), nodeWord(o), dig(o, "status", "allocatable", "cpu"), dig(o, "status", "allocatable", "memory"),
			nodeAddress(o), orNone(dig(o, "spec", "podCIDR")), dig(o, "metadata", "annotations", "shoal/peer")}
	},
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
	room := object{"cpu": fmt.Sprintf("%dm", m.Room.CPUMillis), "memory": fmt.Sprintf("%dKi", m.Room.MemoryBytes>>10)}
	spec := object{"unschedulable": m.Draining}
	if m.Subnet.IsValid() {
		spec["podCIDR"] = m.Subnet.String()
	}
	images := []any{}
	for _, image := range m.Images {
		images = append(images, object{"names": []any{image}})
	}
	return object{"apiVersion": "v1", "kind": "Node",
		"metadata": object{"name": name, "uid": uid("Node", string(id)), "labels": labels, "annotations": object{"shoal/peer": string(id)}},
		"spec":     spec,
		"status": object{"capacity": room, "allocatable": room, "images": images, "conditions": []any{nodeReady(m)},
			"addresses": addresses(m, name),
			"nodeInfo":  object{"operatingSystem": "linux", "kubeletVersion": "shoal"}}}
}

func nodeReady(m control.MemberView) object {
	c := object{"type": "Ready", "status": "True", "reason": "Alive", "message": "it answers"}
	if m.State != gossip.Alive {
		c["status"], c["reason"] = "Unknown", strings.ToUpper(StateName(m.State)[:1])+StateName(m.State)[1:]
		c["message"] = "this peer does not hear it"
	}
	return c
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
