package heap

import (
	"encoding/binary"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// engine is virtual time: what is to happen, in order. Things at one moment happen in the order
// in which they were planned. A span in which nothing is planned costs nothing, however long it is.
type engine struct {
	now    time.Duration
	number uint64
	queue  queue
	random *rand.Rand
	prints hash.Hash64 // of everything that happened
	events uint64
}

// happening is something that is planned. What happens often is a type of its own that is kept and used again,
// so that planning it allocates nothing.
type happening interface{ happen() }

// do is a happening of its own kind each time.
type do func()

func (d do) happen() { d() }

type entry struct {
	at     time.Duration
	number uint64
	what   happening
}

func newEngine(seed uint64) *engine {
	return &engine{random: rand.New(rand.NewPCG(seed, 0x5170a1)), prints: fnv.New64a()}
}

// after plans do for a moment that is not before now.
func (e *engine) after(span time.Duration, f func()) { e.plan(span, do(f)) }

// plan plans a happening for a moment that is not before now.
func (e *engine) plan(span time.Duration, what happening) {
	e.number++
	e.queue.push(entry{e.now + max(span, 0), e.number, what})
}

// step lets the next thing happen, unless it is later than end.
func (e *engine) step(end time.Duration) bool {
	if len(e.queue) == 0 || e.queue[0].at > end {
		return false
	}
	next := e.queue.pop()
	e.now = next.at
	e.events++
	next.what.happen()
	return true
}

// runUntil lets everything happen up to end, and arrives there.
func (e *engine) runUntil(end time.Duration) {
	for e.step(end) {
	}
	e.now = max(e.now, end)
}

// print takes a fact into the fingerprint.
func (e *engine) print(kind string, subject string, detail uint64) {
	var data [16]byte
	binary.BigEndian.PutUint64(data[:8], uint64(e.now))
	binary.BigEndian.PutUint64(data[8:], detail)
	e.prints.Write(data[:])
	e.prints.Write([]byte(kind))
	e.prints.Write([]byte(subject))
}

// between draws a span evenly.
func (e *engine) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(e.random.Int64N(int64(most-least)))
}

// chance is true in part of all cases.
func (e *engine) chance(part float64) bool { return part > 0 && e.random.Float64() < part }

// queue is a heap with four children to each entry: it is half as deep as one with two, and the
// four lie in two or three cache lines.
type queue []entry

func (x *entry) before(y *entry) bool {
	if x.at != y.at {
		return x.at < y.at
	}
	return x.number < y.number
}

func (q *queue) push(e entry) {
	*q = append(*q, e)
	h := *q
	at := len(h) - 1
	for at > 0 {
		up := (at - 1) / 4
		if !e.before(&h[up]) {
			break
		}
		h[at] = h[up]
		at = up
	}
	h[at] = e
}

// pop takes the first entry out; there must be one.
func (q *queue) pop() entry {
	h := *q
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = entry{}
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	at := 0
	for {
		child := 4*at + 1
		if child >= len(h) {
			break
		}
		least := child
		for other := child + 1; other < min(child+4, len(h)); other++ {
			if h[other].before(&h[least]) {
				least = other
			}
		}
		if !h[least].before(&last) {
			break
		}
		h[at] = h[least]
		at = least
	}
	h[at] = last
	return first
}
