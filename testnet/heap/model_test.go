package heap

import (
	"slices"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/peer/replication"
	"shoal/runtime"
)

func TestEngineOrder(t *testing.T) {
	e := newEngine(1)
	var got []int
	add := func(n int) func() { return func() { got = append(got, n) } }
	e.after(2*time.Second, add(3))
	e.after(time.Second, func() {
		got = append(got, 1)
		e.after(0, add(2))
		e.after(-time.Hour, add(2))
	})
	e.after(2*time.Second, add(4))
	e.after(5*time.Second, add(5))
	e.runUntil(4 * time.Second)
	if !slices.Equal(got, []int{1, 2, 2, 3, 4}) || e.now != 4*time.Second {
		t.Errorf("got %v at %s", got, e.now)
	}
}

func TestEngineDraws(t *testing.T) {
	e := newEngine(7)
	hits := 0
	for range 10000 {
		if span := e.between(time.Second, 2*time.Second); span < time.Second || span >= 2*time.Second {
			t.Fatalf("drew %s", span)
		}
		if e.chance(0.25) {
			hits++
		}
	}
	if hits < 2300 || hits > 2700 || e.chance(0) {
		t.Errorf("a quarter was %d of 10000", hits)
	}
}

// quiet is a world with its own trouble switched off.
func quiet(peers int) *World { return New(Options{Seed: 3, Peers: peers}) }

func TestNetworkCuts(t *testing.T) {
	w := quiet(3)
	n := w.network
	if !n.joined(0, 1) {
		t.Error("not joined at first")
	}
	w.Split([]string{"p1"})
	if w.network.carries(0, 1) || !w.network.carries(1, 2) {
		t.Error("the split is wrong")
	}
	w.Heal()
	w.CutOneWay("p1", "p2")
	if n := w.network; n.carries(0, 1) || !n.carries(1, 0) || n.joined(0, 1) || !n.joined(0, 2) {
		t.Error("the one-way cut is wrong")
	}
}

// TestNetworkLossAndDoubles counts what arrives of many messages.
func TestNetworkLossAndDoubles(t *testing.T) {
	w := New(Options{Seed: 3, Peers: 2, Link: Link{LeastDelay: time.Millisecond, MostDelay: time.Second, Loss: 0.2, Doubled: 0.1}})
	w.Split([]string{"p1"})
	w.Run(10 * time.Second) // nothing of the peers' own is under way
	w.network.side = make([]int, 2)
	before := w.number
	for range 10000 {
		w.send(w.Peer("p1"), w.Peer("p2"), replication.Message{})
	}
	if sent := w.number - before; sent < 8600 || sent > 9400 { // 0.2 lost, 0.08 or so twice
		t.Errorf("%d of 10000 were sent", sent)
	}
}

func TestMembershipDetects(t *testing.T) {
	w := quiet(3)
	w.Run(3 * time.Second)
	state := func(observer, subject int) gossip.State { return w.membership.believed[observer][subject].state }
	if !w.membership.believed[0][1].known || state(0, 1) != gossip.Alive {
		t.Error("p1 does not know p2")
	}
	w.LosePower("p2")
	w.Run(w.options.Detection.LeastFailed - w.options.Detection.Suspicion - time.Millisecond)
	if state(0, 1) != gossip.Alive {
		t.Error("detected too early")
	}
	w.Run(w.options.Detection.MostFailed)
	if state(0, 1) != gossip.Failed || state(0, 2) != gossip.Alive {
		t.Error("not detected")
	}
	w.Start("p2")
	w.Run(time.Second)
	if state(0, 1) != gossip.Alive || state(1, 0) != gossip.Alive {
		t.Error("the return was not noticed")
	}
	must(t, w.Leave("p3", time.Second))
	w.Run(5 * time.Second)
	if state(0, 2) != gossip.Left {
		t.Errorf("the goodbye was not heard: %d", state(0, 2))
	}
}

// TestShortAbsenceIsNotNoticed: a program that is back before its absence was detected never failed.
func TestShortAbsenceIsNotNoticed(t *testing.T) {
	w := quiet(2)
	w.Run(3 * time.Second)
	w.KillProgram("p2", 100*time.Millisecond)
	for range 100 {
		w.Run(100 * time.Millisecond)
		if w.membership.believed[0][1].state != gossip.Alive {
			t.Fatal("noticed")
		}
	}
}

func webSpec() runtime.Spec {
	return runtime.Spec{Instance: "default.web-0.aa", Note: []byte(`{"Replica":"default/web-0","Workload":"Deployment/default/web","Revision":"aa","CPUMillis":7}`),
		Containers: []runtime.Container{{Name: "web", Image: "shoal.example/web:1", Readiness: &runtime.Probe{}}}}
}

func TestMachineClimbs(t *testing.T) {
	w := quiet(1)
	m := w.Peer("p1").machine
	spec := webSpec()
	act := func(kind control.ActionKind, generation uint64) control.Done {
		return m.perform(control.Action{Kind: kind, Instance: spec.Instance, Container: "web", Generation: generation, Spec: &spec})
	}
	if done := act(control.Start, 1); done.Err == nil || done.Err.Reason != runtime.NotFound {
		t.Errorf("started what was not prepared: %+v", done)
	}
	if done := act(control.Prepare, 0); done.Err != nil || !done.Address.IsValid() || done.Address != act(control.Prepare, 0).Address {
		t.Errorf("prepare: %+v", done)
	}
	if done := act(control.Start, 1); done.Err != nil || done.Status.Phase != runtime.Running || m.container(spec.Instance, "web").ready {
		t.Errorf("start: %+v", done)
	}
	if done := act(control.Start, 1); done.Err == nil || done.Err.Reason != runtime.Stale {
		t.Errorf("started a generation twice: %+v", done)
	}
	w.Run(w.options.Pace.MostReady)
	if got := w.PlacedOn("default/web-0"); !slices.Equal(got, []string{"p1"}) {
		t.Errorf("not ready: %v", got)
	}
	if got := w.Snapshot().Peers[0].Instances; len(got) != 1 || got[0].Replica != "default/web-0" || got[0].Revision != "aa" || got[0].Request.CPUMillis != 7 {
		t.Errorf("snapshot: %+v", got)
	}
	if done := act(control.Stop, 0); done.Status.Phase != runtime.Exited || done.Status.ExitCode != 143 {
		t.Errorf("stop: %+v", done)
	}
	act(control.Remove, 0)
	if done := act(control.Stop, 0); done.Err == nil || len(m.list()) != 0 {
		t.Errorf("removed, and still there: %+v", done)
	}
	clear(m.images)
	if done := act(control.Prepare, 0); done.Err == nil || done.Err.Reason != runtime.ImageMissing {
		t.Errorf("prepared without an image: %+v", done)
	}
}

// TestMachineOutlivesItsProgram: containers run on without the program, and end with the power.
func TestMachineOutlivesItsProgram(t *testing.T) {
	w := quiet(1)
	p := w.Peer("p1")
	spec := webSpec()
	p.machine.perform(control.Action{Kind: control.Prepare, Instance: spec.Instance, Spec: &spec})
	p.machine.perform(control.Action{Kind: control.Start, Instance: spec.Instance, Container: "web", Generation: 1})
	p.halt()
	c := p.machine.container(spec.Instance, "web")
	if c.status.Phase != runtime.Running {
		t.Fatal("the container ended with the program")
	}
	p.machine.exit(c, 3, "Error")
	if len(p.machine.ended) != 1 {
		t.Fatal("nobody would learn of an end without a program")
	}
	p.boot()
	if len(p.machine.ended) != 0 || p.machine.list()[0].Containers[0].ExitCode != 3 {
		t.Error("the next program was not told")
	}
	c.status.Phase = runtime.Running
	w.LosePower("p1")
	if c.status.Phase != runtime.Exited || c.status.Reason != "Lost" {
		t.Error("the container outlived the power")
	}
}

func TestDiskTakesBatchesWhole(t *testing.T) {
	d := newDisk()
	op := func(n uint64) crdt.Op {
		return crdt.Op{Key: Deployment("web"), Stamp: crdt.Stamp{Time: crdt.Time(n), Writer: "a"}}
	}
	d.commit(control.Persist{Put: []crdt.Op{op(2), op(1)}, Book: []gossip.Member{{Self: gossip.Self{ID: "b"}}, {Self: gossip.Self{ID: "a"}}}})
	d.commit(control.Persist{Put: []crdt.Op{op(3)}, Drop: []crdt.Op{op(2)}})
	boot, saved := d.load()
	if boot != 1 || len(saved.Ops) != 2 || saved.Ops[0].Stamp.Time != 1 || saved.Ops[1].Stamp.Time != 3 || len(saved.Book) != 2 || saved.Book[0].ID != "a" {
		t.Errorf("boot %d, %+v", boot, saved)
	}
	if boot, _ := d.load(); boot != 2 {
		t.Errorf("boot %d", boot)
	}
}

// TestDeathDuringCommit: an unanswered write is on disk or is not, and both happen.
func TestDeathDuringCommit(t *testing.T) {
	kept, lost := 0, 0
	for seed := range uint64(20) {
		w := New(Options{Seed: seed, Peers: 1, LeastCommit: time.Second, MostCommit: 2 * time.Second})
		w.Run(3 * time.Second)
		p := w.Peer("p1")
		p.feed(control.Write{Request: 1000, Key: Deployment("web"), Verb: crdt.Create, Changes: changesOf(t, webManifest(1, "blue"))})
		w.Run(time.Millisecond)
		if p.pending == nil {
			t.Fatal("no commit is under way")
		}
		p.halt()
		if len(p.disk.ops) > 0 {
			kept++
		} else {
			lost++
		}
	}
	if kept == 0 || lost == 0 {
		t.Errorf("%d kept, %d lost", kept, lost)
	}
}

func changesOf(t *testing.T, yaml string) []crdt.Change {
	t.Helper()
	documents, err := manifest.Decode("test.yaml", []byte(yaml))
	must(t, err)
	fields, err := manifest.Flatten(documents[0].Key.Kind, documents[0].Tree)
	must(t, err)
	return manifest.Apply(nil, manifest.Owner{Manager: "apply", User: "tester"}, fields)
}
