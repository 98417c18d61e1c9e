package placement

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// processorTime is what this process has used so far, of all processors and for all it does: other programs on the machine do not disturb it.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err) // only a wrong address can be at fault
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkDecide places 50,000 replicas of 5,000 workloads on peers of three sizes, from nothing.
func BenchmarkDecide(b *testing.B) {
	for _, peers := range []int{1000, 5000} {
		v := fleet(peers, 0)
		v.Wanted = crowd(peers, 50000).Wanted
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			b.ReportAllocs()
			before := processorTime()
			for b.Loop() {
				v.Plan()
			}
			b.ReportMetric(float64(len(v.Wanted))*float64(b.N)/(processorTime()-before).Seconds(), "decisions/cpu-s")
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
	v = v.Foresee(Future{Balance: true}).View
	held := map[PeerID][]Incumbent{}
	for _, in := range v.Incumbents {
		held[in.Peer] = append(held[in.Peer], in)
	}
	told := func() *toldPlanner {
		p := tellAll(v)
		p.Plan(noon)
		return p
	}
	b.Run("from-nothing", func(b *testing.B) {
		measured(b, 1, func(int) { told() })
	})
	b.Run("loss", func(b *testing.B) {
		p := told()
		measured(b, 20, func(n int) { // one goes, the one before comes back
			gone, back := v.Peers[n%len(v.Peers)], v.Peers[(n+len(v.Peers)-1)%len(v.Peers)]
			gone.Live = false
			p.SetPeer(back)
			p.SetPeer(gone)
			p.Plan(noon)
		})
	})
	b.Run("row", func(b *testing.B) {
		p := told()
		measured(b, 20, func(n int) {
			peer := v.Peers[n%len(v.Peers)].ID
			again := append([]Incumbent(nil), held[peer]...)
			again[0].Ready = n/len(v.Peers)%2 == 1
			p.SetHeld(peer, again, nil)
			p.Plan(noon)
		})
	})
	b.Run("return", func(b *testing.B) {
		back := returned(v, 50)
		p := tellAll(back)
		p.Plan(noon)
		peer := back.Peers[0].ID
		held := slices.DeleteFunc(slices.Clone(back.Incumbents), func(in Incumbent) bool { return in.Peer != peer })
		measured(b, 5, func(n int) { // a row comes meanwhile
			again := slices.Clone(held)
			again[0].Ready = n%2 == 1
			p.SetHeld(peer, again, nil)
			p.Plan(noon)
		})
		if p.last.Shifts < len(v.Wanted)/inMotion/2 {
			b.Errorf("%d moves", p.last.Shifts)
		}
	})
	b.Run("apply", func(b *testing.B) {
		p := told()
		measured(b, 20, func(n int) { // one is applied, the one before deleted
			web := func(n int) WorkloadID { return WorkloadID(fmt.Sprintf("Deployment/default/new%d", n)) }
			p.SetWanted(web(n-1), nil)
			p.SetWanted(web(n), workloadAs(web(n), 10, Resources{CPUMillis: 100, MemoryBytes: 128 << 20}))
			p.Plan(noon)
		})
	})
}

// returned is a view after the last so many peers were lost, what they ran went elsewhere, and they have come back, empty.
func returned(v View, number int) View {
	v.Peers = slices.Clone(v.Peers)
	back := v.Peers[len(v.Peers)-number:]
	for i := range back {
		back[i].Live = false
	}
	v = v.Foresee(Future{Wait: true}).View
	v.Peers = slices.Clone(v.Peers)
	back = v.Peers[len(v.Peers)-number:]
	came := map[PeerID]bool{}
	for i := range back {
		back[i].Live, back[i].Steady, back[i].Came = true, true, noon
		came[back[i].ID] = true
	}
	v.Incumbents = slices.DeleteFunc(slices.Clone(v.Incumbents), func(in Incumbent) bool { return came[in.Peer] })
	return v
}

// measured tells what a step costs of the processors.
func measured(b *testing.B, steps int, step func(n int)) {
	before, done := processorTime(), 0
	for b.Loop() {
		for range steps {
			step(done)
			done++
		}
	}
	b.ReportMetric(float64((processorTime()-before).Microseconds())/1e3/float64(done), "cpu-ms")
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
