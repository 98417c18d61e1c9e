package peer

import (
	"context"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
)

const (
	// messagesPerTurn and operationsPerTurn bound what one turn takes in, so that who writes or reads meanwhile does not
	// wait long.
	messagesPerTurn   = 512
	operationsPerTurn = 2048
)

// received is a checked message of intent, and how many operations it brought.
type received struct {
	event      control.Received
	operations int
}

func (p *Peer) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var first *received
		var write control.Event
		select {
		case <-ctx.Done():
			return nil
		case <-p.left:
			return nil
		case <-timer.C:
		case <-p.box.wake:
		case <-p.rows.wake:
		case r := <-p.received:
			first = &r
		case write = <-p.writes:
		case r := <-p.reads:
			p.look(r)
			continue
		}
		p.watch.begin()
		wake, err := p.turn(ctx, p.gather(first, write))
		p.watch.end()
		if err != nil {
			return err
		}
		timer.Reset(wake)
	}
}

// look answers a read. Whoever asked gets what goes wrong with it; the peer goes on (P13).
func (p *Peer) look(r read) {
	defer func() {
		if fault := recover(); fault != nil {
			r.done <- fmt.Errorf("reading failed: panic: %v", fault)
		}
	}()
	r.look(p.machine)
	r.done <- nil
}

// gather takes in what has come meanwhile, so that one flush and one write to disk serve all of it: first what the
// adapters say, then commands and intent in turn, then observations, of which fewer while intent is left waiting.
func (p *Peer) gather(first *received, write control.Event) []control.Event {
	events := p.box.take()
	if write != nil {
		events = append(events, write)
	}
	operations := 0
	if first != nil {
		events = append(events, first.event)
		operations = first.operations
	}
	most := rowsWhenBusy
	for n := 0; n < messagesPerTurn && operations < operationsPerTurn; n++ {
		select {
		case event := <-p.writes:
			events = append(events, event)
			continue
		case r := <-p.received:
			events = append(events, r.event)
			operations += r.operations
			continue
		default:
		}
		most = rowsPerTurn
		break
	}
	rows, more := p.rows.take(most)
	if more {
		p.rows.ring()
	}
	return append(events, rows...)
}

// turn lets the machine take in events, and does what it decides. It returns how long it may sleep.
func (p *Peer) turn(ctx context.Context, events []control.Event) (time.Duration, error) {
	if p.faults.careful == 0 {
		return p.flush(ctx, events)
	}
	p.faults.careful--
	for _, event := range events {
		if _, err := p.flush(ctx, []control.Event{event}); err != nil {
			return 0, err
		}
	}
	return p.flush(ctx, nil)
}

// step notes what an event means for the adapters and hands it to the machine.
func (p *Peer) step(event control.Event) {
	switch e := event.(type) {
	case control.MemberChanged:
		p.memberChanged(e.Member)
	case control.Received:
		if answers(e.Message) {
			p.watch.heard(e.From)
		}
	case control.Done:
		p.afterDone(e)
	case control.Exited:
		p.prober.Forget(e.Status.Instance, e.Status.Container)
	}
	p.stepping(event)
}

// memberChanged remembers where a peer is, and begins its streams anew where they lead to nobody any more.
func (p *Peer) memberChanged(member gossip.Member) {
	id := crdt.PeerID(member.ID)
	before, known := p.addrs[id]
	p.addrs[id] = member
	live := member.State == gossip.Alive || member.State == gossip.Suspect
	if !live || known && before.Stream != member.Stream {
		p.streams.Drop(trust.PeerID(id))
	}
	if id != crdt.PeerID(p.id) {
		p.watch.member(id, live)
	}
}

// flush lets the machine take in events, answers the writes among them, then carries out everything else that it decides,
// and returns how long it may sleep.
func (p *Peer) flush(ctx context.Context, events []control.Event) (time.Duration, error) {
	for _, event := range events {
		if !p.faults.shuns(event) && !p.refuses(event) {
			p.step(event)
		}
	}
	if slices.ContainsFunc(events, isWrite) {
		if err := p.handOut(ctx, p.decide(events, p.answering)); err != nil {
			return 0, err
		}
	}
	out := p.decide(events, p.flushing)
	if err := p.handOut(ctx, out); err != nil {
		return 0, err
	}
	return p.sleep(out.Wake), nil
}

func isWrite(event control.Event) bool {
	_, is := event.(control.Write)
	return is
}

// handOut carries out what the machine gave out: what must be on disk first of all, then the answers, and who waits for one
// goes on before the loop does.
func (p *Peer) handOut(ctx context.Context, out control.Output) error {
	if err := p.commit(&out); err != nil {
		return err
	}
	p.changes.raise(out.Version)
	for _, reply := range out.Replies {
		p.reply(reply)
	}
	if len(out.Replies) > 0 {
		goruntime.Gosched()
	}
	p.acks.take(out.Acks)
	p.send(out.Send)
	p.bound(ctx, out.Bounds)
	for _, action := range out.Actions {
		p.guarded("an action", string(action.Instance), func() {
			p.beforeAction(action)
			p.exec.run(ctx, action)
		})
	}
	if out.Self != nil {
		p.guarded("spreading this peer's description", "self", func() {
			if err := p.cluster.Update(*out.Self); err != nil {
				slog.Warn("could not spread this peer's description", "error", err)
			}
		})
	}
	for _, entry := range out.Audit {
		p.audit.add(entry)
	}
	logNotes(out.Notes)
	return nil
}

func (p *Peer) reply(reply control.Reply) {
	if waiter, ok := p.waiting.LoadAndDelete(reply.Request); ok {
		waiter.(chan control.Reply) <- reply
	}
}

func (p *Peer) send(messages []control.Send) {
	now := p.ports.Now().Elapsed
	for _, message := range messages {
		member, known := p.addrs[message.To]
		if !known {
			continue
		}
		if asks(message.Message) {
			p.watch.sent(message.To, now)
		}
		p.guarded("sending", string(message.To), func() {
			data := p.trust.seal(replication.Encode(message.Message), message.Message)
			p.streams.Send(trust.PeerID(message.To), member.Stream, laneOf(message.Message), data)
		})
	}
}

func (p *Peer) sleep(wake time.Duration) time.Duration {
	atMost := time.Minute
	if p.backlog.full {
		atMost = fullRetry
	}
	if wake == 0 {
		return atMost
	}
	return min(atMost, max(0, wake-p.ports.Now().Elapsed))
}

func logNotes(notes []control.Note) {
	for _, note := range notes {
		level := slog.LevelInfo
		if note.Warning {
			level = slog.LevelWarn
		}
		slog.Log(context.Background(), level, note.Text, "reason", note.Reason, "object", note.Object.String(), "replica", note.Replica)
	}
}
