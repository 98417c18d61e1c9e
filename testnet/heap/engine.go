package heap

import (
	"container/heap"
	"encoding/binary"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// engine is virtual time: what is to happen, in order. Things at one moment happen in the order
// in which they were planned.
type engine struct {
	now    time.Duration
	number uint64
	queue  queue
	random *rand.Rand
	prints hash.Hash64 // of everything that happened
	events uint64
}

type entry struct {
	at     time.Duration
	number uint64
	do     func()
}

func newEngine(seed uint64) *engine {
	return &engine{random: rand.New(rand.NewPCG(seed, 0x5170a1)), prints: fnv.New64a()}
}

// after plans do for a moment that is not before now.
func (e *engine) after(span time.Duration, do func()) {
	e.number++
	heap.Push(&e.queue, entry{e.now + max(span, 0), e.number, do})
}

// step lets the next thing happen, unless it is later than end.
func (e *engine) step(end time.Duration) bool {
	if len(e.queue) == 0 || e.queue[0].at > end {
		return false
	}
	next := heap.Pop(&e.queue).(entry)
	e.now = next.at
	e.events++
	next.do()
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

// queue implements heap.Interface.
type queue []entry

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	return q[i].number < q[j].number
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(entry)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = entry{}
	*q = old[:len(old)-1]
	return last
}
