package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
	"shoal/runtime"
)

const (
	receivedAtMost = 256
	writesAtMost   = 1024
	eventsPerFlush = 512
)

// ErrStopped is what calls get once the peer has stopped.
var ErrStopped = errors.New("the peer has stopped")

// Peer is one peer of a cluster. New makes it, Run runs it; all other methods may be called from any goroutine
// while Run is running.
type Peer struct {
	config Config
	ports  Ports
	id     trust.PeerID
	boot   uint64

	machine  *control.Machine // touched by Run's goroutine alone
	addrs    map[crdt.PeerID]gossip.Member
	probes   map[runtime.InstanceID]*instanceProbes
	trust    *guard
	box      *mailbox
	received chan control.Event
	writes   chan control.Event
	reads    chan read

	streams Streams
	cluster gossip.Cluster
	runtime runtime.Runtime
	prober  Prober
	exec    *executor
	remote  *remoteListener

	requests atomic.Uint64
	waiting  sync.Map // request -> chan control.Reply
	changes  changes
	healthMu sync.Mutex
	health   hysteresis
	admitMu  sync.Mutex
	stopped  chan struct{} // closed when Run returns
	left     chan struct{} // closed when the peer has handed over and said goodbye
	leftOnce sync.Once
	started  chan struct{} // closed when the adapters are up
}

type read struct {
	look func(*control.Machine)
	done chan struct{}
}

// New resumes a peer from its store. It opens no connection yet.
func New(config Config, ports Ports) (*Peer, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	p := &Peer{
		config: config, ports: ports, id: ID(config.Key),
		addrs:    map[crdt.PeerID]gossip.Member{},
		probes:   map[runtime.InstanceID]*instanceProbes{},
		trust:    newGuard(config.Cluster),
		box:      newMailbox(),
		received: make(chan control.Event, receivedAtMost),
		writes:   make(chan control.Event, writesAtMost),
		reads:    make(chan read),
		stopped:  make(chan struct{}),
		left:     make(chan struct{}),
		started:  make(chan struct{}),
	}
	p.remote = newRemoteListener(p.stopped)
	return p, p.resume()
}

// resume loads the store and adopts what still runs.
func (p *Peer) resume() error {
	stored, err := p.ports.Store.Load()
	if err != nil {
		return err
	}
	p.boot = stored.Boot
	p.trust.load(append(stored.Certificates, p.config.Certificates...))
	if !p.trust.may(p.id, "") {
		return fmt.Errorf("peer: no certificate of cluster %.12s for %.12s: join it with a ticket", p.config.Cluster, p.id)
	}
	p.runtime, err = p.ports.Runtime(func(s runtime.Status) { p.exited(s) })
	if err != nil {
		return err
	}
	instances, err := p.runtime.List(context.Background())
	if err != nil {
		return err
	}
	for _, member := range stored.Book {
		p.addrs[crdt.PeerID(member.ID)] = member
	}
	p.machine = control.New(control.Config{
		Self: p.config.self(p.config.Room, gossip.Good), Boot: p.boot,
		Labels: p.config.Labels, Subnet: p.config.Subnet,
		Sign: p.config.sign, Pick: p.config.Random, Tuning: p.config.Tuning,
	}, control.Saved{Ops: stored.Ops, Book: stored.Book, Instances: instances})
	p.prober = p.ports.Prober(p.runExec, p.box.probe)
	p.exec = newExecutor(p.runtime, func(d control.Done) { p.answered(d) })
	for _, instance := range instances {
		p.adoptProbes(instance)
	}
	return nil
}

// ID is this peer's identity.
func (p *Peer) ID() crdt.PeerID { return crdt.PeerID(p.id) }

// Started is closed once streams and gossip are up.
func (p *Peer) Started() <-chan struct{} { return p.started }

// Run runs the peer until ctx ends, or until it has left the cluster. Containers go on running.
func (p *Peer) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer close(p.stopped)
	p.announce(ctx)
	if err := p.connect(); err != nil {
		return err
	}
	var group sync.WaitGroup
	group.Go(func() { p.rejoinLost(ctx) })
	group.Go(func() { p.keepAnnouncing(ctx) })
	defer func() {
		cancel()
		group.Wait()
		p.prober.Close()
		p.exec.wait()
		err = errors.Join(err, p.cluster.Close(), p.streams.Close())
	}()
	close(p.started)
	return p.loop(ctx)
}

func (p *Peer) connect() (err error) {
	if p.streams, err = p.ports.Streams(handler{p}); err != nil {
		return err
	}
	if p.cluster, err = p.ports.Gossip(p.box.member); err != nil {
		return errors.Join(err, p.streams.Close())
	}
	return nil
}

func (p *Peer) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.left:
			return nil
		case <-timer.C:
		case <-p.box.wake:
		case event := <-p.received:
			p.step(event)
		case event := <-p.writes:
			p.step(event)
		case r := <-p.reads:
			r.look(p.machine)
			close(r.done)
			continue
		}
		p.drain()
		wake, err := p.flush(ctx)
		if err != nil {
			return err
		}
		timer.Reset(wake)
	}
}

// drain takes in what has gathered meanwhile, so that one flush and one write to disk serve all of it.
func (p *Peer) drain() {
	for _, event := range p.box.take() {
		p.step(event)
	}
	for range eventsPerFlush {
		select {
		case event := <-p.writes:
			p.step(event)
		case event := <-p.received:
			p.step(event)
		default:
			return
		}
	}
}

func (p *Peer) step(event control.Event) {
	switch e := event.(type) {
	case control.MemberChanged:
		p.addrs[crdt.PeerID(e.Member.ID)] = e.Member
		if e.Member.State == gossip.Failed || e.Member.State == gossip.Left {
			p.streams.Drop(trust.PeerID(e.Member.ID))
		}
	case control.Done:
		p.afterDone(e)
	case control.Exited:
		p.prober.Forget(e.Status.Instance, e.Status.Container)
	}
	p.machine.Step(event)
}

// flush carries out everything that the machine decided, and returns how long it may sleep.
func (p *Peer) flush(ctx context.Context) (time.Duration, error) {
	out := p.machine.Flush(p.ports.Now())
	if err := p.commit(out.Persist); err != nil {
		return 0, fmt.Errorf("peer: the store takes no more writes, stopping: %w", err)
	}
	p.changes.raise(out.Version)
	for _, reply := range out.Replies {
		if waiter, ok := p.waiting.LoadAndDelete(reply.Request); ok {
			waiter.(chan control.Reply) <- reply
		}
	}
	p.send(out.Send)
	for _, action := range out.Actions {
		p.beforeAction(action)
		p.exec.run(ctx, action)
	}
	if out.Self != nil {
		if err := p.cluster.Update(*out.Self); err != nil {
			slog.Warn("could not spread this peer's description", "error", err)
		}
	}
	logNotes(out.Notes)
	return p.sleep(out.Wake), nil
}

func (p *Peer) commit(persist control.Persist) error {
	certificates := p.trust.takeNew()
	if persist.Empty() && len(certificates) == 0 {
		return nil
	}
	return p.ports.Store.Commit(Batch{Persist: persist, Certificates: certificates})
}

func (p *Peer) send(messages []control.Send) {
	for _, message := range messages {
		member, known := p.addrs[message.To]
		if !known {
			continue
		}
		data := p.trust.seal(replication.Encode(message.Message), message.Message)
		p.streams.Send(trust.PeerID(message.To), member.Stream, laneOf(message.Message), data)
	}
}

func (p *Peer) sleep(wake time.Duration) time.Duration {
	const atMost = time.Minute
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

// rejoinLost tries the peers of the book that are not alive, for ever, each with back-off. Both sides of a cut do so.
func (p *Peer) rejoinLost(ctx context.Context) {
	tries := newRejoin(p.config.Seeds, p.config.Random)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if due := tries.due(p.ports.Now().Elapsed, p.cluster.Members(), p.bookAddrs(ctx)); len(due) > 0 {
			p.join(ctx, due)
		}
		timer.Reset(rejoinEach)
	}
}

func (p *Peer) join(ctx context.Context, seeds []netip.AddrPort) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := p.cluster.Join(ctx, seeds); err != nil {
		slog.Debug("lost peers do not answer yet", "tried", len(seeds), "error", err)
	}
}

func (p *Peer) bookAddrs(ctx context.Context) []gossip.Member {
	var book []gossip.Member
	_ = p.Read(ctx, func(m *control.Machine) {
		for _, member := range m.Members() {
			book = append(book, member.Member)
		}
	})
	return book
}

// RemoteAPI accepts the API streams that other peers open.
func (p *Peer) RemoteAPI() net.Listener { return p.remote }
