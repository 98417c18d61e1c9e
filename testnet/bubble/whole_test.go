package bubble

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
)

// wholeWithin is how soon after the end of what kept them apart all peers must be one cluster again.
const wholeWithin = 10 * time.Second

// whole says whether every running peer holds every other to be alive, by its right name and addresses, and all have
// the same intent.
func (w *World) whole() bool {
	var first [32]byte
	for i, p := range w.peers {
		if !p.seesAll() {
			return false
		}
		digest := p.intent()
		if i == 0 {
			first = digest
		}
		if digest != first {
			return false
		}
	}
	return true
}

func (p *Peer) seesAll() bool {
	if p.program == nil {
		return false
	}
	right := 0
	p.read(func(m *control.Machine) {
		for _, member := range m.Members() {
			if other := p.world.byID(member.ID); other != nil && member.State == gossip.Alive && member.Name == other.called &&
				member.Addr.Addr() == other.addr && member.Stream.Addr() == other.addr {
				right++
			}
		}
	})
	return right == len(p.world.peers)
}

func (w *World) byID(id gossip.PeerID) *Peer {
	for _, p := range w.peers {
		if gossip.PeerID(p.ID) == id {
			return p
		}
	}
	return nil
}

func (p *Peer) intent() (digest [32]byte) {
	p.read(func(m *control.Machine) { digest, _ = m.Digests() })
	return digest
}

// write makes a new object on a peer, so that there is something to bring to the others.
func (p *Peer) write(name string) {
	p.create(crdt.Key{Kind: "Namespace", Name: name})
}

// heals ends what keeps the peers apart, and measures how long they take.
func (w *World) heals(what string, end func()) {
	w.t.Helper()
	end()
	took := w.Await(30*time.Second, what+": one cluster again", w.whole)
	w.t.Logf("%s: one cluster after %v", what, took)
	if took > wholeWithin {
		w.t.Errorf("%s: one cluster only after %v", what, took)
	}
}

func (w *World) eachWrites(when string) {
	for _, p := range w.peers {
		if p.program != nil {
			p.write(fmt.Sprintf("%s-%s", when, p.Name))
		}
	}
}

// restart ends programs and starts them again.
func (w *World) restart(names []string, between func(*Peer)) {
	for _, name := range names {
		w.Peer(name).Crash()
	}
	for _, name := range names {
		if between != nil {
			between(w.Peer(name))
		}
		w.Peer(name).Start()
	}
}

func elsewhere(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}) }

// partitions are ways to be apart and to come together again. Each ends with everything connected.
var partitions = []struct {
	name string
	run  func(w *World)
}{
	{"a cut of 1 s", func(w *World) { w.apart(time.Second) }},
	{"a cut of 10 s", func(w *World) { w.apart(10 * time.Second) }},
	{"a cut of a minute", func(w *World) { w.apart(time.Minute) }},
	{"a cut of ten minutes", func(w *World) { w.apart(10 * time.Minute) }},
	{"nested cuts", func(w *World) {
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		w.Split(names(1, 1), names(2, 3), names(4, 6))
		w.eachWrites("inner")
		time.Sleep(time.Minute)
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		w.Split(names(1, 2), names(3, 4), names(5, 6))
		time.Sleep(time.Minute)
		w.heals("nested cuts", w.Heal)
	}},
	{"a one-way cut", func(w *World) {
		w.Deafen(names(1, 3), names(4, 6))
		time.Sleep(2 * time.Minute)
		w.eachWrites("deaf")
		w.heals("a one-way cut", w.Heal)
	}},
	{"a peer that hears nobody", func(w *World) {
		w.Deafen(names(2, 6), names(1, 1))
		time.Sleep(2 * time.Minute)
		w.eachWrites("deaf")
		w.heals("a peer that hears nobody", w.Heal)
	}},
	{"a side restarted during the cut", func(w *World) {
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		w.eachWrites("before")
		w.restart(names(4, 6), nil)
		time.Sleep(time.Minute)
		w.eachWrites("after")
		w.heals("a side restarted during the cut", w.Heal)
	}},
	{"both sides restarted during the cut", func(w *World) {
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		w.restart(names(1, 6), nil)
		time.Sleep(time.Minute)
		w.eachWrites("after")
		w.heals("both sides restarted during the cut", w.Heal)
	}},
	{"a side moved during the cut", func(w *World) {
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		n := 0
		w.restart(names(1, 3), func(p *Peer) { n++; p.Move(elsewhere(n)) })
		time.Sleep(time.Minute)
		w.eachWrites("after")
		w.heals("a side moved during the cut", w.Heal)
	}},
	{"a peer with another address", func(w *World) {
		p := w.Peer("p2")
		p.Crash()
		p.Move(elsewhere(1))
		w.heals("a peer with another address, at once", p.Start)
		p.Crash()
		time.Sleep(time.Minute)
		p.Move(elsewhere(2))
		w.heals("a peer with another address, after a minute", p.Start)
	}},
	{"the seed with another address", func(w *World) {
		p := w.Peer("p1")
		p.Crash()
		time.Sleep(time.Minute)
		p.Move(elsewhere(1))
		w.heals("the seed with another address", p.Start)
	}},
	{"a peer with another name", func(w *World) {
		p := w.Peer("p3")
		p.Crash()
		p.called = "renamed"
		w.heals("a peer with another name", p.Start)
		p.Crash()
		time.Sleep(time.Minute)
		p.called = "p1" // that of another: names are for people
		w.heals("a peer with another's name", p.Start)
	}},
	{"two peers that swap addresses", func(w *World) {
		for _, away := range []time.Duration{0, time.Minute} {
			a, b := w.Peer("p2"), w.Peer("p5")
			a.Crash()
			b.Crash()
			time.Sleep(away)
			at, bt := a.addr, b.addr
			a.Move(bt)
			b.Move(at)
			w.heals(fmt.Sprintf("two peers that swap addresses, away for %v", away), func() { a.Start(); b.Start() })
			w.eachWrites(fmt.Sprintf("swapped-%d", int(away.Seconds())))
			w.heals("writes after the swap", func() {})
		}
	}},
	{"all restarted at once", func(w *World) { w.heals("all restarted at once", func() { w.restart(names(1, 6), nil) }) }},
}

// apart cuts the world in two for that long, with writes on both sides, and heals it.
func (w *World) apart(span time.Duration) {
	w.Split(names(1, 2), names(3, 6))
	time.Sleep(span / 2)
	w.eachWrites(fmt.Sprintf("apart-%d", int(span.Seconds())))
	time.Sleep(span / 2)
	w.heals(fmt.Sprintf("a cut of %v", span), w.Heal)
}

// TestALongCut keeps two peers apart for half a day, which costs about five seconds of a core; for an hour under the race
// detector. Longer ones are the heap world's.
func TestALongCut(t *testing.T) {
	if raced {
		longCut(t, time.Hour)
		return
	}
	longCut(t, 12*time.Hour)
}

func longCut(t *testing.T, span time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 2)
		defer w.Close()
		w.Split(names(1, 1), names(2, 2))
		time.Sleep(span / 2)
		w.eachWrites("apart")
		time.Sleep(span / 2)
		w.heals(fmt.Sprintf("two peers apart for %v", span), w.Heal)
	})
}

// TestAlwaysOneClusterAgain keeps six peers apart in many ways: they are one cluster within ten seconds of
// connectivity, without an operator.
func TestAlwaysOneClusterAgain(t *testing.T) {
	for _, partition := range partitions {
		t.Run(partition.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := NewWorld(t, 6)
				defer w.Close()
				w.eachWrites("first")
				w.heals("the beginning", func() {})
				partition.run(w)
			})
		})
	}
}
