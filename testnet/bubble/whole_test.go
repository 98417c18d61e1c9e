package bubble

import (
	"fmt"
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

// TestALongCut keeps two peers apart that run all the while, for half a day; for an hour under the race detector. A peer costs
// about 37 us of a core for each virtual second, half of it for the twelve ticks that memberlist has in one: half a day of two peers
// costs three seconds, a month would cost three minutes. Months are in partitions, with machines that are off most of the
// time, and in the heap world.
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
