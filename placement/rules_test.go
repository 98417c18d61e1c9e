package placement

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRulesAsKubernetes checks the tables against the slow rules, on worlds that are small and full of rules, and while replicas
// are placed and taken away.
func TestRulesAsKubernetes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawView(t)
		s := slow{view: v, at: map[ReplicaID]PeerID{}}
		b := newBoard(v)
		for step := range 8 {
			i := rapid.Int32Range(0, int32(len(v.Wanted))-1).Draw(t, fmt.Sprintf("replica%d", step))
			w := &b.wanted[i]
			if b.place[i] != nowhere {
				b.take(i, b.place[i], b.holdsWanted(i, b.place[i]))
				b.place[i] = nowhere
				delete(s.at, w.Replica)
			}
			g, terms := b.groundOf(i), b.termsOf(i)
			asks := asking{ground: g, terms: terms}
			for n := range b.peers {
				got := g.open[n] && (terms == nil || terms.allows(int32(n)))
				if want := s.allows(w, &b.peers[n]); got != want {
					t.Fatalf("step %d: %s on %s: allowed %t, Kubernetes' rules say %t\n%+v\nrules %+v\nplaced %v", step, w.Replica, b.peers[n].ID, got, want, v, *w.Rules, s.at)
				}
				if !got {
					continue
				}
				if cost := asks.costOn(int32(n)); asks.floor() > cost || cost != 0 && !asks.prefers() {
					t.Fatalf("step %d: %s on %s: costs %d, at best %d, prefers %t", step, w.Replica, b.peers[n].ID, cost, asks.floor(), asks.prefers())
				}
				if !draws(terms, int32(n)) && asks.floorBeside() > asks.costOn(int32(n)) {
					t.Fatalf("step %d: %s on %s, to which it is not drawn: costs %d, at best %d", step, w.Replica, b.peers[n].ID, asks.costOn(int32(n)), asks.floorBeside())
				}
				if got, want := asks.costOn(int32(n)), s.cost(w, &b.peers[n]); got != want {
					t.Fatalf("step %d: %s on %s: costs %d, want %d\n%+v\nrules %+v\nplaced %v", step, w.Replica, b.peers[n].ID, got, want, v, *w.Rules, s.at)
				}
			}
			peer := rapid.Int32Range(0, int32(len(v.Peers))-1).Draw(t, fmt.Sprintf("peer%d", step))
			if at := b.firstOf[i]; at >= 0 && rapid.Bool().Draw(t, "there") {
				peer = b.heldBy[at]
			}
			b.place[i] = peer
			b.put(i, peer, b.holdsWanted(i, peer))
			s.at[w.Replica] = b.peers[peer].ID
			startAgain(t, b)
		}
	})
}

// startAgain does what happens between one plan and the next: all is counted anew, and found anew if something changed.
func startAgain(t *rapid.T, b *board) {
	switch rapid.IntRange(0, 5).Draw(t, "again") {
	case 0:
		b.indexRules()
	case 1:
		p := &b.peers[0]
		p.Labels = map[string]string{"zone": "2", "host": p.Name, "disk": "1", "cores": "3"}
		p.Live, p.Draining, p.Cordoned, p.Damped, p.Taints = true, false, false, false, nil
		b.grounds = nil
	case 2:
		b.rekind(0)
		b.indexRules()
	case 3:
		rules := *b.wanted[0].Rules
		b.wanted[0].Rules = &rules
		b.rekind(0)
	}
}

// draws says whether a peer is near something that a replica wants to be near, or that wants to be near it.
func draws(t *terms, peer int32) bool {
	if t == nil {
		return false
	}
	wants := slices.ContainsFunc(t.preferred, func(w weighed) bool {
		return w.weight > 0 && w.domain[peer] != noDomain && w.assigned.of(w.domain[peer]) > 0
	})
	return wants || slices.ContainsFunc(t.pulledBy, func(w *tally) bool { return w.domain[peer] != noDomain && w.pull.of(w.domain[peer]) > 0 })
}
