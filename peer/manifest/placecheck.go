package manifest

import (
	"slices"
	"strconv"

	"shoal/placement"
)

// This file holds the rules of what says where replicas may be: what can never hold is refused here, as far as it is certain.

// operands checks how many values an operator has, and what they are.
func operands(p place, operator string, values []string) {
	at := p.at("values")
	switch operator {
	case "In", "NotIn":
		if len(values) == 0 {
			at.fault("%s needs values to compare with", operator)
		}
	case "Exists", "DoesNotExist":
		if len(values) > 0 {
			at.fault("%s looks at no value: leave values out, or use In or NotIn", operator)
		}
	case "Gt", "Lt":
		if len(values) != 1 {
			at.fault("%s needs exactly one whole number", operator)
			return
		}
		if _, err := strconv.ParseInt(values[0], 10, 64); err != nil {
			at.item(0).fault("%s compares whole numbers: %q is none", operator, clip(values[0]))
		}
		return
	}
	for i, value := range values {
		if text := labelValue(value); text != "" {
			at.item(i).fault("%s", text)
		}
	}
}

func (r *nodeRequirement) check(p place)  { operands(p, r.Operator, r.Values) }
func (r *labelRequirement) check(p place) { operands(p, r.Operator, r.Values) }
func (r *fieldRequirement) check(p place) { operands(p, r.Operator, r.Values) }

func (s *labelSelector) check(p place) {
	if text := placement.Clash(s.requirements()); text != "" {
		p.fault("selects nothing: %s is true of none", text)
	}
}

func (t *nodeSelectorTerms) check(p place) {
	for i := range t.Terms {
		if len(t.Terms[i].MatchExpressions)+len(t.Terms[i].MatchFields) == 0 {
			p.at("nodeSelectorTerms").item(i).fault("empty, and so true of no peer")
		}
	}
}

func (t *podTerm) check(p place) {
	if t.NamespaceSelector != nil {
		p.at("namespaceSelector").fault("not supported yet: name the namespaces in namespaces")
	}
	for i, name := range t.Namespaces {
		if text := dnsLabel(name); text != "" || name == "" {
			p.at("namespaces").item(i).fault("%q is not a namespace's name", clip(name))
		}
	}
}

func (t *toleration) check(p place) {
	exists := t.Operator == "Exists"
	switch {
	case t.Key == "" && !exists:
		p.at("key").fault("required, but missing: only operator Exists goes without, and tolerates every taint")
	case exists && t.Value != "":
		p.at("value").fault("Exists looks at no value: leave it out, or use Equal")
	}
	if t.TolerationSeconds != nil && t.Effect != string(placement.NoExecute) {
		p.at("tolerationSeconds").fault("goes with effect NoExecute alone: the other taints move nothing that runs")
	}
}

func (s *spread) check(p place) {
	if s.LabelSelector == nil {
		p.warn("without labelSelector it counts no replicas, and has no effect")
	}
	if s.MinDomains != nil && s.WhenUnsatisfiable == "ScheduleAnyway" {
		p.at("minDomains").fault("goes with whenUnsatisfiable: DoNotSchedule alone")
	}
}

// checkResources holds extended resources and pids, which are whole, against what can be given of them.
func (c *container) checkResources(p place) {
	for _, list := range []struct {
		name   string
		amount map[string]Quantity
	}{{"limits", c.Resources.Limits}, {"requests", c.Resources.Requests}} {
		for _, name := range sortedKeys(list.amount) {
			at, q := p.at("resources").at(list.name).at(name), list.amount[name]
			switch {
			case (extended(name) || name == "pids") && q.milli%1000 != 0:
				at.fault("%s is not a whole number", q.text)
			case name == "pids" && list.name == "limits" && q.milli == 0:
				at.fault("must be at least 1")
			}
		}
	}
	for _, name := range sortedKeys(c.Resources.Requests) {
		limit, limited := c.Resources.Limits[name]
		if extended(name) && (!limited || limit.milli > c.Resources.Requests[name].milli) {
			p.at("resources").at("limits").at(name).fault("must be the request, %s: a device is not shared", c.Resources.Requests[name].text)
		}
	}
}

// checkHostPorts looks for two containers, or two ports of one, that want the same port of the peer.
func (s *podSpec) checkHostPorts(p place) {
	var taken []*containerPort
	for i := range s.Containers {
		for j := range s.Containers[i].Ports {
			port, at := &s.Containers[i].Ports[j], p.at("containers").item(i).at("ports").item(j)
			if port.HostPort == 0 {
				if port.HostIP != "" {
					at.at("hostIP").fault("goes with hostPort alone")
				}
				continue
			}
			at.at("hostPort").warn("keeps the port free of other replicas on the peer; nothing forwards it to the container yet")
			if slices.ContainsFunc(taken, port.clashes) {
				at.at("hostPort").fault("%s is taken already by another port of the same replica", port.text())
			}
			taken = append(taken, port)
		}
	}
}

func (p *containerPort) clashes(other *containerPort) bool {
	return p.HostPort == other.HostPort && p.Protocol == other.Protocol &&
		(p.hostIP() == other.hostIP() || p.hostIP() == "" || other.hostIP() == "")
}
