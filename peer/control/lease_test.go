package control

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"shoal/gossip"
	"shoal/peer/lease"
	"shoal/placement"
	"shoal/runtime"
)

// enforce is the process that keeps deadlines, also when the program of a peer is dead.
func (c *cluster) enforce(p *simulated) {
	for id, until := range p.bounds {
		in := p.instances[id]
		if in == nil || until > c.now {
			continue
		}
		for i := range in.Containers {
			if s := &in.Containers[i]; s.Phase == runtime.Running {
				s.Phase, s.ExitCode, s.Reason = runtime.Exited, 137, "Error"
				p.machine.Step(Exited{*s})
			}
		}
	}
}

// mayStart checks what the runtime checks: nothing that is bounded starts without time.
func (c *cluster) mayStart(p *simulated, a Action) {
	if a.Kind == Start && p.instances[a.Instance].Spec.Bounded && p.bounds[a.Instance] <= c.now {
		c.t.Errorf("%s starts %s at %v with a deadline of %v", p.name, a.Instance, c.now, p.bounds[a.Instance])
	}
}

// copies says on which peers a replica of a workload really runs.
func (c *cluster) copies(name string) (on []string) {
	for _, p := range c.peers {
		for id, in := range p.instances {
			if strings.HasPrefix(string(id), "default."+name+"-") && !p.off {
				for _, s := range in.Containers {
					if s.Phase == runtime.Running {
						on = append(on, p.name)
					}
				}
			}
		}
	}
	return on
}

// passOnce lets time pass, in which a replica never runs twice. It returns for how long it ran nowhere.
func (c *cluster) passOnce(name string, span time.Duration) (down time.Duration) {
	c.t.Helper()
	for end := c.now + span; c.now < end; {
		c.tick()
		switch on := c.copies(name); len(on) {
		case 0:
			down += step
		case 1:
		default:
			c.t.Fatalf("at %v it runs on %v", c.now, on)
		}
	}
	return down
}

func (c *cluster) holder(name string) *simulated {
	c.t.Helper()
	on := c.copies(name)
	if len(on) != 1 {
		c.t.Fatalf("at %v it runs on %v", c.now, on)
	}
	for _, p := range c.peers {
		if p.name == on[0] {
			return p
		}
	}
	panic("no such peer")
}

var exclusive = map[string]string{"exclusive": "true", "witnesses": "p1,p2,p3", "grace": "2"}

// newLeased is a cluster with one exclusive replica that runs.
func newLeased(t *testing.T, seed int64, n int) *cluster {
	c := newCluster(t, seed, n)
	c.pass(4 * time.Second)
	c.apply(c.peers[0], "db", exclusive)
	if down := c.passOnce("db", 14*time.Second); down > 12*time.Second {
		t.Fatalf("it did not run for %v", down)
	}
	return c
}

// isolate cuts one peer off.
func (c *cluster) isolate(p *simulated) {
	for _, other := range c.peers {
		c.side[other.id] = 0
	}
	c.side[p.id] = 1
}

// TestExclusive: splits, losses of power, restarts and moves, and it never runs twice.
func TestExclusive(t *testing.T) {
	for seed := range int64(6) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			c := newLeased(t, seed, 5)
			first := c.holder("db")

			if down := c.passOnce("db", 30*time.Second); down > 0 {
				t.Errorf("it was down for %v although nothing happened", down)
			}
			c.boot(first)
			if down := c.passOnce("db", 12*time.Second); down > 0 || c.holder("db") != first {
				t.Errorf("P10: a restart of the program brought it down for %v", down)
			}
			c.isolate(first)
			if down := c.passOnce("db", 20*time.Second); down > 13*time.Second {
				t.Errorf("cut off from its holder it was down for %v", down)
			}
			second := c.holder("db")
			if second == first {
				t.Error("it runs on the side without a majority of the witnesses")
			}
			text := first.machine.LeaseWait(placement.ReplicaID("default/db-0"))
			if !strings.Contains(text, "of 3 witnesses granted") || !strings.Contains(text, "not answer") {
				t.Errorf("%s says %q", first.name, text)
			}
			c.split(0)
			if down := c.passOnce("db", 15*time.Second); down > 0 || c.holder("db") != second {
				t.Errorf("the heal brought it down for %v", down)
			}
			second.powerLoss()
			if down := c.passOnce("db", 20*time.Second); down > 13*time.Second {
				t.Errorf("after a loss of power it was down for %v", down)
			}
		})
	}
}

// TestExclusiveRollout stops the old one before the new one starts, which has been made ready by then.
func TestExclusiveRollout(t *testing.T) {
	c := newLeased(t, 1, 3)
	c.apply(c.peers[1], "db", map[string]string{"exclusive": "true", "witnesses": "p1,p2,p3", "grace": "2", "env": "blue"})
	if down := c.passOnce("db", 10*time.Second); down == 0 || down > 3*time.Second {
		t.Errorf("it was down for %v", down)
	}
	c.settledOn(1)
}

// TestWitnessPolicy: only the side with most of the witnesses runs it, and a planned move has no gap.
func TestWitnessPolicy(t *testing.T) {
	for seed := range int64(4) {
		c := newCluster(t, seed, 5)
		c.pass(4 * time.Second)
		c.apply(c.peers[0], "web", map[string]string{"split": "witness", "witnesses": "p1,p2,p3", "replicas": "4"})
		c.pass(14 * time.Second)
		c.settledOn(4)
		c.split(2) // p1 and p2 on side 1
		c.pass(25 * time.Second)
		if a, b := c.serving(1), c.serving(0); a != 4 || b != 0 {
			t.Errorf("the side with most of the witnesses serves %d, the other %d", a, b)
		}
		c.split(0)
		c.pass(25 * time.Second)
		c.settledOn(4)

		drained := c.peers[0]
		c.request++
		drained.machine.Step(LeaveAsked{Request: c.request, Within: time.Hour})
		for range 200 {
			c.tick()
			if n := c.serving(0); n < 4 {
				t.Fatalf("P7: at %v only %d serve", c.now, n)
			}
		}
		if n := len(drained.machine.held); n > 0 {
			t.Errorf("%d are left on the peer that leaves", n)
		}
	}
}

// change writes the lists of witnesses anew, and returns what came of it.
func (c *cluster) change(p *simulated, witnesses string) error {
	c.apply(p, "db", map[string]string{"exclusive": "true", "witnesses": witnesses, "grace": "2"})
	request := c.request
	c.tick()
	return c.replies[request]
}

// TestChangeOfWitnesses goes by both lists, and not faster than is safe; meanwhile it runs on.
func TestChangeOfWitnesses(t *testing.T) {
	c := newLeased(t, 3, 5)
	refused := func(witnesses, want string) {
		t.Helper()
		if err := c.change(c.peers[0], witnesses); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", witnesses, err, want)
		}
	}
	refused("p3,p4,p5", `write "p1,p2,p3; p3,p4,p5" first`)
	if err := c.change(c.peers[0], "p1,p2,p3; p3,p4,p5"); err != nil {
		t.Fatal(err)
	}
	refused("p3,p4,p5", "cannot be dropped yet")
	if down := c.passOnce("db", 5*time.Second); down > 0 {
		t.Errorf("it was down for %v", down)
	}
	refused("p3,p4,p5", "try again in")
	if down := c.passOnce("db", 7*time.Second); down > 0 {
		t.Errorf("it was down for %v", down)
	}
	if err := c.change(c.peers[0], "p3,p4,p5"); err != nil {
		t.Fatal(err)
	}
	if down := c.passOnce("db", 15*time.Second); down > 0 {
		t.Errorf("it was down for %v", down)
	}
	// The old ones alone grant nothing any more.
	c.peers[0].powerLoss()
	c.peers[1].powerLoss()
	if down := c.passOnce("db", 25*time.Second); down > 14*time.Second {
		t.Errorf("without two of the old witnesses it was down for %v", down)
	}
}

// TestWitnessesOfTwoWriters both count until somebody settles it.
func TestWitnessesOfTwoWriters(t *testing.T) {
	c := newLeased(t, 5, 5)
	c.split(2)
	c.passOnce("db", 2*time.Second)
	for i, witnesses := range map[int]string{0: "p1,p2,p3; p1,p2,p4", 4: "p1,p2,p3; p3,p4,p5"} {
		if err := c.change(c.peers[i], witnesses); err != nil {
			t.Fatal(err)
		}
	}
	c.passOnce("db", 15*time.Second)
	c.split(0)
	c.passOnce("db", 25*time.Second)
	for _, p := range c.peers {
		w := p.machine.objects[deploymentKey("db")].workload
		if lists := p.machine.witnessLists(w); len(lists) != 3 {
			t.Errorf("%s: %v", p.name, lists)
		}
	}
	c.holder("db")
	if err := c.change(c.peers[2], "p1,p2,p3"); err != nil { // a majority of each has known for a term
		t.Fatal(err)
	}
	if down := c.passOnce("db", 15*time.Second); down > 0 {
		t.Errorf("it was down for %v", down)
	}
}

// TestWitnessesThatAreNotThere never grant anything: it runs nowhere, and all say for whom it waits.
func TestWitnessesThatAreNotThere(t *testing.T) {
	c := newCluster(t, 3, 3)
	c.pass(4 * time.Second)
	c.apply(c.peers[0], "db", map[string]string{"exclusive": "true", "witnesses": "p1,p7,p8"})
	c.pass(40 * time.Second)
	if on := c.copies("db"); len(on) > 0 {
		t.Errorf("it runs on %v", on)
	}
	const want = "lease: 1 of 3 witnesses granted, p7 and p8 are not known here"
	for _, p := range c.peers {
		if said := p.machine.LeaseWait("default/db-0"); said != want {
			t.Errorf("%s says %q, want %q", p.name, said, want)
		}
	}
}

// TestNamesThatTwoBear count for nobody, and that is said.
func TestNamesThatTwoBear(t *testing.T) {
	c := newLeased(t, 7, 4)
	holder := c.holder("db")
	for _, p := range c.peers {
		stranger := memberNamed("p99", gossip.Failed)
		stranger.Name = "p2"
		p.machine.Step(MemberChanged{stranger})
	}
	c.passOnce("db", 20*time.Second)
	if on := c.copies("db"); len(on) > 0 {
		t.Errorf("it runs on %v", on)
	}
	if text := holder.machine.LeaseWait("default/db-0"); !strings.Contains(text, "two peers bear the name p2") {
		t.Errorf("it says %q", text)
	}
}

// TestNamesakeThatLeft may have granted until a moment ago: who bears its name grants nothing new for a term. One that says goodbye grants nothing.
func TestNamesakeThatLeft(t *testing.T) {
	c := newLeased(t, 7, 4)
	witness, request := c.peers[1].machine, lease.Message{Life: 1, Term: lease.Term}
	verdict := func() lease.Verdict {
		request.Number++
		request.Asks = []lease.Ask{{Name: "default/db-7", Workload: deploymentKey("db").String(), Terms: witness.leaseTermsOf(witness.objects[deploymentKey("db")].workload).hash}}
		answer, _ := witness.leases.witness.Take(witness.now.Elapsed, "p77", request, witness.knowsLease)
		return answer.Answers[0].Verdict
	}
	stranger := memberNamed("p99", gossip.Left)
	stranger.Name = "another"
	witness.Step(MemberChanged{stranger})
	c.passOnce("db", time.Second)
	if got := verdict(); got != lease.Granted {
		t.Errorf("when a stranger has left: %v", got)
	}
	c.passOnce("db", 11*time.Second)
	stranger.Name, stranger.State, stranger.ID = "p2", gossip.Left, "p98"
	witness.Step(MemberChanged{stranger})
	c.passOnce("db", 9*time.Second)
	if got := verdict(); got != lease.Young {
		t.Errorf("9 s after a namesake has left: %v", got)
	}
	c.passOnce("db", 2*time.Second)
	if got := verdict(); got != lease.Granted {
		t.Errorf("11 s after: %v", got)
	}
	witness.Step(LeaveAsked{Request: 1, Within: 0})
	c.passOnce("db", time.Second)
	if got := verdict(); got != lease.NoWitness {
		t.Errorf("with its goodbye: %v", got)
	}
}

// TestExclusiveDrain moves it with a gap of a stop and a start: everything else is done before.
func TestExclusiveDrain(t *testing.T) {
	c := newLeased(t, 11, 4)
	first := c.holder("db")
	c.request++
	first.machine.Step(LeaveAsked{Request: c.request, Within: time.Hour})
	if down := c.passOnce("db", 15*time.Second); down == 0 || down > 2*time.Second {
		t.Errorf("it was down for %v", down)
	}
	if second := c.holder("db"); second == first || len(first.machine.held) > 0 {
		t.Errorf("it runs on %s, and %s holds %d", second.name, first.name, len(first.machine.held))
	}
}

// TestStartThatComesTooLate is tried again, and is no failure of the peer.
func TestStartThatComesTooLate(t *testing.T) {
	in := newInstance("default.db-0.1", record{Replica: "default/db-0", Workload: "Deployment/default/db", Revision: "1"},
		runtime.Spec{Bounded: true, Containers: []runtime.Container{{Name: "web"}}})
	m := New(Config{Self: gossip.Self{ID: "a", Name: "a"}, Sign: sign}, Saved{})
	in.bound, in.containers[0].failures = time.Second, mostFailedStarts
	m.startFailed(in, &in.containers[0], Done{Err: &runtime.Error{Reason: runtime.Overdue}})
	if in.bound != 0 || in.containers[0].failures != mostFailedStarts || in.stopping || len(m.refusals) > 0 {
		t.Errorf("%+v, %d refusals", in, len(m.refusals))
	}
}
