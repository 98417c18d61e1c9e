package control

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/placement"
)

// write has a peer write an object as it should be; nil deletes it.
func (c *cluster) write(p *simulated, key crdt.Key, tree map[string]any) {
	current, _ := p.machine.Object(key)
	current.Key = key
	c.request++
	w := Write{Request: c.request, Key: key, Verb: crdt.Delete, Seen: current.Seen, Manager: p.name, User: "op"}
	if tree != nil {
		changes, err := changesFor(current, tree)
		if err != nil {
			c.t.Fatal(err)
		}
		if w.Verb, w.Changes = crdt.Update, changes; !current.Live {
			w.Verb = crdt.Create
		}
	} else if !current.Live {
		return
	}
	p.machine.Step(w)
}

// drain has one peer say that another is to hand over its work, or no more.
func (c *cluster) drain(by *simulated, name string, drain bool) {
	key := crdt.Key{Kind: kindNode, Name: name}
	if !drain {
		c.write(by, key, nil)
		return
	}
	tree := objectTree("v1", key, map[string]any{"unschedulable": true})
	tree["metadata"].(map[string]any)["annotations"] = map[string]any{"shoal/drain": "true"}
	c.write(by, key, tree)
}

func (c *cluster) budget(most int) {
	key := crdt.Key{Kind: kindBudget, Namespace: "default", Name: "calm"}
	c.write(c.peers[0], key, objectTree("policy/v1", key, map[string]any{"maxUnavailable": json.Number(fmt.Sprint(most)),
		"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}}}))
}

// TestDrains hands over one peer after the other: every replica serves all the time (P7), no more leave it at once than a
// budget allows (the balance has a bound of its own), and in the end nothing is left there.
func TestDrains(t *testing.T) {
	for seed := range int64(6) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			c := newCluster(t, seed, 4)
			c.pass(4 * time.Second)
			c.apply(c.peers[0], "web", map[string]string{"replicas": "8", "cpu": "500m"})
			most := 1 + int(seed%2)
			if seed > 1 {
				c.budget(most)
			}
			c.pass(25 * time.Second)
			for i, p := range c.peers {
				c.drain(c.peers[(i+1)%4], p.name, true)
				for range 30 * int(time.Second/step) {
					c.tick()
					if n := c.serving(0); n < 8 {
						t.Fatalf("P7: only %d replicas serve at %s while %s is drained", n, c.now, p.name)
					}
					if going := stopping(p); seed > 1 && going > most {
						t.Fatalf("%d replicas leave %s at once, and the budget allows %d", going, p.name, most)
					}
				}
				if view, _ := p.machine.Drain(p.id); len(p.machine.held) > 0 || !view.Draining || len(view.Left) > 0 {
					t.Fatalf("%s still holds %v: %+v", p.name, p.machine.heldIDs, view)
				}
				c.drain(c.peers[i], p.name, false)
				c.pass(time.Second)
			}
			c.pass(10 * time.Second)
			c.settledOn(8)
		})
	}
}

// stopping counts what is on its way out of a peer.
func stopping(p *simulated) (n int) {
	for _, in := range p.machine.held {
		if in.stopping {
			n++
		}
	}
	return n
}

// TestMovesInWeather drains peers, displaces replicas and asks for ports while peers lose power, programs die and the cluster is split; after
// each calm all agree, and everything wanted runs once.
func TestMovesInWeather(t *testing.T) {
	for seed := range int64(10) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			c := newCluster(t, seed, 4)
			class := crdt.Key{Kind: kindPriority, Name: "gold"}
			tree := objectTree("scheduling.k8s.io/v1", class, nil)
			delete(tree, "spec")
			tree["value"] = json.Number("100")
			c.pass(4 * time.Second)
			c.write(c.peers[0], class, tree)
			for range 3 {
				c.turmoil()
				c.split(0)
				for _, p := range c.peers {
					if p.off {
						c.boot(p)
					}
				}
				c.pass(5 * time.Second)
				for _, p := range c.peers {
					p.machine.flap.penalty = 0 // as after an hour
				}
				c.undrain()
				c.apply(c.peers[0], "web", map[string]string{"replicas": "6"})
				c.apply(c.peers[0], "gold", map[string]string{"replicas": "3", "cpu": "3000m", "priority": "gold"})
				c.apply(c.peers[0], "edge", map[string]string{"replicas": "3", "cpu": "100m", "port": "8080"})
				c.pass(60 * time.Second)
				for c.undrain() { // the first peer had not heard of all drains
					c.pass(60 * time.Second)
				}
				c.settledOn(12)
				c.nothingAside()
			}
		})
	}
}

// undrain ends all drains that the first peer knows, and says whether there were any.
func (c *cluster) undrain() bool {
	drained := c.peers[0].machine.Objects(kindNode, "")
	for _, o := range drained {
		c.drain(c.peers[0], o.Key.Name, false)
	}
	return len(drained) > 0
}

// nothingAside fails the test where the code failed.
func (c *cluster) nothingAside() {
	c.t.Helper()
	for _, p := range c.peers {
		for _, a := range p.machine.Aside() {
			c.t.Errorf("%s set aside %s: %s", p.name, a.Subject, a.Text)
		}
	}
}

// turmoil does a dozen things at random.
func (c *cluster) turmoil() {
	for range 12 {
		p, other := c.peers[c.random.Intn(4)], c.peers[c.random.Intn(4)]
		if p.off {
			continue
		}
		switch c.random.Intn(9) {
		case 0:
			c.split(c.random.Intn(4))
		case 1:
			p.powerLoss()
		case 2:
			c.boot(p)
		case 3, 4:
			c.drain(p, other.name, true)
		case 5:
			c.drain(p, other.name, false)
		case 6:
			c.apply(p, "gold", map[string]string{"replicas": fmt.Sprint(c.random.Intn(8)), "cpu": "3000m", "priority": "gold"})
		case 7:
			c.apply(p, "edge", map[string]string{"replicas": fmt.Sprint(c.random.Intn(5)), "cpu": "100m", "port": "8080", "env": fmt.Sprint(c.random.Intn(3))})
		default:
			c.apply(p, "web", map[string]string{"replicas": fmt.Sprint(c.random.Intn(16))})
		}
		c.pass(time.Duration(c.random.Intn(100)) * step)
	}
}

// withinRoom fails the test where a peer has admitted more than it has (P6), of ports too.
func (c *cluster) withinRoom(p *simulated) {
	sum, room := p.machine.Admitted()
	if sum.CPUMillis > room.CPUMillis || sum.MemoryBytes > room.MemoryBytes {
		c.t.Fatalf("%s at %s: P6: %v admitted of %v", p.name, c.now, sum, room)
	}
	var taken []placement.Port
	for _, in := range p.machine.held {
		for _, port := range in.record.Ports {
			for _, other := range taken {
				if clash(port, other) {
					c.t.Fatalf("%s at %s: P6: port %d is held twice", p.name, c.now, port.Number)
				}
			}
		}
		taken = append(taken, in.record.Ports...)
	}
}
