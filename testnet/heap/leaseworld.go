package heap

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/testnet/promise"
)

// Exclusive is a life of a few peers with one exclusive workload: splits, stalls and deaths of programs, losses of power, drifting clocks,
// new revisions and drains, as its seed has it. At every start of a container it is checked that none other of its replica runs; at
// the end, when all is mended, that it runs again.
type Exclusive struct {
	*World
	gen       *generator
	witnesses []string
}

// DriftParts is the bound of package lease on how wrong clocks may run, in parts per million.
const DriftParts = 10_000

// PlayExclusive plays the life of a seed. It returns the world, for how long of its calm end nothing ran, and what was broken.
func PlayExclusive(seed uint64, planted plants, trace func(string)) (*World, []promise.Violation) {
	g := &generator{engine: newEngine(seed ^ 0x1ea5e)}
	x := &Exclusive{gen: g}
	options := Options{Seed: seed, Peers: 3 + g.random.IntN(3), Trace: trace}
	if g.chance(0.3) {
		options.Link = Bad
	}
	x.World = newWorld(options, planted)
	for _, p := range x.peers {
		g.peers = append(g.peers, p.Name)
		p.drifts = x.driftOf()
		x.KillProgram(p.Name, 0) // its clock runs so from here on
	}
	x.witnesses = g.peers[:1+2*g.random.IntN((len(g.peers)+1)/2)]
	x.Run(2 * time.Second)
	x.apply("blue")
	x.Run(g.between(5*time.Second, 14*time.Second))
	for range 6 + g.random.IntN(8) {
		x.trouble()
		x.Run(g.between(0, 6*time.Second))
	}
	return x.World, append(x.Violations(), x.mend()...)
}

func (x *Exclusive) driftOf() int64 {
	most := int64(DriftParts)
	if x.plants.drift != 0 {
		most = x.plants.drift
	}
	return []int64{-most, most, x.gen.random.Int64N(2*most+1) - most}[x.gen.random.IntN(3)]
}

func (x *Exclusive) apply(color string) {
	manifest := Manifest("db", 1, color)
	annotations := fmt.Sprintf("  annotations: {shoal/exclusive: \"true\", shoal/witnesses: %q}\nspec:", strings.Join(x.witnesses, ","))
	writer := x.gen.peer()
	if p := x.Peer(writer); !p.alive || p.stalled > x.now {
		return // nobody answers there
	}
	x.Apply(writer, strings.Replace(manifest, "spec:", annotations, 1))
}

func (x *Exclusive) trouble() {
	g := x.gen
	name := g.peer()
	switch g.random.IntN(12) {
	case 0, 1:
		x.Split(strings.Split(g.group(), ","))
	case 2:
		x.Heal()
	case 3:
		x.CutOneWay(name, g.peer())
	case 4, 5:
		x.Stall(name, g.between(100*time.Millisecond, 20*time.Second))
	case 6, 7:
		x.Drift(name, x.driftOf())
		x.KillProgram(name, g.between(10*time.Millisecond, 12*time.Second))
	case 8:
		x.LosePower(name)
		x.after(g.between(100*time.Millisecond, 8*time.Second), func() { x.Start(name) })
	case 9:
		x.apply(g.pick(colors))
	default:
		x.toHolder(func(holder string) {
			if g.chance(0.5) {
				x.Split([]string{holder})
			} else {
				x.Stall(holder, g.between(5*time.Second, 20*time.Second))
			}
		})
	}
}

// toHolder does something to the peer on which it runs.
func (x *Exclusive) toHolder(do func(name string)) {
	for _, p := range x.peers {
		if slices.ContainsFunc(p.machine.ids(), p.machine.active) {
			do(p.Name)
			return
		}
	}
}

// mend ends all trouble, and expects that it runs again soon, once.
func (x *Exclusive) mend() []promise.Violation {
	x.Heal()
	for _, p := range x.peers {
		p.stalled = 0
	}
	x.Run(13 * time.Second)
	for _, p := range x.peers {
		if !p.alive {
			x.Start(p.Name)
		}
	}
	if took, ok := x.Await(40*time.Second, func() bool { return x.running() == 1 }); !ok {
		return []promise.Violation{violationAt(x.now, "leases", "%s after all was mended it does not run: %s", took, x.lacks())}
	}
	return nil
}

// running counts how many of it run.
func (x *Exclusive) running() (count int) {
	for _, p := range x.peers {
		for _, id := range p.machine.ids() {
			if p.powered && p.machine.active(id) {
				count++
			}
		}
	}
	return count
}

// lacks says what the peers say that it lacks.
func (x *Exclusive) lacks() string {
	var texts []string
	for _, p := range x.peers {
		if p.alive {
			texts = append(texts, p.Name+": "+p.core.LeaseWait("default/db-0"))
		}
	}
	return strings.Join(texts, "; ")
}
