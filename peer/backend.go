package peer

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/trust"
	"shoal/runtime"
)

// Read implements Backend.
func (p *Peer) Read(ctx context.Context, look func(*control.Machine)) error {
	r := read{look: look, done: make(chan error, 1)}
	select {
	case p.reads <- r:
	case <-p.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-r.done
}

// Write implements Backend.
func (p *Peer) Write(ctx context.Context, w control.Write) (control.Reply, error) {
	w.Request = p.requests.Add(1)
	reply, err := p.ask(ctx, w, w.Request)
	if err != nil {
		return control.Reply{}, err
	}
	return reply, reply.Err
}

// ask queues an event and waits for its reply. A caller that gives up does not undo the write.
func (p *Peer) ask(ctx context.Context, event control.Event, request uint64) (control.Reply, error) {
	answer := make(chan control.Reply, 1)
	p.waiting.Store(request, answer)
	select {
	case p.writes <- event:
	case <-p.stopped:
		p.waiting.Delete(request)
		return control.Reply{}, ErrStopped
	case <-ctx.Done():
		p.waiting.Delete(request)
		return control.Reply{}, ctx.Err()
	}
	select {
	case reply := <-answer:
		return reply, nil
	case <-p.stopped:
		return control.Reply{}, ErrStopped
	case <-ctx.Done():
		p.waiting.Delete(request)
		return control.Reply{}, ctx.Err()
	}
}

// History implements Backend.
func (p *Peer) History(_ context.Context, key crdt.Key) ([]control.HistoryEntry, error) {
	return p.ports.Store.History(key)
}

// Audit implements Backend. It asks nobody, so that it answers also while the loop does not turn.
func (p *Peer) Audit(context.Context) (AuditReport, error) {
	report := p.audit.report()
	report.Sync = p.watch.status()
	report.Sync.RowsDropped = p.rows.lost()
	return report, nil
}

// AwaitAcks implements Backend.
func (p *Peer) AwaitAcks(ctx context.Context, op crdt.OpID, n int) ([]crdt.PeerID, error) {
	if held := p.acks.held(op); len(held) >= n {
		return held, nil
	}
	select {
	case p.writes <- control.AcksWanted{Op: op, Acks: n}:
	case <-p.stopped:
		return nil, ErrStopped
	case <-ctx.Done():
	}
	return p.acks.await(ctx, p.stopped, op, n)
}

// Changed implements Backend.
func (p *Peer) Changed(since uint64) <-chan struct{} { return p.changes.after(since) }

// Leave implements Backend: the work is handed over, then the goodbye is said, then Run returns.
func (p *Peer) Leave(ctx context.Context, within time.Duration) error {
	request := p.requests.Add(1)
	reply, err := p.ask(ctx, control.LeaveAsked{Request: request, Within: within}, request)
	if err != nil {
		return err
	}
	goodbye, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err = p.cluster.Leave(goodbye)
	p.leftOnce.Do(func() { close(p.left) })
	if reply.Err != nil {
		return reply.Err
	}
	return err
}

// Logs implements Backend.
func (p *Peer) Logs(ctx context.Context, id runtime.InstanceID, container string, options runtime.LogOptions) (io.ReadCloser, error) {
	return p.runtime.Logs(ctx, id, container, options)
}

// Exec implements Backend.
func (p *Peer) Exec(ctx context.Context, id runtime.InstanceID, container string, command []string) (runtime.ExecResult, error) {
	return p.runtime.Exec(ctx, id, container, command)
}

// ImportImage implements Backend.
func (p *Peer) ImportImage(ctx context.Context, archive io.Reader, name string) (runtime.Image, error) {
	image, err := p.ports.Images.Import(ctx, archive, name)
	if err == nil {
		p.announce(ctx)
	}
	return image, err
}

// ListImages implements Backend.
func (p *Peer) ListImages(ctx context.Context) ([]runtime.Image, error) {
	return p.ports.Images.List(ctx)
}

// DialAPI implements Backend.
func (p *Peer) DialAPI(ctx context.Context, id crdt.PeerID) (net.Conn, error) {
	var member gossip.Member
	known := false
	if err := p.Read(ctx, func(*control.Machine) { member, known = p.addrs[id] }); err != nil {
		return nil, err
	}
	if !known {
		return nil, fmt.Errorf("peer %.12s is not known here", id)
	}
	conn, err := p.streams.Dial(ctx, trust.PeerID(id), member.Stream)
	if err != nil {
		return nil, fmt.Errorf("peer %s does not answer: %w", member.Name, err)
	}
	return conn, nil
}
