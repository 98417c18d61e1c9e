package placement

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// told is a list of changes as people would read it.
func told(changes []Change) (lines []string) {
	for _, c := range changes {
		line := fmt.Sprintf("%s %s", c.Replica, c.Deed)
		if c.From != "" {
			line += " from " + string(c.From)
		}
		if c.To != "" {
			line += " to " + string(c.To)
		}
		if c.By != "" {
			line += " by " + string(c.By)
		}
		if c.After != 0 {
			line += " after " + c.After.String()
		}
		lines = append(lines, line)
	}
	return lines
}

// small is a view of three peers, p1 to p3, with room for so much CPU each.
func small(cpu int64) View {
	var v View
	for _, id := range []PeerID{"p1", "p2", "p3"} {
		v.Peers = append(v.Peers, Peer{ID: id, Name: string(id), Live: true, Steady: true, Room: Resources{CPUMillis: cpu, MemoryBytes: 1 << 30}})
	}
	return v
}

func (v *View) want(name string, n int, cpu int64) {
	for i := range n {
		v.Wanted = append(v.Wanted, Wanted{Replica: ReplicaID(fmt.Sprintf("%s-%d", name, i)), Workload: WorkloadID(name), Revision: "a",
			Request: Resources{CPUMillis: cpu}})
	}
}

func (v *View) runs(peer PeerID, replica ReplicaID, revision Revision, cpu int64) {
	v.Incumbents = append(v.Incumbents, Incumbent{Replica: replica, Revision: revision, Peer: peer, Request: Resources{CPUMillis: cpu}, Ready: true})
}

func (v View) changes(f Future, before View) []string {
	return told(v.Foresee(f).Changes(before, before.Plan()))
}

func TestForesee(t *testing.T) {
	t.Run("what is new starts, what is not wanted stops, and a revision replaces another", func(t *testing.T) {
		before := small(4000)
		before.want("web", 1, 500)
		before.want("old", 1, 500)
		before.runs("p2", "web-0", "a", 500)
		before.runs("p3", "old-0", "a", 500)
		after := before
		after.Wanted = slices.Clone(before.Wanted[:1])
		after.Wanted[0].Revision = "b"
		after.want("new", 1, 500)
		got := after.Foresee(Future{Balance: true}).Changes(before, before.Plan())
		deeds := map[ReplicaID]Deed{}
		for _, c := range got {
			deeds[c.Replica] = c.Deed
		}
		delete(deeds, "web-0") // a successor may come to another peer
		if want := map[ReplicaID]Deed{"new-0": Starts, "old-0": Stops}; !cmp.Equal(deeds, want) {
			t.Errorf("got %v", told(got))
		}
	})
	t.Run("what runs stays while its new revision finds no place", func(t *testing.T) {
		before := small(1000)
		before.want("web", 1, 500)
		before.runs("p2", "web-0", "a", 500)
		after := before
		after.Wanted = slices.Clone(before.Wanted)
		after.Wanted[0].Revision, after.Wanted[0].Request.CPUMillis = "b", 9000
		if got, want := after.changes(Future{Balance: true}, before), []string{"web-0 keep from p2"}; !cmp.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if all := after.Foresee(Future{}).Changes(after, after.Plan()); len(all) != 1 || all[0].Deed != Keeps || !all[0].Already {
			t.Errorf("where it was so already got %+v", all)
		}
	})
	t.Run("what a lost peer had recovers, and what finds no room is said", func(t *testing.T) {
		before := small(1000)
		before.want("web", 3, 1000)
		for i, id := range []PeerID{"p1", "p2", "p3"} {
			before.runs(id, ReplicaID(fmt.Sprintf("web-%d", i)), "a", 1000)
		}
		after := before
		after.Peers = slices.Clone(before.Peers)
		after.Peers[1].Live = false
		if got, want := after.changes(Future{}, before), []string{"web-1 no-place from p2"}; !cmp.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		after.Peers = append(after.Peers, Peer{ID: "p4", Live: true, Steady: true, Room: Resources{CPUMillis: 1000, MemoryBytes: 1}})
		if got, want := after.changes(Future{}, before), []string{"web-1 recover from p2 to p4"}; !cmp.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a lost peer is waited for as long as the workload asks", func(t *testing.T) {
		before := small(4000)
		before.want("web", 1, 500)
		before.want("kept", 1, 500)
		before.Wanted[0].LostWait, before.Wanted[1].LostWait = time.Minute, Forever
		before.runs("p2", "web-0", "a", 500)
		before.runs("p2", "kept-0", "a", 500)
		after := before
		after.Peers = slices.Clone(before.Peers)
		after.Peers[1].Live = false
		got := after.Foresee(Future{Wait: true}).Changes(before, before.Plan())
		for i := range got {
			got[i].To = ""
		}
		if got, want := told(got), []string{"kept-0 wait from p2", "web-0 recover from p2 after 1m0s"}; !cmp.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if got, want := after.changes(Future{}, before), []string{"kept-0 wait from p2", "web-0 wait from p2"}; !cmp.Equal(got, want) {
			t.Errorf("without waiting got %v", got)
		}
	})
	t.Run("pacing goes on while replicas come up", func(t *testing.T) {
		before := small(4000)
		before.want("web", 4, 100)
		for i := range before.Wanted {
			before.runs("p1", before.Wanted[i].Replica, "a", 100)
		}
		onePerRound := func(v *View) {
			v.Wanted = slices.Clone(v.Wanted)
			for i := range v.Wanted {
				if v.Wanted[i].Revision == "a" {
					v.Wanted[i].Revision = "b"
					return
				}
			}
		}
		s := before.Foresee(Future{Pace: onePerRound, Balance: true})
		if !s.Still || s.Rounds < 4 || len(s.View.Incumbents) != 4 {
			t.Errorf("still %v after %d rounds with %d instances", s.Still, s.Rounds, len(s.View.Incumbents))
		}
		for _, in := range s.View.Incumbents {
			if in.Revision != "b" {
				t.Errorf("%s is of revision %s", in.Replica, in.Revision)
			}
		}
	})
}

// TestForeseeStandsStill carries out random views: what is foreseen stands still, overdraws nothing, and comes out the same when only a
// part of each plan is carried out before the next is made, as it is among real peers.
func TestForeseeStandsStill(t *testing.T) {
	for seed := range int64(60) {
		random := rand.New(rand.NewSource(seed))
		v := fleet(4+random.Intn(12), 20+random.Intn(60))
		for i := range v.Peers {
			v.Peers[i].Steady = true
		}
		v = v.Foresee(Future{Balance: true}).View
		v.Peers[random.Intn(len(v.Peers))].Live = false
		s := v.Foresee(Future{Balance: true})
		if !s.Still {
			t.Fatalf("seed %d: it never stands still", seed)
		}
		if again := s.View.Foresee(Future{Balance: true}); again.Rounds != 0 || again.Plan.Digest != s.Plan.Digest {
			t.Errorf("seed %d: what stood still goes on", seed)
		}
		for _, p := range s.View.Peers {
			left := p.Room
			for _, in := range s.View.Incumbents {
				if in.Peer == p.ID {
					left = left.less(in.Request)
				}
			}
			if p.Live && (left.CPUMillis < 0 || left.MemoryBytes < 0) {
				t.Errorf("seed %d: %s is overdrawn: %+v left", seed, p.Name, left)
			}
		}
		for i, c := range s.Changes(v, v.Plan()) {
			if c.From != "" && c.Deed != Recovers && c.Deed != Moves {
				t.Errorf("seed %d: change %d: %+v", seed, i, c)
			}
		}
	}
}
