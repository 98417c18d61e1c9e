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

// network knows who can reach whom, and which connections are stuck.
type network struct {
	side   []int           // of peers
	oneWay map[[2]int]bool // from, to: cut in this direction only
	joint  time.Duration   // when the newest cut was ended
	stuck  map[line]*connection
	spare  []*letter // used ones
}

func newNetwork(peers int) *network {
	return &network{side: make([]int, peers), oneWay: map[[2]int]bool{}, stuck: map[line]*connection{}}
}

// carries says whether messages pass from one peer to another.
func (n *network) carries(from, to int) bool {
	return n.side[from] == n.side[to] && (len(n.oneWay) == 0 || !n.oneWay[[2]int{from, to}])
}

// joined says whether two peers can talk to each other.
func (n *network) joined(a, b int) bool { return n.carries(a, b) && n.carries(b, a) }

// letter is a message under way.
type letter struct {
	from, to *Peer
	boot     uint64 // of the receiver's program
	message  replication.Message
}

// happen delivers the letter, if that is still possible.
func (l *letter) happen() {
	from, to, message, boot := l.from, l.to, l.message, l.boot
	w := to.world
	if len(w.network.stuck) > 0 {
		w.met(l)
	}
	*l = letter{}
	w.network.spare = append(w.network.spare, l)
	if w.network.carries(from.index, to.index) && to.alive && to.life == boot {
		to.receive(from, message)
	}
}

// send hands a message to the connection between two peers: it arrives after its delay, or never.
func (w *World) send(from, to *Peer, message replication.Message) {
	w.accounts.message(from, to, message)
	if w.options.Coded {
		message = w.coded(message)
	}
	n := w.network
	if len(n.stuck) > 0 || !n.carries(from.index, to.index) || !to.powered {
		if w.waits(from, to, message) {
			return
		}
	}
	w.post(from, to, message)
}

// post puts a message on its way.
func (w *World) post(from, to *Peer, message replication.Message) {
	copies := 1
	switch {
	case w.random.Float64() < w.options.Link.Loss:
		copies = 0
	case w.chance(w.options.Link.Doubled):
		copies = 2
	}
	for range copies {
		w.plan(w.between(w.options.Link.LeastDelay, w.options.Link.MostDelay), w.network.letter(from, to, message))
	}
}

func (n *network) letter(from, to *Peer, message replication.Message) *letter {
	l := &letter{}
	if last := len(n.spare) - 1; last >= 0 {
		l, n.spare = n.spare[last], n.spare[:last]
	}
	*l = letter{from: from, to: to, boot: to.life, message: message}
	return l
}

// coded sends a message through the wire's form and back.
func (w *World) coded(message replication.Message) replication.Message {
	decoded, err := replication.Decode(replication.Encode(message))
	if err != nil {
		panic("heap: a message does not survive its own encoding: " + err.Error())
	}
	return decoded
}
