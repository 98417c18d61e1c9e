package placement

import (
	"fmt"
	"time"

	"pgregory.net/rapid"
)

// drawView draws a small world in which every rule has something to bite on.
func drawView(t *rapid.T) View {
	v := View{Now: time.Unix(1000, 0)}
	for i := range rapid.IntRange(1, 6).Draw(t, "peers") {
		v.Peers = append(v.Peers, drawPeer(t, i))
	}
	replicas := 0
	for n := range rapid.IntRange(1, 4).Draw(t, "workloads") {
		rules := drawRules(t)
		w := Wanted{Workload: WorkloadID(fmt.Sprint("w", n)), Revision: "a", Rules: rules, NodeSelector: drawSelector(t),
			Ports: drawPorts(t), Devices: drawDevices(t)}
		if rapid.IntRange(0, 9).Draw(t, "pinned") == 0 {
			w.Only = v.Peers[0].ID
		}
		for range rapid.IntRange(1, 3).Draw(t, "replicas") {
			w.Replica = ReplicaID(fmt.Sprintf("w%d-%d", n, replicas))
			v.Wanted = append(v.Wanted, w)
			replicas++
		}
	}
	for range rapid.IntRange(0, 6).Draw(t, "incumbents") {
		v.Incumbents = append(v.Incumbents, drawIncumbent(t, v))
	}
	if rapid.Bool().Draw(t, "refuses") {
		v.Refusals = []Refusal{{Replica: rapid.SampledFrom(v.Wanted).Draw(t, "refused").Replica, Revision: "a", Peer: v.Peers[0].ID,
			Soft: rapid.Bool().Draw(t, "soft"), Until: v.Now.Add(time.Second)}}
	}
	return v
}

func drawPeer(t *rapid.T, i int) Peer {
	p := Peer{ID: PeerID(fmt.Sprint("p", i)), Name: fmt.Sprint("p", i), Labels: map[string]string{}, Live: rapid.IntRange(0, 5).Draw(t, "live") > 0}
	for _, key := range []string{"zone", "disk", "cores"} {
		if value := rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(t, key); value != "" {
			p.Labels[key] = value
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "host") > 0 {
		p.Labels["host"] = p.Name
	}
	bits := rapid.IntRange(0, 15).Draw(t, "bits")
	p.Draining, p.Cordoned, p.Damped = bits == 0, bits == 1, bits == 2
	for range rapid.IntRange(0, 1).Draw(t, "taints") {
		p.Taints = append(p.Taints, Taint{Key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "taint"), Value: rapid.SampledFrom([]string{"", "x"}).Draw(t, "value"),
			Effect: rapid.SampledFrom([]Effect{NoSchedule, PreferNoSchedule, NoExecute}).Draw(t, "effect"), For: time.Duration(rapid.IntRange(0, 2).Draw(t, "for")) * time.Minute})
	}
	if rapid.Bool().Draw(t, "gpu") {
		p.Devices = []Amount{{"gpu", int64(rapid.IntRange(1, 3).Draw(t, "gpus"))}}
	}
	return p
}

func drawIncumbent(t *rapid.T, v View) Incumbent {
	w := rapid.SampledFrom(v.Wanted).Draw(t, "held")
	held := Incumbent{Replica: w.Replica, Revision: rapid.SampledFrom([]Revision{"a", "old"}).Draw(t, "revision"), Ports: w.Ports, Devices: w.Devices,
		Peer: rapid.SampledFrom(v.Peers).Draw(t, "holder").ID, Ready: true, Stopping: rapid.Bool().Draw(t, "stopping")}
	if rapid.IntRange(0, 3).Draw(t, "unwanted") == 0 {
		held.Replica = "gone-0"
	}
	return held
}

func drawSelector(t *rapid.T) map[string]string {
	if rapid.IntRange(0, 3).Draw(t, "selector") > 0 {
		return nil
	}
	return map[string]string{"disk": rapid.SampledFrom([]string{"1", "2"}).Draw(t, "disk")}
}

func drawPorts(t *rapid.T) []Port {
	if rapid.IntRange(0, 2).Draw(t, "port") > 0 {
		return nil
	}
	return []Port{{IP: rapid.SampledFrom([]string{"", "0.0.0.0", "10.0.0.1", "10.0.0.2"}).Draw(t, "ip"), Number: uint16(rapid.IntRange(80, 81).Draw(t, "number")),
		Protocol: rapid.SampledFrom([]string{"TCP", "UDP"}).Draw(t, "protocol")}}
}

func drawDevices(t *rapid.T) []Amount {
	if rapid.Bool().Draw(t, "device") {
		return nil
	}
	return []Amount{{rapid.SampledFrom([]string{"gpu", "gpu", "tpu"}).Draw(t, "name"), int64(rapid.IntRange(0, 2).Draw(t, "count"))}}
}

func drawRules(t *rapid.T) *Rules {
	r := &Rules{Namespace: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "namespace"),
		Labels: map[string]string{"app": rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "app")}}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "affinity") {
		r.Peers = append(r.Peers, drawPeerTerm(t))
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "preferences") {
		term := drawPeerTerm(t)
		term.Weight = int32(rapid.IntRange(1, 100).Draw(t, "weight"))
		r.PreferPeers = append(r.PreferPeers, term)
	}
	r.Near, r.Apart = drawTerms(t, "near"), drawTerms(t, "apart")
	r.PreferNear, r.PreferApart = drawTerms(t, "prefernear"), drawTerms(t, "preferapart")
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "spread") {
		r.Spread = append(r.Spread, Spread{TopologyKey: drawKey(t), Labels: drawRequirements(t, "app"), MaxSkew: int32(rapid.IntRange(1, 2).Draw(t, "skew")),
			MinDomains: int32(rapid.IntRange(0, 3).Draw(t, "domains")), Required: rapid.IntRange(0, 3).Draw(t, "required") > 0,
			IgnoreAffinity: rapid.Bool().Draw(t, "ignore"), HonorTaints: rapid.Bool().Draw(t, "honor")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "tolerations") {
		r.Tolerations = append(r.Tolerations, Toleration{Key: rapid.SampledFrom([]string{"a", "b", "node.kubernetes.io/unschedulable"}).Draw(t, "key"),
			Exists: rapid.Bool().Draw(t, "exists"), Value: rapid.SampledFrom([]string{"", "x"}).Draw(t, "value"),
			Effect: rapid.SampledFrom([]Effect{"", NoSchedule, NoExecute}).Draw(t, "effect"), For: rapid.SampledFrom([]time.Duration{0, time.Minute, Forever}).Draw(t, "for")})
	}
	return r
}

func drawKey(t *rapid.T) string {
	return rapid.SampledFrom([]string{"zone", "host"}).Draw(t, "topology")
}

func drawTerms(t *rapid.T, name string) []ReplicaTerm {
	var terms []ReplicaTerm
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, name) {
		terms = append(terms, ReplicaTerm{Namespaces: rapid.SampledFrom([][]string{nil, {"x"}, {"x", "y"}}).Draw(t, "namespaces"),
			Labels: drawRequirements(t, "app"), TopologyKey: drawKey(t), Weight: int32(rapid.IntRange(1, 100).Draw(t, "weight"))})
	}
	return terms
}

func drawPeerTerm(t *rapid.T) PeerTerm {
	term := PeerTerm{Labels: drawRequirements(t, "cores")}
	if rapid.IntRange(0, 4).Draw(t, "names") == 0 {
		term.Names = []Requirement{{Key: "metadata.name", Operator: rapid.SampledFrom([]Operator{In, NotIn}).Draw(t, "in"), Values: []string{"p0"}}}
	}
	return term
}

func drawRequirements(t *rapid.T, key string) []Requirement {
	var all []Requirement
	for range rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(t, "requirements") {
		r := Requirement{Key: key, Operator: rapid.SampledFrom([]Operator{In, In, In, NotIn, Exists, DoesNotExist, Gt, Lt}).Draw(t, "operator")}
		switch r.Operator {
		case In, NotIn:
			r.Values = rapid.SampledFrom([][]string{{"1"}, {"2"}, {"1", "2"}, {"3", "3"}}).Draw(t, "values")
		case Gt, Lt:
			r.Values = []string{rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "bound")}
		}
		all = append(all, r)
	}
	return all
}
