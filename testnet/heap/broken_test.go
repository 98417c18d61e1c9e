package heap

import (
	"slices"
	"testing"
	"time"

	"shoal/testnet/promise"
)

// TestBrokenPromisesAreFound breaks promises behind the peers' backs: the checkers must see it.
func TestBrokenPromisesAreFound(t *testing.T) {
	cases := []struct {
		name, promise string
		spoil         func(w *World, before promise.Snapshot) []promise.Violation
	}{
		{"every disk forgets", "P2", func(w *World, _ promise.Snapshot) []promise.Violation {
			for _, p := range w.peers {
				p.halt()
				clear(p.disk.ops)
			}
			for _, p := range w.peers {
				p.boot()
			}
			w.Run(20 * time.Second)
			return promise.AtRest(w.Snapshot())
		}},
		{"a container stops in a cut", "P5", func(w *World, before promise.Snapshot) []promise.Violation {
			w.Split([]string{"p1"})
			m := w.Peer("p2").machine
			for _, id := range m.ids() {
				m.remove(id)
			}
			return promise.CutAlone(before, w.Snapshot())
		}},
		{"a container is gone and nobody was told", "converged", func(w *World, _ promise.Snapshot) []promise.Violation {
			m := w.Peer("p2").machine
			m.remove(m.ids()[0])
			return promise.AtRest(w.Snapshot())
		}},
		{"a restart restarts containers", "P10", func(w *World, before promise.Snapshot) []promise.Violation {
			p := w.Peer("p1")
			p.halt()
			p.machine.powerLost()
			p.boot()
			w.Run(10 * time.Second)
			return promise.SameContainers(before, w.Snapshot(), string(p.self.ID))
		}},
		{"peers do not hear of writes", "P3", func(w *World, _ promise.Snapshot) []promise.Violation {
			w.options.Link.Loss = 1
			must(t, w.Scale("p1", "web", 7))
			w.Run(10 * time.Second)
			return promise.AtRest(w.Snapshot())
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := New(Options{Seed: 11, Peers: 3})
			w.Run(5 * time.Second)
			must(t, w.Apply("p1", webManifest(6, "blue")))
			found := c.spoil(w, rest(t, w, 20*time.Second))
			if !slices.ContainsFunc(found, func(v promise.Violation) bool { return v.Promise == c.promise }) {
				t.Errorf("%s was not found broken: %v", c.promise, found)
			}
		})
	}
}
