package placement

import (
	"fmt"
	"testing"
)

// BenchmarkRules places 10,000 replicas of 2,000 workloads on 5,000 peers in 10 zones, with nothing but room to heed, and with rules.
func BenchmarkRules(b *testing.B) {
	for _, c := range []struct {
		name string
		set  func(*Rules)
	}{
		{"none", func(*Rules) {}},
		{"affinity", func(r *Rules) { r.Peers = []PeerTerm{{Labels: []Requirement{{"disk", In, []string{"ssd"}}}}} }},
		{"tolerations", func(r *Rules) { r.Tolerations = []Toleration{{Key: "dedicated", Exists: true, For: Forever}} }},
		{"apart", func(r *Rules) { r.Apart = []ReplicaTerm{itsOwn(r, "host")} }},
		{"spread", func(r *Rules) {
			r.Spread = []Spread{{TopologyKey: "zone", Labels: itsOwn(r, "").Labels, MaxSkew: 1, Required: true}}
		}},
		{"apart+spread", func(r *Rules) {
			r.Apart = []ReplicaTerm{itsOwn(r, "host")}
			r.Spread = []Spread{{TopologyKey: "zone", Labels: itsOwn(r, "").Labels, MaxSkew: 1, Required: true}}
		}},
		{"prefer-peers", func(r *Rules) {
			r.PreferPeers = []PeerTerm{{Labels: []Requirement{{"disk", In, []string{"ssd"}}}, Weight: 100}}
		}},
		{"prefer-near-zone", func(r *Rules) { r.PreferNear = []ReplicaTerm{preferred(itsOwn(r, "zone"))} }},
		{"prefer-near-host", func(r *Rules) { r.PreferNear = []ReplicaTerm{preferred(itsOwn(r, "host"))} }},
		{"prefer-spread", func(r *Rules) {
			r.Spread = []Spread{{TopologyKey: "zone", Labels: itsOwn(r, "").Labels, MaxSkew: 1}, {TopologyKey: "host", Labels: itsOwn(r, "").Labels, MaxSkew: 1}}
		}},
		{"prefer-apart", func(r *Rules) {
			r.PreferApart = []ReplicaTerm{preferred(itsOwn(r, "host"))}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			v := ruledFleet(c.set)
			before := processorTime()
			for b.Loop() {
				v.Plan()
			}
			b.ReportMetric(float64(b.N*len(v.Wanted))/(processorTime()-before).Seconds(), "decisions/cpu-s")
		})
	}
}

func itsOwn(r *Rules, key string) ReplicaTerm {
	return ReplicaTerm{Labels: []Requirement{{"app", In, []string{r.Labels["app"]}}}, TopologyKey: key}
}

func preferred(t ReplicaTerm) ReplicaTerm {
	t.Weight = 100
	return t
}

func ruledFleet(set func(*Rules)) View {
	v := fleet(5000, 10000)
	for i := range v.Peers {
		p := &v.Peers[i]
		p.Labels = map[string]string{"zone": fmt.Sprint("z", i%10), "host": string(p.ID), "disk": []string{"ssd", "hdd"}[i%2]}
	}
	var rules *Rules
	for i := range v.Wanted {
		if i%5 == 0 {
			rules = &Rules{Namespace: "default", Labels: map[string]string{"app": fmt.Sprint("app", i/5)}}
			set(rules)
		}
		v.Wanted[i].Workload, v.Wanted[i].Rules = WorkloadID(fmt.Sprintf("Deployment/default/w%05d", i/5)), rules
	}
	return v
}
