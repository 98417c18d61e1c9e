package heap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/peer/control"
)

// sighting is when a replica was seen running on two peers at once.
type sighting struct {
	first, last time.Duration
	seen        time.Duration // in all
}

const lookEach = 100 * time.Millisecond

// sight runs the world for a while, and notes which replicas run on two peers.
func (w *World) sight(span time.Duration, twice map[string]*sighting) {
	for end := w.now + span; w.now < end; w.Run(lookEach) {
		for replica, peers := range w.runningOn() {
			if len(peers) < 2 {
				continue
			}
			if twice[replica] == nil {
				twice[replica] = &sighting{first: w.now}
			}
			s := twice[replica]
			s.last, s.seen = w.now, s.seen+lookEach
		}
	}
}

// runningOn lists the peers on which containers of each replica run.
func (w *World) runningOn() map[string][]string {
	on := map[string][]string{}
	for _, p := range w.peers {
		for id, i := range p.machine.instances {
			runs := slices.ContainsFunc(i.containers, func(c *simContainer) bool { return running(c.status) })
			if replica := replicaOf(id); p.powered && runs && !slices.Contains(on[replica], p.Name) {
				on[replica] = append(on[replica], p.Name)
			}
		}
	}
	return on
}

// leased is a workload with a policy for splits.
func leased(name, annotations string) string {
	return strings.Replace(Manifest(name, 1, "blue"), "spec:", "  annotations: {"+annotations+"}\nspec:", 1)
}

// TestReceiptTellsTheTruth loses the power of one peer, cuts the others in two, changes things on both sides and heals: what receipts say
// ran twice is what did, for as long as it did. What ran under a lease did not, nor what had no power.
func TestReceiptTellsTheTruth(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			w := start(t, Options{Seed: seed, Peers: 5, Coded: true})
			w.Run(10 * time.Second)
			must(t, w.Apply("p1", webManifest(6, "blue")))
			must(t, w.Apply("p1", Manifest("shrinks", 4, "blue")))
			must(t, w.Apply("p2", leased("ledger", `shoal/split: witness, shoal/witnesses: "p1,p2,p3", shoal/exclusive: "true"`)))
			must(t, w.Apply("p2", leased("office", "shoal/split: home, shoal/home: p1")))
			rest(t, w, 20*time.Second)
			twice := map[string]*sighting{}
			w.LosePower("p4")
			w.Run(time.Duration(seed) * 5 * time.Second) // not always over when the cut begins
			w.Split([]string{"p1", "p2"}, []string{"p3", "p5"})
			w.sight(25*time.Second, twice)
			must(t, w.Scale("p3", "shrinks", 1))
			w.sight(10*time.Second, twice)
			w.Heal()
			w.sight(2*time.Second, twice)
			w.Start("p4")
			w.sight(time.Minute, twice)
			for _, name := range []string{"p1", "p2", "p3", "p5"} {
				checkTwice(t, name, w.Core(name).Heals(), twice)
			}
			for _, h := range w.Core("p4").Heals() {
				if len(h.Twice) > 0 {
					t.Errorf("p4, which had no power, says that %v ran twice", h.Twice)
				}
			}
		})
	}
}

// TestReceiptAfterARestart: who was restarted in the cut writes a receipt all the same, of what ran twice, and for how long.
func TestReceiptAfterARestart(t *testing.T) {
	for _, seed := range []uint64{0, 1, 2, 3, 6, 39} {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			w := start(t, Options{Seed: seed, Peers: 5})
			w.Run(10 * time.Second)
			must(t, w.Apply("p1", webManifest(6, "blue")))
			must(t, w.Apply("p1", Manifest("shrinks", 4, "blue")))
			rest(t, w, 20*time.Second)
			twice := map[string]*sighting{}
			w.Split([]string{"p1", "p2"}, []string{"p3", "p4", "p5"})
			w.sight(15*time.Second, twice)
			for _, name := range []string{"p1", "p2", "p4"} {
				w.KillProgram(name, time.Second)
			}
			w.sight(15*time.Second, twice)
			must(t, w.Scale("p1", "shrinks", 1)) // what goes by that is known of others by their rows alone
			w.sight(10*time.Second, twice)
			w.Heal()
			w.sight(time.Minute, twice)
			for _, name := range w.Alive() {
				checkTwice(t, name, w.Core(name).Heals(), twice)
			}
			w.KillProgram("p3", 500*time.Millisecond)
			before := len(w.Core("p5").Heals())
			w.Run(time.Minute)
			if after := w.Core("p3").Heals(); len(after) != 1 || len(w.Core("p5").Heals()) != before {
				t.Errorf("a restart where nobody was lost is told as a reunion: %+v", after)
			}
		})
	}
}

// TestReceiptOverARestart: what a peer stopped in a reunion is in the receipts of the others also where its program dies before these are
// written. Up to that death both worlds are the same.
func TestReceiptOverARestart(t *testing.T) {
	stopped := func(dies bool) (told []string) {
		w := start(t, Options{Seed: 3, Peers: 5})
		w.Run(10 * time.Second)
		must(t, w.Apply("p1", webManifest(6, "blue")))
		must(t, w.Apply("p1", Manifest("shrinks", 4, "blue")))
		rest(t, w, 20*time.Second)
		w.Split([]string{"p1", "p2"}, []string{"p3", "p4", "p5"})
		w.Run(20 * time.Second)
		must(t, w.Scale("p3", "shrinks", 1))
		w.Run(10 * time.Second)
		w.Heal()
		w.Run(8 * time.Second)
		if dies {
			for _, name := range []string{"p1", "p3", "p4", "p5"} {
				w.KillProgram(name, time.Second)
			}
		}
		w.Run(30 * time.Second)
		heals := w.Core("p2").Heals()
		for _, s := range heals[len(heals)-1].Stopped {
			told = append(told, fmt.Sprint(s.Reason, " ", s.Replica, " ", s.Peer, " ", s.At, " ", s.Text))
		}
		return told
	}
	if before, after := stopped(false), stopped(true); len(before) < 3 || !slices.Equal(before, after) {
		t.Errorf("without a restart the receipt says\n%s\nand with one\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

func checkTwice(t *testing.T, name string, heals []control.Heal, twice map[string]*sighting) {
	t.Helper()
	told := map[string]time.Duration{}
	for _, h := range heals {
		for _, r := range h.Twice {
			told[string(r.Replica)] += r.Until.Sub(r.From)
		}
	}
	for replica, span := range told {
		if s := twice[replica]; s == nil || (s.seen-span).Abs() > 2*time.Second {
			t.Errorf("%s: the receipt says that %s ran twice for %v, and it did for %+v", name, replica, span, s)
		}
	}
	for replica, s := range twice {
		if told[replica] == 0 && s.seen > 2*time.Second {
			t.Errorf("%s: %s ran twice for %v, and no receipt says so", name, replica, s.seen)
		}
	}
}
