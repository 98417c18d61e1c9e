package heap

import (
	"time"

	"shoal/peer/replication"
)

// This file is the model of the connections below peer/stream, in the detail that matters: what becomes of words that
// were spoken into a cut. A connection that works is not modelled. One over which something was sent that could not
// pass is stuck, and holds what is sent after it:
//
//	sent into the cut ── tries again after 0.2, 0.6, 1.4, 3 s ── passes: all that waits goes out
//	                  └─ 5 s without an acknowledgement: closed, what was under way is lost
//	                       └─ dials: asks at once and after 1 s; after 3 s one message is lost and up to 1.5 s are waited
//	the peer connects by itself: it is dialled at once
//	the peer is said to have failed: peer.Streams.Drop, everything is forgotten
//
// The times are those of TCP on Linux (200 ms, doubled; RFC 6298) and of peer/stream (unackedAtMost, dialTimeout,
// retryMost). The bounds on what waits are those of peer/stream's outbox. Without Drop and unackedAtMost TCP goes on
// doubling its wait, and the first words after a cut of a minute come half a minute late: plants.neverDrops.
const (
	firstRetransmit = 200 * time.Millisecond
	unackedAtMost   = 5 * time.Second
	dialAgain       = time.Second // TCP's second SYN
	dialTimeout     = 3 * time.Second
	retryMost       = 1500 * time.Millisecond

	queueMessages = 64 // on each line; of intent the newest beyond it are dropped, of observations the oldest
)

// line is one lane from one peer to another.
type line struct {
	from, to int
	lane     replication.Lane
}

// connection is a line that is stuck.
type connection struct {
	since   time.Duration // of the first message that did not pass
	boot    uint64        // of the receiver's program then
	closed  bool          // it is being opened anew
	waiting []waiting
}

type waiting struct {
	since   time.Duration
	message replication.Message
}

// waits says whether a message must wait behind a stuck connection, and keeps it then.
func (w *World) waits(from, to *Peer, message replication.Message) bool {
	n := w.network
	at := line{from.index, to.index, message.Lane()}
	c := n.stuck[at]
	if c == nil {
		if n.carries(from.index, to.index) && to.powered {
			return false
		}
		c = &connection{since: w.now, boot: to.life}
		n.stuck[at] = c
		w.after(firstRetransmit, func() { w.retransmit(at, c, 2*firstRetransmit) })
		if !w.plants.neverDrops {
			w.after(unackedAtMost, func() { w.unacked(at, c) })
		}
	}
	c.keep(waiting{w.now, message}, at.lane, w.plants.unboundedQueues)
	w.watchQueue(from, to, len(c.waiting))
	return true
}

// keep holds a message, within the bound of its lane.
func (c *connection) keep(m waiting, lane replication.Lane, unbounded bool) {
	if len(c.waiting) >= queueMessages && !unbounded {
		if lane == replication.Intent {
			return
		}
		c.waiting = c.waiting[1:]
	}
	c.waiting = append(c.waiting, m)
}

// reaches says whether a line's connection would work if it were used now.
func (w *World) reaches(at line) bool {
	return w.network.carries(at.from, at.to) && w.peers[at.to].powered
}

// retransmit is one more try of what did not pass; next is how long after it the one after that comes.
func (w *World) retransmit(at line, c *connection, next time.Duration) {
	if w.network.stuck[at] != c || c.closed {
		return
	}
	if !w.reaches(at) {
		w.after(next, func() { w.retransmit(at, c, min(2*next, 2*time.Minute)) })
		return
	}
	if w.peers[at.to].life != c.boot {
		c.waiting = c.waiting[min(1, len(c.waiting)):] // nobody knows this connection there: what was under way is lost
	}
	w.flow(at, c)
}

// flow ends a stuck connection: what waited goes out.
func (w *World) flow(at line, c *connection) {
	delete(w.network.stuck, at)
	from, to := w.peers[at.from], w.peers[at.to]
	for _, m := range c.waiting {
		w.watchLate(from, to, m.since)
		if from.alive {
			w.post(from, to, m.message)
		}
	}
}

func (w *World) unacked(at line, c *connection) {
	if w.network.stuck[at] == c && !c.closed {
		c.closed = true
		c.waiting = c.waiting[min(1, len(c.waiting)):]
		w.dial(at, c)
	}
}

// dial opens a closed connection anew, and tries for as long as something waits for it.
func (w *World) dial(at line, c *connection) {
	switch {
	case w.network.stuck[at] != c:
	case len(c.waiting) == 0 || !w.peers[at.from].alive:
		delete(w.network.stuck, at)
	case w.reaches(at):
		w.flow(at, c)
	default:
		w.after(dialAgain, func() {
			if w.network.stuck[at] == c && w.reaches(at) {
				w.flow(at, c)
			}
		})
		w.after(dialTimeout+w.between(0, retryMost), func() {
			c.waiting = c.waiting[min(1, len(c.waiting)):]
			w.dial(at, c)
		})
	}
}

// met is what a letter that arrived means for the connection back: who was waiting to dial does so now.
func (w *World) met(l *letter) {
	for _, lane := range [...]replication.Lane{replication.Intent, replication.Observation} {
		at := line{l.to.index, l.from.index, lane}
		if c := w.network.stuck[at]; c != nil && c.closed && w.reaches(at) {
			w.flow(at, c)
		}
	}
}

// drop is peer.Streams.Drop: the loop calls it for a member that failed.
func (w *World) drop(from, to *Peer) {
	if w.plants.neverDrops {
		return
	}
	delete(w.network.stuck, line{from.index, to.index, replication.Intent})
	delete(w.network.stuck, line{from.index, to.index, replication.Observation})
}

// hangUp ends what a peer's program had open.
func (w *World) hangUp(p *Peer) {
	for at := range w.network.stuck { // in any order: each is only taken out
		if at.from == p.index {
			delete(w.network.stuck, at)
		}
	}
}

// lateWord is how long a message may wait behind a stuck connection after its peers could reach each other again: the
// longest gap between two tries of a connection that was not dropped because the cut was too short to be noticed, or
// to a peer that was known to be away.
const lateWord = dialTimeout - dialAgain + retryMost

// watchLate checks that a heal is not held up by connections that died in the cut.
func (w *World) watchLate(from, to *Peer, since time.Duration) {
	joint := max(since, w.network.joint, to.started)
	if waited := w.now - joint; waited > lateWord {
		w.broken("converged", "words of %s to %s waited %s behind a dead connection although the two could reach each other", from.Name, to.Name, waited)
	}
}

// watchQueue is P12 for the queues of connections.
func (w *World) watchQueue(from, to *Peer, length int) {
	if length > queueMessages {
		w.broken("P12", "%d messages wait from %s to %s, at most %d may", length, from.Name, to.Name, queueMessages)
	}
}
