package control

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/manifest"
	"shoal/peer/wire"
	"shoal/placement"
	"shoal/runtime"
)

func startedWorld(t *testing.T, lines ...string) *world {
	t.Helper()
	w := newWorld()
	w.play(t, append([]string{"start"}, lines...)...)
	return w
}

// play does lines of a script.
func (w *world) play(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := w.do(words(line)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

// TestReplay feeds one script to two machines: everything put out must be equal, map orders or not.
func TestReplay(t *testing.T) {
	play := func() (outs []Output) {
		w := newWorld()
		w.room = gossip.Room{CPUMillis: 64_000, MemoryBytes: 64 << 30}
		if err := w.start(nil); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if err := w.apply([]string{fmt.Sprint("web", i), "replicas=3", "readiness=yes"}); err != nil {
				t.Fatal(err)
			}
			if err := w.member([]string{fmt.Sprint("p", i+2), "alive"}); err != nil {
				t.Fatal(err)
			}
		}
		for range 8 {
			w.elapsed += time.Second
			out := w.machine.Flush(Clock{Elapsed: w.elapsed, Wall: w.wall.Add(w.elapsed)})
			for _, a := range out.Actions {
				w.take(a)
				w.machine.Step(w.answer(a, nil))
			}
			outs = append(outs, out)
		}
		return outs
	}
	if a, b := play(), play(); !reflect.DeepEqual(a, b) {
		t.Error("two machines with equal events put out different things")
	}
}

// TestIdleFlush checks that a flush without news does nothing, and asks for the same wake.
func TestIdleFlush(t *testing.T) {
	w := startedWorld(t, "member p2 alive", "row p2", "apply web replicas=2", "run")
	wake := w.last.Wake
	if wake <= w.elapsed {
		t.Fatalf("wake %s at %s", wake, w.elapsed)
	}
	out := w.machine.Flush(Clock{Elapsed: w.elapsed, Wall: w.wall})
	if !reflect.DeepEqual(out, Output{Wake: wake, Version: w.last.Version}) {
		t.Errorf("got %+v", out)
	}
}

// TestVersionRises checks that what a reader can see and the version change together.
func TestVersionRises(t *testing.T) {
	w := startedWorld(t, "flush")
	last := w.machine.Version()
	for _, line := range []string{"apply web replicas=1", "done", "done", "member p2 alive", "row p2", "exit web-0 1", "room 5000 4096Mi"} {
		if err := w.do(words(line)); err != nil {
			t.Fatal(err)
		}
		w.flush()
		if now := w.machine.Version(); now <= last {
			t.Errorf("%s: version %d after %d", line, now, last)
		} else if now != w.last.Version {
			t.Errorf("%s: put out %d, read %d", line, w.last.Version, now)
		}
		last = w.machine.Version()
	}
	w.flush()
	if w.machine.Version() != last {
		t.Error("it rises without a change")
	}
}

// TestStampsRise checks that this writer's stamps rise strictly over objects, restarts and a clock that falls back.
func TestStampsRise(t *testing.T) {
	w := startedWorld(t)
	var last crdt.Time
	for i := range 6 {
		w.wall = w.wall.Add(-time.Hour)
		if i%2 == 1 {
			if err := w.start(nil); err != nil {
				t.Fatal(err)
			}
		}
		w.flush()
		if err := w.apply([]string{fmt.Sprint("web", i%2), fmt.Sprint("replicas=", i+1)}); err != nil {
			t.Fatal(err)
		}
		w.flush()
		if len(w.last.Replies) != 1 || w.last.Replies[0].Err != nil {
			t.Fatalf("write %d: %+v", i, w.last.Replies)
		}
		stamp := w.last.Replies[0].Stamp
		if stamp.Time <= last || stamp.Writer != peerID("p1") {
			t.Fatalf("write %d: stamp %v after %v", i, stamp, last)
		}
		last = stamp.Time
	}
}

// TestPersistBeforeReply checks that an accepted write is put out to be stored with its reply, and a refused one is not.
func TestPersistBeforeReply(t *testing.T) {
	w := startedWorld(t, "apply web replicas=1", "apply web replicas=2", "flush")
	if len(w.last.Persist.Put) != 1 || len(w.last.Replies) != 2 {
		t.Fatalf("%d operations and %d replies", len(w.last.Persist.Put), len(w.last.Replies))
	}
	if err := w.last.Replies[1].Err; !errors.Is(err, ErrStale) {
		t.Errorf("the second, which had not seen the first: %v", err)
	}
	if op := w.last.Persist.Put[0]; op.Stamp != w.last.Replies[0].Stamp || len(op.Signature) == 0 {
		t.Errorf("stored %v, replied %v", op.Stamp, w.last.Replies[0].Stamp)
	}
}

// TestTidy checks that an operation put and dropped within one flush is neither.
func TestTidy(t *testing.T) {
	op := func(n crdt.Time) crdt.Op { return crdt.Op{Stamp: crdt.Stamp{Time: n}} }
	got := tidy(Persist{Put: []crdt.Op{op(1), op(2)}, Drop: []crdt.Op{op(0), op(1)}})
	want := Persist{Put: []crdt.Op{op(2)}, Drop: []crdt.Op{op(0)}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestNotesBounded checks the bound, the order and the counting.
func TestNotesBounded(t *testing.T) {
	w := startedWorld(t, "flush")
	m := w.machine
	for i := range 5000 {
		m.note(Note{Reason: "A", Text: fmt.Sprint(i % 1500)})
		m.note(Note{Reason: "Again"})
	}
	notes := m.Notes()
	if len(notes) != mostNotes {
		t.Fatalf("%d notes", len(notes))
	}
	if last := notes[len(notes)-1]; last.Reason != "Again" || last.Count != 5000 {
		t.Errorf("the newest is %+v", last)
	}
	if len(m.notes.order) > 3*mostNotes {
		t.Errorf("%d kept", len(m.notes.order))
	}
	if out := m.Flush(Clock{Elapsed: w.last.Wake + time.Second}); len(out.Notes) > mostNotes {
		t.Errorf("%d put out", len(out.Notes))
	}
}

// TestLateAnswers checks that only the answer to the action under way counts.
func TestLateAnswers(t *testing.T) {
	w := startedWorld(t, "apply web replicas=1", "flush")
	prepare := w.last.Actions[0]
	id := prepare.Instance
	w.machine.Step(Done{Action: Action{Kind: Start, Instance: id, Container: "web", Generation: 1}})
	w.machine.Step(Done{Action: Action{Kind: Remove, Instance: id}})
	w.machine.Step(Done{Action: Action{Kind: Prepare, Instance: "default.other-0.12345678"}})
	w.machine.Step(Exited{runtime.Status{Instance: id, Container: "web", Generation: 7}})
	w.flush()
	if in := w.machine.held[id]; in == nil || in.state(0) != Preparing || len(w.last.Actions) != 0 {
		t.Fatalf("it listened: %+v, %v", in, w.last.Actions)
	}
	for range 3 { // the same answer thrice counts once
		w.machine.Step(w.answer(prepare, nil))
	}
	w.flush()
	if len(w.last.Actions) != 1 || w.last.Actions[0].Kind != Start {
		t.Errorf("next %v", w.last.Actions)
	}
}

// TestExitBeforeStartAnswered checks a container that ends before its start is answered.
func TestExitBeforeStartAnswered(t *testing.T) {
	w := startedWorld(t, "apply web replicas=1", "flush", "done", "flush")
	start := w.last.Actions[0]
	w.machine.Step(Exited{runtime.Status{Instance: start.Instance, Container: "web", Generation: 1, Phase: runtime.Exited, ExitCode: 3, Reason: "Error"}})
	w.machine.Step(Done{Action: start, Status: runtime.Status{Phase: runtime.Running, Generation: 1}})
	w.pending = nil
	w.flush()
	if len(w.last.Actions) != 1 || w.last.Actions[0].Generation != 2 {
		t.Fatalf("next %v", w.last.Actions)
	}
	v := w.machine.Replicas()[0].Instances[0]
	if v.Ready || v.Containers[0].ExitCode != 3 {
		t.Errorf("got %+v", v)
	}
}

// TestFailedStopIsTriedAgain checks that what cannot be stopped keeps its room and is tried less and less often.
func TestFailedStopIsTriedAgain(t *testing.T) {
	w := startedWorld(t, "apply web replicas=1", "run", "delete web", "flush")
	for i, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		if err := w.done([]string{"error", "Failed", "cgroup busy"}); err != nil {
			t.Fatal(err)
		}
		w.flush()
		if sum, _ := w.machine.Admitted(); len(w.last.Actions) != 0 || sum.CPUMillis != 1000 {
			t.Fatalf("try %d: %v, %v admitted", i, w.last.Actions, sum)
		}
		if got := w.last.Wake - w.elapsed; got != wait {
			t.Fatalf("try %d: again in %s, want %s", i, got, wait)
		}
		w.elapsed = w.last.Wake
		w.flush()
		if len(w.last.Actions) != 1 || w.last.Actions[0].Kind != Stop {
			t.Fatalf("try %d: %v", i, w.last.Actions)
		}
	}
	if err := w.done(nil); err != nil {
		t.Fatal(err)
	}
	if err := w.run(nil); err != nil || len(w.machine.held) != 0 {
		t.Errorf("%v, still held %d", err, len(w.machine.held))
	}
}

// TestHostileRow checks that no claim in a row can overflow what is counted.
func TestHostileRow(t *testing.T) {
	w := startedWorld(t, "member p2 alive", "apply web replicas=2")
	o := &wire.Observation{CPUMillis: -1 << 62, Memory: 1 << 62}
	for i := range 40 {
		o.Instances = append(o.Instances, wire.Instance{ID: "x", Replica: fmt.Sprint("default/web-", i), Revision: strings.Repeat("f", i),
			CPUMillis: 1 << 62, Memory: -1 << 62, State: "Nonsense", Address: "nowhere", Workload: "a/b/c/d",
			Containers: []wire.Container{{Phase: 200}}})
	}
	w.sequences["p2"] = 1
	w.sendRow("p2", 1, wire.EncodeObservation(*o))
	if err := w.run(nil); err != nil {
		t.Fatal(err)
	}
	for _, v := range w.machine.Members() {
		if v.Admitted.CPUMillis < 0 || v.Admitted.MemoryBytes < 0 {
			t.Errorf("%s: %+v", v.Name, v.Admitted)
		}
	}
	if got := len(w.machine.Replicas()); got != 40 {
		t.Errorf("%d replicas", got)
	}
}

func TestNamesOfInstances(t *testing.T) {
	long := crdt.Key{Kind: "Deployment", Namespace: strings.Repeat("n", 63), Name: strings.Repeat("w", 253)}
	seen := map[string]bool{}
	for i := range 3 {
		replica := replicaID(long, strconv.Itoa(i))
		id := string(instanceID(replica, "12345678"))
		if len(id) > mostInstanceID || seen[id] || !strings.HasSuffix(id, ".12345678") {
			t.Errorf("%d: %q", i, id)
		}
		seen[id] = true
		if h := hostname(replicaName(replica)); len(h) > 63 {
			t.Errorf("host name %q", h)
		}
	}
	if id := instanceID("default/web-0", "5f3c9a1e"); id != "default.web-0.5f3c9a1e" {
		t.Errorf("got %s", id)
	}
	if got := ordinalOf("default/web-12"); got != 12 {
		t.Errorf("ordinal %d", got)
	}
}

// TestPace checks the window of a rollout by itself.
func TestPace(t *testing.T) {
	old := &placement.Incumbent{Revision: "old"}
	for _, c := range []struct {
		about string
		state []progress
		pace  manifest.Workload
		want  string
	}{
		{"in order, one at a time", []progress{{old: old}, {old: old}, {old: old}}, manifest.Workload{MaxSurge: 1}, "new old old"},
		{"ready ones make place", []progress{{old: old, ready: true, begun: true}, {old: old}, {old: old}}, manifest.Workload{MaxSurge: 1}, "new new old"},
		{"what has begun goes first", []progress{{old: old}, {old: old, begun: true}}, manifest.Workload{MaxSurge: 1}, "old new"},
		{"nothing to keep up waits for nobody", []progress{{old: old, begun: true}, {}, {old: old}}, manifest.Workload{MaxSurge: 1}, "new new old"},
		{"more at once", []progress{{old: old}, {old: old}, {old: old}}, manifest.Workload{MaxSurge: 2}, "new new old"},
		{"old ones first: as many as may be missing", []progress{{old: old}, {old: old}, {old: old}}, manifest.Workload{MaxUnavailable: 2}, "new new old"},
		{"old ones first: one is missing already", []progress{{old: old}, {}, {old: old}}, manifest.Workload{MaxUnavailable: 1}, "old new old"},
		{"old ones first: that one is on its way", []progress{{begun: true, gone: true}, {old: old}}, manifest.Workload{MaxUnavailable: 1}, "new old"},
		{"old ones first: that one is ready", []progress{{begun: true, ready: true}, {old: old}}, manifest.Workload{MaxUnavailable: 1}, "new new"},
		{"old ones first: a lost one is not missing", []progress{{lost: old}, {old: old}}, manifest.Workload{MaxUnavailable: 1}, "old new"},
		{"all at once", []progress{{old: old}, {old: old, begun: true}, {}}, manifest.Workload{MaxUnavailable: 3, Recreate: true}, "new new new"},
	} {
		wanted := make([]placement.Wanted, len(c.state))
		for i := range wanted {
			wanted[i].Revision = "new"
		}
		pace(wanted, c.state, &c.pace)
		var got []string
		for _, w := range wanted {
			got = append(got, string(w.Revision))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %s, want %s", c.about, text, c.want)
		}
	}
}

// TestAdmission hands out a plan that puts more here than fits: what is over is refused, not admitted (P6).
func TestAdmission(t *testing.T) {
	w := newWorld()
	w.room = gossip.Room{CPUMillis: 2500, MemoryBytes: 130 << 20}
	if err := w.start(nil); err != nil {
		t.Fatal(err)
	}
	w.machine.config.Plan = func(v placement.View) placement.Plan {
		plan := v.Plan()
		var all []placement.Assignment
		for a := range plan.Assignments.All() {
			here := *a
			here.Peer = placement.PeerID(w.machine.self)
			all = append(all, here)
		}
		plan.Assignments = placement.NewAssignments(all)
		return plan
	}
	if err := w.apply([]string{"web", "replicas=4"}); err != nil {
		t.Fatal(err)
	}
	w.flush()
	if sum, room := w.machine.Admitted(); sum.CPUMillis != 2000 || sum.MemoryBytes > room.MemoryBytes {
		t.Errorf("%v admitted of %v", sum, room)
	}
	if got := len(w.machine.rows[w.machine.self].observation.Refusals); got != 2 {
		t.Errorf("%d refusals", got)
	}
	if err := w.apply([]string{"web", "replicas=4", "cpu=10m", "memory=200Mi", "image=web:2"}); err != nil {
		t.Fatal(err)
	}
	w.flush()
	for _, r := range w.machine.rows[w.machine.self].observation.Refusals {
		if r.Reason != "NoRoom: needs 209715200 bytes of memory, 2097152 left" {
			t.Errorf("%s: %s", r.Replica, r.Reason)
		}
	}
}

// TestReadersOwnWhatTheyGet checks that objects are listed sorted, and that changing them changes nothing here.
func TestReadersOwnWhatTheyGet(t *testing.T) {
	w := startedWorld(t, "namespace shop", "flush", "apply web replicas=1", "apply api replicas=1", "apply shop/web replicas=1", "flush", "delete api", "flush")
	var keys []string
	for _, o := range w.machine.Objects("Deployment", "") {
		keys = append(keys, o.Key.String())
		o.Fields[0].Path, o.Seen["x"] = "changed", 7
	}
	if got := strings.Join(keys, " "); got != "Deployment/default/web Deployment/shop/web" {
		t.Errorf("got %s", got)
	}
	if got := w.machine.Objects("Deployment", "shop"); len(got) != 1 || got[0].Fields[0].Path == "changed" || got[0].Seen["x"] != 0 {
		t.Errorf("got %v", got)
	}
	if dead, known := w.machine.Object(deploymentKey("api")); !known || dead.Live {
		t.Errorf("a deleted one: known %v, live %v", known, dead.Live)
	}
	if _, known := w.machine.Object(deploymentKey("never")); known {
		t.Error("an object that never was is known")
	}
}
