package heap

import (
	"maps"
	"slices"
	"time"

	"shoal/peer/control"
)

// fault remembers when something last went wrong.
func (w *World) fault(format string, args ...any) {
	w.faultAt = w.now
	w.tracef("FAULT "+format, args...)
}

// LosePower ends a peer's program and containers. What is on its disk stays.
func (w *World) LosePower(name string) {
	p := w.Peer(name)
	w.fault("%s loses power", name)
	p.halt()
	p.powered = false
	p.machine.powerLost()
}

// Start boots a machine whose power was lost, or starts a program that was halted.
func (w *World) Start(name string) {
	if p := w.Peer(name); !p.alive {
		w.tracef("%s is started", name)
		p.boot()
	}
}

// KillProgram ends the program of a peer; its supervisor starts it again after a while. Its containers run on.
func (w *World) KillProgram(name string, away time.Duration) {
	p := w.Peer(name)
	w.fault("the program of %s dies", name)
	p.halt()
	boot := p.disk.boot
	w.after(away, func() {
		if p.powered && !p.alive && p.disk.boot == boot {
			p.boot()
		}
	})
}

// Split cuts the network into groups; peers that are in none make one more.
func (w *World) Split(groups ...[]string) {
	w.fault("split %v", groups)
	side := make([]int, len(w.peers))
	for n, group := range groups {
		for _, name := range group {
			side[w.Peer(name).index] = n + 1
		}
	}
	w.network.side = side
	w.inquireAll()
}

// CutOneWay lets nothing pass from one peer to another; the other direction goes on.
func (w *World) CutOneWay(from, to string) {
	w.fault("nothing passes from %s to %s", from, to)
	w.network.oneWay[[2]int{w.Peer(from).index, w.Peer(to).index}] = true
	w.inquire(w.Peer(from), w.Peer(to))
	w.inquire(w.Peer(to), w.Peer(from))
}

// Heal ends all cuts.
func (w *World) Heal() {
	w.tracef("the network heals")
	w.network = newNetwork(len(w.peers))
	w.inquireAll()
}

// KillContainer ends one running container of a replica, as if by an out-of-memory kill; false if none runs.
func (w *World) KillContainer(replica string) bool {
	for _, p := range w.peers {
		for _, id := range p.machine.ids() {
			for _, c := range p.machine.containers(id) {
				if replicaOf(id) == replica && running(c.status) {
					w.faultAt = w.now
					p.machine.exit(c, 137, "OOMKilled")
					return true
				}
			}
		}
	}
	return false
}

// KillAnyContainer ends one container somewhere, or lets its liveness probe fail.
func (w *World) KillAnyContainer(byProbe bool) {
	type found struct {
		p *Peer
		c *simContainer
	}
	var all []found
	for _, p := range w.peers {
		for _, id := range p.machine.ids() {
			for _, c := range p.machine.containers(id) {
				if running(c.status) {
					all = append(all, found{p, c})
				}
			}
		}
	}
	if len(all) == 0 {
		return
	}
	w.faultAt = w.now
	if one := all[w.random.IntN(len(all))]; byProbe {
		one.p.machine.doomed(one.c)
	} else {
		one.p.machine.exit(one.c, 1, "Error")
	}
}

// Images sets which images a peer holds.
func (w *World) Images(name string, images ...string) {
	p := w.Peer(name)
	clear(p.machine.images)
	for _, image := range images {
		p.machine.images[image] = true
	}
	p.feed(control.SelfChanged{Room: p.self.Room, Health: p.self.Health, Images: slices.Sorted(maps.Keys(p.machine.images))})
}

// Skew sets the wall clock of a peer off.
func (w *World) Skew(name string, span time.Duration) { w.Peer(name).skew = span }

// Alive lists the peers whose program runs.
func (w *World) Alive() []string {
	var names []string
	for _, p := range w.peers {
		if p.alive {
			names = append(names, p.Name)
		}
	}
	return names
}
