package placement

import (
	"fmt"
	"testing"
)

// BenchmarkDecide places 50,000 replicas of 5,000 workloads on peers of three sizes, from nothing.
func BenchmarkDecide(b *testing.B) {
	for _, peers := range []int{1000, 5000} {
		v := fleet(peers, 50000)
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Plan()
			}
			b.ReportMetric(float64(len(v.Wanted))*float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}

// tellAll makes a planner of a view.
func tellAll(v View) *toldPlanner {
	p := &toldPlanner{Planner: NewPlanner()}
	p.tell(v)
	return p
}

// BenchmarkReplan plans a cluster of 1,000 peers and 50,000 replicas, 85 % full, again: after a loss, and after changes that are a matter of
// every minute.
func BenchmarkReplan(b *testing.B) {
	v := crowd(1000, 50000)
	v = v.Foresee(Future{}).View
	held := map[PeerID][]Incumbent{}
	for _, in := range v.Incumbents {
		held[in.Peer] = append(held[in.Peer], in)
	}
	b.Run("from-nothing", func(b *testing.B) {
		for b.Loop() {
			tellAll(v).Plan(noon)
		}
	})
	b.Run("loss", func(b *testing.B) {
		p := tellAll(v)
		p.Plan(noon)
		for n := 0; b.Loop(); n++ {
			peer := v.Peers[n%len(v.Peers)]
			peer.Live = false
			p.SetPeer(peer)
			plan := p.Plan(noon)
			b.StopTimer()
			if len(plan.Assignments) != len(v.Wanted) {
				b.Fatal("not all planned")
			}
			p.SetPeer(v.Peers[n%len(v.Peers)])
			p.Plan(noon)
			b.StartTimer()
		}
	})
	b.Run("row", func(b *testing.B) {
		p := tellAll(v)
		p.Plan(noon)
		for n := 0; b.Loop(); n++ {
			peer := v.Peers[n%len(v.Peers)].ID
			again := append([]Incumbent(nil), held[peer]...)
			again[0].Ready = n/len(v.Peers)%2 == 1
			p.SetHeld(peer, again, nil)
			p.Plan(noon)
		}
	})
	b.Run("apply", func(b *testing.B) {
		p := tellAll(v)
		p.Plan(noon)
		for n := 0; b.Loop(); n++ {
			web := WorkloadID(fmt.Sprintf("Deployment/default/new%d", n))
			p.SetWanted(web, workloadAs(web, 10, Resources{CPUMillis: 100, MemoryBytes: 128 << 20}))
			p.Plan(noon)
		}
	})
}

// crowd is a fleet that is 85 % full of workloads of many sizes, each with rules of its own.
func crowd(peers, replicas int) View {
	v := fleet(peers, 0)
	var cpu, memory int64
	for _, p := range v.Peers {
		cpu, memory = cpu+p.Room.CPUMillis, memory+p.Room.MemoryBytes
	}
	for n := 0; len(v.Wanted) < replicas; n++ {
		scale := int64(1 + mix(uint64(n))%8) // mean 4.5
		request := Resources{CPUMillis: cpu / int64(replicas) * scale * 85 / 450, MemoryBytes: memory / int64(replicas) * int64(1+mix(uint64(-n))%8) * 85 / 450}
		v.Wanted = append(v.Wanted, workloadAs(WorkloadID(fmt.Sprintf("Deployment/default/w%d", n)), 10, request)...)
	}
	for i := range v.Peers {
		v.Peers[i].Steady = true
	}
	return v
}

func workloadAs(workload WorkloadID, replicas int, request Resources) (all []Wanted) {
	name := workload[len("Deployment/"):]
	rules := &Rules{Namespace: "default", Labels: map[string]string{"app": string(name)}}
	for i := range replicas {
		all = append(all, Wanted{Replica: ReplicaID(fmt.Sprintf("%s-%d", name, i)), Workload: workload, Revision: "a", Request: request, Rules: rules})
	}
	return all
}
