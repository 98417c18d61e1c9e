package peer

import (
	"crypto/sha256"
	"encoding/hex"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
)

// inspection is a message on its way through the guard.
type inspection struct {
	from    trust.PeerID
	message replication.Message
	bytes   int // of its coded form

	pending []trust.Signed // signatures to be checked
	hashes  [][32]byte     // of what they are on
	verdict []verdict      // of every operation and row, in the order of Sift

	result  replication.Message // without what was refused
	refused int
	forged  bool // a signature did not hold
	dropped bool // all of it
}

// verdict is good, refused, or the place in pending of what decides it.
type verdict int

const (
	good    verdict = -1
	refused verdict = -2
)

// inspect finds out which signatures of a message are still to be checked, and refuses what needs no check: what
// was written by a peer that may not.
func (g *guard) inspect(from trust.PeerID, message replication.Message, bytes int) *inspection {
	in := &inspection{from: from, message: message, bytes: bytes}
	add := func(by trust.PeerID, may bool, hash [32]byte, signed, signature []byte) {
		switch {
		case !may:
			in.verdict = append(in.verdict, refused)
		case g.verified.has(hash):
			in.verdict = append(in.verdict, good)
		default:
			in.verdict = append(in.verdict, verdict(len(in.pending)))
			in.pending = append(in.pending, trust.Signed{By: by, Message: signed, Signature: signature})
			in.hashes = append(in.hashes, hash)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	message.Sift(func(op crdt.Op) bool {
		by := trust.PeerID(op.Stamp.Writer)
		add(by, g.book.May(by, trust.MayWrite), op.Hash, op.Signed, op.Signature)
		return true
	}, func(row replication.Row) bool {
		by := trust.PeerID(row.Peer)
		add(by, g.holds(by), rowHash(row), row.Signed, row.Signature)
		return true
	})
	return in
}

func rowHash(row replication.Row) [32]byte {
	h := sha256.New()
	h.Write(row.Signed)
	h.Write(row.Signature)
	return [32]byte(h.Sum(nil))
}

// judge checks what is pending in all these messages, together, and leaves out of each what does not hold.
func (g *guard) judge(messages []*inspection) {
	var all []trust.Signed
	for _, in := range messages {
		all = append(all, in.pending...)
	}
	holds := make([]bool, 0, len(all))
	for ; len(all) > 0; all = all[min(len(all), checkAtOnce):] {
		holds = append(holds, trust.VerifyAll(all[:min(len(all), checkAtOnce)])...)
	}
	for _, in := range messages {
		g.finish(in, holds[:len(in.pending)])
		holds = holds[len(in.pending):]
	}
}

// finish leaves out what was refused, counts and names it, and remembers what was good.
func (g *guard) finish(in *inspection, holds []bool) {
	g.mu.Lock()
	for i, ok := range holds {
		if ok {
			g.verified.put(in.hashes[i])
		}
	}
	g.mu.Unlock()
	in.refused, in.forged = 0, false
	at := 0
	next := func(entry control.AuditEntry) bool {
		v := in.verdict[at]
		at++
		if v == good || v >= 0 && holds[v] {
			return true
		}
		entry.Reason, entry.Text = AuditForged, "its signature is not its writer's"
		if v == refused {
			entry.Reason, entry.Text = AuditWithoutRight, "its writer has no certificate of this cluster that allows it"
		}
		in.refused++
		in.forged = in.forged || v >= 0
		entry.From = crdt.PeerID(in.from)
		g.audit.add(entry)
		return false
	}
	in.result = in.message.Sift(
		func(op crdt.Op) bool {
			return next(control.AuditEntry{Subject: "operation " + hex.EncodeToString(op.Hash[:8]), Key: op.Key, Writer: op.Stamp.Writer})
		},
		func(row replication.Row) bool {
			return next(control.AuditEntry{Subject: "row", Writer: row.Peer})
		})
}

// unreadable counts a message, or parts of one, that could not be read.
func (g *guard) unreadable(from trust.PeerID, err error) {
	g.audit.add(control.AuditEntry{Reason: AuditUnreadable, Subject: "message", From: crdt.PeerID(from), Text: err.Error()})
}

// setAside counts a message that made the code fail.
func (g *guard) setAside(from trust.PeerID, during string, err error) {
	g.audit.add(control.AuditEntry{Reason: AuditSetAside, Subject: "message", From: crdt.PeerID(from), Text: during + " failed: " + err.Error()})
}

// verified remembers signatures found good, so that they need no second check: most operations arrive several times. It
// keeps at least the latest verifiedAtMost and at most twice as many.
type verified struct{ newer, older map[[32]byte]struct{} }

const verifiedAtMost = 8192

func (v *verified) has(hash [32]byte) bool {
	_, newer := v.newer[hash]
	_, older := v.older[hash]
	return newer || older
}

func (v *verified) put(hash [32]byte) {
	if len(v.newer) >= verifiedAtMost || v.newer == nil {
		v.newer, v.older = map[[32]byte]struct{}{}, v.newer
	}
	v.newer[hash] = struct{}{}
}
