package placement

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// wide draws views like views, with more of what can be in them.
func wide(t *rapid.T) View {
	v := views(t, false)
	for i := range v.Peers {
		widenPeer(t, &v.Peers[i])
	}
	for i := range v.Wanted {
		widenWanted(t, &v, i)
	}
	for i := range v.Incumbents {
		in := &v.Incumbents[i]
		in.Young, in.Arriving = rapid.Bool().Draw(t, "young"), rapid.IntRange(0, 3).Draw(t, "arriving") == 0
	}
	for i := range v.Refusals {
		v.Refusals[i].Soft = rapid.Bool().Draw(t, "soft")
	}
	return v
}

func widenPeer(t *rapid.T, p *Peer) {
	seldom := func(what string) bool { return rapid.IntRange(0, 7).Draw(t, what) == 0 }
	p.Steady = rapid.Bool().Draw(t, "steady")
	p.Came = time.Time{}
	if rapid.Bool().Draw(t, "came") {
		p.Came = noon
	}
	p.Cordoned, p.Damped = seldom("cordoned"), seldom("damped")
	if !p.Live {
		p.LostFor = time.Duration(rapid.IntRange(0, 2).Draw(t, "lost for")) * time.Minute
	}
	if seldom("tainted") {
		effect := rapid.SampledFrom([]Effect{NoSchedule, PreferNoSchedule, NoExecute}).Draw(t, "effect")
		p.Taints = []Taint{{Key: "dedicated", Value: "db", Effect: effect}}
	}
}

func widenWanted(t *rapid.T, v *View, i int) {
	w := &v.Wanted[i]
	if i > 0 && v.Wanted[i-1].Workload == w.Workload { // most is the same for all of a workload
		o := &v.Wanted[i-1]
		w.Rules, w.Priority, w.LostWait, w.NeverDisplace, w.MostMoving, w.Ports = o.Rules, o.Priority, o.LostWait, o.NeverDisplace, o.MostMoving, o.Ports
	} else {
		w.Priority = int32(rapid.IntRange(0, 2).Draw(t, "priority"))
		w.LostWait = time.Duration(rapid.IntRange(0, 2).Draw(t, "lost wait")) * time.Minute
		w.NeverDisplace = rapid.IntRange(0, 3).Draw(t, "never displaces") == 0
		w.MostMoving = rapid.IntRange(0, 3).Draw(t, "moving")
		w.Rules = rulesFor(t, w.Workload)
		if rapid.IntRange(0, 7).Draw(t, "port") == 0 {
			w.Ports = []Port{{Number: 80, Protocol: "TCP"}}
		}
	}
	if len(v.Peers) > 0 && rapid.IntRange(0, 7).Draw(t, "pinned") == 0 {
		w.Only = rapid.SampledFrom(v.Peers).Draw(t, "only").ID
	}
}

func rulesFor(t *rapid.T, workload WorkloadID) *Rules {
	own := []Requirement{{Key: "app", Operator: In, Values: []string{string(workload)}}}
	r := &Rules{Namespace: "default", Labels: map[string]string{"app": string(workload), "tier": "any"}}
	any := []Requirement{{Key: "tier", Operator: Exists}}
	switch rapid.IntRange(0, 9).Draw(t, "rules") {
	case 0, 1, 2, 3:
		return nil
	case 4:
		r.Apart = []ReplicaTerm{{Labels: own, TopologyKey: "disk"}}
	case 5:
		r.Near = []ReplicaTerm{{Labels: any, TopologyKey: "disk"}}
	case 6:
		r.Spread = []Spread{{TopologyKey: "disk", Labels: own, MaxSkew: 1, Required: rapid.Bool().Draw(t, "required")}}
	case 7:
		r.PreferApart = []ReplicaTerm{{Labels: any, TopologyKey: "disk", Weight: 50}}
	case 8:
		r.Tolerations = []Toleration{{Key: "dedicated", Exists: true, For: Forever}}
	}
	return r
}

// toldPlanner is a planner that was told a view.
type toldPlanner struct {
	*Planner
	v View
}

func (p *toldPlanner) tell(v View) {
	for _, peer := range v.Peers {
		p.SetPeer(peer)
	}
	byWorkload, held, refused := map[WorkloadID][]Wanted{}, map[PeerID][]Incumbent{}, map[PeerID][]Refusal{}
	for _, w := range v.Wanted {
		byWorkload[w.Workload] = append(byWorkload[w.Workload], w)
	}
	for _, w := range p.v.Wanted {
		byWorkload[w.Workload] = append(byWorkload[w.Workload], nil...)
	}
	for _, in := range v.Incumbents {
		held[in.Peer] = append(held[in.Peer], in)
	}
	for _, r := range v.Refusals {
		refused[r.Peer] = append(refused[r.Peer], r)
	}
	for _, before := range p.v.Peers {
		if !slices.ContainsFunc(v.Peers, func(peer Peer) bool { return peer.ID == before.ID }) {
			p.DropPeer(before.ID)
		}
	}
	for workload, wanted := range byWorkload {
		p.SetWanted(workload, wanted)
	}
	for _, peer := range v.Peers {
		p.SetHeld(peer.ID, held[peer.ID], refused[peer.ID])
	}
	p.v = v
}

// diffOf is how two plans differ.
func diffOf(x, y Plan) string {
	type all struct {
		list   []Assignment
		shifts int
		digest [32]byte
	}
	return cmp.Diff(all{list(x), x.Shifts, x.Digest}, all{list(y), y.Shifts, y.Digest}, cmp.AllowUnexported(all{}))
}

// TestPlannerEqualsPlan: however a view came about, the planner's plan is that of the view.
func TestPlannerEqualsPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &toldPlanner{Planner: NewPlanner()}
		v := wide(t)
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			p.tell(v)
			plan := p.Plan(v.Now)
			if diff := diffOf(v.Plan(), plan); diff != "" {
				t.Fatalf("the planner's plan differs:\n%s", diff)
			}
			before := list(plan)
			v = altered(t, v)
			p.tell(v)
			if again := p.Plan(v.Now); again.Digest != v.Plan().Digest {
				t.Fatalf("another digest")
			}
			if diff := cmp.Diff(before, list(plan)); diff != "" {
				t.Fatalf("a plan was changed afterwards:\n%s", diff)
			}
			if rapid.Bool().Draw(t, "all anew") {
				v = wide(t)
			}
		}
	})
}

// altered is a view in which one thing changed.
func altered(t *rapid.T, v View) View {
	v.Peers, v.Wanted, v.Incumbents, v.Refusals = slices.Clone(v.Peers), slices.Clone(v.Wanted), slices.Clone(v.Incumbents), slices.Clone(v.Refusals)
	switch change := rapid.IntRange(0, 6).Draw(t, "change"); {
	case change == 0 && len(v.Peers) > 0:
		p := &v.Peers[rapid.IntRange(0, len(v.Peers)-1).Draw(t, "peer")]
		p.Live = !p.Live
	case change == 1 && len(v.Peers) > 0:
		p := &v.Peers[rapid.IntRange(0, len(v.Peers)-1).Draw(t, "peer")]
		p.Room.CPUMillis += 500
		widenPeer(t, p)
	case change == 2 && len(v.Wanted) > 0:
		at := rapid.IntRange(0, len(v.Wanted)-1).Draw(t, "from")
		v.Wanted = slices.Delete(v.Wanted, at, min(len(v.Wanted), at+rapid.IntRange(1, 3).Draw(t, "fewer")))
	case change == 3 && len(v.Wanted) > 0:
		w := &v.Wanted[rapid.IntRange(0, len(v.Wanted)-1).Draw(t, "wanted")]
		w.Revision, w.Request.CPUMillis = "c", 100
	case change == 4 && len(v.Incumbents) > 0:
		in := &v.Incumbents[rapid.IntRange(0, len(v.Incumbents)-1).Draw(t, "incumbent")]
		in.Ready, in.Stopping = !in.Ready, rapid.Bool().Draw(t, "stopping")
	case change == 5:
		v.Now = v.Now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "later")) * time.Second)
	default:
		return carryOut(v, v.Plan(), func(Assignment) bool { return rapid.Bool().Draw(t, "done") })
	}
	return v
}

// TestPlannerAfterTightRoom: a plan that gave up the hash order for want of room leaves no trace in the next one.
func TestPlannerAfterTightRoom(t *testing.T) {
	v := fleet(2, 0)
	v.Peers[1].Room = v.Peers[0].Room
	for n, parts := range []int64{5, 5, 4, 3, 3} { // spread evenly, the last does not fit any more
		request := Resources{CPUMillis: v.Peers[0].Room.CPUMillis / 10 * parts, MemoryBytes: v.Peers[0].Room.MemoryBytes / 10 * parts}
		v.Wanted = append(v.Wanted, workloadAs(WorkloadID(fmt.Sprintf("Deployment/default/w%d", n)), 1, request)...)
	}
	p := tellAll(v)
	plan := p.Plan(v.Now)
	if i := slices.IndexFunc(list(plan), func(a Assignment) bool { return a.Peer == "" }); i >= 0 {
		t.Errorf("%s is pending", list(plan)[i].Replica)
	}
	if !slices.ContainsFunc(list(plan), func(a Assignment) bool { return a.Rule == BestFit }) {
		t.Error("nothing gave up the hash order")
	}
	v = View{Peers: v.Peers, Now: v.Now}
	for n := range 20 {
		v.Wanted = append(v.Wanted, workloadAs(WorkloadID(fmt.Sprintf("Deployment/default/w%d", n)), 1, Resources{CPUMillis: 100, MemoryBytes: 1 << 20})...)
	}
	p.tell(v)
	if diff := diffOf(v.Plan(), p.Plan(v.Now)); diff != "" {
		t.Errorf("the planner's plan differs:\n%s", diff)
	}
}

// TestRebalancingEnds: carrying out plan after plan comes to an end, in which every steady peer in good health has its share, or nothing that is
// there could go to it.
func TestRebalancingEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := fleet(rapid.IntRange(2, 8).Draw(t, "peers"), rapid.IntRange(1, 40).Draw(t, "replicas"))
		for i := range v.Peers {
			v.Peers[i].Steady = true
			v.Peers[i].Live = rapid.IntRange(0, 3).Draw(t, "live") > 0
		}
		v = v.Foresee(Future{Balance: true}).View
		for i := range v.Peers {
			v.Peers[i].Live, v.Peers[i].Came = true, noon
			v.Peers[i].Health = Health(rapid.IntRange(0, 4).Draw(t, "health") / 3)
		}
		end := v.Foresee(Future{Balance: true})
		if !end.Still {
			t.Fatalf("it never ends")
		}
		b := newBoard(end.View)
		for i := range b.stay {
			b.decideStay(int32(i))
		}
		b.solve()
		for _, from := range v.Peers {
			for _, to := range v.Peers {
				checkEven(t, b, b.peerAt[from.ID], b.peerAt[to.ID])
			}
		}
	})
}

// checkEven: all requests are equal, so that one more on a peer with too little must make it as full as the one that it could come from.
func checkEven(t *rapid.T, b *board, from, to int32) {
	one, f, g := loadOf(Resources{CPUMillis: 250, MemoryBytes: 256 << 20}), &b.sites[from], &b.sites[to]
	if b.peers[to].Health > 0 || g.fullness(load{}) >= whole-deadBand || f.fullness(load{}) <= whole {
		return
	}
	if g.fullness(one) < f.fullness(load{}) && b.wanted[0].Request.fits(g.left) {
		for _, i := range b.order {
			m := &balancing{board: b, on: b.placed(), sick: b.peers[from].Health > 0 && f.fullness(load{}) > whole+deadBand, full: make([]int64, len(b.peers))}
			m.full[to] = g.fullness(load{})
			if b.place[i] == from && m.leaves(m.loads[i], from, to, false) && m.suits(i, from, to) {
				t.Fatalf("%s has %d, %s has %d millionths of its share", b.peers[from].Name, f.fullness(load{}), b.peers[to].Name, g.fullness(load{}))
			}
		}
	}
}

// TestRebalancingIsWhole: nothing that could be moved is left over, unless as much as may be is on its way.
func TestRebalancingIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := View{Now: noon}
		for i := range rapid.IntRange(3, 12).Draw(t, "peers") {
			size := rapid.Int64Range(1, 4).Draw(t, "room")
			p := Peer{ID: PeerID(fmt.Sprint("p", i)), Live: true, Steady: true, Room: Resources{CPUMillis: size * 1000, MemoryBytes: size << 30}}
			if rapid.IntRange(0, 2).Draw(t, "came") == 0 {
				p.Came = noon
			}
			v.Peers = append(v.Peers, p)
		}
		var old []PeerID
		for _, p := range v.Peers {
			if p.Came.IsZero() {
				old = append(old, p.ID)
			}
		}
		for n := range rapid.IntRange(1, 4).Draw(t, "workloads") {
			w := Wanted{Workload: WorkloadID(fmt.Sprint("w", n)), Revision: "a", MostMoving: 1000,
				Request: Resources{CPUMillis: rapid.Int64Range(1, 300).Draw(t, "cpu"), MemoryBytes: rapid.Int64Range(1, 300).Draw(t, "memory") << 20}}
			for k := range rapid.IntRange(1, 60).Draw(t, "replicas") {
				w.Replica = ReplicaID(fmt.Sprint("w", n, "-", k))
				v.Wanted = append(v.Wanted, w)
				if len(old) > 0 {
					v.Incumbents = append(v.Incumbents, Incumbent{Replica: w.Replica, Revision: "a", Request: w.Request, Ready: true,
						Peer: rapid.SampledFrom(old).Draw(t, "holder"), Since: noon.Add(-time.Hour)})
				}
			}
		}
		b := newBoard(v)
		for i := range b.stay {
			b.decideStay(int32(i))
		}
		b.solve()
		moved := len(b.from)
		if b.rebalance(); len(b.from) > moved && moved < len(v.Wanted)/inMotion {
			t.Fatalf("%d of %d are moved, and then %d more", moved, len(v.Wanted), len(b.from)-moved)
		}
	})
}

// TestTheFullestGives: each move is from the peer that is the fullest then.
func TestTheFullestGives(t *testing.T) {
	v := fleet(3, 200)
	for i := range v.Wanted {
		w := &v.Wanted[i]
		w.MostMoving = 1000
		v.Incumbents = append(v.Incumbents, Incumbent{Replica: w.Replica, Revision: w.Revision, Request: w.Request, Ready: true, Peer: v.Peers[i%2].ID, Since: noon.Add(-time.Hour)})
	}
	for i := range v.Peers {
		v.Peers[i].Steady, v.Peers[i].Room = true, Resources{CPUMillis: 1 << 20, MemoryBytes: 1 << 50}
	}
	v.Peers[2].Came = noon
	from := map[PeerID]int{}
	for a := range v.Plan().Assignments.All() {
		from[a.From]++
	}
	if from[v.Peers[0].ID] != 5 || from[v.Peers[1].ID] != 5 {
		t.Errorf("moved from: %v; want 5 from each of two, a twentieth of all", from)
	}
}

// TestBudgets: no more than a twentieth of all and no more of a workload than it allows are on their way at once.
func TestBudgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := fleet(rapid.IntRange(2, 8).Draw(t, "peers"), rapid.IntRange(1, 100).Draw(t, "replicas"))
		for i := range v.Wanted {
			v.Wanted[i].MostMoving = 1 + i/10%3
		}
		for i := range v.Peers {
			v.Peers[i].Steady, v.Peers[i].Live, v.Peers[i].Came = true, i > 0, noon
		}
		v = carryOut(v, v.Plan(), all)
		v.Peers[0].Live = true
		for range 5 {
			plan := v.Plan()
			checkBudgets(t, v, plan)
			v = carryOut(v, plan, func(Assignment) bool { return rapid.Bool().Draw(t, "begun") })
			for i := range v.Incumbents {
				in := &v.Incumbents[i]
				in.Arriving = slices.ContainsFunc(v.Incumbents, func(o Incumbent) bool { return o.Replica == in.Replica && o.Peer != in.Peer }) && in.Peer == v.Peers[0].ID
			}
		}
	})
}

func checkBudgets(t *rapid.T, v View, plan Plan) {
	all, of := 0, map[WorkloadID]int{}
	for i, a := range list(plan) {
		if a.Rule != Moving && a.Rule != Rebalance {
			continue
		}
		all++
		of[a.Workload]++
		if of[a.Workload] > v.Wanted[slices.IndexFunc(v.Wanted, func(w Wanted) bool { return w.Replica == a.Replica })].MostMoving {
			t.Fatalf("%d of %s move, the last is %d: %+v", of[a.Workload], a.Workload, i, a)
		}
	}
	if all > max(1, len(v.Wanted)/20) {
		t.Fatalf("%d of %d move", all, len(v.Wanted))
	}
}

// TestDisplacement: nobody is displaced by an equal, everybody who is displaced makes room where the displacer goes, and carrying the plans out ends.
func TestDisplacement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := wide(t)
		plan, priority := v.Plan(), map[ReplicaID]int64{"": math.MaxInt64}
		for _, w := range v.Wanted {
			priority[w.Replica] = int64(w.Priority)
		}
		makes, places := map[ReplicaID]ReplicaID{}, placesOf(plan)
		for a := range plan.Assignments.All() {
			for _, other := range a.Makes {
				makes[other] = a.Replica
				if priority[other] >= priority[a.Replica] || a.Rule != Displaces {
					t.Fatalf("%+v displaces %s", a, other)
				}
			}
		}
		for a := range plan.Assignments.All() {
			if a.By != "" && makes[a.Replica] == "" {
				t.Fatalf("%s was displaced by %s, which does not say so", a.Replica, a.By)
			}
			if a.By != "" && a.Peer == places[a.By] {
				t.Fatalf("%s makes room on %s and is to be there: %+v", a.Replica, a.Peer, a)
			}
		}
	})
}

// TestRestIsLeftAlone: in a cluster at rest, neither the loss of a peer nor what is applied or deleted moves anything for the balance, also where
// all have come not long ago, but before what runs.
func TestRestIsLeftAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := fleet(rapid.IntRange(2, 12).Draw(t, "peers"), 0)
		for i := range v.Peers {
			v.Peers[i].Steady, v.Peers[i].Came = true, noon
		}
		for n := range rapid.IntRange(1, 12).Draw(t, "workloads") {
			size := rapid.Int64Range(1, 20).Draw(t, "size")
			v.Wanted = append(v.Wanted, workloadAs(WorkloadID(fmt.Sprintf("Deployment/default/w%d", n)), rapid.IntRange(1, 9).Draw(t, "replicas"),
				Resources{CPUMillis: 100 * size, MemoryBytes: 128 << 20 * (21 - size)})...)
		}
		then := Future{Balance: true, Now: noon.Add(time.Minute)}
		v = v.Foresee(then).View
		switch rapid.IntRange(0, 2).Draw(t, "change") {
		case 0:
			v.Peers[rapid.IntRange(0, len(v.Peers)-1).Draw(t, "lost")].Live = false
		case 1:
			v.Wanted = append(v.Wanted, workloadAs("Deployment/default/new", 5, Resources{CPUMillis: 300, MemoryBytes: 300 << 20})...)
		case 2:
			v.Wanted = v.Wanted[len(v.Wanted)/2:]
		}
		for _, begun := range v.Foresee(then).Begun {
			if begun.Rule == Rebalance {
				t.Fatalf("%+v", begun)
			}
		}
	})
}

// TestPinnedVictimGoes: what belongs to one peer alone and makes room there is not sent back with the room that it makes.
func TestPinnedVictimGoes(t *testing.T) {
	p := Peer{ID: "p", Live: true, Room: Resources{CPUMillis: 1000, MemoryBytes: 1 << 30}}
	each := Wanted{Replica: "each-p", Workload: "each", Revision: "a", Request: Resources{CPUMillis: 600}, Only: "p"}
	v := View{Peers: []Peer{p}, Wanted: []Wanted{each, {Replica: "vip-0", Workload: "vip", Revision: "a", Request: Resources{CPUMillis: 800}, Priority: 1}}}
	v.Incumbents = []Incumbent{{Replica: "each-p", Revision: "a", Peer: "p", Request: each.Request, Ready: true}}
	for range 2 {
		places := placesOf(v.Plan())
		if places["vip-0"] != "p" || places["each-p"] != "" {
			t.Errorf("got %v", places)
		}
		v.Incumbents[0].Stopping = true
	}
}

func TestPlannerSaysTheSameAgain(t *testing.T) {
	v := fleet(10, 100)
	p := &toldPlanner{Planner: NewPlanner()}
	p.tell(v)
	before := p.Plan(noon)
	p.SetPeer(v.Peers[3])
	if after := p.Plan(noon.Add(time.Hour)); before.Assignments.At(0) != after.Assignments.At(0) {
		t.Error("a new plan though nothing changed")
	}
	v.Peers[3].Labels = map[string]string{"a": "b"}
	p.SetPeer(v.Peers[3])
	if after := p.Plan(noon); before.Assignments.At(0) != after.Assignments.At(0) || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("a new plan though no assignment changed")
	}
}

// TestPlansShareWhatIsEqual: a plan has pages of its own only where something changed, and an order of its own only where other replicas are wanted.
func TestPlansShareWhatIsEqual(t *testing.T) {
	v := fleet(20, 1000)
	v = v.Foresee(Future{}).View
	p := tellAll(v)
	before := p.Plan(noon)
	gone := v.Peers[3]
	gone.Live = false
	held := 0
	for _, in := range v.Incumbents {
		if in.Peer == gone.ID {
			held++
		}
	}
	p.SetPeer(gone)
	lost := p.Plan(noon)
	if own := ownPages(lost, before); own == 0 || own > held {
		t.Errorf("%d pages are new after the loss of %d replicas", own, held)
	}
	if &lost.Assignments.order[0] != &before.Assignments.order[0] {
		t.Error("the order is new after a loss")
	}
	p.SetWanted("Deployment/default/new", workloadAs("Deployment/default/new", pageSize, Resources{CPUMillis: 100}))
	if own := ownPages(p.Plan(noon), lost); own == 0 || own > 2 {
		t.Errorf("%d pages are new after %d replicas were applied", own, pageSize)
	}
}

// ownPages is how many pages a plan does not share with another.
func ownPages(plan, other Plan) (own int) {
	for _, p := range plan.Assignments.pages {
		if !slices.Contains(other.Assignments.pages, p) {
			own++
		}
	}
	return own
}

// TestPeersDiffer: a planner hears of a change of anything that there is to say of a peer.
func TestPeersDiffer(t *testing.T) {
	other := Peer{ID: "p", Name: "p", Room: Resources{CPUMillis: 1}, Devices: []Amount{{"gpu", 1}}, Health: 1, Labels: map[string]string{"a": "b"},
		Taints: []Taint{{Key: "a"}}, Live: true, LostFor: 1, Draining: true, Cordoned: true, Damped: true, Steady: true, Came: noon}
	for n := range reflect.TypeFor[Peer]().NumField() {
		var p, changed Peer
		field := reflect.ValueOf(&changed).Elem().Field(n)
		field.Set(reflect.ValueOf(other).Field(n))
		if field.IsZero() || p.equal(&changed) || !changed.equal(&changed) {
			t.Errorf("nobody hears of a change of %s", reflect.TypeFor[Peer]().Field(n).Name)
		}
	}
}
