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

	powered bool
	alive   bool // its program runs
	left    bool // it said goodbye
	started time.Duration
	skew    time.Duration // of its wall clock

	disk    *disk
	machine *machine
	core    *control.Machine

	flushing bool          // a flush is planned for this moment or a little later
	busy     time.Duration // the loop waits for the disk until then
	alarm    uint64        // number of the newest planned wake
	pending  *control.Persist
}

// peerID is the identity of the peer of a name; it takes the place of a key.
func peerID(name string) gossip.PeerID {
	sum := sha256.Sum256([]byte("peer " + name))
	return gossip.PeerID(hex.EncodeToString(sum[:]))
}

func newPeer(w *World, index int) *Peer {
	p := &Peer{Name: fmt.Sprintf("p%d", index+1), world: w, index: index, disk: newDisk()}
	p.self = gossip.Self{
		ID: peerID(p.Name), Name: p.Name, Room: w.options.Room,
		Stream: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, byte(index >> 8), byte(index)}), 7400),
	}
	p.machine = newMachine(p)
	for _, image := range w.options.Images {
		p.machine.images[image] = true
	}
	return p
}

func (p *Peer) wall() time.Time {
	return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).Add(p.world.now + p.skew)
}

// boot starts the program.
func (p *Peer) boot() {
	w := p.world
	boot, saved := p.disk.load()
	saved.Instances = p.machine.list()
	p.alive, p.left, p.powered, p.started, p.busy = true, false, true, w.now, w.now
	p.flushing = false
	p.core = control.New(control.Config{
		Self: p.self, Boot: boot, Labels: map[string]string{"kubernetes.io/hostname": p.Name},
		Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + p.index>>8), byte(p.index), 0}), 24),
		Sign:   p.sign, Pick: w.random.IntN, Tuning: w.options.Tuning, Decode: w.rows.decode,
	}, saved)
	w.print("boot", p.Name, boot)
	w.tracef("%s starts, boot %d", p.Name, boot)
	p.feed(control.SelfChanged{Room: p.self.Room, Health: p.self.Health, Images: w.options.Images})
	p.machine.tellEnded()
	p.machine.watchAll()
	w.inquireAbout(p)
}

// halt ends the program without warning. What it was committing is committed or not.
func (p *Peer) halt() {
	if !p.alive {
		return
	}
	if p.pending != nil && p.world.chance(0.5) {
		p.disk.commit(*p.pending)
	}
	p.pending = nil
	p.alive = false
	p.machine.abort()
	p.core = nil
	p.world.membership.forget(p.index)
	p.world.print("halt", p.Name, 0)
	p.world.inquireAbout(p)
	p.world.abandon(p)
}

// sign stands in for Ed25519.
func (p *Peer) sign(message []byte) []byte {
	sum := sha256.Sum256(append([]byte(p.self.ID), message...))
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
	p.world.print("receive", p.Name+from.Name, 0)
	p.feed(control.Received{From: crdt.PeerID(from.self.ID), Message: message})
}

// plan plans a flush, not before the disk is done with the last one.
func (p *Peer) plan(span time.Duration) {
	if p.flushing {
		return
	}
	p.flushing = true
	boot := p.disk.boot
	p.world.after(max(span, p.busy-p.world.now), func() {
		if p.alive && p.disk.boot == boot {
			p.flushing = false
			p.flush()
		}
	})
}

func (p *Peer) flush() {
	w := p.world
	out := p.core.Flush(control.Clock{Elapsed: w.now - p.started, Wall: p.wall()})
	w.print("flush", p.Name, out.Version)
	w.flushes++
	w.watchFlush(p)
	for _, n := range out.Notes {
		w.tracef("%s notes %s %s %s: %s", p.Name, n.Reason, n.Object, n.Replica, n.Text)
	}
	p.sleep(out.Wake)
	if out.Persist.Empty() {
		p.carryOut(out)
		return
	}
	boot := p.disk.boot
	span := w.between(w.options.LeastCommit, w.options.MostCommit)
	p.busy, p.pending = w.now+span, &out.Persist
	w.after(span, func() {
		if !p.alive || p.disk.boot != boot {
			return // halt decided what became of it
		}
		p.pending = nil
		p.disk.commit(out.Persist)
		p.carryOut(out)
	})
}

// carryOut is everything that had to wait for the disk.
func (p *Peer) carryOut(out control.Output) {
	w := p.world
	for _, reply := range out.Replies {
		w.replied(p, reply)
	}
	for _, send := range out.Send {
		if to := w.byID[gossip.PeerID(send.To)]; to != nil && to != p {
			w.send(p, to, send.Message)
		}
	}
	for _, action := range out.Actions {
		p.machine.run(action)
	}
	if out.Self != nil {
		p.self = *out.Self
		w.inquireAbout(p)
	}
}

// sleep plans the flush that the machine asked for.
func (p *Peer) sleep(wake time.Duration) {
	p.alarm++
	alarm, boot := p.alarm, p.disk.boot
	if wake == 0 {
		return
	}
	p.world.after(p.started+wake-p.world.now, func() {
		if p.alive && p.disk.boot == boot && p.alarm == alarm {
			p.plan(0)
		}
	})
}
