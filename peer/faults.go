package peer

import (
	"crypto/sha256"
	"fmt"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/replication"
)

const (
	carefulFor  = 64 // turns in which events are taken in one by one, after a failure
	flushTries  = 3
	shunAtMost  = 64
	shunnedRest = time.Second // how long the loop rests when the machine fails without an event
)

// faults is what the loop does about a machine that panics, beyond the guards that the machine has itself: it finds the event
// that does it, by taking events in one by one, and leaves that one out from then on.
type faults struct {
	careful int // turns for which events are taken in one by one
	shunned map[[32]byte]bool
	order   [][32]byte // of shunned, oldest first; at most shunAtMost
}

// decide flushes the machine and survives it if that panics. The machine then goes on behind the event
// that it was at, so that nothing else is lost, and what it had gathered comes out of the next try.
func (p *Peer) decide(events []control.Event, flush func(control.Clock) control.Output) control.Output {
	for range flushTries {
		out, fault := p.try(flush)
		if fault == "" {
			return out
		}
		p.faults.careful = carefulFor
		entry := control.AuditEntry{Reason: AuditSetAside, Subject: "deciding", Text: "deciding failed: " + fault}
		if len(events) == 1 {
			p.faults.shun(events[0])
			entry.Subject = describe(events[0], &entry)
			entry.Text = "taking it in failed: " + fault
		}
		p.audit.add(entry)
	}
	return control.Output{Wake: p.ports.Now().Elapsed + shunnedRest}
}

func (p *Peer) try(flush func(control.Clock) control.Output) (out control.Output, fault string) {
	defer func() {
		if r := recover(); r != nil {
			out, fault = control.Output{}, fmt.Sprintf("panic: %v", r)
		}
	}()
	return flush(p.ports.Now()), ""
}

// shun leaves a message that made the machine fail out from now on: it may come again, from any peer.
func (f *faults) shun(event control.Event) {
	name, ok := fingerprint(event)
	if !ok || f.shunned[name] {
		return
	}
	if f.shunned == nil {
		f.shunned = map[[32]byte]bool{}
	}
	if len(f.order) >= shunAtMost {
		delete(f.shunned, f.order[0])
		f.order = f.order[1:]
	}
	f.shunned[name] = true
	f.order = append(f.order, name)
}

func (f *faults) shuns(event control.Event) bool {
	if len(f.shunned) == 0 {
		return false
	}
	name, ok := fingerprint(event)
	return ok && f.shunned[name]
}

// fingerprint names what a message says, whoever sends it. Events from this machine itself have none: they are answers.
func fingerprint(event control.Event) (name [32]byte, ok bool) {
	defer func() { ok = ok && recover() == nil }()
	r, ok := event.(control.Received)
	if !ok {
		return name, false
	}
	return sha256.Sum256(replication.Encode(r.Message)), true
}

// describe says what an event was, and fills in what an audit wants to know of it.
func describe(event control.Event, entry *control.AuditEntry) string {
	switch e := event.(type) {
	case control.Received:
		entry.From = e.From
		e.Message.Sift(func(op crdt.Op) bool {
			entry.Key, entry.Writer = op.Key, op.Stamp.Writer
			return true
		}, func(row replication.Row) bool {
			entry.Writer = row.Peer
			return true
		})
		return "message"
	case control.Write:
		entry.Key = e.Key
		return "write"
	case control.MemberChanged:
		entry.From = crdt.PeerID(e.Member.ID)
		return "news of a member"
	case control.Done:
		return "answer about " + string(e.Action.Instance)
	case control.Exited:
		return "end of " + string(e.Status.Instance)
	case control.Probed:
		return "probe of " + string(e.Instance)
	}
	return fmt.Sprintf("%T", event)
}
