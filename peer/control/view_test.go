package control

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/gossip"
	"shoal/peer/wire"
	"shoal/placement"
)

// slowView is everything that a plan is made from, word for word; empty where nothing is wanted.
func slowView(m *Machine) string {
	if len(m.planner.base) == 0 {
		return ""
	}
	m.buildView()
	v := &m.planner.view
	text := ""
	for _, p := range v.Peers {
		if len(p.Labels) == 0 {
			p.Labels = nil
		}
		text += fmt.Sprintf("peer %+v\n", p)
	}
	for _, in := range v.Incumbents {
		text += fmt.Sprintf("holds %+v\n", in)
	}
	for _, r := range v.Refusals {
		text += fmt.Sprintf("refuses %s %s %s %s %t\n", r.Peer, r.Replica, r.Revision, r.Reason, r.Soft)
	}
	for _, b := range m.budgetsInForce() {
		text += fmt.Sprintf("%s %+v %d\n", b.Key, b.Selector, b.Desired(10))
	}
	for _, s := range m.planner.spans {
		if s.from == s.to {
			continue
		}
		text += fmt.Sprintf("asks frozen=%t surge=%d\n", s.object.frozen, s.object.workload.MaxSurge)
		for _, want := range m.planner.base[s.from:s.to] {
			bare := *want
			bare.Rules = nil
			text += fmt.Sprintf("  %+v %+v\n", bare, want.Rules)
		}
	}
	return text
}

// TestViewDigest lets members, rows and workloads change at random: the digest that is kept up on the way tells two views
// apart exactly when they differ, and equal views have equal plans.
func TestViewDigest(t *testing.T) {
	views := map[ViewDigest]string{}
	digests := map[string]ViewDigest{}
	plans := map[ViewDigest]placement.Plan{}
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld()
		if err := w.start(nil); err != nil {
			r.Fatal(err)
		}
		w.machine.Step(MemberChanged{memberNamed("p2", gossip.Alive)})
		if err := w.apply([]string{"web", "replicas=1"}); err != nil {
			r.Fatal(err)
		}
		for range rapid.IntRange(1, 30).Draw(r, "steps") {
			changeView(r, w)
			w.flush()
			m := w.machine
			digest, view := m.viewDigest(), slowView(m)
			if before, known := views[digest]; known && before != view {
				r.Fatalf("two views have the digest %s:\n%s\n%s", digest, before, view)
			}
			if before, known := digests[view]; known && before != digest {
				r.Fatalf("one view has the digests %s and %s:\n%s", before, digest, view)
			}
			if m.planner.digest != digest {
				r.Fatalf("planned %s, and the view is %s", m.planner.digest, digest)
			}
			if whole, fed := list(m.PlacementView().Plan()), list(m.planner.plan); fmt.Sprint(whole) != fmt.Sprint(fed) {
				r.Fatalf("what changed was planned as\n%+v\nand all of it as\n%+v\nof\n%s", fed, whole, view)
			}
			if before, known := plans[digest]; known && before.Digest != m.planner.plan.Digest {
				r.Fatalf("two plans of one view:\n%s", view)
			}
			views[digest], digests[view], plans[digest] = view, digest, m.planner.plan
		}
	})
	if len(views) < 100 {
		t.Errorf("only %d views", len(views))
	}
}

// changePlacing changes what intent says of how to place.
func changePlacing(r *rapid.T, w *world) {
	name := rapid.SampledFrom([]string{"p1", "p2"}).Draw(r, "node")
	switch rapid.IntRange(0, 7).Draw(r, "placing") {
	case 0:
		_ = w.nodeVerb([]string{name, "label=disk:ssd"}) // or it was written already: then nothing changes
	case 1:
		_ = w.nodeVerb([]string{name, "taint=only:db:NoExecute"})
	case 2:
		_ = w.nodeVerb([]string{name, "cordon", "drain"})
	case 3:
		_ = w.drop([]string{kindNode, name})
	case 4:
		_ = w.budgetVerb([]string{"calm", "of=web", "max=1"})
	case 5:
		_ = w.drop([]string{kindBudget, "calm"})
	case 6:
		_ = w.classVerb([]string{"gold", rapid.SampledFrom([]string{"10", "20"}).Draw(r, "value")})
	case 7:
		_ = w.daemons([]string{"log", "cpu=100m", "tolerate=only:5"})
	}
}

// changeView draws from few values, so that one view comes about on many ways.
func changeView(r *rapid.T, w *world) {
	name := rapid.SampledFrom([]string{"p2", "p3"}).Draw(r, "peer")
	web := rapid.SampledFrom([]string{"web", "api"}).Draw(r, "workload")
	switch rapid.IntRange(0, 18).Draw(r, "change") {
	default:
		w.sequences["p2"]++
		w.sendRow("p2", 1, wire.EncodeObservation(drawnRow(r)))
	case 5, 6, 7:
		changePlacing(r, w)
	case 8:
		_ = w.apply([]string{web, "replicas=2", "priority=gold", "lost-wait=10s", "device=1"})
	case 9:
		w.elapsed += time.Duration(rapid.IntRange(1, 10).Draw(r, "seconds")) * time.Second
	case 0:
		member := memberNamed(name, rapid.SampledFrom([]gossip.State{gossip.Alive, gossip.Suspect, gossip.Failed, gossip.Left}).Draw(r, "state"))
		member.Health = gossip.Health(rapid.IntRange(0, 1).Draw(r, "health"))
		w.machine.Step(MemberChanged{member})
	case 1:
		w.sequences[name]++
		w.sendRow(name, 1, wire.EncodeObservation(drawnRow(r)))
	case 2:
		_ = w.apply([]string{web, fmt.Sprint("replicas=", rapid.IntRange(0, 2).Draw(r, "replicas")), fmt.Sprint("cpu=", rapid.IntRange(1, 2).Draw(r, "cpu"), "000m")}) // or it is stale: then nothing changes
	case 3:
		_ = w.delete([]string{web}) // or there is none
	case 4:
		w.room.CPUMillis = int64(rapid.IntRange(1, 2).Draw(r, "room")) * 2000
		w.machine.Step(SelfChanged{Room: w.room})
	}
}

// drawnRow differs from a plain row in at most two things.
func drawnRow(r *rapid.T) wire.Observation {
	web := wire.Instance{ID: "web", Replica: "default/web-0", Revision: "r1", State: "Running", Ready: true,
		CPUMillis: 1000, Memory: 64 << 20, Workload: "Deployment/default/web", Since: 1}
	o := wire.Observation{CPUMillis: 4000, Memory: 4 << 30, At: 1, Instances: []wire.Instance{web}}
	for range 2 {
		switch in := &o.Instances[0]; rapid.IntRange(0, 19).Draw(r, "differs") {
		case 1:
			o.Draining = true
		case 2:
			o.Labels = map[string]string{"disk": "ssd"}
		case 3:
			o.CPUMillis = 2000
		case 4:
			o.At = 2
		case 5:
			in.Replica = "default/web-1"
		case 6:
			in.Revision = "r2"
		case 7:
			in.Ready = false
		case 8:
			in.State = string(Stopping)
		case 9:
			in.Since = 2
		case 10:
			in.CPUMillis = 500
		case 11:
			o.Refusals = append(o.Refusals, wire.Refusal{Replica: "default/web-0", Revision: "r1", Reason: "NoRoom", ForMillis: 30_000})
		case 13:
			o.Steady = true
		case 14:
			o.Devices, in.Devices = map[string]int64{"example.com/gpu": 1}, []wire.Amount{{Name: "example.com/gpu", Count: 1}}
		case 15:
			in.Ports = []wire.HostPort{{Number: 80}}
		case 16:
			in.Arriving = true
		case 17:
			in.Young = true
		case 18:
			o.Refusals = append(o.Refusals, wire.Refusal{Replica: "default/web-0", Revision: "r1", Reason: "NoRoom", ForMillis: 30_000, Soft: true})
		case 19:
			o.Storage, in.Storage = 10, 5
		case 12:
			o.Refusals = append(o.Refusals, wire.Refusal{Replica: "default/web-0", Revision: "r2", Reason: "NoRoom", ForMillis: 30_000})
		}
	}
	return o
}

func list(plan placement.Plan) (all []placement.Assignment) {
	for a := range plan.Assignments.All() {
		all = append(all, *a)
	}
	return all
}
