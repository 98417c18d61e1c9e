package heap

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"shoal/testnet/promise"
)

// TestBadValueHarmsNothingElse plants a value that makes the code of one peer, or of all, fail wherever it is handled
// (P13): it is set aside and named, what runs of it runs on, everything else goes on, and no restart tries it again.
func TestBadValueHarmsNothingElse(t *testing.T) {
	for _, at := range [][]string{{"p2"}, {"p1", "p2", "p3", "p4", "p5"}} {
		t.Run(fmt.Sprint(len(at)), func(t *testing.T) {
			w := start(t, Options{Seed: 5})
			w.Run(5 * time.Second)
			must(t, w.Apply("p1", Manifest("web", 5, "blue")))
			must(t, w.Apply("p3", Manifest("api", 3, "blue")))
			before := rest(t, w, 20*time.Second)
			for _, name := range at {
				w.Trip(name, Deployment("web"))
			}
			if err := w.Set("p4", Deployment("web"), colorPath, "red"); len(at) == 1 && err != nil {
				t.Fatal(err)
			}
			must(t, w.Apply("p2", Manifest("api", 4, "green")))
			w.Run(10 * time.Second)
			apiIsWhole(t, w, 4)
			for _, name := range at {
				named(t, w, name)
				w.KillProgram(name, time.Second)
				w.Run(4 * time.Second)
				named(t, w, name)
			}
			must(t, w.Apply("p5", Manifest("api", 2, "red")))
			w.Run(10 * time.Second)
			apiIsWhole(t, w, 2)
			if len(at) == 5 {
				none(t, "what ran of it", promise.CutAlone(onlyOf(before, "default/web-"), w.Snapshot()))
			}
		})
	}
}

// named says whether a peer names what it set aside.
func named(t *testing.T, w *World, name string) {
	t.Helper()
	p := w.Peer(name)
	if w.watch.Tripped(name, Deployment("web").String()) == 0 {
		return // nothing that it was told since made it look at the value
	}
	for _, aside := range p.core.Aside() {
		if aside.Key == Deployment("web") {
			return
		}
	}
	t.Errorf("%s names nothing that it set aside: %+v", name, p.core.Aside())
}

func apiIsWhole(t *testing.T, w *World, replicas int) {
	t.Helper()
	for n := range replicas {
		if on := w.PlacedOn(fmt.Sprintf("default/api-%d", n)); len(on) != 1 {
			t.Errorf("api-%d is ready on %v", n, on)
		}
	}
}

// onlyOf is a snapshot with only the instances of replicas that begin so.
func onlyOf(s promise.Snapshot, prefix string) promise.Snapshot {
	s.Peers = slices.Clone(s.Peers)
	for i := range s.Peers {
		s.Peers[i].Instances = slices.DeleteFunc(slices.Clone(s.Peers[i].Instances), func(x promise.Instance) bool { return x.Replica[:len(prefix)] != prefix })
	}
	return s
}
