package heap

import (
	"flag"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/testnet/promise"
)

var trace = flag.Bool("show", false, "print everything that happens in the heap world")

// webManifest is a Deployment with a readiness probe.
func webManifest(replicas int, color string) string { return Manifest("web", replicas, color) }

// start makes a world that says at the end how to replay it if the test failed.
func start(t *testing.T, o Options) *World {
	t.Helper()
	t.Logf("seed %d", o.Seed)
	if *trace {
		o.Trace = func(line string) { t.Log(line) }
	}
	w := New(o)
	t.Cleanup(func() {
		for _, v := range w.Violations() {
			t.Errorf("%s", v)
		}
		if t.Failed() && !*trace {
			t.Logf("the last of what happened:\n%s", strings.Join(w.Trace(), "\n"))
		}
		t.Logf("seed %d, %.1fs of virtual time, %d events, %d flushes, fingerprint %x", o.Seed, w.Now().Seconds(), w.events, w.flushes, w.Fingerprint())
	})
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rest waits until the world is at rest, and stays so.
func rest(t *testing.T, w *World, within time.Duration) promise.Snapshot {
	t.Helper()
	took, broken := w.AwaitRest(within)
	for _, v := range broken {
		t.Errorf("after %s: %s", took, v)
	}
	if t.Failed() {
		t.FailNow()
	}
	w.Run(4 * time.Second)
	s := w.Snapshot()
	none(t, "rest did not last", promise.AtRest(s))
	return s
}

func none(t *testing.T, what string, violations []promise.Violation) {
	t.Helper()
	for _, v := range violations {
		t.Errorf("%s: %s", what, v)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// story is the story of the first vertical.
func story(t *testing.T, w *World, replicas int, left, right []string) {
	must(t, w.Apply("p3", webManifest(replicas, "blue")))
	applied := rest(t, w, 20*time.Second)

	if !w.KillContainer("default/web-0") {
		t.Fatal("web-0 does not run")
	}
	took, back := w.Await(5*time.Second, func() bool { return len(w.PlacedOn("default/web-0")) == 1 })
	if !back || took > time.Second {
		t.Errorf("a killed container is back after %s", took)
	}
	killed := rest(t, w, 10*time.Second)
	none(t, "a killed container moved something", promise.MovedOnlyNeeded(applied, killed, 0))

	w.LosePower("p2")
	moved := rest(t, w, 20*time.Second)
	none(t, "power loss", promise.MovedOnlyNeeded(killed, moved, 0))

	w.KillProgram("p1", 700*time.Millisecond)
	w.Run(100 * time.Millisecond)
	none(t, "program killed", promise.SameContainers(moved, w.Snapshot(), string(w.Peer("p1").self.ID)))
	restarted := rest(t, w, 20*time.Second)
	none(t, "program restarted", promise.SameContainers(moved, restarted, string(w.Peer("p1").self.ID)))

	w.Start("p2")
	whole := rest(t, w, 20*time.Second)
	none(t, "p2 returned", promise.MovedOnlyNeeded(restarted, whole, 0))

	w.Split(left, right)
	split := rest(t, w, 30*time.Second)
	none(t, "split", promise.CutAlone(whole, split))
	must(t, w.Scale(left[0], "web", replicas+2))
	must(t, w.Apply(right[0], webManifest(replicas, "green")))
	rest(t, w, 60*time.Second)

	before := w.Snapshot()
	w.Heal()
	healed := rest(t, w, 60*time.Second)
	none(t, "heal", promise.CutAlone(side(before, right), healed)) // it holds the newest revision of all that it runs
	wanted := healed.Peers[0].Wanted
	if len(wanted) != replicas+2 {
		t.Errorf("%d replicas are wanted after the heal", len(wanted))
	}
	for _, p := range healed.Peers {
		for _, o := range p.Objects {
			for _, f := range o.Fields {
				if strings.HasSuffix(f.Path, "name=COLOR/value") && f.Value != `"green"` {
					t.Errorf("%s shows %s=%s", p.Name, f.Path, f.Value)
				}
			}
		}
	}
}

// side is the part of a snapshot that shows some peers.
func side(s promise.Snapshot, names []string) promise.Snapshot {
	s.Peers = slices.DeleteFunc(slices.Clone(s.Peers), func(p promise.Peer) bool { return !slices.Contains(names, p.Name) })
	return s
}

func TestStory(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := start(t, Options{Seed: seed})
			w.Run(5 * time.Second)
			story(t, w, 6, []string{"p1", "p2"}, []string{"p3", "p4", "p5"})
		})
	}
}

// TestStoryOfHundred is the same story with 100 peers. Their loops serve what comes within 20 ms at once.
func TestStoryOfHundred(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	peers := 100
	if raced {
		peers = 40
	}
	w := start(t, Options{Seed: 100, Peers: peers, Latency: 20 * time.Millisecond})
	w.Run(5 * time.Second)
	var left, right []string
	for i, p := range w.peers {
		if i < peers*2/5 {
			left = append(left, p.Name)
		} else {
			right = append(right, p.Name)
		}
	}
	story(t, w, peers*6/5, left, right)
}
