package gossiptest

import (
	"net/netip"
	"time"
)

// Stall holds everything that a host sends and is sent, as if the machine were too busy for it: what comes waits in its sockets,
// what it says waits in the host, up to queueLength packets each way. Its programs run on, as in the experiments on Lifeguard
// (Dadgar, Phillips, Currey 2018): that is harder on a failure detector than a machine that stands still as a whole.
func (n *Network) Stall(addr netip.Addr) {
	n.change(func() {
		if n.stalled[addr] == nil {
			n.stalled[addr] = &held{}
		}
	})
}

// Resume ends a Stall: what was held goes its way, in order.
func (n *Network) Resume(addr netip.Addr) {
	n.change(func() {
		was := n.stalled[addr]
		delete(n.stalled, addr)
		if was == nil {
			return
		}
		for _, play := range was.in {
			play()
		}
		for _, play := range was.out {
			play()
		}
	})
}

// held is what waits in a stalled host.
type held struct{ in, out []func() }

// hold keeps a packet for later where the host is stalled. Beyond queueLength it is dropped. n.mu is held.
func (n *Network) hold(addr netip.Addr, queue func(*held) *[]func(), later func()) bool {
	at := n.stalled[addr]
	if at == nil {
		return false
	}
	waiting := queue(at)
	if len(*waiting) >= queueLength {
		n.dropped++
		return true
	}
	*waiting = append(*waiting, later)
	return true
}

func incoming(h *held) *[]func() { return &h.in }
func outgoing(h *held) *[]func() { return &h.out }

// resentMost is how often bytes are lost at most before they arrive.
const resentMost = 8

// resent is how much later bytes arrive because of packets that were lost: each one is sent again after a wait of first, of twice that
// and so on, as TCP does. n.mu is held.
func (n *Network) resent(first time.Duration, loss float64) (late time.Duration) {
	for range resentMost {
		if n.random.Float64() >= loss {
			break
		}
		late, first = late+first, 2*first
	}
	return late
}
