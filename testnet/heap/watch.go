package heap

import (
	"bytes"
	"encoding/hex"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/testnet/promise"
)

// found takes what a checker found.
func (w *World) found(violations []promise.Violation) {
	for _, v := range violations {
		w.broken(v.Promise, "%s", v.Text)
	}
}

// broken reports a broken promise. The same one may break at every event from then on: only the first of each kind
// are kept.
func (w *World) broken(name, format string, args ...any) {
	if len(w.violations) >= mostViolations {
		return
	}
	v := violationAt(w.now, name, format, args...)
	w.tracef("BROKEN %s", v)
	w.violations = append(w.violations, v)
}

const mostViolations = 100

// guard is what the loop does before a machine sees a message: it leaves out what is not signed by who may write it
// (package peer). Where nobody in the world forges anything, there is nothing to find.
func (w *World) guard(m replication.Message) replication.Message {
	if !w.hostile || w.plants.unguarded {
		return m
	}
	return m.Sift(func(op crdt.Op) bool {
		return w.mayWrite(op.Stamp.Writer) && bytes.Equal(op.Signature, signature(gossip.PeerID(op.Stamp.Writer), op.Signed))
	}, signedRow)
}

func signedRow(row replication.Row) bool {
	return bytes.Equal(row.Signature, signature(gossip.PeerID(row.Peer), row.Signed))
}

// mayWrite says whether the cluster's root lets a peer write intent.
func (w *World) mayWrite(id crdt.PeerID) bool {
	p := w.byID[gossip.PeerID(id)]
	return p != nil && p.index < len(w.peers)-w.options.ReadOnly
}

func opID(op crdt.Op) string { id := op.ID(); return hex.EncodeToString(id[:]) }

func factOf(op crdt.Op) promise.Op {
	o := promise.Op{ID: opID(op), Object: op.Key.String(), Writer: string(op.Stamp.Writer), Time: uint64(op.Stamp.Time),
		Saw: make(map[string]uint64, len(op.Seen)), Create: op.Verb == crdt.Create, Delete: op.Verb == crdt.Delete,
		Fields: make(map[string]string, len(op.Changes))}
	for writer, at := range op.Seen {
		o.Saw[string(writer)] = uint64(at)
	}
	for _, change := range op.Changes {
		o.Fields[string(change.Path)] = string(change.Value)
	}
	return o
}

// fact is what an operation says, read from what was signed, whatever somebody made of it since.
func (w *World) fact(op crdt.Op) promise.Op {
	id := op.ID()
	if f, known := w.facts[id]; known {
		return f
	}
	f := factOf(op)
	if signed, err := replication.DecodeOp(replication.EncodeOp(op)); err == nil {
		f = factOf(signed)
	}
	w.facts[id] = f
	return f
}

// watchBoot tells the watch of a peer that starts.
func (w *World) watchBoot(p *Peer, saved *control.Saved) {
	ids := make([]string, len(saved.Ops))
	for i, op := range saved.Ops {
		ids[i] = opID(op)
	}
	w.found(w.watch.Start(p.id(), ids))
	if p.wiped {
		w.watch.Excuse(p.id(), true)
	}
}

// watchFlush checks what must hold after every event: room (P6) and bounds (P12).
func (w *World) watchFlush(p *Peer, out *control.Output) {
	for _, op := range out.Persist.Put {
		if crdt.PeerID(p.self.ID) == op.Stamp.Writer && w.mayWrite(op.Stamp.Writer) && !w.hasFact(op) {
			w.found(w.watch.Make(w.fact(op))) // what nobody has heard of yet is made here and now
		}
	}
	p.machine.notes(out.Notes)
	if w.flushes%whyEach == 0 {
		w.watchWhy(p)
	}
	if len(out.Actions) == 0 && w.flushes%16 != 0 {
		return
	}
	sum, room := p.core.Admitted()
	if sum.CPUMillis > room.CPUMillis || sum.MemoryBytes > room.MemoryBytes {
		w.broken("P6", "%s admitted %+v and has %+v", p.Name, sum, room)
	}
	if w.flushes%64 == 0 && (len(w.peers) <= smallWorld || w.flushes%4096 == 0) {
		w.watchBounds(p)
	}
}

func (w *World) hasFact(op crdt.Op) bool { _, known := w.facts[op.ID()]; return known }

// watchBounds is P12 for what a machine keeps.
func (w *World) watchBounds(p *Peer) {
	for _, b := range []struct {
		what         string
		length, most int
	}{
		{"notes", len(p.core.Notes()), 1000 + 512}, // its own, and what others said happened on them
		{"values set aside", len(p.core.Aside()), 1024},
		{"records", len(p.disk.records), 4096},
	} {
		w.found(w.watch.Bound(p.Name, b.what, b.length, b.most))
	}
}

// watchCommit tells the watch what is on a peer's disk from now on.
func (w *World) watchCommit(p *Peer, b *control.Persist) {
	var keys []crdt.Key
	touched := func(key crdt.Key) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for _, op := range b.Put {
		touched(op.Key)
		w.found(w.watch.Take(p.id(), w.fact(op)))
	}
	if len(b.Drop) > 0 {
		w.watchGone(p)
	}
	for _, op := range b.Drop {
		touched(op.Key)
		w.found(w.watch.Drop(p.id(), opID(op)))
	}
	if !p.alive || p.core == nil {
		return
	}
	for _, key := range keys {
		if len(w.peers) <= smallWorld || w.flushes%32 == 0 {
			object, _ := p.core.Object(key)
			object.Key = key
			w.found(w.watch.Show(p.id(), objectOf(object)))
		}
	}
}

// watchGone tells the watch of those that a peer has not heard of for so long that it may count them as forgotten.
func (w *World) watchGone(p *Peer) {
	after := w.options.Tuning.ForgetAfter
	if after == 0 {
		after = usualForgetAfter
	}
	for i := range w.membership.believed[p.index] {
		b := &w.membership.believed[p.index][i]
		if b.known && b.state == gossip.Left || b.state != gossip.Alive && w.now-b.since >= after-after/16 && w.now > after {
			w.watch.Gone(w.peers[i].id())
		}
	}
}

// watchSettled tells the watch that at a rest without cuts every peer has caught up.
func (w *World) watchSettled() {
	for _, p := range w.peers {
		if p.alive {
			w.watch.Join(p.id())
			w.watch.Excuse(p.id(), false)
			p.wiped = false
		}
	}
}

// usualForgetAfter is control.Tuning's.
const usualForgetAfter = 45 * 24 * time.Hour

// watchOut checks what leaves a peer: what it says of itself, and that what it acknowledges is on its disk (P2).
func (w *World) watchOut(p *Peer, out *control.Output) {
	for _, reply := range out.Replies {
		if reply.Err == nil && reply.Op != (crdt.OpID{}) {
			w.found(w.watch.Acknowledge(p.id(), hex.EncodeToString(reply.Op[:])))
		}
	}
	for _, send := range out.Send {
		if send.Message.Ack != nil {
			for _, id := range send.Message.Ack.Ops {
				w.found(w.watch.Acknowledge(p.id(), hex.EncodeToString(id[:])))
			}
		}
		if rows := send.Message.Rows; rows != nil {
			for i := range rows.Rows {
				w.watchSaid(p, &rows.Rows[i])
			}
		}
	}
}

// watchSaid notes what a peer says of itself.
func (w *World) watchSaid(p *Peer, row *replication.Row) {
	if row.Peer != crdt.PeerID(p.self.ID) || p.said == row.Version {
		return
	}
	p.said = row.Version
	w.found(w.watch.Say(p.id(), promise.RowVersion{Boot: row.Version.Boot, Sequence: row.Version.Sequence}, hex.EncodeToString(row.Signature[:8])))
}

// watchRows looks at the rows that a peer holds of others.
func (w *World) watchRows(p *Peer) {
	for _, m := range p.core.Members() {
		if m.ID != p.self.ID {
			w.found(w.watch.Hold(p.id(), string(m.ID), promise.RowVersion{Boot: m.Row.Boot, Sequence: m.Row.Sequence}))
		}
	}
}
