package heap

import (
	"fmt"
	"time"
)

// Restless makes a script of what asks most of placement: machines of little room that are cordoned, drained, tainted and labelled, feel
// ill, grow, refuse what they are given, flap, leave and return, while users scale workloads and the network splits.
func Restless(seed uint64) Script {
	g := &generator{engine: newEngine(seed*0x9e3779b97f4a7c15 + 1)}
	s := Script{Seed: seed, Peers: 3 + g.random.IntN(5), Coded: g.chance(0.2), Bad: g.chance(0.15)}
	if g.chance(0.6) {
		s.CPU = 300 + 100*g.random.Int64N(8)
	}
	if g.room = s.CPU; g.room == 0 {
		g.room = 2000 // what a machine has where no script says otherwise
	}
	for n := range s.Peers {
		g.peers = append(g.peers, fmt.Sprintf("p%d", n+1))
	}
	g.step("wait", 20*time.Second)
	g.step("apply", g.peer(), "web", 2+g.random.IntN(9), "blue")
	g.step("apply", g.peer(), "api", 1+g.random.IntN(5), "green")
	if g.chance(0.3) {
		g.step("said", g.peer(), "till", 1+g.random.IntN(3), "shoal/split=freeze")
	}
	g.step("rest")
	for range 3 {
		for range 2 + g.random.IntN(6) {
			g.unrest()
			g.wait(12 * time.Second)
		}
		if g.chance(0.15) {
			g.spoilt()
		}
		g.calm()
		g.step("rest")
		g.step("still")
	}
	s.Steps = g.steps
	return s
}

func (g *generator) unrest() {
	name := g.peer()
	switch g.random.IntN(15) {
	case 0:
		g.step("cordon", name)
	case 1, 2:
		g.step("drain", name)
	case 3:
		g.step("uncordon", name)
	case 4:
		g.step("taint", name, g.pick([]string{"a=b:NoSchedule", "a=b:NoExecute", "a=b:PreferNoSchedule"}))
	case 5:
		g.step("untaint", name)
	case 6:
		g.step("health", name, g.pick([]string{"good", "fair", "poor"}))
	case 7:
		g.step("refuse", name, g.pick([]string{"web", "api"}))
	case 8:
		g.step("crash", name, g.pick([]string{"web", "api"}))
	case 9:
		g.step("resize", name, max(1500, g.room), 4096)
	case 10:
		g.step("flap", name, 1+g.random.IntN(3), g.between(2*time.Second, 30*time.Second).Round(time.Millisecond), g.between(time.Second, 15*time.Second).Round(time.Millisecond))
	case 11:
		g.step("off", name)
	case 12:
		g.step("split", g.group())
		g.cut = true
	case 13:
		g.step("restart", name, g.between(10*time.Millisecond, 3*time.Second).Round(time.Millisecond))
	case 14:
		g.step("scale", g.peer(), g.pick([]string{"web", "api"}), g.random.IntN(12))
	}
}

// spoilt lets a workload go wrong on most peers at once, each in its own way: what cannot run anywhere is tried ever more seldom. In the
// ten minutes that begin three after the last change, no peer tries a replica more than twice.
func (g *generator) spoilt() {
	for _, name := range g.peers {
		switch g.random.IntN(4) {
		case 0:
			g.step("refuse", name, "web")
		case 1:
			g.step("crash", name, "web")
		case 2:
			g.step("image", name)
		}
	}
	g.step("scale", g.peer(), "web", 2+g.random.IntN(10))
	g.step("wait", 3*time.Minute)
	g.step("mark")
	g.step("wait", 10*time.Minute)
	g.step("begun", 2*len(g.peers))
	for _, name := range g.peers {
		g.step("allow", name, "web")
	}
	g.step("wait", 11*time.Minute) // no refusal lasts longer, nor does the wait before a container is started again
}

// calm ends what keeps a cluster from resting, and now and then what does not.
func (g *generator) calm() {
	g.step("heal")
	g.cut = false
	g.step("on")
	for _, name := range g.peers {
		g.step("allow", name, "web")
		g.step("allow", name, "api")
		if g.chance(0.5) {
			g.step("uncordon", name)
			g.step("untaint", name)
			g.step("health", name, "good")
		}
	}
	g.step("wait", 40*time.Second)
}
