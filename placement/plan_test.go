package placement

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// views draws views with everything that can be in them. Requests are of one size when uniform.
func views(t *rapid.T, uniform bool) View {
	v := View{Now: noon}
	for i := range rapid.IntRange(0, 8).Draw(t, "peers") {
		p := Peer{ID: PeerID(fmt.Sprintf("peer%d", i)), Name: fmt.Sprintf("p%d", i)}
		p.Room = Resources{CPUMillis: rapid.Int64Range(0, 40).Draw(t, "cpu") * 100, MemoryBytes: rapid.Int64Range(0, 8).Draw(t, "memory") << 29}
		p.Health = Health(rapid.IntRange(0, 3).Draw(t, "health"))
		p.Live = rapid.IntRange(0, 5).Draw(t, "live") > 0
		p.Draining = rapid.IntRange(0, 7).Draw(t, "draining") == 0
		if rapid.Bool().Draw(t, "labelled") {
			p.Labels = map[string]string{"disk": rapid.SampledFrom([]string{"ssd", "hdd"}).Draw(t, "label")}
		}
		v.Peers = append(v.Peers, p)
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "workloads") {
		v.Wanted = append(v.Wanted, workloadOf(t, i, uniform)...)
	}
	for _, w := range v.Wanted {
		for _, p := range v.Peers {
			drawHistory(t, &v, w, p)
		}
	}
	return v
}

func workloadOf(t *rapid.T, i int, uniform bool) []Wanted {
	request := Resources{CPUMillis: 300, MemoryBytes: 100 << 20}
	if !uniform {
		request = Resources{CPUMillis: rapid.Int64Range(0, 15).Draw(t, "asks") * 100, MemoryBytes: rapid.Int64Range(0, 3).Draw(t, "asks") << 28}
	}
	var selector map[string]string
	if rapid.IntRange(0, 3).Draw(t, "selects") == 0 {
		selector = map[string]string{"disk": "ssd"}
	}
	var all []Wanted
	for n := range rapid.IntRange(0, 8).Draw(t, "replicas") {
		all = append(all, Wanted{
			Replica: ReplicaID(fmt.Sprintf("default/w%d-%d", i, n)), Workload: WorkloadID(fmt.Sprintf("Deployment/default/w%d", i)),
			Revision: "b", Request: request, NodeSelector: selector,
		})
	}
	return all
}

// drawHistory adds what a peer may have to do with a replica: an incumbent, a refusal.
func drawHistory(t *rapid.T, v *View, w Wanted, p Peer) {
	revision := rapid.SampledFrom([]Revision{"a", "b", "b"})
	switch rapid.IntRange(0, 9).Draw(t, "history") {
	case 0, 1:
		v.Incumbents = append(v.Incumbents, Incumbent{
			Replica: w.Replica, Revision: revision.Draw(t, "revision"), Peer: p.ID, Request: w.Request,
			Ready: rapid.Bool().Draw(t, "ready"), Stopping: rapid.IntRange(0, 3).Draw(t, "stopping") == 0,
		})
	case 2:
		v.Refusals = append(v.Refusals, Refusal{
			Replica: w.Replica, Revision: revision.Draw(t, "revision"), Peer: p.ID, Reason: "no image",
			Until: noon.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "until")) * time.Second),
		})
	}
}

func placesOf(plan Plan) map[ReplicaID]PeerID {
	places := make(map[ReplicaID]PeerID)
	for a := range plan.Assignments.All() {
		places[a.Replica] = a.Peer
	}
	return places
}

func TestOrderOfInputMeansNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := views(t, false)
		w := View{
			Now: v.Now, Peers: rapid.Permutation(v.Peers).Draw(t, "peers"), Wanted: rapid.Permutation(v.Wanted).Draw(t, "wanted"),
			Incumbents: rapid.Permutation(v.Incumbents).Draw(t, "incumbents"), Refusals: rapid.Permutation(v.Refusals).Draw(t, "refusals"),
		}
		before := fmt.Sprintf("%+v", w)
		plan := v.Plan()
		if diff := diffOf(plan, w.Plan()); diff != "" {
			t.Fatalf("plans differ:\n%s", diff)
		}
		for a := range plan.Assignments.All() {
			if diff := cmp.Diff(v.Explain(plan, a.Replica), w.Explain(plan, a.Replica)); diff != "" {
				t.Fatalf("explanations of %s differ:\n%s", a.Replica, diff)
			}
		}
		if after := fmt.Sprintf("%+v", w); after != before {
			t.Fatalf("the view was changed")
		}
	})
}

// TestPlanKeepsTheRules checks every assignment against a slow reading of the rules.
func TestPlanKeepsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := views(t, false)
		plan := v.Plan()
		if !slices.IsSortedFunc(list(plan), func(x, y Assignment) int { return slices.Compare([]byte(x.Replica), []byte(y.Replica)) }) {
			t.Fatalf("assignments are not sorted")
		}
		for a := range plan.Assignments.All() {
			w := v.Wanted[slices.IndexFunc(v.Wanted, func(w Wanted) bool { return w.Replica == a.Replica })]
			var stayers []PeerID
			for _, held := range v.Incumbents {
				if held.Replica == a.Replica && slowlyMayStay(v, w, held) {
					stayers = append(stayers, held.Peer)
				}
			}
			switch {
			case len(stayers) > 0 && (a.Rule != Stays || !slices.Contains(stayers, a.Peer)):
				t.Fatalf("%s could stay on %v, is on %q", a.Replica, stayers, a.Peer)
			case len(stayers) == 0 && a.Rule == Stays:
				t.Fatalf("%s stays on %s without reason", a.Replica, a.Peer)
			case a.Peer == "" && a.Rule != "":
				t.Fatalf("%s is pending by rule %s", a.Replica, a.Rule)
			}
			if a.Peer != "" && a.Rule != Stays && (!slowlyOpen(v, w, a.Peer) || slowlyRefused(v, w, a.Peer)) {
				t.Fatalf("%s on %s, which is not fit", a.Replica, a.Peer)
			}
		}
	})
}

func slowlyOpen(v View, w Wanted, id PeerID) bool {
	for _, p := range v.Peers {
		if p.ID == id {
			return p.Live && !p.Draining && (w.NodeSelector == nil || p.Labels["disk"] == w.NodeSelector["disk"])
		}
	}
	return false
}

func slowlyRefused(v View, w Wanted, id PeerID) bool {
	return slices.ContainsFunc(v.Refusals, func(r Refusal) bool {
		return r.Replica == w.Replica && r.Revision == w.Revision && r.Peer == id && r.Until.After(v.Now)
	})
}

func slowlyMayStay(v View, w Wanted, held Incumbent) bool {
	return held.Revision == w.Revision && !held.Stopping && slowlyOpen(v, w, held.Peer) && (held.Ready || !slowlyRefused(v, w, held.Peer))
}

// TestRoomIsNotOverdrawn: where the plan sends something with a request, all that is held there and sent there fits.
func TestRoomIsNotOverdrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := views(t, false)
		left := make(map[PeerID]Resources)
		for _, p := range v.Peers {
			left[p.ID] = p.Room
		}
		for _, held := range v.Incumbents {
			left[held.Peer] = left[held.Peer].less(held.Request)
		}
		plan := v.Plan()
		sent := make(map[PeerID]Resources)
		for i, a := range list(plan) {
			w := v.Wanted[i] // drawn in the order of Replica
			if a.Replica != w.Replica {
				t.Fatalf("unexpected order")
			}
			if a.Peer != "" && a.Rule != Stays {
				left[a.Peer] = left[a.Peer].less(w.Request)
				sent[a.Peer] = Resources{CPUMillis: sent[a.Peer].CPUMillis + w.Request.CPUMillis, MemoryBytes: sent[a.Peer].MemoryBytes + w.Request.MemoryBytes}
			}
		}
		for id, amount := range sent {
			if amount.CPUMillis > 0 && left[id].CPUMillis < 0 || amount.MemoryBytes > 0 && left[id].MemoryBytes < 0 {
				t.Fatalf("%s is overdrawn: %+v after it was sent %+v", id, left[id], amount)
			}
		}
	})
}

// TestPendingMeansNoRoom: a pending replica fits nowhere, and why says so of every peer.
func TestPendingMeansNoRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := views(t, false)
		plan := v.Plan()
		for a := range plan.Assignments.All() {
			for _, verdict := range v.Explain(plan, a.Replica) {
				chosen := verdict.Peer == a.Peer
				if chosen != (verdict.Rule == Stays || verdict.Rule == Hash || verdict.Rule == BestFit) {
					t.Fatalf("%s is on %q, but the verdict on %s is %s", a.Replica, a.Peer, verdict.Peer, verdict.Rule)
				}
				if a.Peer == "" && (verdict.Rule == Later || verdict.Rule == HasShare || verdict.Rule == Surplus) {
					t.Fatalf("%s is pending although %s: %s %s", a.Replica, verdict.Peer, verdict.Rule, verdict.Detail)
				}
			}
		}
	})
}

// TestIdlePeerUnplacesNothing holds for equal requests, and for any where the new peer could run all.
// (For other mixes no greedy packing can promise it: Graham's anomalies.)
func TestIdlePeerUnplacesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uniform := rapid.Bool().Draw(t, "uniform")
		v := views(t, uniform)
		idle := Peer{ID: "idle", Live: true, Room: Resources{CPUMillis: 1 << 30, MemoryBytes: 1 << 50}, Labels: map[string]string{"disk": "ssd"}}
		if uniform {
			for i := range v.Wanted {
				v.Wanted[i].NodeSelector = nil
			}
			v.Refusals = nil
			idle.Room = Resources{CPUMillis: rapid.Int64Range(0, 10).Draw(t, "cpu") * 100, MemoryBytes: 1 << 30}
		}
		before := v.Plan()
		v.Peers = append(v.Peers, idle)
		after := placesOf(v.Plan())
		placedBefore, placedAfter := 0, 0
		for a := range before.Assignments.All() {
			if a.Rule == Stays && after[a.Replica] != a.Peer {
				t.Fatalf("%s moved from %s to %s", a.Replica, a.Peer, after[a.Replica])
			}
			if a.Peer != "" {
				placedBefore++
			}
			if after[a.Replica] != "" {
				placedAfter++
			}
		}
		if placedAfter < placedBefore {
			t.Fatalf("%d were placed, %d with an idle peer more", placedBefore, placedAfter)
		}
	})
}

func TestLosingPeerMovesOnlyItsReplicas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := views(t, false)
		v = carryOut(v, v.Plan(), all)
		before := v.Plan()
		if len(v.Peers) == 0 {
			return
		}
		lost := rapid.IntRange(0, len(v.Peers)-1).Draw(t, "lost")
		v.Peers = slices.Clone(v.Peers)
		v.Peers[lost].Live = false
		after := placesOf(v.Plan())
		for a := range before.Assignments.All() {
			if a.Peer != "" && a.Peer != v.Peers[lost].ID && after[a.Replica] != a.Peer {
				t.Fatalf("%s moved from %s to %s when %s was lost", a.Replica, a.Peer, after[a.Replica], v.Peers[lost].ID)
			}
		}
	})
}

// TestHalfCarriedOutIsTheSamePlan: peers that see the plan carried out by some and not yet by others do not
// change it, unless room is tight.
func TestHalfCarriedOutIsTheSamePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := views(t, false)
		plan := v.Plan()
		for a := range plan.Assignments.All() {
			if a.Peer == "" {
				return
			}
		}
		if slices.ContainsFunc(list(plan), func(a Assignment) bool { return a.Rule == BestFit }) {
			return
		}
		done := make(map[PeerID]bool)
		for _, p := range v.Peers {
			done[p.ID] = rapid.Bool().Draw(t, "done")
		}
		half := carryOut(v, plan, func(a Assignment) bool { return done[a.Peer] })
		if got := half.Plan(); got.Digest != plan.Digest {
			t.Fatalf("another plan:\n%s", cmp.Diff(placesOf(plan), placesOf(got)))
		}
	})
}

// TestBalance: on peers of equal room no peer has two replicas of a workload more than another that is fit for it.
func TestBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := fleet(rapid.IntRange(1, 20).Draw(t, "peers"), rapid.IntRange(1, 60).Draw(t, "replicas"))
		for i := range v.Peers {
			v.Peers[i].Room = Resources{CPUMillis: 64000, MemoryBytes: 1 << 40}
		}
		count := make(map[WorkloadID]map[PeerID]int)
		for a := range v.Plan().Assignments.All() {
			if count[a.Workload] == nil {
				count[a.Workload] = make(map[PeerID]int)
			}
			count[a.Workload][a.Peer]++
		}
		for workload, perPeer := range count {
			least, most := math.MaxInt, 0
			for _, p := range v.Peers {
				least, most = min(least, perPeer[p.ID]), max(most, perPeer[p.ID])
			}
			if most-least > 1 {
				t.Fatalf("%s: from %d to %d per peer", workload, least, most)
			}
		}
	})
}

// TestHashOrderOutlivesPeers: what comes or goes changes nothing about the order of the others.
func TestHashOrderOutlivesPeers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := views(t, false)
		if len(v.Peers) == 0 || len(v.Wanted) == 0 {
			return
		}
		replica := rapid.SampledFrom(v.Wanted).Draw(t, "replica").Replica
		gone := rapid.SampledFrom(v.Peers).Draw(t, "gone").ID
		before := slices.DeleteFunc(orderIn(v, replica), func(id PeerID) bool { return id == gone })
		v.Peers = slices.DeleteFunc(slices.Clone(v.Peers), func(p Peer) bool { return p.ID == gone })
		if after := orderIn(v, replica); !slices.Equal(before, after) {
			t.Fatalf("without %s: %v before, %v after", gone, before, after)
		}
	})
}

func orderIn(v View, replica ReplicaID) (order []PeerID) {
	b := newBoard(v)
	for _, p := range b.orderFor(b.wantedAt[replica]) {
		order = append(order, b.peers[p].ID)
	}
	return order
}

// TestHashFollowsWeights: the first of the hash order are spread in proportion to the weights, and so are the second after each first, within
// 5 standard deviations.
func TestHashFollowsWeights(t *testing.T) {
	v := fleet(9, 0)
	for i := range 9000 {
		v.Wanted = append(v.Wanted, Wanted{Replica: ReplicaID(fmt.Sprintf("single%d-0", i))})
	}
	b := newBoard(v)
	var count [9]float64
	var then [9][9]float64
	for i := range v.Wanted {
		order := b.orderFor(int32(i))
		count[order[0]]++
		then[order[0]][order[1]]++
	}
	total := 0.0
	for i := range b.sites {
		total += float64(b.sites[i].weight)
	}
	for i := range b.sites {
		weight := float64(b.sites[i].weight)
		checkShare(t, fmt.Sprintf("p%d", i), count[i], 9000, weight/total)
		for j := range b.sites {
			if j != i {
				checkShare(t, fmt.Sprintf("p%d after p%d", j, i), then[i][j], count[i], float64(b.sites[j].weight)/(total-weight))
			}
		}
	}
}

func checkShare(t *testing.T, name string, got, of, part float64) {
	want, deviation := of*part, math.Sqrt(of*part*(1-part))
	if math.Abs(got-want) > 5*deviation {
		t.Errorf("%s got %v of %v, wanted %.0f", name, got, of, want)
	}
}

func TestAbsurdNumbers(t *testing.T) {
	huge := Resources{CPUMillis: math.MaxInt64, MemoryBytes: math.MaxInt64}
	v := View{
		Now:   noon,
		Peers: []Peer{{ID: "a", Live: true, Room: Resources{CPUMillis: 1000, MemoryBytes: 1 << 30}}, {ID: "b", Live: true, Room: huge}},
		Wanted: []Wanted{
			{Replica: "x-0", Workload: "x", Revision: "r", Request: huge}, {Replica: "x-1", Workload: "x", Revision: "r", Request: huge},
			{Replica: "y-0", Workload: "y", Revision: "r", Request: Resources{CPUMillis: -1, MemoryBytes: math.MinInt64}},
		},
		Incumbents: []Incumbent{
			{Replica: "z-0", Peer: "a", Request: huge}, {Replica: "z-1", Peer: "a", Request: huge}, {Replica: "z-2", Peer: "a", Request: huge},
			{Replica: "z-3", Peer: "nobody", Request: huge},
		},
	}
	plan := v.Plan()
	places := placesOf(plan)
	if places["x-0"] != "b" || places["x-1"] != "" || places["y-0"] == "" {
		t.Errorf("got %v", places)
	}
	for _, replica := range []ReplicaID{"x-0", "x-1", "y-0"} {
		if len(v.Explain(plan, replica)) != 2 {
			t.Errorf("no full explanation of %s", replica)
		}
	}
	if v.Explain(plan, "stranger") != nil {
		t.Errorf("an explanation of what is not wanted")
	}
}

func TestEmptyView(t *testing.T) {
	if plan := (View{}).Plan(); plan.Assignments.Len() != 0 || plan.Digest != [32]byte{} {
		t.Errorf("got %+v", plan)
	}
}

// TestNegLog2 compares with exact logarithms: never below, at most 2e-7 above, and falling.
func TestNegLog2(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := rapid.Uint64Range(1, math.MaxUint64).Draw(t, "h")
		if rapid.Bool().Draw(t, "high") {
			h = max(^(h >> rapid.IntRange(0, 63).Draw(t, "shift")), 1)
		}
		got := float64(negLog2(h)) / (1 << logBits)
		exact := slowNegLog2(h)
		if got < exact-1e-12 || got > exact+2e-7 {
			t.Fatalf("-log2(%#x) = %v, got %v", h, exact, got)
		}
		if h < math.MaxUint64 && negLog2(h+1) > negLog2(h) {
			t.Fatalf("rises at %#x", h)
		}
	})
}

// slowNegLog2 is -log2(h/2^64) with a floating-point series around 1, where it matters.
func slowNegLog2(h uint64) float64 {
	if bits.LeadingZeros64(h) > 0 {
		return 64 - math.Log2(float64(h))
	}
	distance, _ := new(big.Float).Quo(new(big.Float).SetUint64(-h), new(big.Float).SetFloat64(math.Exp2(64))).Float64()
	return -math.Log1p(-distance) / math.Ln2
}

// TestEarlierIsAnOrder checks that the comparison behind every choice is strict, total and transitive.
func TestEarlierIsAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &board{}
		hashes := make([]uint64, 3)
		for i := range hashes {
			hashes[i] = ^(rapid.Uint64().Draw(t, "h") >> rapid.IntRange(0, 60).Draw(t, "shift"))
			b.sites = append(b.sites, site{weight: rapid.Uint64Range(1, weightMost).Draw(t, "w")})
		}
		before := func(x, y int32) bool { return b.earlier(hashes[x], x, hashes[y], y) }
		if before(0, 1) == before(1, 0) {
			t.Fatalf("%v of %v are not ordered", hashes, b.sites)
		}
		if before(0, 1) && before(1, 2) && !before(0, 2) {
			t.Fatalf("%v of %v: not transitive", hashes, b.sites)
		}
	})
}

// TestSlots: a replica's permutation of the slots is one, and is undone by placeOf.
func TestSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSeed(rapid.String().Draw(t, "replica"))
		var seen [1 << slotBits]bool
		for place := range 1 << slotBits {
			slot := s.slotAt(uint16(place))
			if seen[slot] || s.placeOf(slot) != uint16(place) {
				t.Fatalf("place %d: slot %d twice, or not undone", place, slot)
			}
			seen[slot] = true
		}
	})
}

// TestWalkFindsTheSame: the way along the hash order and the look at all peers make the same choice, also where something is preferred.
func TestWalkFindsTheSame(t *testing.T) {
	app := []Requirement{{"app", In, []string{"a"}}}
	for name, r := range map[string]*Rules{
		"none":   {},
		"peers":  {PreferPeers: []PeerTerm{{Labels: []Requirement{{"zone", In, []string{"z1", "z3"}}}, Weight: 10}}},
		"apart":  {PreferApart: []ReplicaTerm{{Labels: app, TopologyKey: "zone", Weight: 5}, {Labels: app, TopologyKey: "host", Weight: 100}}},
		"beside": {PreferNear: []ReplicaTerm{{Labels: app, TopologyKey: "host", Weight: 5}}},
		"near":   {PreferNear: []ReplicaTerm{{Labels: app, TopologyKey: "zone", Weight: 5}}},
		"spread": {Spread: []Spread{{TopologyKey: "zone", Labels: app, MaxSkew: 1}}},
	} {
		v := fleet(3*walkLeast, 300)
		for i := range v.Peers {
			v.Peers[i].Labels = map[string]string{"zone": fmt.Sprint("z", i%4), "host": v.Peers[i].Name}
			v.Peers[i].Health = Health(i % 5 / 3)
			v.Peers[i].Cordoned = i%7 == 0
			if i%3 > 0 {
				v.Peers[i].Room.MemoryBytes = 200 << 20 // too little for most
			}
		}
		r.Namespace, r.Labels = "default", map[string]string{"app": "a"}
		for i := range v.Wanted {
			v.Wanted[i].Rules = r
		}
		t.Run(name, func(t *testing.T) { checkWalks(t, v) })
	}
}

func checkWalks(t *testing.T, v View) {
	b := newBoard(v)
	b.solve()
	r, short := b.newRound(byHash), 0
	for i := range b.wanted[:250] {
		b.take(int32(i), b.place[i], false)
		a := r.ask(int32(i))
		want := r.bestOf(a, r.firstFit(a, a.ground.peers))
		best, walked := r.walk(a)
		if walked && best != want {
			t.Fatalf("%s: walked to %+v, the first choice is %+v", a.w.Replica, best, want)
		}
		drawn, found := r.drawnTo(a)
		if found && drawn != r.among(a, a.ground.peers) {
			t.Fatalf("%s: drawn to %+v, the first choice is %+v", a.w.Replica, drawn, want)
		}
		if walked || found {
			short++
		}
	}
	if short < 40 {
		t.Errorf("only %d of %d were found without a look at all", short, len(b.wanted))
	}
}

// TestPreferencesComeFirst: of the peers that are fit those count that cost least, and of these the first eight of the hash order.
func TestPreferencesComeFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBoard(wide(t))
		b.keep()
		b.shareOut()
		b.loadKept()
		r := b.newRound(byHash)
		for i := range b.wanted {
			if b.place[i] == nowhere && b.wanted[i].Only == "" {
				checkFirstChoices(t, r, r.ask(int32(i)))
				r.try(int32(i))
			}
		}
	})
}

func checkFirstChoices(t *rapid.T, r *round, a *asking) {
	var fit []near
	least := int64(math.MaxInt64)
	for _, peer := range a.ground.peers {
		if r.fits(a, peer) {
			fit, least = append(fit, near{peer, a.seed.hash(r.sites[peer].seed)}), min(least, a.costOn(peer))
		}
	}
	fit = slices.DeleteFunc(fit, func(n near) bool { return a.costOn(n.peer) > least })
	slices.SortFunc(fit, func(x, y near) int {
		if r.earlier(x.hash, x.peer, y.hash, y.peer) {
			return -1
		}
		return 1
	})
	if got, want := r.firstFit(a, a.ground.peers), fit[:min(len(fit), firstChoices)]; !slices.Equal(got, want) {
		t.Fatalf("%s: the first choices are %v, want %v", a.w.Replica, got, want)
	}
}

// TestGoldenHash pins the numbers on which peers of every version and architecture must agree.
func TestGoldenHash(t *testing.T) {
	s := newSeed("default/web-0")
	got := []uint64{seedOf("default/web-0"), mix(1), negLog2(1), negLog2(1 << 63), negLog2(math.MaxUint64 / 3), log2Table[1], log2Table[1023],
		uint64(s.slotAt(0)), uint64(s.slotAt(1)), s.hash(seedOf("p1")), s.hash(seedOf("p2"))}
	want := []uint64{0x53842afe623a6f1e, 0x5692161d100b05e5, 0x4000000000, 0x100000000, 0x195c01bad, 0x5c4994, 0xffd1d28e,
		0x6da, 0x4b56, 0xff15a107fba2c25b, 0xa52184b7ac31c550}
	if !slices.Equal(got, want) {
		t.Errorf("got %#x", got)
	}
}
