package heap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
)

// tells says whether a peer knows of something that happened on another.
func (w *World) tells(name, about, reason, replica, cause string) bool {
	id := crdt.PeerID(w.Peer(about).self.ID)
	return slices.ContainsFunc(w.Core(name).Notes(), func(n control.Note) bool {
		return n.Peer == id && n.Reason == reason && n.Replica == replica && strings.Contains(n.Cause, cause)
	})
}

// TestEventsOutliveTheirPeer loses a peer for ever, and another one's program after that: what happened on it, and why, can still be asked of all.
func TestEventsOutliveTheirPeer(t *testing.T) {
	w := start(t, Options{Seed: 7, Peers: 5, Coded: true})
	w.Run(10 * time.Second)
	must(t, w.Apply("p1", webManifest(5, "blue")))
	rest(t, w, 20*time.Second)
	w.LosePower("p5")
	rest(t, w, 30*time.Second)
	var replica, heir string
	for _, n := range w.Core("p1").Notes() {
		if n.Reason == "Scheduled" && strings.Contains(n.Cause, "p5 was lost") {
			replica, heir = n.Replica, w.Core("p1").Members()[slices.IndexFunc(w.Core("p1").Members(), func(m control.MemberView) bool { return crdt.PeerID(m.ID) == n.Peer })].Name
		}
	}
	if replica == "" {
		t.Fatal("nothing was started because p5 was lost")
	}
	w.LosePower(heir)
	rest(t, w, 30*time.Second)
	w.Run(time.Minute)
	for _, name := range w.Alive() {
		w.KillProgram(name, time.Second)
		w.Run(20 * time.Second)
	}
	for _, name := range w.Alive() {
		for _, c := range []struct{ about, replica, cause string }{{heir, replica, "p5 was lost"}} {
			if !w.tells(name, c.about, "Scheduled", c.replica, c.cause) {
				t.Errorf("%s does not tell that %s was started on %s because %s", name, c.replica, c.about, c.cause)
			}
		}
	}
}

// TestReceiptOfAReunion cuts a cluster in two, lets both sides write, and compares what the receipts say with what really ran twice.
func TestReceiptOfAReunion(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			w := start(t, Options{Seed: seed, Peers: 5, Coded: true})
			w.Run(10 * time.Second)
			must(t, w.Apply("p1", webManifest(6, "blue")))
			rest(t, w, 20*time.Second)
			w.Split([]string{"p1", "p2"}, []string{"p3", "p4", "p5"})
			w.Run(30 * time.Second)
			must(t, w.Scale("p1", "web", 7))
			must(t, w.Scale("p3", "web", 8))
			w.Run(30 * time.Second)
			twice := map[string]bool{}
			for i := range 7 {
				if replica := fmt.Sprintf("default/web-%d", i); len(w.PlacedOn(replica)) == 2 {
					twice[replica] = true
				}
			}
			if len(twice) != 7 {
				t.Fatalf("%d of 7 replicas run on both sides", len(twice))
			}
			w.Heal()
			w.Run(time.Minute)
			for _, name := range w.Alive() {
				w.checkReceipt(t, name, twice)
			}
			w.KillProgram("p2", time.Second)
			w.Run(5 * time.Second)
			w.checkReceipt(t, "p2", twice)
		})
	}
}

func (w *World) checkReceipt(t *testing.T, name string, twice map[string]bool) {
	t.Helper()
	heals := w.Core(name).Heals()
	if len(heals) != 1 {
		t.Fatalf("%s has %d receipts", name, len(heals))
	}
	h := heals[0]
	away := map[string]int{"p1": 3, "p2": 3, "p3": 2, "p4": 2, "p5": 2}[name]
	if len(h.Peers) != away || h.Ended.IsZero() {
		t.Errorf("%s: the receipt names %d peers, want %d; ended %s", name, len(h.Peers), away, h.Ended)
	}
	for _, p := range h.Peers {
		if span := p.Back.Sub(p.Lost); span < 40*time.Second || span > 70*time.Second {
			t.Errorf("%s: %s was away for a minute, the receipt says %s", name, p.Name, span)
		}
	}
	for _, r := range h.Twice {
		if !twice[string(r.Replica)] {
			t.Errorf("%s: %s did not run twice", name, r.Replica)
		}
		if span := r.Until.Sub(r.From); span < 20*time.Second || span > 80*time.Second || r.Gone == "" {
			t.Errorf("%s: %s ran twice for %s until it went from %q", name, r.Replica, span, r.Gone)
		}
	}
	if len(h.Twice) != len(twice) {
		t.Errorf("%s: %d replicas ran twice, the receipt has %d: %v", name, len(twice), len(h.Twice), h.Twice)
	}
	if len(h.Conflicts) != 1 || len(h.Conflicts[0].Fields) != 1 || !strings.HasPrefix(h.Conflicts[0].Fields[0], "spec/replicas: by p") {
		t.Errorf("%s: conflicts %v", name, h.Conflicts)
	}
	stopped := map[string]bool{}
	for _, n := range h.Stopped {
		stopped[n.Replica] = true
	}
	for replica := range twice {
		if !stopped[replica] {
			t.Errorf("%s: nothing says that a copy of %s was stopped", name, replica)
		}
	}
}
