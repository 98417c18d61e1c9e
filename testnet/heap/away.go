package heap

import (
	"fmt"
	"math"
	"time"
)

// Age lets a span pass in which nothing is done from outside, at a cost that hardly depends on its length: the world runs
// for a few seconds of each piece, so that everything that wants to happen now and then does, and skips the
// rest. To the programs a skip is a machine that slept: what they wanted to do in it they do when it is over.
func (w *World) Age(span time.Duration) {
	const runs = 5 * time.Second
	piece := max(10*time.Minute, span/100)
	for end := w.now + span; w.now < end; {
		w.Run(min(runs, end-w.now))
		w.skip(min(w.now+piece-runs, end))
	}
}

// skip jumps to a later moment; what was planned for before happens then, in its order.
func (e *engine) skip(to time.Duration) {
	if to <= e.now {
		return
	}
	entries := e.queue
	e.queue = nil
	for len(entries) > 0 {
		next := entries.pop()
		next.at = max(next.at, to)
		e.number++
		next.number = e.number
		e.queue.push(next)
	}
	e.now = to
}

// Away makes a script of long separations: peers that are cut off or without power for a second to a year, nested
// cuts, restarts, other addresses and names meanwhile, deletions and creations on all sides. After each all must be one
// cluster again within 10 s, and in the end nothing is left of what was deleted.
func Away(seed uint64) Script {
	g := &generator{engine: newEngine(seed * 0x9e3779b97f4a7c15)}
	s := Script{Seed: seed, Peers: 3 + g.random.IntN(4), Coded: g.chance(0.3)}
	for n := range s.Peers {
		g.peers = append(g.peers, fmt.Sprintf("p%d", n+1))
	}
	g.clocks()
	g.step("wait", 5*time.Second)
	g.works()
	g.step("rest")
	for range 2 + g.random.IntN(3) {
		g.separation()
		g.step("within", 10*time.Second) // also who was forgotten, and comes back through doubt
		g.step("rest")
		if g.chance(0.7) {
			g.step("age", time.Duration(15+g.random.IntN(30))*time.Minute) // deletions are forgotten
			g.step("rest")
		}
	}
	g.step("still")
	s.Steps = g.steps
	return s
}

// works is some commands that most often end in something being deleted.
func (g *generator) works() {
	for range 2 + g.random.IntN(5) {
		name := g.pick(workloads)
		g.step("apply", g.peer(), name, 1+g.random.IntN(3), g.pick(colors))
		g.wait(time.Second)
		if g.chance(0.5) {
			g.step("delete", g.peer(), name)
		}
	}
}

// long draws a span from a second to thirty days, now and then a year: each order of magnitude as often.
func (g *generator) long() time.Duration {
	span := 365 * 24 * time.Hour
	if !g.chance(0.15) {
		most := math.Log(30 * 24 * 3600)
		span = time.Duration(math.Exp(g.random.Float64()*most) * float64(time.Second)).Round(time.Millisecond)
	}
	return span
}

// separation takes some peers away for a while, while all go on.
func (g *generator) separation() {
	switch g.random.IntN(5) {
	case 0: // a machine without power, which comes back otherwise than it was
		name := g.peer()
		g.step("off", name)
		g.works()
		g.step("age", g.long())
		if g.chance(0.5) {
			g.step(g.pick([]string{"move", "rename", "wipe"}), name)
		}
		g.works()
	case 1: // a one-way link, long enough to be noticed
		g.step("oneway", g.peer(), g.peer())
		g.works()
		g.step("age", min(g.long(), time.Hour))
	case 2: // a cut within a cut
		g.step("split", g.group())
		g.works()
		g.step("age", g.long())
		g.step("split", g.group()+"/"+g.group())
		g.works()
		g.step("age", g.long())
	default:
		g.step("split", g.group())
		g.works()
		g.step("age", g.long())
		g.step("restart", g.peer(), time.Second)
		g.works()
	}
	g.step("heal")
	g.step("on")
}
