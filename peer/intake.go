package peer

import (
	"fmt"
	"sync"

	"shoal/peer/trust"
)

const (
	checkAtOnce  = 512     // signatures checked together: more cost less each, and take 7 ms
	waitMessages = 64      // of one sender on one lane
	waitBytes    = 4 << 20 // of one sender on one lane; one message may be larger
	// apartFor is for how many messages a sender of a forged signature is checked apart from all others.
	apartFor       = 1024
	suspectsAtMost = 1024
)

// intake is where messages wait to have their signatures checked, between the streams and the loop. A few workers
// check what gathers, together where that is cheaper; the messages of one sender on one lane leave in the order they
// came. Intent is taken before observations. Senders take turns, and who has too much waiting is made to wait: nobody
// is dropped here, and nobody slows another down.
type intake struct {
	guard   *guard
	deliver func(lane Lane, message *inspection) // may block

	mu       sync.Mutex
	work     sync.Cond // there is something to check, or the end
	senders  map[sender]*queue
	turns    [lanes][]*queue // those that have something waiting and are in nobody's hands
	suspects map[trust.PeerID]int
	closed   bool
	group    sync.WaitGroup
}

type sender struct {
	id   trust.PeerID
	lane Lane
}

// queue is what waits from one sender on one lane.
type queue struct {
	sender
	room    sync.Cond
	waiting []*inspection
	bytes   int
	busy    bool // a worker has messages of it, or it has its turn coming
	callers int  // that wait for room
}

func newIntake(g *guard, deliver func(Lane, *inspection)) *intake {
	in := &intake{guard: g, deliver: deliver, senders: map[sender]*queue{}, suspects: map[trust.PeerID]int{}}
	in.work.L = &in.mu
	return in
}

// start begins to check, with that many workers.
func (in *intake) start(workers int) {
	for range workers {
		in.group.Go(in.run)
	}
}

// stop ends everything; what waits is forgotten. Workers that wait in deliver must be released by the caller first.
func (in *intake) stop() {
	in.mu.Lock()
	in.closed = true
	in.work.Broadcast()
	for _, q := range in.senders {
		q.room.Broadcast()
	}
	in.mu.Unlock()
	in.group.Wait()
}

// put queues one message, and waits while its sender has too much waiting.
func (in *intake) put(lane Lane, message *inspection) {
	in.mu.Lock()
	defer in.mu.Unlock()
	name := sender{message.from, lane}
	q := in.senders[name]
	if q == nil {
		q = &queue{sender: name}
		q.room.L = &in.mu
		in.senders[name] = q
	}
	q.callers++
	for !in.closed && len(q.waiting) > 0 && (len(q.waiting) >= waitMessages || q.bytes+message.bytes > waitBytes) {
		q.room.Wait()
	}
	q.callers--
	if in.closed {
		return
	}
	q.waiting = append(q.waiting, message)
	q.bytes += message.bytes
	if !q.busy {
		q.busy = true
		in.turns[lane] = append(in.turns[lane], q)
		in.work.Signal()
	}
}

func (in *intake) run() {
	for {
		hand := in.take()
		if hand == nil {
			return
		}
		in.check(hand)
		for _, part := range hand {
			for _, message := range part.messages {
				if !message.dropped {
					in.deliver(part.queue.lane, message)
				}
			}
		}
		in.giveBack(hand)
	}
}

// part is what a worker took from one queue.
type part struct {
	queue    *queue
	messages []*inspection
}

// take waits for something to check and takes enough for one go; nil at the end.
func (in *intake) take() []part {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		if in.closed {
			return nil
		}
		for lane := range in.turns {
			if len(in.turns[lane]) > 0 {
				return in.takeFrom(Lane(lane))
			}
		}
		in.work.Wait()
	}
}

// takeFrom takes from the queues of a lane whose turn it is. Suspects are taken alone. in.mu is held.
func (in *intake) takeFrom(lane Lane) []part {
	var hand []part
	for signatures := 0; len(in.turns[lane]) > 0 && signatures < checkAtOnce; {
		q := in.turns[lane][0]
		suspect := in.suspects[q.id] > 0
		if suspect && len(hand) > 0 {
			break
		}
		in.turns[lane] = in.turns[lane][1:]
		taken := q.pull(checkAtOnce - signatures)
		for _, message := range taken {
			signatures += len(message.pending)
		}
		hand = append(hand, part{q, taken})
		if suspect {
			if in.suspects[q.id] -= len(taken); in.suspects[q.id] <= 0 {
				delete(in.suspects, q.id)
			}
			break
		}
	}
	return hand
}

// pull takes the oldest messages, at least one, with about that many signatures.
func (q *queue) pull(signatures int) []*inspection {
	n := 0
	for n < len(q.waiting) && (n == 0 || signatures > 0) {
		signatures -= len(q.waiting[n].pending)
		q.bytes -= q.waiting[n].bytes
		n++
	}
	taken := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	q.room.Broadcast()
	return taken
}

// giveBack lets the queues have another turn, and forgets those that are empty.
func (in *intake) giveBack(hand []part) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range hand {
		for _, message := range p.messages {
			if message.forged && len(in.suspects) < suspectsAtMost {
				in.suspects[message.from] = apartFor
			}
		}
		switch q := p.queue; {
		case len(q.waiting) > 0:
			in.turns[q.lane] = append(in.turns[q.lane], q)
			in.work.Signal()
		case q.callers > 0:
			q.busy = false
		default:
			delete(in.senders, q.sender)
		}
	}
}

// check checks all signatures together. Where that fails in a way that it must not, each message is
// checked by itself, and one with which it fails again is dropped (P13).
func (in *intake) check(hand []part) {
	var all []*inspection
	for _, p := range hand {
		all = append(all, p.messages...)
	}
	if in.survives(all) == nil {
		return
	}
	for _, message := range all {
		if err := in.survives([]*inspection{message}); err != nil {
			message.dropped = true
			in.guard.setAside(message.from, "checking its signatures", err)
		}
	}
}

func (in *intake) survives(messages []*inspection) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v", fault)
		}
	}()
	in.guard.judge(messages)
	return nil
}
