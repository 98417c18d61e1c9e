package placement

import (
	"fmt"
	"testing"
)

// fleet is a view of equal peers and of workloads with ten replicas each, none of them placed.
func fleet(peers, replicas int) View {
	var v View
	for i := range peers {
		v.Peers = append(v.Peers, Peer{
			ID: PeerID(fmt.Sprintf("%064x", i)), Name: fmt.Sprintf("p%d", i), Live: true,
			Room: Resources{CPUMillis: 4000 << (i % 3), MemoryBytes: 8 << 30 << (i % 3)},
		})
	}
	for i := range replicas {
		v.Wanted = append(v.Wanted, Wanted{
			Replica: ReplicaID(fmt.Sprintf("default/w%d-%d", i/10, i%10)), Workload: WorkloadID(fmt.Sprintf("Deployment/default/w%d", i/10)),
			Revision: "a", Request: Resources{CPUMillis: 250, MemoryBytes: 256 << 20},
		})
	}
	return v
}

// carryOut is the view after every assignment for which arrived says yes has become a ready incumbent, admitted not long ago.
func carryOut(v View, plan Plan, arrived func(Assignment) bool) View {
	request := make(map[ReplicaID]Resources)
	for _, w := range v.Wanted {
		request[w.Replica] = w.Request
	}
	v.Incumbents = append([]Incumbent(nil), v.Incumbents...)
	for a := range plan.Assignments.All() {
		if a.Peer != "" && a.Rule != Stays && arrived(*a) {
			v.Incumbents = append(v.Incumbents, Incumbent{Replica: a.Replica, Revision: a.Revision, Peer: a.Peer, Request: request[a.Replica], Ready: true, Young: true})
		}
	}
	return v
}

// list is what a plan assigns.
func list(plan Plan) (all []Assignment) {
	for a := range plan.Assignments.All() {
		all = append(all, *a)
	}
	return all
}

func all(Assignment) bool { return true }

func BenchmarkPlan(b *testing.B) {
	for _, size := range []struct{ peers, replicas int }{{5, 50}, {100, 2000}, {1000, 20000}} {
		empty := fleet(size.peers, size.replicas)
		full := carryOut(empty, empty.Plan(), all)
		name := fmt.Sprintf("peers=%d/replicas=%d", size.peers, size.replicas)
		b.Run(name+"/nothing-placed", func(b *testing.B) { benchmarkPlan(b, empty) })
		b.Run(name+"/all-placed", func(b *testing.B) { benchmarkPlan(b, full) })
		lost := full
		lost.Peers = append([]Peer(nil), full.Peers...)
		lost.Peers[1].Live = false
		b.Run(name+"/one-lost", func(b *testing.B) { benchmarkPlan(b, lost) })
	}
}

func benchmarkPlan(b *testing.B, v View) {
	b.ReportAllocs()
	for b.Loop() {
		v.Plan()
	}
	b.ReportMetric(float64(len(v.Wanted))*float64(b.N)/b.Elapsed().Seconds(), "replicas/s")
}
