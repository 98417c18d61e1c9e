package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/crdt"
	"shoal/peer/replication"
	"shoal/peer/wire"
)

// TestFloorThatNobodyApplied is one of a writer gone wrong: it forgets nothing, and the next mark replaces it.
func TestFloorThatNobodyApplied(t *testing.T) {
	c := newClusterWith(t, 1, 3, soon)
	c.pass(4 * time.Second)
	c.apply(c.peers[0], "stays", map[string]string{})
	c.pass(2 * time.Second)
	p := c.peers[1].machine
	bogus := floor{mark: [32]byte{1}, digest: [32]byte{2}, second: p.set.Heard(), first: p.set.Heard()}
	c.peers[1].machine.writeOwn(floorKey, crdt.Create, []crdt.Change{{Path: pathFloor, Value: fieldValue(bogus.encode())}})
	c.pass(5 * time.Second)
	for _, p := range c.peers {
		if s := p.machine.FloorStatus(); !s.Doubtful || s.Applied {
			t.Errorf("%s believes it: %+v", p.name, s)
		}
	}
	c.cycle(c.peers[2], "web", 3)
	c.pass(120 * time.Second)
	c.agreed()
	c.forgotten(8)
	for _, p := range c.peers {
		if s := p.machine.FloorStatus(); s.Doubtful || !p.has("stays") {
			t.Errorf("%s is still in doubt: %+v", p.name, s)
		}
	}
}

// TestOnlyWritersCloseFloors has one peer that may write.
func TestOnlyWritersCloseFloors(t *testing.T) {
	c := newClusterWith(t, 2, 3, soon)
	for _, p := range c.peers {
		p.machine.config.MayWrite = func(id crdt.PeerID) bool { return id == c.peers[2].id }
	}
	c.pass(4 * time.Second)
	c.cycle(c.peers[2], "web", 3)
	c.pass(60 * time.Second)
	c.agreed()
	c.forgotten(4)
	for _, p := range c.peers {
		if by := p.machine.FloorStatus().Closed.Writer; by != c.peers[2].id {
			t.Errorf("%s knows a floor that %.4s closed", p.name, by)
		}
	}
}

// TestForgettingEnds checks that a cluster at rest writes no more marks.
func TestForgettingEnds(t *testing.T) {
	c := newClusterWith(t, 3, 3, soon)
	c.pass(4 * time.Second)
	c.cycle(c.peers[0], "web", 3)
	c.pass(90 * time.Second)
	before := c.peers[0].machine.FloorStatus().Closed
	c.pass(120 * time.Second)
	if after := c.peers[0].machine.FloorStatus().Closed; after != before {
		t.Errorf("a floor was closed at rest: %v became %v", before, after)
	}
}

// TestRowsAreLimited changes this peer's row often: a few at once, then no more than the rate.
func TestRowsAreLimited(t *testing.T) {
	w := newWorld()
	w.quiet = true
	if err := w.start(nil); err != nil {
		t.Fatal(err)
	}
	rows := 0
	for i := range 1000 { // 10 s
		w.elapsed += 10 * time.Millisecond
		w.machine.Step(SelfChanged{Room: w.room, Images: []string{fmt.Sprint("image", i)}})
		before := w.machine.sequence
		w.machine.Flush(Clock{Elapsed: w.elapsed, Wall: w.wall})
		rows += int(w.machine.sequence - before)
	}
	if rows < 90 || rows > 110 {
		t.Errorf("%d rows in 10 s", rows)
	}
	w.elapsed += time.Second
	w.machine.Flush(Clock{Elapsed: w.elapsed, Wall: w.wall})
	row, _ := w.machine.spread.Row(w.machine.self)
	if o, err := wire.DecodeObservation(row.Body); err != nil || !cmp.Equal(o.Images, []string{"image999"}) {
		t.Errorf("the last row says %v, %v", o.Images, err)
	}
}

// TestRowGoesAboveWhatOthersHold meets others who hold a row of an earlier life with a higher boot.
func TestRowGoesAboveWhatOthersHold(t *testing.T) {
	w := newWorld()
	w.quiet = true
	if err := w.start(nil); err != nil {
		t.Fatal(err)
	}
	w.flush()
	old := replication.SealRow(replication.Row{Peer: w.machine.self, Version: replication.Version{Boot: 9, Sequence: 4}, Body: wire.EncodeObservation(wire.Observation{})}, sign)
	w.machine.Step(Received{From: peerID("p2"), Message: replication.Message{Rows: &replication.Rows{Rows: []replication.Row{old}}}})
	w.flush()
	if row, _ := w.machine.spread.Row(w.machine.self); row.Version.Compare(old.Version) <= 0 {
		t.Errorf("its row has version %v, others hold %v", row.Version, old.Version)
	}
}

// TestRowsDoNotDelayIntent sends a flood of rows and a write behind it: the write is answered in the next flush.
func TestRowsDoNotDelayIntent(t *testing.T) {
	w := newWorld()
	w.quiet = true
	if err := w.start(nil); err != nil {
		t.Fatal(err)
	}
	w.flush()
	for i := range 5000 {
		w.sendRow(fmt.Sprint("p", i+2), 1, wire.EncodeObservation(wire.Observation{CPUMillis: 1000}))
	}
	if err := w.apply([]string{"web"}); err != nil {
		t.Fatal(err)
	}
	out := w.machine.Flush(Clock{Elapsed: 1, Wall: w.wall})
	if len(out.Replies) != 1 || out.Wake == 0 || out.Wake > 2 {
		t.Errorf("%d replies, wakes at %s", len(out.Replies), out.Wake)
	}
	if n := len(w.machine.rows); n > mostRows+1 {
		t.Errorf("%d rows were taken before it", n)
	}
	w.machine.Flush(Clock{Elapsed: 2, Wall: w.wall})
	w.machine.Flush(Clock{Elapsed: 3, Wall: w.wall})
	if n := len(w.machine.rows); n != 5001 {
		t.Errorf("%d rows in the end", n)
	}
}

// TestHistoryOfAFill fills a store with many objects: one entry each, without their fields.
func TestHistoryOfAFill(t *testing.T) {
	from := newWorld()
	from.quiet = true
	if err := from.start(nil); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := from.apply([]string{fmt.Sprint("web", i)}); err != nil {
			t.Fatal(err)
		}
	}
	from.flush()
	var objects []replication.Object
	for _, key := range from.machine.set.Keys() {
		objects = append(objects, replication.Object{Key: key, Ops: from.machine.set.Ops(key)})
	}
	to := newWorld()
	to.quiet = true
	if err := to.start(nil); err != nil {
		t.Fatal(err)
	}
	to.machine.Step(Received{From: peerID("p2"), Message: replication.Message{Objects: &replication.Objects{Objects: objects}}})
	to.flush()
	for _, key := range from.machine.set.Keys() {
		if h := to.history[key]; len(h) != 1 || len(h[0].Diffs) != 0 || h[0].Verb != crdt.Create {
			t.Fatalf("%s: %+v", key, h)
		}
	}
}

// TestReplicasOf gives the same as Replicas, of one workload.
func TestReplicasOf(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.pass(4 * time.Second)
	c.apply(c.peers[0], "web", map[string]string{"replicas": "4"})
	c.apply(c.peers[0], "db", map[string]string{"replicas": "2", "cpu": "90000m"})
	c.pass(3 * time.Second)
	c.apply(c.peers[0], "web", map[string]string{"replicas": "2"})
	for range 20 {
		c.tick()
		m := c.peers[1].machine
		for _, name := range []string{"web", "db", "none"} {
			var want []ReplicaView
			for _, v := range m.Replicas() {
				if v.Workload == deploymentKey(name) {
					want = append(want, v)
				}
			}
			if diff := cmp.Diff(fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", m.ReplicasOf(deploymentKey(name)))); diff != "" {
				t.Fatalf("%s: %s", name, diff)
			}
		}
	}
}
