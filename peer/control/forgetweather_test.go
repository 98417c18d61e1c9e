package control

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/peer/replication"
	"shoal/peer/wire"
)

// ledger is what must be true in the end, by the names of objects; none is created twice. An object that
// nobody deleted may have become a conflict: who made it could not know any more that nobody had.
type ledger struct {
	created []string
	deleted map[string]bool
}

// act does one thing at random on one peer.
func (l *ledger) act(c *cluster, p *simulated, n int) {
	var here []string
	for _, name := range l.created {
		if p.has(name) {
			here = append(here, name)
		}
	}
	switch what := c.random.Intn(4); {
	case what == 0 || len(here) == 0:
		name := fmt.Sprint("web", n)
		l.created = append(l.created, name)
		c.apply(p, name, map[string]string{"replicas": "0"})
	case what == 1:
		c.apply(p, here[c.random.Intn(len(here))], map[string]string{"replicas": "0", "env": fmt.Sprint(n)})
	default:
		name := here[c.random.Intn(len(here))]
		l.deleted[name] = true
		c.delete(p, name)
	}
}

// TestForgettingWeather writes and deletes through cuts, restarts and peers that are forgotten while floors
// are closed as fast as can be: the dead stay dead, what lives is on all peers, and all agree.
func TestForgettingWeather(t *testing.T) {
	seeds := []int64{234, 404} // failed once
	for seed := range int64(40) {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		tuning := Tuning{MarkEach: 2 * time.Second, MarkSoon: time.Second, ForgetAfter: 15 * time.Second}
		c := newClusterWith(t, seed, 4, tuning)
		l := &ledger{deleted: map[string]bool{}}
		c.pass(4 * time.Second)
		for n := range 120 {
			p := c.peers[c.random.Intn(4)]
			switch c.random.Intn(16) {
			case 0:
				c.split(c.random.Intn(4))
			case 1:
				c.boot(p)
			case 2:
				c.split(c.random.Intn(4))
				c.pass(time.Duration(c.random.Intn(40)) * time.Second)
			default:
				l.act(c, p, n)
			}
			c.pass(time.Duration(1+c.random.Intn(30)) * step)
		}
		c.split(0)
		c.pass(90 * time.Second)
		c.agreed()
		l.check(c, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// lists says whether an object is listed as a conflict.
func (p *simulated) lists(name string) bool {
	return slices.ContainsFunc(p.machine.Conflicts(), func(c Conflicted) bool { return c.Key == deploymentKey(name) })
}

func (l *ledger) check(c *cluster, seed int64) {
	c.t.Helper()
	floors := 0
	for _, p := range c.peers {
		if p.machine.FloorStatus().Closed != (crdt.Stamp{}) {
			floors++
		}
		for _, name := range l.created {
			if alive := p.has(name); alive && l.deleted[name] || !alive && !l.deleted[name] && !p.lists(name) {
				c.t.Errorf("seed %d: %s has %s: %v", seed, p.name, name, p.has(name))
			}
		}
		if s := p.machine.FloorStatus(); s.Doubtful || s.Forgettable > 0 {
			c.t.Errorf("seed %d: %s: %+v", seed, p.name, s)
		}
	}
	if floors == 0 {
		c.t.Errorf("seed %d: no floor was closed", seed)
	}
}

// TestRefill takes a part of what is below the floor from a peer's store: it comes again.
func TestRefill(t *testing.T) {
	c := newClusterWith(t, 1, 3, soon)
	c.pass(4 * time.Second)
	for i := range 6 {
		c.apply(c.peers[i%3], fmt.Sprint("stays", i), map[string]string{})
	}
	c.pass(3 * time.Second)
	c.cycle(c.peers[0], "web", 3)
	c.pass(60 * time.Second)
	c.forgotten(12)
	p := c.peers[1]
	for i, name := range slices.Sorted(mapsKeys(p.ops)) {
		if i%2 == 0 && p.ops[name].Key != floorKey {
			delete(p.ops, name)
		}
	}
	p.records[recordRefill] = []byte("{}")
	c.boot(p)
	c.pass(30 * time.Second)
	c.agreed()
	c.forgotten(12)
	for i := range 6 {
		if !p.has(fmt.Sprint("stays", i)) {
			t.Errorf("stays%d did not come again", i)
		}
	}
	if p.records[recordRefill] != nil {
		t.Error("the store still says that it must be refilled")
	}
}

// TestMarkOverUnheardWrites loses a peer for good after its row told of a write that nobody got: no floor covers that write.
func TestMarkOverUnheardWrites(t *testing.T) {
	c := newClusterWith(t, 1, 3, soon)
	c.pass(4 * time.Second)
	c.apply(c.peers[2], "stays", map[string]string{})
	c.pass(4 * time.Second)
	gone := c.peers[2]
	held, _ := gone.machine.spread.Row(gone.id)
	o, err := wire.DecodeObservation(held.Body)
	if err != nil {
		t.Fatal(err)
	}
	gone.powerLoss()
	o.Latest = uint64(gone.machine.set.Heard()[gone.id]) + 1<<20
	held.Version.Sequence++
	held.Body = wire.EncodeObservation(o)
	row := replication.SealRow(held, sign)
	for _, p := range c.peers[:2] {
		p.machine.Step(Received{From: gone.id, Message: replication.Message{Rows: &replication.Rows{Rows: []replication.Row{row}}}})
	}
	c.cycle(c.peers[0], "web", 3)
	c.pass(200 * time.Second)
	for _, p := range c.peers[:2] {
		_, second := p.machine.set.Floor()
		if at := second[gone.id]; at == 0 || at >= crdt.Time(o.Latest) {
			t.Errorf("%s: the floor is at %d of the lost peer, which wrote up to %d unheard", p.name, at, o.Latest)
		}
	}
}
