package heap

import (
	"fmt"
	"strings"
	"time"
)

// Random makes the script that a seed stands for: faults and commands, with rests in between at which every promise is
// checked. Nothing in it depends on what happens when it is played.
func Random(seed uint64) Script {
	g := &generator{engine: newEngine(^seed)}
	s := Script{Seed: seed, Peers: 2 + g.random.IntN(6), Coded: g.chance(0.3), Bad: g.chance(0.3), Slow: g.chance(0.2)}
	if g.chance(0.3) {
		s.Crashes = 0.1
	}
	if g.chance(0.3) {
		s.CPU = 100 + 100*g.random.Int64N(8) // for one to eight replicas
	}
	for n := range s.Peers {
		g.peers = append(g.peers, fmt.Sprintf("p%d", n+1))
	}
	g.clocks()
	g.wait(6 * time.Second)
	g.step("apply", g.peer(), g.pick(workloads), 1+g.random.IntN(7), g.pick(colors))
	for range 4 {
		for range 2 + g.random.IntN(8) {
			g.trouble()
			g.wait(3 * time.Second)
		}
		g.rest()
	}
	g.step("heal")
	g.step("on")
	g.step("rest")
	g.step("still")
	s.Steps = g.steps
	return s
}

type generator struct {
	*engine
	peers []string
	cut   bool
	room  int64 // CPU that a machine has, in thousandths: none is ever made smaller
	steps []Step
}

func (g *generator) step(verb string, words ...any) {
	step := Step{Verb: verb}
	for _, word := range words {
		step.Words = append(step.Words, fmt.Sprint(word))
	}
	g.steps = append(g.steps, step)
}

func (g *generator) pick(list []string) string { return list[g.random.IntN(len(list))] }

func (g *generator) peer() string { return g.pick(g.peers) }

func (g *generator) wait(most time.Duration) {
	g.step("wait", g.between(0, most).Round(time.Millisecond))
}

// clocks sets some clocks wrong: years off, frozen, at 1970.
func (g *generator) clocks() {
	for _, name := range g.peers {
		switch g.random.IntN(14) {
		case 0, 1:
			g.step("clock", name, g.yearsOff())
		case 2:
			g.step("freeze", name)
		case 3:
			g.step("unset", name)
		}
	}
}

func (g *generator) yearsOff() time.Duration {
	const most = 10 * 365 * 24 * time.Hour
	return (time.Duration(g.random.Int64N(int64(2*most))) - most).Round(time.Hour)
}

// rest is a rest. After it a cut may end, or the whole cluster be cut, while nothing else happens.
func (g *generator) rest() {
	g.step("rest")
	if g.cut {
		if g.chance(0.5) {
			g.step("healalone")
			g.step("still")
			g.cut = false
		}
		return
	}
	g.step("still")
	if g.chance(0.3) {
		g.step("cutalone", g.group(), g.between(time.Second, 20*time.Second).Round(time.Millisecond))
		g.cut = true
	}
}

// group draws some of the peers.
func (g *generator) group() string {
	var names []string
	for _, name := range g.peers {
		if g.chance(0.4) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return g.peer()
	}
	return strings.Join(names, ",")
}

var (
	workloads = []string{"web", "api", "job"}
	colors    = []string{"blue", "green", "red"}
)

func (g *generator) trouble() {
	switch g.random.IntN(19) {
	case 0, 1, 2:
		g.step("apply", g.peer(), g.pick(workloads), g.random.IntN(8), g.pick(colors))
	case 3:
		g.step("scale", g.peer(), g.pick(workloads), g.random.IntN(8))
	case 4:
		g.step("paint", g.peer(), g.pick(workloads), g.pick(colors))
	case 5:
		g.step("delete", g.peer(), g.pick(workloads))
	case 6:
		g.step("exit", g.pick([]string{"oom", "oom", "probe"}))
	case 7:
		g.step("off", g.peer())
	case 8:
		g.offAndChanged()
	case 9:
		g.step("on")
	case 10, 11:
		g.step("restart", g.peer(), g.between(10*time.Millisecond, 3*time.Second).Round(time.Millisecond))
	case 12:
		g.step("split", g.group())
		g.cut = true
	case 13:
		g.step("heal")
		g.cut = false
	case 14:
		g.oneWay()
	case 15:
		g.step("image", g.peer())
	case 16:
		g.step("leave", g.peer())
	case 17:
		g.clock()
	case 18:
		g.step("forge", g.peer(), g.pick(workloads))
	}
}

// offAndChanged lets a machine lose its power, and come back otherwise than it was.
func (g *generator) offAndChanged() {
	name := g.peer()
	g.step("off", name)
	g.wait(2 * time.Second)
	g.step(g.pick([]string{"move", "rename"}), name)
}

func (g *generator) oneWay() {
	g.step("oneway", g.peer(), g.peer())
	g.wait(6 * time.Second)
	g.step("heal")
	g.cut = false
}

func (g *generator) clock() {
	switch name := g.peer(); g.random.IntN(3) {
	case 0:
		g.step("clock", name, g.yearsOff())
	case 1:
		g.step("freeze", name)
	case 2:
		g.step("unset", name)
	}
}
