package heap

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/placement"
)

// forecast is where each replica is to be, and how many of them then move for the balance.
type forecast struct {
	ends  map[string]string
	later int
	moves []placement.Change // these later ones
	stuck []control.Stuck
}

// foreseen asks every peer that lives what would become of everything, and returns the answer that all gave.
func (w *World) foreseen(t *testing.T, s control.Supposition) forecast {
	t.Helper()
	if _, equal := w.Await(time.Minute, w.sameViews); !equal {
		t.Fatal("the peers never have equal views")
	}
	var first control.Answer
	ends := map[string]string{}
	for i, name := range w.Alive() {
		q, faults := w.Core(name).Suppose(s)
		if len(faults) > 0 {
			t.Fatalf("%s: %v", name, faults)
		}
		f := q.Foresee()
		if !f.Still || !f.Balanced.Still {
			t.Fatalf("%s: what it foresees never stands still", name)
		}
		answer := control.Answer{Changes: f.Changes, Later: f.Later, Stuck: f.Stuck}
		if i == 0 {
			first = answer
			for a := range f.Plan.Assignments.All() {
				ends[string(a.Replica)] = w.nameOf(a.Peer)
			}
			for _, stuck := range f.Stuck {
				ends[string(stuck.Replica)] = w.nameOf(stuck.Peer)
			}
			continue
		}
		if d := cmp.Diff(first.Changes, answer.Changes) + cmp.Diff(first.Later, answer.Later) + cmp.Diff(first.Stuck, answer.Stuck); d != "" {
			t.Fatalf("%s foresees something else from the same view:\n%s", name, d)
		}
	}
	return forecast{ends, len(first.Later), first.Later, first.Stuck}
}

func (w *World) sameViews() bool {
	alive := w.Alive()
	return !slices.ContainsFunc(alive, func(name string) bool { return w.Core(name).ViewDigest() != w.Core(alive[0]).ViewDigest() })
}

func (w *World) nameOf(id placement.PeerID) string {
	i := slices.IndexFunc(w.peers, func(p *Peer) bool { return placement.PeerID(p.self.ID) == id })
	if i < 0 {
		return ""
	}
	return w.peers[i].Name
}

// comesTrue waits until every replica has been where it was foreseen, and everything is at rest again; and checks that
// by then not much more has moved for the balance than was foreseen.
func (w *World) comesTrue(t *testing.T, what string, f forecast) {
	t.Helper()
	due := maps.Clone(f.ends)
	arrived := func(replica, name string) bool {
		on := w.PlacedOn(replica)
		return name == "" && len(on) == 0 || slices.Equal(on, []string{name})
	}
	_, all := w.Await(time.Minute, func() bool {
		maps.DeleteFunc(due, arrived)
		return len(due) == 0
	})
	if !all {
		t.Errorf("%s: not where they were foreseen: %v", what, due)
	}
	w.settle(t, len(f.ends), time.Minute)
	w.Run(2 * time.Minute)
	elsewhere := 0
	for replica, name := range f.ends {
		if !arrived(replica, name) {
			elsewhere++
		}
	}
	if elsewhere > 2*f.later+2 {
		t.Errorf("%s: %d replicas were foreseen to move later, and %d did", what, f.later, elsewhere)
	}
}

// TestForeseenComesTrue asks what would be if a peer were lost, drained, or a manifest applied, then does it, and compares.
func TestForeseenComesTrue(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			w := fleet(t, Options{Seed: seed, Peers: 12}, 70)
			w.Run(time.Minute)
			w.comesTrue(t, "nothing", w.foreseen(t, control.Supposition{}))

			victim := w.peers[1+int(seed)%(len(w.peers)-1)]
			lost := w.foreseen(t, control.Supposition{Lose: []placement.PeerID{placement.PeerID(victim.self.ID)}})
			w.LosePower(victim.Name)
			w.comesTrue(t, "the loss of "+victim.Name, lost)

			for _, yaml := range []string{Manifest("new", 9, "blue"), Manifest("new", 14, "blue"), Manifest("new", 3, "blue")} {
				applied := w.foreseen(t, control.Supposition{Objects: []control.PreviewChange{previewOf(t, yaml)}})
				must(t, w.Apply("p1", yaml))
				w.comesTrue(t, "a manifest", applied)
			}
		})
	}
}

// TestForeseenDrain asks what would be if peers were drained, with budgets that let few go, or none; then drains them, and compares. What
// was foreseen to stay stays, and all else goes.
func TestForeseenDrain(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			w := fleet(t, Options{Seed: seed, Peers: 12}, 70)
			w.Run(time.Minute)
			must(t, w.Apply("p1", budgetManifest("w0", 1)))
			must(t, w.Apply("p1", budgetManifest("w1", 0)))
			w.Run(5 * time.Second)
			for _, held := range []string{"default/w1-0", "default/w0-0"} {
				victim := w.Peer(w.PlacedOn(held)[0])
				drained := w.foreseen(t, control.Supposition{Drain: []placement.PeerID{placement.PeerID(victim.self.ID)}})
				must(t, w.SayOf(victim.Name, func(n *node) { n.cordoned, n.draining = true, true }))
				w.comesTrue(t, "the drain of "+victim.Name, drained)
				var left []string
				for _, stuck := range drained.stuck {
					if w.nameOf(stuck.Peer) == victim.Name {
						left = append(left, string(stuck.Replica))
					}
				}
				var there []string
				for replica := range drained.ends {
					if slices.Contains(w.PlacedOn(replica), victim.Name) {
						there = append(there, replica)
					}
				}
				slices.Sort(there)
				if !slices.Equal(left, there) || slices.Contains(left, held) != strings.HasPrefix(held, "default/w1-") {
					t.Errorf("%v were foreseen to stay on %s, and %v do", left, victim.Name, there)
				}
			}
		})
	}
}

// budgetManifest lets so many replicas of a workload go at once.
func budgetManifest(workload string, most int) string {
	return fmt.Sprintf(`apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: %s}
spec: {maxUnavailable: %d, selector: {matchLabels: {app: %s}}}
`, workload, most, workload)
}

// previewOf is a manifest's object as it would be if nothing else were written of it.
func previewOf(t *testing.T, yaml string) control.PreviewChange {
	documents, err := manifest.Decode("test.yaml", []byte(yaml))
	must(t, err)
	fields, err := manifest.Flatten(documents[0].Key.Kind, documents[0].Tree)
	must(t, err)
	change := control.PreviewChange{Key: documents[0].Key}
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		change.Fields = append(change.Fields, crdt.Field{Path: path, Value: fields[path]})
	}
	return change
}

// TestForeseenJoin asks what a peer that joins would be given, lets it join, and compares how much it was.
func TestForeseenJoin(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			w := fleet(t, Options{Seed: seed, Peers: 12, Late: 1}, 70)
			w.Run(12 * time.Minute) // nobody is new any more
			late := w.Peer("p12")
			foreseen := w.foreseen(t, control.Supposition{Add: []placement.Peer{{ID: placement.PeerID(late.self.ID), Name: "p12", Live: true, Steady: true,
				Room: placement.Resources{CPUMillis: late.self.Room.CPUMillis, MemoryBytes: late.self.Room.MemoryBytes, StorageBytes: 1 << 40, Pids: 1 << 20}}}})
			w.Start("p12")
			w.Run(3 * time.Minute)
			w.settle(t, 70, time.Minute)
			var want, given int64
			for _, asked := range w.Core("p1").PlacementView().Wanted {
				if slices.ContainsFunc(foreseen.moves, func(c placement.Change) bool { return c.Replica == asked.Replica }) {
					want += asked.Request.CPUMillis
				}
				if slices.Equal(w.PlacedOn(string(asked.Replica)), []string{"p12"}) {
					given += asked.Request.CPUMillis
				}
			}
			if want == 0 || 4*given < 3*want || 3*given > 4*want {
				t.Errorf("%dm CPU were foreseen to go to the peer that joins, and %dm did", want, given)
			}
		})
	}
}

// TestForeseenOldFirst asks what a new revision would become on peers that have room for the old one alone, and lets it come true.
func TestForeseenOldFirst(t *testing.T) {
	for _, strategy := range []string{"rollingUpdate: {maxSurge: 0}", "type: Recreate"} {
		t.Run(strategy, func(t *testing.T) {
			fat := func(color string) string {
				return strings.Replace(strategic(4, color, strategy), "cpu: 100m", "cpu: 1500m", 1)
			}
			w := New(Options{Seed: 7, Peers: 4})
			w.Run(10 * time.Second)
			must(t, w.Apply("p1", fat("blue")))
			rest(t, w, 30*time.Second)
			w.Run(3 * time.Minute)
			f := w.foreseen(t, control.Supposition{Objects: []control.PreviewChange{previewOf(t, fat("green"))}})
			for replica, name := range f.ends {
				if name == "" {
					t.Errorf("%s is foreseen to have no place", replica)
				}
			}
			must(t, w.Apply("p2", fat("green")))
			w.comesTrue(t, "a new revision", f)
		})
	}
}
