package heap

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/replication"
)

// Peer is one machine with its program, disk and containers.
type Peer struct {
	Name  string
	world *World
	index int
	self  gossip.Self

	powered   bool
	alive     bool   // its program runs
	life      uint64 // rises with every start of the program
	left      bool   // it said goodbye
	started   time.Duration
	powerAt   time.Duration
	clock     wallClock
	described uint32 // of membership.selves: its newest description of itself

	disk    *disk
	backup  *disk // of an earlier time
	machine *machine
	core    *control.Machine

	flushing  bool // a flush is planned for this moment or a little later
	flushedAt time.Duration
	decidedBy time.Duration // by the flush before the last one: what an action that is under way delays was decided by then
	busy      time.Duration // the loop waits for the disk until then
	alarm     uint64        // number of the newest planned wake
	pending   *control.Persist
	session   int                 // of its supervisor: how often its machine was switched on
	drift     int64               // how much too fast the clock of its program runs, in parts per million
	drifts    int64               // the same from its next start on
	stalled   time.Duration       // its program stands still until then
	wiped     bool                // its disk was emptied
	moves     int                 // how often its address or name was changed
	said      replication.Version // of itself, last
	trip      map[string]bool     // names at which the code of this peer fails

	owns   gossip.Room       // to give, whatever the program believes
	has    Beside            // to give, beside that
	node   node              // what users say of it
	spoilt map[string]spoilt // by the prefix of replicas
	drives bool              // what runs there has to leave
	drove  time.Duration     // until when that was so; 0 if never
}

// peerID is the identity of the peer of a name; it takes the place of a key.
func peerID(name string) gossip.PeerID {
	sum := sha256.Sum256([]byte("peer " + name))
	return gossip.PeerID(hex.EncodeToString(sum[:]))
}

func newPeer(w *World, index int) *Peer {
	p := &Peer{Name: fmt.Sprintf("p%d", index+1), world: w, index: index, disk: newDisk()}
	p.self = gossip.Self{ID: peerID(p.Name), Name: p.Name, Room: w.options.Room, Stream: addressOf(index, 0)}
	if n := len(w.options.Rooms); n > 0 {
		p.self.Room = w.options.Rooms[index%n]
	}
	p.owns, p.has = p.self.Room, w.options.Beside
	p.described = w.membership.describe(p.self)
	p.machine = newMachine(p)
	for _, image := range w.options.Images {
		p.machine.images[image] = true
	}
	return p
}

// addressOf is the n-th address that a peer has.
func addressOf(index, n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(77 + n), byte(index >> 8), byte(index)}), 7400)
}

func (p *Peer) id() string { return string(p.self.ID) }

// boot starts the program.
func (p *Peer) boot() {
	w := p.world
	boot, saved := p.disk.load()
	saved.Instances = p.machine.list()
	if !p.powered {
		p.powerAt, p.session = w.now, p.session+1
	}
	p.drift, p.stalled = p.drifts, 0
	for i := range saved.Instances {
		saved.Instances[i].Until = p.machine.until(saved.Instances[i].Spec.Instance)
	}
	p.life++
	p.alive, p.left, p.powered, p.started, p.busy = true, false, true, w.now, w.now
	p.flushing = false
	if w.membership.selves[p.described] != p.self { // it was measured while it was off
		p.described = w.membership.describe(p.self)
	}
	config := control.Config{
		Self: p.self, Boot: boot, Labels: map[string]string{"kubernetes.io/hostname": p.Name},
		Subnet:  netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + p.index>>8), byte(p.index), 0}), 24),
		Session: fmt.Sprint(p.session),
		Sign:    p.sign, Pick: w.random.IntN, Tuning: w.options.Tuning, Decode: w.memo.decode, MayWrite: w.mayWrite,
		Verify: signedRow,
	}
	if len(w.peers) <= smallWorld {
		config.Trip = p.tripAt
	}
	w.shared(&config)
	if w.plants.config != nil {
		w.plants.config(p, &config)
	}
	if w.plants.saved != nil {
		w.plants.saved(p, &saved)
	}
	p.core = control.New(config, saved)
	w.print("boot", p.Name, boot)
	w.tracef("%s starts, boot %d", p.Name, boot)
	w.watchBoot(p, &saved)
	p.feed(p.measure())
	p.machine.tellEnded()
	p.machine.watchAll()
	w.inquireAbout(p)
}

// smallWorld is up to how many peers a World costs nothing that is not worth it in large ones.
const smallWorld = 60

// tripAt fails where a value was planted that makes the code of this peer fail.
func (p *Peer) tripAt(site, name string) {
	if p.trip[name] {
		p.world.found(p.world.watch.Trip(p.Name, site, name))
		panic("planted: " + site + " of " + name)
	}
}

// halt ends the program without warning. What it was committing is committed or not.
func (p *Peer) halt() {
	if !p.alive {
		return
	}
	if p.pending != nil && p.world.chance(0.5) {
		p.commit(*p.pending)
	} else if p.pending != nil && p.world.plants.torn {
		p.disk.commit(control.Persist{Drop: p.pending.Drop})
	}
	p.pending = nil
	p.alive = false
	p.machine.abort()
	p.core = nil
	clear(p.machine.intended)
	p.world.membership.forget(p.index)
	p.world.hangUp(p)
	p.world.watch.Forgot(p.id())
	p.world.print("halt", p.Name, 0)
	p.world.inquireAbout(p)
	p.world.abandon(p)
}

// commit puts a batch on disk.
func (p *Peer) commit(b control.Persist) {
	if p.world.plants.cached {
		p.disk.cache = append(p.disk.cache, b)
	} else {
		p.disk.commit(b)
	}
	p.world.watchCommit(p, &b)
}

// sign stands in for Ed25519: only who has the peer's secret can make it.
func (p *Peer) sign(message []byte) []byte { return signature(p.self.ID, message) }

func signature(id gossip.PeerID, message []byte) []byte {
	sum := sha256.Sum256(append([]byte("secret of "+id), message...))
	return append(sum[:], sum[:]...)
}

// feed is the loop: it takes an event in, and flushes once for all that came at about the same time.
func (p *Peer) feed(event control.Event) {
	if !p.alive {
		return
	}
	p.core.Step(event)
	p.plan(p.world.options.Latency)
}

func (p *Peer) receive(from *Peer, message replication.Message) {
	w := p.world
	w.print("receive", p.Name, uint64(from.index))
	message, ok := w.plants.takes(p, from, w.guard(message))
	if ok {
		p.feed(control.Received{From: crdt.PeerID(from.self.ID), Message: message})
	}
}

// flushes is the planned flush of a peer.
type flushes struct {
	peer *Peer
	boot uint64
}

func (f *flushes) happen() {
	if p := f.peer; p.alive && p.life == f.boot {
		p.flushing = false
		if p.stalled > p.world.now {
			p.plan(0)
			return
		}
		p.flush()
	}
}

// plan plans a flush, not before the disk is done with the last one.
func (p *Peer) plan(span time.Duration) {
	if !p.flushing {
		p.flushing = true
		p.world.plan(max(span, p.busy-p.world.now, p.stalled-p.world.now), &flushes{p, p.life})
	}
}

func (p *Peer) flush() {
	w := p.world
	out := p.core.Flush(control.Clock{Elapsed: p.elapsed(), Wall: p.wall()})
	w.print("flush", p.Name, out.Version)
	w.flushes++
	p.decidedBy, p.flushedAt = p.flushedAt, w.now
	if w.plants.output != nil {
		w.plants.output(p, &out)
	}
	w.watchFlush(p, &out)
	if w.traces() {
		for _, n := range out.Notes {
			w.tracef("%s notes %s %s %s: %s", p.Name, n.Reason, n.Object, n.Replica, n.Text)
		}
	}
	p.sleep(out.Wake)
	if out.Persist.Empty() {
		p.carryOut(out)
		return
	}
	boot := p.life
	span := w.between(w.options.LeastCommit, w.options.MostCommit)
	p.busy, p.pending = w.now+span, &out.Persist
	if w.plants.early {
		p.carryOut(out)
		out = control.Output{Persist: out.Persist}
	}
	if w.plants.earlyAcks {
		out.Send = p.sendAcks(out.Send)
	}
	w.after(span, func() {
		if !p.alive || p.life != boot {
			return // halt decided what became of it
		}
		p.pending = nil
		p.commit(out.Persist)
		p.whenAwake(func() { p.carryOut(out) })
	})
}

// sendAcks sends the acks among some messages, and returns the others.
func (p *Peer) sendAcks(all []control.Send) []control.Send {
	var acks control.Output
	var rest []control.Send
	for _, send := range all {
		if send.Message.Ack != nil {
			acks.Send = append(acks.Send, send)
		} else {
			rest = append(rest, send)
		}
	}
	p.carryOut(acks)
	return rest
}

// carryOut is everything that had to wait for the disk.
func (p *Peer) carryOut(out control.Output) {
	w := p.world
	w.watchOut(p, &out)
	for _, reply := range out.Replies {
		w.replied(p, reply)
	}
	w.noteRewritten(p, &out)
	for _, send := range out.Send {
		if to := w.byID[gossip.PeerID(send.To)]; to != nil && to != p {
			w.send(p, to, send.Message)
		}
	}
	p.machine.bound(out.Bounds)
	for _, action := range out.Actions {
		p.machine.run(action)
	}
	if out.Self != nil {
		p.describe(*out.Self)
	}
}

// describe lets a peer tell the others something new of itself.
func (p *Peer) describe(self gossip.Self) {
	p.self = self
	p.described = p.world.membership.describe(self)
	p.world.inquireAbout(p)
}

// wakes is the flush that a machine asked for.
type wakes struct {
	peer  *Peer
	boot  uint64
	alarm uint64
}

func (a *wakes) happen() {
	if p := a.peer; p.alive && p.life == a.boot && p.alarm == a.alarm {
		p.plan(0)
	}
}

// sleep plans the flush that the machine asked for.
func (p *Peer) sleep(wake time.Duration) {
	p.alarm++
	if wake != 0 {
		p.world.plan(p.started+p.inTruth(wake)-p.world.now, &wakes{p, p.life, p.alarm})
	}
}
