package placement

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// growing is a cluster in which what was applied begins to run bit by bit, while peers are lost, come back and change.
type growing struct {
	*rand.Rand
	v    View
	runs map[ReplicaID]bool
}

func newGrowing(seed uint64) *growing {
	g := &growing{Rand: rand.New(rand.NewPCG(seed, 1)), runs: map[ReplicaID]bool{}}
	g.v.Now = noon
	for n := range 40 {
		room := Resources{CPUMillis: 1000 << (n % 3), MemoryBytes: 2 << 30 << (n % 3)}
		g.v.Peers = append(g.v.Peers, Peer{ID: PeerID(fmt.Sprint("p", n)), Live: true, Steady: true, Room: room})
	}
	for w := range 4 {
		g.want(w, 60)
	}
	return g
}

// want asks for replicas of a workload.
func (g *growing) want(workload, replicas int) {
	id := WorkloadID(fmt.Sprint("w", workload))
	var wanted []Wanted
	for _, w := range g.v.Wanted {
		if w.Workload != id {
			wanted = append(wanted, w)
		}
	}
	for n := range replicas {
		wanted = append(wanted, Wanted{Replica: ReplicaID(fmt.Sprint(id, "-", n)), Workload: id, Revision: "r",
			Request: Resources{CPUMillis: int64(50 * (1 + workload)), MemoryBytes: 64 << 20}})
	}
	g.v.Wanted = wanted
}

// change lets something happen: some of what the plan has placed begins to run, or a peer becomes another.
func (g *growing) change(plan Plan) {
	peer := &g.v.Peers[g.IntN(len(g.v.Peers))]
	switch g.IntN(6) {
	case 0:
		peer.Live = !peer.Live
	case 1:
		peer.Health = 1 - peer.Health
	case 2:
		peer.Room.CPUMillis += 500
	case 3:
		g.want(g.IntN(4), 30+g.IntN(60))
	default:
		for a := range plan.Assignments.All() {
			if a.Peer != "" && !g.runs[a.Replica] && g.IntN(8) == 0 {
				g.runs[a.Replica] = true
				g.v.Incumbents = append(g.v.Incumbents, Incumbent{Replica: a.Replica, Revision: a.Revision, Peer: a.Peer,
					Request: Resources{CPUMillis: 50, MemoryBytes: 64 << 20}, Young: true, Since: noon.Add(-time.Minute)})
			}
		}
	}
}

// TestFirstsAreKept: where a planner remembers the first peers of hash orders its plans are those of the views all the same.
func TestFirstsAreKept(t *testing.T) {
	kept := 0
	for seed := range uint64(12) {
		g, p := newGrowing(seed), toldPlanner{Planner: NewPlanner()}
		for step := range 25 {
			p.tell(g.v)
			plan := p.Plan(g.v.Now)
			if diff := diffOf(g.v.Plan(), plan); diff != "" {
				t.Fatalf("seed %d, step %d: %s", seed, step, diff)
			}
			for _, first := range p.board.firsts {
				if first != nil && first != askedOnce {
					kept++
				}
			}
			g.change(plan)
		}
	}
	if kept == 0 {
		t.Error("nothing was ever kept")
	}
}

// Which of two is the larger depends on the room there is: where memory is lost with a peer, what needs much of it comes first.
func TestTheLargestFirstAfterALoss(t *testing.T) {
	p := toldPlanner{Planner: NewPlanner()}
	v := View{Now: noon, Peers: []Peer{
		{ID: "a", Live: true, Steady: true, Room: Resources{CPUMillis: 1000, MemoryBytes: 1000 << 20}},
		{ID: "b", Live: true, Steady: true, Room: Resources{CPUMillis: 9000, MemoryBytes: 1000 << 20}},
	}, Wanted: []Wanted{
		{Replica: "cpu-0", Workload: "cpu", Revision: "r", Request: Resources{CPUMillis: 800, MemoryBytes: 500 << 20}},
		{Replica: "memory-0", Workload: "memory", Revision: "r", Request: Resources{CPUMillis: 500, MemoryBytes: 600 << 20}},
	}}
	p.tell(v)
	p.Plan(noon)
	v.Peers[1].Live = false
	p.SetPeer(v.Peers[1])
	plan := p.Plan(noon)
	if difference := diffOf(v.Plan(), plan); difference != "" {
		t.Fatalf("planned otherwise than anew:\n%s", difference)
	}
	if a := plan.Assignments.Of("cpu-0"); a == nil || a.Peer != "a" {
		t.Errorf("%+v, want it on a", a)
	}
}
