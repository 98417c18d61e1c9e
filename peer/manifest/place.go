package manifest

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"shoal/placement"
)

// This file turns what a template says of where its replicas may be into placement's words.

// unreachable is Kubernetes' taint of a node that is not heard. Its toleration says how long a lost peer is waited for.
const unreachable = "node.kubernetes.io/unreachable"

// rules are what a template asks beside room and nodeSelector.
func (t *template) rules(namespace string) *placement.Rules {
	pod := &t.Spec
	r := &placement.Rules{Namespace: namespace, Labels: t.Metadata.Labels}
	if a := pod.Affinity; a != nil {
		r.Peers, r.PreferPeers = a.NodeAffinity.terms()
		r.Near, r.PreferNear = a.PodAffinity.terms(namespace)
		r.Apart, r.PreferApart = a.PodAntiAffinity.terms(namespace)
	}
	for i := range pod.TopologySpreadConstraints {
		if s := &pod.TopologySpreadConstraints[i]; s.LabelSelector != nil {
			r.Spread = append(r.Spread, s.rule())
		}
	}
	for i := range pod.Tolerations {
		r.Tolerations = append(r.Tolerations, pod.Tolerations[i].rule())
	}
	return r
}

func (a *nodeAffinity) terms() (required, preferred []placement.PeerTerm) {
	if a == nil {
		return nil, nil
	}
	if a.Required != nil {
		for _, t := range a.Required.Terms {
			required = append(required, t.rule(0))
		}
	}
	for _, p := range a.Preferred {
		preferred = append(preferred, p.Preference.rule(p.Weight))
	}
	return required, preferred
}

func (t *nodeTerm) rule(weight int64) placement.PeerTerm {
	term := placement.PeerTerm{Weight: int32(weight)}
	for _, r := range t.MatchExpressions {
		term.Labels = append(term.Labels, placement.Requirement{Key: r.Key, Operator: placement.Operator(r.Operator), Values: r.Values})
	}
	for _, r := range t.MatchFields {
		term.Names = append(term.Names, placement.Requirement{Key: r.Key, Operator: placement.Operator(r.Operator), Values: r.Values})
	}
	return term
}

func (a *podAffinity) terms(namespace string) (required, preferred []placement.ReplicaTerm) {
	if a == nil {
		return nil, nil
	}
	for i := range a.Required {
		required = append(required, a.Required[i].rule(namespace, 0))
	}
	for i := range a.Preferred {
		preferred = append(preferred, a.Preferred[i].Term.rule(namespace, a.Preferred[i].Weight))
	}
	return required, preferred
}

func (t *podTerm) rule(namespace string, weight int64) placement.ReplicaTerm {
	namespaces := []string{namespace}
	if len(t.Namespaces) > 0 {
		namespaces = slices.Compact(slices.Sorted(slices.Values(t.Namespaces)))
	}
	return placement.ReplicaTerm{Namespaces: namespaces, Labels: t.LabelSelector.requirements(), TopologyKey: t.TopologyKey, Weight: int32(weight)}
}

// requirements are a selector's conditions; none hold for everything. Sorted by key, those of matchLabels first.
func (s *labelSelector) requirements() []placement.Requirement {
	if s == nil {
		return nil
	}
	var all []placement.Requirement
	for _, key := range sortedKeys(s.MatchLabels) {
		all = append(all, placement.Requirement{Key: key, Operator: placement.In, Values: []string{s.MatchLabels[key]}})
	}
	for _, r := range s.MatchExpressions {
		all = append(all, placement.Requirement{Key: r.Key, Operator: placement.Operator(r.Operator), Values: r.Values})
	}
	slices.SortStableFunc(all, func(a, b placement.Requirement) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

func (s *spread) rule() placement.Spread {
	return placement.Spread{
		TopologyKey:    s.TopologyKey,
		Labels:         s.LabelSelector.requirements(),
		MaxSkew:        int32(s.MaxSkew),
		MinDomains:     int32(*orDefault(s.MinDomains, 0)),
		Required:       s.WhenUnsatisfiable == "DoNotSchedule",
		IgnoreAffinity: s.NodeAffinityPolicy == "Ignore",
		HonorTaints:    s.NodeTaintsPolicy == "Honor",
	}
}

func (t *toleration) rule() placement.Toleration {
	rule := placement.Toleration{Key: t.Key, Exists: t.Operator == "Exists", Value: t.Value, Effect: placement.Effect(t.Effect), For: placement.Forever}
	if t.TolerationSeconds != nil {
		rule.For = seconds(*t.TolerationSeconds)
	}
	return rule
}

// seconds is a span; what is negative is none, and what no clock reaches is for ever.
func seconds(n int64) time.Duration {
	if n > int64(placement.Forever/time.Second) {
		return placement.Forever
	}
	return time.Duration(max(n, 0)) * time.Second
}

// asks sums up what the containers of a template ask for.
func (w *Workload) asks(pod *podSpec) {
	devices := map[string]int64{}
	for i := range pod.Containers {
		c := &pod.Containers[i]
		w.RequestCPUMillis += c.request("cpu").Millis()
		w.RequestMemoryBytes += c.request("memory").Whole()
		w.RequestStorageBytes += c.request("ephemeral-storage").Whole()
		w.RequestPids += c.request("pids").Whole()
		for name, limit := range c.Resources.Limits {
			if extended(name) {
				devices[name] += limit.Whole()
			}
		}
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				w.Ports = append(w.Ports, placement.Port{IP: p.hostIP(), Number: uint16(p.HostPort), Protocol: p.Protocol})
			}
		}
	}
	for _, name := range sortedKeys(devices) {
		if devices[name] > 0 {
			w.Devices = append(w.Devices, placement.Amount{Name: name, Count: devices[name]})
		}
	}
	slices.SortFunc(w.Ports, comparePorts)
}

func comparePorts(a, b placement.Port) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.IP, b.IP))
}

// hostIP is empty for all addresses.
func (p *containerPort) hostIP() string {
	if p.HostIP == "0.0.0.0" || p.HostIP == "::" {
		return ""
	}
	return p.HostIP
}

// text is a port for messages: "8080/TCP".
func (p *containerPort) text() string { return strconv.FormatInt(p.HostPort, 10) + "/" + p.Protocol }
