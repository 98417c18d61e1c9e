package bubble

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"shoal/gossip"
	"shoal/peer"
)

// lose puts peers into all books that are gone for good: nothing ever answers at their addresses.
func (w *World) lose(n int) {
	for i := range n {
		name := fmt.Sprintf("lost%d", i)
		addr := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
		w.network.Sleep(addr)
		for _, p := range w.peers {
			p.disk.book[gossip.PeerID(peer.ID(keyOf(name)))] = gossip.Member{
				Self: gossip.Self{ID: gossip.PeerID(peer.ID(keyOf(name))), Name: name, Stream: netip.AddrPortFrom(addr, streamPort)},
				Addr: netip.AddrPortFrom(addr, gossipPort),
			}
		}
	}
}

// TestOneAmongAThousandLost keeps two peers apart whose books are full of peers that are gone (200 under the race detector):
// they are one cluster as soon as with empty books, whether their programs ran on meanwhile or begin now.
func TestOneAmongAThousandLost(t *testing.T) {
	lost, aparts := 998, []time.Duration{10 * time.Second, 61 * time.Second}
	if raced {
		lost, aparts = 200, aparts[:1]
	}
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 2)
		defer w.Close()
		w.heals("the beginning", func() {})
		w.lose(lost)
		w.Split(names(1, 1), names(2, 2))
		w.restart(names(1, 2), nil)
		for _, apart := range aparts {
			time.Sleep(apart)
			w.eachWrites(fmt.Sprintf("apart-%d", int(apart.Seconds())))
			w.heals(fmt.Sprintf("apart for %v", apart), w.Heal)
			time.Sleep(30 * time.Second)
			w.Split(names(1, 1), names(2, 2))
		}
		w.Heal()
		w.restart(names(1, 1), nil)
		w.heals("one program begins", func() {})
		w.heals("both programs begin", func() { w.restart(names(1, 2), nil) })
	})
}
