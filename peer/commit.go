package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/replication"
)

// fullRetry is how long a full disk is left alone before the next try.
const fullRetry = 2 * time.Second

// backlog is what a full disk did not take. While there is any, commands are refused and operations from others are left
// to reconciliation, so that it stays as large as what one turn brought; reading, and what runs here, go on.
type backlog struct {
	batch Batch
	ops   unwritten     // of batch
	next  time.Duration // Elapsed before which the disk is left alone
	full  bool
}

// add puts a further batch behind what waits.
func (b *backlog) add(batch Batch) {
	b.batch.Put = append(b.batch.Put, batch.Put...)
	b.batch.Drop = append(b.batch.Drop, batch.Drop...)
	b.batch.Book = append(b.batch.Book, batch.Book...)
	b.batch.History = append(b.batch.History, batch.History...)
	b.batch.Certificates = append(b.batch.Certificates, batch.Certificates...)
	if b.batch.Records == nil {
		b.batch.Records = map[string][]byte{}
	}
	maps.Copy(b.batch.Records, batch.Records)
}

// refuses says whether an event must not come in while the disk is full, and answers it.
func (p *Peer) refuses(event control.Event) bool {
	if !p.backlog.full {
		return false
	}
	switch e := event.(type) {
	case control.Write:
		p.reply(control.Reply{Request: e.Request, Err: ErrFull})
		return true
	case control.Received:
		return carries(e.Message)
	}
	return false
}

// carries says whether a message brings operations.
func carries(message replication.Message) (any bool) {
	message.Sift(func(crdt.Op) bool { any = true; return false }, func(replication.Row) bool { return false })
	return any
}

// unwritten are operations that could not be put into the store.
type unwritten map[crdt.OpID]crdt.Stamp

func (u unwritten) has(id crdt.OpID) bool {
	_, there := u[id]
	return there
}

// strike takes them out of what is about to leave the peer: nothing that is not on disk is acknowledged or sent.
func (u unwritten) strike(out *control.Output, why error) {
	if len(u) == 0 {
		return
	}
	stamps := map[crdt.Stamp]bool{}
	for _, stamp := range u {
		stamps[stamp] = true
	}
	for i := range out.Replies {
		if reply := &out.Replies[i]; stamps[reply.Stamp] {
			reply.Err = why
		}
	}
	for i := range out.Send {
		message := out.Send[i].Message.Sift(
			func(op crdt.Op) bool { return !u.has(op.ID()) }, func(replication.Row) bool { return true })
		if message.Ack != nil {
			message.Ack = &replication.Ack{Ops: slices.DeleteFunc(slices.Clone(message.Ack.Ops), u.has)}
		}
		out.Send[i].Message = message
	}
}

// commit writes what must be on disk, and takes out of the output what is not there when it returns: what the disk has no
// room for, which is tried again, and operations with which the store's code fails, which are left out one by one.
func (p *Peer) commit(out *control.Output) error {
	batch := Batch{Persist: out.Persist, Certificates: p.trust.takeNew()}
	now := p.ports.Now().Elapsed
	if p.backlog.full {
		p.backlog.add(batch)
		batch = p.backlog.batch
	}
	if batch.Persist.Empty() && len(batch.Certificates) == 0 {
		return nil
	}
	if p.backlog.full && now < p.backlog.next {
		p.hold(out, batch)
		return nil
	}
	lost, err := p.write(batch)
	switch {
	case errors.Is(err, ErrFull):
		p.noteFull(err)
		p.backlog.next = now + fullRetry
		p.hold(out, batch)
		return nil
	case err != nil:
		return fmt.Errorf("peer: the store takes no more writes, stopping: %w", err)
	}
	if p.backlog.full {
		slog.Info("the disk has room again: what waited is written")
		p.backlog = backlog{}
	}
	lost.strike(out, errors.New("the store could not take it: see the audit"))
	return nil
}

// hold keeps a batch that is not on disk, and what depends on it back.
func (p *Peer) hold(out *control.Output, batch Batch) {
	p.backlog.full, p.backlog.batch, p.backlog.ops = true, batch, unwritten{}
	for _, op := range batch.Put {
		p.backlog.ops[op.ID()] = op.Stamp
	}
	p.backlog.ops.strike(out, ErrFull)
}

func (p *Peer) noteFull(err error) {
	if !p.backlog.full {
		p.audit.add(control.AuditEntry{Reason: AuditFull, Subject: "store",
			Text: err.Error() + ": commands are refused until there is room"})
	}
}

// write commits a batch, and goes on without what makes the store panic.
func (p *Peer) write(batch Batch) (unwritten, error) {
	fault, err := p.tryCommit(batch)
	if fault == "" {
		return nil, err
	}
	lost := unwritten{}
	p.audit.add(control.AuditEntry{Reason: AuditSetAside, Subject: "write to the store", Text: "writing to the store failed: " + fault})
	for _, part := range apart(batch) {
		fault, err := p.tryCommit(part)
		if err != nil {
			return nil, err
		}
		if fault == "" {
			continue
		}
		entry := control.AuditEntry{Reason: AuditSetAside, Subject: "write to the store", Text: "writing it to the store failed: " + fault}
		for _, op := range append(part.Put, part.Drop...) {
			entry.Key, entry.Writer = op.Key, op.Stamp.Writer
			lost[op.ID()] = op.Stamp
		}
		p.audit.add(entry)
	}
	return lost, nil
}

func (p *Peer) tryCommit(batch Batch) (fault string, err error) {
	defer func() {
		if r := recover(); r != nil {
			fault = fmt.Sprintf("panic: %v", r)
		}
	}()
	return "", p.ports.Store.Commit(batch)
}

// apart splits a batch so that each part can fail alone.
func apart(batch Batch) []Batch {
	parts := []Batch{{Certificates: batch.Certificates}}
	for _, op := range batch.Put {
		parts = append(parts, Batch{Persist: control.Persist{Put: []crdt.Op{op}}})
	}
	for _, op := range batch.Drop {
		parts = append(parts, Batch{Persist: control.Persist{Drop: []crdt.Op{op}}})
	}
	return append(parts, Batch{Persist: control.Persist{Book: batch.Book, Records: batch.Records, History: batch.History}})
}
