package heap

import (
	"time"

	"shoal/peer/replication"
)

// Link says how the network treats messages. The zero value delivers every message at once.
type Link struct {
	LeastDelay time.Duration
	MostDelay  time.Duration // each message draws its own: later ones may overtake
	Loss       float64       // part of all messages
	Doubled    float64       // the same
}

// LAN is the usual network of a World.
var LAN = Link{LeastDelay: 100 * time.Microsecond, MostDelay: 2 * time.Millisecond}

// Bad is a network that loses, doubles and reorders.
var Bad = Link{LeastDelay: time.Millisecond, MostDelay: 80 * time.Millisecond, Loss: 0.1, Doubled: 0.05}

// network carries messages between peers and knows who can reach whom.
type network struct {
	side   []int           // of peers
	oneWay map[[2]int]bool // from, to: cut in this direction only
}

func newNetwork(peers int) *network {
	return &network{side: make([]int, peers), oneWay: map[[2]int]bool{}}
}

// carries says whether messages pass from one peer to another.
func (n *network) carries(from, to int) bool {
	return n.side[from] == n.side[to] && !n.oneWay[[2]int{from, to}]
}

// joined says whether two peers can talk to each other.
func (n *network) joined(a, b int) bool { return n.carries(a, b) && n.carries(b, a) }

// send hands a message over after its delay, or never.
func (w *World) send(from, to *Peer, message replication.Message) {
	copies := 1
	switch {
	case w.random.Float64() < w.options.Link.Loss:
		copies = 0
	case w.chance(w.options.Link.Doubled):
		copies = 2
	}
	if w.options.Coded && copies > 0 {
		message = w.coded(message)
	}
	for range copies {
		boot := to.disk.boot
		w.after(w.between(w.options.Link.LeastDelay, w.options.Link.MostDelay), func() {
			if w.network.carries(from.index, to.index) && to.alive && to.disk.boot == boot {
				to.receive(from, message)
			}
		})
	}
}

// coded sends a message through the wire's form and back.
func (w *World) coded(message replication.Message) replication.Message {
	decoded, err := replication.Decode(replication.Encode(message))
	if err != nil {
		panic("heap: a message does not survive its own encoding: " + err.Error())
	}
	return decoded
}
