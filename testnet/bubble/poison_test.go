package bubble

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/crdt"
	"shoal/peer"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
	"shoal/peer/wire"
)

// poison makes every peer's code fail at some names, and counts how often.
type poison struct {
	mu    sync.Mutex
	names map[string]bool           // "site name"
	trips map[string]map[string]int // how often each peer failed at each of them
}

func (p *poison) trip(peer, site, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := site + " " + name
	if !p.names[at] {
		return
	}
	if p.trips[peer] == nil {
		p.trips[peer] = map[string]int{}
	}
	p.trips[peer][at]++
	panic("planted at " + at)
}

func (p *poison) count(peer, at string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips[peer][at]
}

// sealed is a signed operation of this machine that creates an object.
func (f *flooder) sealed(key crdt.Key, at time.Time, changes ...crdt.Change) crdt.Op {
	return replication.Seal(crdt.Op{
		Key: key, Stamp: crdt.Stamp{Time: crdt.Next(0, nil, at), Writer: crdt.PeerID(f.id)},
		Verb: crdt.Create, Manager: "shoal", User: "mallory", Changes: changes,
	}, f.sign)
}

// names says which of these words a peer tells of what it set aside, in its audit and in its list.
func (p *Peer) names(words []string) (missing []string) {
	var text strings.Builder
	report, err := p.program.Audit(context.Background())
	if err != nil {
		p.world.t.Fatal(err)
	}
	for _, e := range report.Entries {
		fmt.Fprintln(&text, "audit", e.Subject, e.Key, e.Writer, e.Text)
	}
	p.read(func(m *control.Machine) {
		for _, a := range m.Aside() {
			fmt.Fprintln(&text, "aside", a.Site, a.Subject, a.Key, a.Text)
		}
	})
	for _, word := range words {
		if !strings.Contains(text.String(), word) {
			missing = append(missing, word)
		}
	}
	return missing
}

// TestOneBadValueStopsNoFleet plants an object, an operation and a row with which the code of all 20 peers fails. All go on,
// name them, and go on after a restart, without trying them again and again.
func TestOneBadValueStopsNoFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		object, operation := crdt.Key{Kind: "Namespace", Name: "bad-object"}, crdt.Key{Kind: "Namespace", Name: "bad-operation"}
		planted := &poison{names: map[string]bool{}, trips: map[string]map[string]int{}}
		w := NewFaultyWorld(t, 20, planted.trip)
		defer w.Close()
		w.Peer("p3").Apply("web", web(10, "blue"))
		w.Rest(time.Minute)

		mallory := w.newFlooder(1, trust.MayWrite)
		defer mallory.streams.Close()
		sites := []string{"read " + object.String(), "merge " + operation.String(), "decode " + string(mallory.id)}
		for _, site := range sites {
			planted.names[site] = true
		}
		now := time.Now()
		ops := []crdt.Op{mallory.sealed(object, now), mallory.sealed(operation, now.Add(time.Second))}
		good := mallory.sealed(crdt.Key{Kind: "Namespace", Name: "good"}, now.Add(2*time.Second))
		attack := func() {
			mallory.send(w.peers, peer.Intent, replication.Message{Push: &replication.Push{Ops: append(ops[:2:2], good)}})
			mallory.send(w.peers, peer.Observation, replication.Message{Rows: &replication.Rows{Rows: []replication.Row{mallory.row(wire.Observation{})}}})
		}
		for range 3 {
			attack()
			time.Sleep(10 * time.Second)
		}
		w.goesOn(sites, "first")
		for _, p := range w.peers {
			if missing := p.names(sites); missing != nil {
				t.Errorf("%s does not name %q", p.Name, missing)
			}
			for _, site := range sites[:2] {
				if n := planted.count(p.Name, site); n == 0 || n > 2 {
					t.Errorf("%s failed %d times at %s", p.Name, n, site)
				}
			}
		}

		clear(planted.trips)
		for _, p := range w.peers {
			p.Crash()
		}
		for _, p := range w.peers {
			p.Start()
		}
		w.Await(time.Minute, "all are members of each other", w.whole)
		attack()
		w.goesOn(sites, "second")
		for _, p := range w.peers {
			for _, site := range sites[:2] {
				if n := planted.count(p.Name, site); n > 0 {
					t.Errorf("%s failed %d times more at %s after its restart", p.Name, n, site)
				}
			}
		}
	})
}

// goesOn expects that every peer takes writes, that these and the good one of the attack reach all, and that what runs goes on.
func (w *World) goesOn(sites []string, when string) {
	w.t.Helper()
	w.eachWrites(when)
	w.Await(20*time.Second, "all writes are known to all", w.whole)
	w.Peer("p5").Scale("web", 10+len(when))
	w.Rest(time.Minute)
	for _, p := range w.peers {
		p.read(func(m *control.Machine) {
			if o, _ := m.Object(crdt.Key{Kind: "Namespace", Name: "good"}); !o.Live {
				w.t.Errorf("%s lost the good operation that came with the bad ones", p.Name)
			}
		})
	}
}
