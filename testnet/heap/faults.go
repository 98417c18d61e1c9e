package heap

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/replication"
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
	p.disk.powerLost()
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
	boot := p.life
	w.after(away, func() {
		if p.powered && !p.alive && p.life == boot {
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
	w.course.Cut(w.now)
	w.firstContact()
	w.network.side = side
	w.network.joint = w.now
	w.inquireAll()
}

// CutOneWay lets nothing pass from one peer to another; the other direction goes on.
func (w *World) CutOneWay(from, to string) {
	w.fault("nothing passes from %s to %s", from, to)
	w.course.Cut(w.now)
	w.network.oneWay[[2]int{w.Peer(from).index, w.Peer(to).index}] = true
	w.inquire(w.Peer(from), w.Peer(to))
	w.inquire(w.Peer(to), w.Peer(from))
}

// Heal ends all cuts.
func (w *World) Heal() {
	w.tracef("the network heals")
	w.course.Cut(w.now)
	w.firstContact()
	clear(w.network.side)
	clear(w.network.oneWay)
	w.network.joint = w.now
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
	p.feed(p.measure())
}

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

// Wipe empties the disk of a machine that is off. It keeps its key, as a peer does whose store was set aside.
func (w *World) Wipe(name string) {
	p := w.Peer(name)
	w.fault("%s loses its disk", name)
	p.disk = newDisk()
	p.wiped = true
	w.watch.Wipe(p.id())
}

// Move gives a machine that is off another address.
func (w *World) Move(name string) {
	p := w.Peer(name)
	p.moves++
	w.tracef("%s has another address", name)
	p.self.Stream = addressOf(p.index, p.moves)
	p.described = w.membership.describe(p.self)
}

// Rename gives a machine that is off another name for people. The world goes on calling it by its first.
func (w *World) Rename(name string) {
	p := w.Peer(name)
	p.moves++
	p.self.Name = fmt.Sprintf("%s-%d", name, p.moves)
	w.tracef("%s calls itself %s", name, p.self.Name)
	p.described = w.membership.describe(p.self)
}

// Trip plants a bad value: from now on the code of a peer fails whenever it handles the object.
func (w *World) Trip(name string, key crdt.Key) {
	p := w.Peer(name)
	w.tracef("the code of %s fails at %s", name, key)
	if p.trip == nil {
		p.trip = map[string]bool{}
	}
	p.trip[key.String()] = true
}

// Forge lets a machine that was stolen send made-up writes to an object to all others: one in another peer's name,
// one in its own name with a signature that is wrong, and, if it may not write, one that is rightly signed.
func (w *World) Forge(name string, key crdt.Key) {
	p := w.Peer(name)
	w.hostile = true
	w.fault("%s forges writes to %s", name, key)
	other := w.peers[(p.index+1)%len(w.peers)]
	forged := []crdt.Op{
		w.forged(key, other, p.sign),
		w.forged(key, p, other.sign),
	}
	if !w.mayWrite(crdt.PeerID(p.self.ID)) {
		forged = append(forged, w.forged(key, p, p.sign))
	}
	for _, to := range w.peers {
		if to != p {
			w.send(p, to, replication.Message{Push: &replication.Push{Ops: forged}})
		}
	}
}

// forged is a write that creates an object in somebody's name, signed by who knows whom.
func (w *World) forged(key crdt.Key, writer *Peer, sign func([]byte) []byte) crdt.Op {
	return replication.Seal(crdt.Op{
		Key: key, Verb: crdt.Create, Manager: "forger", User: "nobody",
		Stamp:   crdt.Stamp{Time: crdt.Next(0, nil, epoch.Add(w.now).Add(time.Duration(w.number))), Writer: crdt.PeerID(writer.self.ID)},
		Changes: []crdt.Change{{Path: "metadata/labels/forged", Value: []byte(`"yes"`)}},
	}, sign)
}

// Contradict lets a machine that was stolen sign two writes with one stamp, and tell half of the others of each.
func (w *World) Contradict(name string, key crdt.Key) {
	p := w.Peer(name)
	w.fault("%s contradicts itself on %s", name, key)
	at := crdt.Stamp{Time: crdt.Next(0, nil, p.wall()), Writer: crdt.PeerID(p.self.ID)}
	for _, to := range w.peers {
		op := replication.Seal(crdt.Op{
			Key: key, Verb: crdt.Create, Manager: "thief", User: "nobody", Stamp: at,
			Changes: []crdt.Change{{Path: "metadata/labels/half", Value: fmt.Appendf(nil, `"%d"`, to.index%2)}},
		}, p.sign)
		if w.mayWrite(at.Writer) && !w.hasFact(op) {
			w.watch.Misuse(w.fact(op))
		}
		if to != p {
			w.send(p, to, replication.Message{Push: &replication.Push{Ops: []crdt.Op{op}}})
		}
	}
}

// Backup keeps a copy of a peer's disk, and Restore puts it back when the machine is off.
func (w *World) Backup(name string) {
	p := w.Peer(name)
	p.backup = p.disk.clone()
}

// Restore puts the newest backup of a peer's disk back, if there is one: the peer has forgotten what it did since.
func (w *World) Restore(name string) {
	p := w.Peer(name)
	if p.backup == nil {
		return
	}
	w.fault("the disk of %s is restored from a backup", name)
	p.disk, p.wiped = p.backup.clone(), true
	w.watch.Wipe(p.id())
	for _, name := range slices.SortedFunc(maps.Keys(p.disk.ops), compareOpNames) {
		w.found(w.watch.Take(p.id(), w.fact(p.disk.ops[name])))
	}
}

// spoilt is what is wrong on one peer with what a workload runs.
type spoilt struct {
	refused bool // its instances cannot be prepared
	crashes bool // its containers end soon after they start
}

// Spoil lets a workload of the default namespace go wrong on a peer, or be right again.
func (w *World) Spoil(peer, name string, how spoilt) {
	p := w.Peer(peer)
	w.fault("%s on %s: %+v", name, peer, how)
	if p.spoilt == nil {
		p.spoilt = map[string]spoilt{}
	}
	p.spoilt["default/"+name+"-"] = how
}

// spoils says what is wrong on a peer with a replica.
func (p *Peer) spoils(replica string) spoilt {
	return p.spoilt[replica[:strings.LastIndexByte(replica, '-')+1]]
}
