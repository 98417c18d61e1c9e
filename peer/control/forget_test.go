package control

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"shoal/crdt"
)

// soon lets deletions be forgotten in seconds instead of minutes and days.
var soon = Tuning{MarkEach: 10 * time.Second, MarkSoon: 5 * time.Second, ForgetAfter: 60 * time.Second}

func (c *cluster) delete(p *simulated, name string) {
	key := deploymentKey(name)
	current, _ := p.machine.Object(key)
	c.request++
	p.machine.Step(Write{Request: c.request, Key: key, Verb: crdt.Delete, Seen: current.Seen, User: "op"})
}

// cycle creates and deletes objects.
func (c *cluster) cycle(p *simulated, name string, times int) {
	for i := range times {
		c.apply(p, name, map[string]string{"env": fmt.Sprint(i)})
		c.tick()
		c.delete(p, name)
		c.tick()
	}
}

// agreed checks that all peers that are on hold the same, and that every command was taken.
func (c *cluster) agreed() {
	c.t.Helper()
	var first *simulated
	for _, p := range c.peers {
		if p.off {
			continue
		}
		if first == nil {
			first = p
		}
		mine, _ := p.machine.Digests()
		if theirs, _ := first.machine.Digests(); mine != theirs {
			c.t.Errorf("P3: %s holds %d operations, %s %d, and they differ", p.name, p.machine.set.Count(), first.name, first.machine.set.Count())
		}
	}
	for request, err := range c.replies {
		if err != nil {
			c.t.Errorf("write %d: %v", request, err)
		}
	}
}

func (p *simulated) has(name string) bool { return p.machine.live(deploymentKey(name)) }

// forgotten checks that nothing is kept that could be forgotten, and how many operations are left at most.
func (c *cluster) forgotten(most int) {
	c.t.Helper()
	for _, p := range c.peers {
		status := p.machine.FloorStatus()
		if p.off || status.Forgettable == 0 && status.Retained <= most && status.Applied {
			continue
		}
		c.t.Errorf("%s: %d forgettable of %d, applied %v, doubtful %v, pending %v, waits for %+v", p.name,
			status.Forgettable, status.Retained, status.Applied, status.Doubtful, status.Pending, status.Waiting)
	}
}

func TestCyclesEndSmall(t *testing.T) {
	for seed := range int64(6) {
		c := newClusterWith(t, seed, 4, soon)
		c.pass(4 * time.Second)
		c.apply(c.peers[0], "stays", map[string]string{})
		for i := range 8 {
			c.cycle(c.peers[i%4], fmt.Sprint("web", i), 5)
		}
		c.pass(90 * time.Second)
		c.agreed()
		c.forgotten(8) // what lives, and the floor
		for _, p := range c.peers {
			if !p.has("stays") || p.has("web0") {
				t.Errorf("seed %d: %s has stays %v, web0 %v", seed, p.name, p.has("stays"), p.has("web0"))
			}
			if len(p.ops) != p.machine.set.Count() {
				t.Errorf("seed %d: %s has %d operations on disk and %d in memory", seed, p.name, len(p.ops), p.machine.set.Count())
			}
		}
		c.boot(c.peers[1]) // what was forgotten stays so
		if s := c.peers[1].machine.FloorStatus(); s.Doubtful || !s.Applied {
			t.Errorf("seed %d: it does not know its floor any more: %+v", seed, s)
		}
		c.pass(10 * time.Second)
		c.agreed()
		c.forgotten(8)
	}
}

// TestAwayForAYear cuts a peer off until it is forgotten: nothing that was deleted comes back through it,
// and its own writes are not lost.
func TestAwayForAYear(t *testing.T) {
	for seed := range int64(8) {
		for _, restarts := range []bool{false, true} {
			c := newClusterWith(t, seed, 4, soon)
			c.pass(4 * time.Second)
			c.apply(c.peers[3], "old", map[string]string{})
			c.apply(c.peers[0], "both", map[string]string{})
			c.pass(6 * time.Second)
			c.split(3) // the last one is alone
			c.pass(5 * time.Second)
			c.delete(c.peers[0], "old")
			c.cycle(c.peers[1], "short", 3)
			c.apply(c.peers[3], "own", map[string]string{})
			c.apply(c.peers[3], "both", map[string]string{"env": "mine"})
			c.pass(200 * time.Second)
			for _, p := range c.peers[:3] {
				if s := p.machine.FloorStatus(); s.Forgettable != 0 || len(s.Forgotten) != 1 || s.Closed == (crdt.Stamp{}) {
					t.Errorf("seed %d: %s has not forgotten: %+v", seed, p.name, s)
				}
			}
			if restarts {
				c.boot(c.peers[3])
			}
			c.split(0)
			c.pass(60 * time.Second)
			c.agreed()
			for _, p := range c.peers {
				if p.has("old") || p.has("short") {
					t.Errorf("P4: seed %d: %s has what was deleted", seed, p.name)
				}
				if !p.has("own") || !p.has("both") {
					t.Errorf("P2: seed %d: %s lacks a write of the lost peer", seed, p.name)
				}
				if s := p.machine.FloorStatus(); s.Doubtful || !s.Applied {
					t.Errorf("seed %d: %s is still in doubt: %+v", seed, p.name, s)
				}
			}
		}
	}
}

// TestLostPeerHoldsForgettingUp names it, and goes on when it is back.
func TestLostPeerHoldsForgettingUp(t *testing.T) {
	tuning := soon
	tuning.ForgetAfter = time.Hour
	c := newClusterWith(t, 1, 3, tuning)
	c.pass(6 * time.Second)
	c.peers[2].powerLoss()
	c.pass(5 * time.Second)
	c.cycle(c.peers[0], "web", 5)
	c.pass(60 * time.Second)
	for _, p := range c.peers[:2] {
		s := p.machine.FloorStatus()
		if s.Forgettable == 0 || len(s.Waiting) != 1 || s.Waiting[0].Peer != c.peers[2].id || !strings.Contains(s.Waiting[0].Why, "does not answer") {
			t.Errorf("%s: %+v", p.name, s)
		}
	}
	c.boot(c.peers[2])
	c.pass(90 * time.Second)
	c.agreed()
	c.forgotten(6)
}

// TestForgettingWithWrongClocks runs at 1970, five years ahead, frozen and stepped.
func TestForgettingWithWrongClocks(t *testing.T) {
	c := newClusterWith(t, 3, 4, soon)
	c.peers[0].clock = func(now time.Duration) time.Time { return time.Unix(0, 0).Add(now) }
	c.peers[1].clock = func(now time.Duration) time.Time { return epoch.AddDate(5, 0, 0).Add(now) }
	c.peers[2].clock = func(time.Duration) time.Time { return epoch }
	c.peers[3].clock = func(now time.Duration) time.Time {
		if now%(20*time.Second) > 10*time.Second {
			now -= 365 * 24 * time.Hour
		}
		return epoch.Add(now)
	}
	c.pass(4 * time.Second)
	for i, p := range c.peers {
		c.apply(p, fmt.Sprint("stays", i), map[string]string{})
		c.cycle(p, fmt.Sprint("web", i), 4)
	}
	c.pass(120 * time.Second)
	c.agreed()
	c.forgotten(10)
	for _, p := range c.peers {
		for i := range c.peers {
			if !p.has(fmt.Sprint("stays", i)) || p.has(fmt.Sprint("web", i)) {
				t.Errorf("%s has lost stays%d or kept web%d", p.name, i, i)
			}
		}
	}
	report := c.peers[0].machine.Skews()
	if !report.Known || report.Own > -50*365*24*time.Hour || len(report.Members) != 3 {
		t.Errorf("skews: %+v", report)
	}
}

// TestSidesThatForgotEachOther closes floors on both sides of a long split.
func TestSidesThatForgotEachOther(t *testing.T) {
	for seed := range int64(8) {
		c := newClusterWith(t, seed, 4, soon)
		c.pass(4 * time.Second)
		c.apply(c.peers[0], "left-old", map[string]string{})
		c.apply(c.peers[3], "right-old", map[string]string{})
		c.apply(c.peers[0], "both", map[string]string{})
		c.pass(5 * time.Second)
		c.split(2)
		c.pass(5 * time.Second)
		c.delete(c.peers[0], "left-old")
		c.delete(c.peers[3], "right-old")
		c.apply(c.peers[1], "left-new", map[string]string{})
		c.apply(c.peers[2], "right-new", map[string]string{})
		c.pass(180 * time.Second)
		for _, p := range c.peers {
			if s := p.machine.FloorStatus(); s.Forgettable != 0 || len(s.Forgotten) != 2 {
				t.Errorf("seed %d: %s has not forgotten: %+v", seed, p.name, s)
			}
		}
		c.split(0)
		c.pass(120 * time.Second)
		c.agreed()
		for _, p := range c.peers {
			for name, want := range map[string]bool{"left-old": false, "right-old": false, "left-new": true, "right-new": true, "both": true} {
				if p.has(name) != want {
					t.Errorf("seed %d: %s has %s: %v", seed, p.name, name, !want)
				}
			}
			if s := p.machine.FloorStatus(); s.Doubtful || !s.Applied {
				t.Errorf("seed %d: %s is still in doubt: %+v", seed, p.name, s)
			}
		}
	}
}

// TestLostStore wipes a peer's disk: it is filled again, and what it writes meanwhile with a clock at 1970 is not lost, also
// where its program dies after that.
func TestLostStore(t *testing.T) {
	for seed := range int64(8) {
		restarts := seed%2 == 1
		c := newClusterWith(t, seed, 3, soon)
		c.pass(4 * time.Second)
		c.apply(c.peers[2], "old", map[string]string{})
		c.apply(c.peers[2], "stays", map[string]string{})
		c.pass(3 * time.Second)
		c.delete(c.peers[2], "old")
		c.pass(60 * time.Second)
		p := c.peers[2]
		clear(p.ops)
		clear(p.records)
		clear(p.book)
		p.clock = func(now time.Duration) time.Time { return time.Unix(0, 0).Add(now) }
		c.split(2)
		c.boot(p)
		c.pass(time.Second)
		c.apply(p, "own", map[string]string{})
		c.pass(5 * time.Second)
		if restarts {
			c.boot(p)
		}
		c.split(0)
		c.pass(40 * time.Second)
		c.agreed()
		for _, p := range c.peers {
			if p.has("old") || !p.has("stays") || !p.has("own") {
				t.Errorf("seed %d: %s has old %v, stays %v, own %v", seed, p.name, p.has("old"), p.has("stays"), p.has("own"))
			}
		}
	}
}

// TestForgottenPeerKnowsWhatWasAgreed cuts a peer off after all had agreed on a floor, until it is forgotten. What it wrote
// before that floor, and what was deleted since, it drops in silence: all knew of it, so it can be no conflict.
func TestForgottenPeerKnowsWhatWasAgreed(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		c := newClusterWith(t, 1, 3, soon)
		c.pass(4 * time.Second)
		c.apply(c.peers[2], "old", map[string]string{})
		c.cycle(c.peers[0], "web", 3)
		c.pass(60 * time.Second)
		c.forgotten(8)
		c.split(2) // the last one is alone
		c.pass(5 * time.Second)
		c.delete(c.peers[0], "old")
		c.pass(200 * time.Second)
		if restarts {
			c.boot(c.peers[2])
		}
		c.split(0)
		c.pass(60 * time.Second)
		c.agreed()
		for _, p := range c.peers {
			if p.has("old") || p.lists("old") {
				t.Errorf("restarts %v: %s has old %v, and lists it as a conflict %v", restarts, p.name, p.has("old"), p.lists("old"))
			}
		}
	}
}

// TestReplayOfOldOperations offers a peer what was forgotten: it is refused and named.
func TestReplayOfOldOperations(t *testing.T) {
	c := newClusterWith(t, 1, 3, soon)
	c.pass(4 * time.Second)
	c.apply(c.peers[0], "web", map[string]string{})
	c.pass(2 * time.Second)
	old := maps.Clone(c.peers[0].ops)
	c.delete(c.peers[0], "web")
	c.pass(90 * time.Second)
	c.forgotten(6)
	for _, op := range old {
		c.peers[1].machine.Step(Received{From: c.peers[2].id, Message: pushOf(op)})
	}
	c.peers[1].audited = nil
	c.pass(5 * time.Second)
	c.agreed()
	if c.peers[1].has("web") {
		t.Error("P4: the object is back")
	}
	named := false
	for _, e := range c.peers[1].audited {
		named = named || e.Reason == "forgotten" && e.Key == deploymentKey("web") && e.From == c.peers[2].id && e.Writer == c.peers[0].id
	}
	if !named {
		t.Errorf("the replay is not in the audit: %+v", c.peers[1].audited)
	}
}
