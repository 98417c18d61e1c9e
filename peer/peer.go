package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/trust"
	"shoal/runtime"
)

const (
	receivedAtMost = 256
	writesAtMost   = 1024
)

var (
	// ErrStopped is what calls get once the peer has stopped.
	ErrStopped = errors.New("the peer has stopped")
	// ErrFull is the cause of a Commit that failed for want of room, of which nothing was written. A command that gets it
	// was not acknowledged; it may still take effect once there is room.
	ErrFull = errors.New("the disk of this peer is full: free some space, and try again")
	// ErrBusy is what calls get for which there is no room just now.
	ErrBusy = errors.New("too many wait for that already: try again")
)

// Peer is one peer of a cluster. New makes it, Run runs it; all other methods may be called from any goroutine
// while Run is running.
type Peer struct {
	config Config
	ports  Ports
	id     trust.PeerID
	boot   uint64

	machine   *control.Machine // touched by Run's goroutine alone
	addrs     map[crdt.PeerID]gossip.Member
	probes    map[runtime.InstanceID]*instanceProbes
	stepping  func(control.Event)                // machine.Step, save in tests
	flushing  func(control.Clock) control.Output // machine.Flush, save in tests
	answering func(control.Clock) control.Output // machine.Answer, save in tests
	audit     *audit
	trust     *guard
	intake    *intake
	box       *mailbox
	received  chan received // intent
	rows      *rowBox       // observations
	writes    chan control.Event
	reads     chan read
	faults    faults
	backlog   backlog
	watch     *watch
	acks      *acks

	streams Streams
	cluster gossip.Cluster
	runtime runtime.Runtime
	prober  Prober
	exec    *executor
	remote  *remoteListener

	requests  atomic.Uint64
	waiting   sync.Map // request -> chan control.Reply
	changes   changes
	healthMu  sync.Mutex
	health    judge
	healthWhy string // what speaks against it, when it last changed
	admitMu   sync.Mutex
	stopped   chan struct{} // closed when the loop has ended
	stopOnce  sync.Once
	left      chan struct{} // closed when the peer has handed over and said goodbye
	leftOnce  sync.Once
	started   chan struct{} // closed when the adapters are up
}

type read struct {
	look func(*control.Machine)
	done chan error
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
		audit:    newAudit(func() time.Time { return ports.Now().Wall }),
		acks:     newAcks(),
		box:      newMailbox(),
		rows:     newRowBox(ports.Now),
		received: make(chan received, receivedAtMost),
		writes:   make(chan control.Event, writesAtMost),
		reads:    make(chan read),
		stopped:  make(chan struct{}),
		left:     make(chan struct{}),
		started:  make(chan struct{}),
	}
	p.trust = newGuard(config.Cluster, p.audit)
	p.intake = newIntake(p.trust, p.deliver)
	p.watch = newWatch(ports.Now, p.audit, func(id trust.PeerID) { p.streams.Drop(id) })
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
	p.noteDamage(stored.Damage)
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
	for i := range instances {
		instances[i].Until = p.elapsedOf(instances[i].Until)
	}
	for _, member := range stored.Book {
		p.addrs[crdt.PeerID(member.ID)] = member
	}
	p.machine = control.New(control.Config{
		Self: p.config.self(p.config.Room, gossip.Good), Boot: p.boot,
		Labels: p.config.Labels, Subnet: p.config.Subnet,
		StorageBytes: p.config.Storage, Pids: p.config.Pids, Devices: p.config.Devices,
		Sign: p.config.sign, Pick: p.config.Random, Tuning: p.config.Tuning, Trip: p.config.Trip, Build: p.config.Build, Session: p.config.Session,
		Verify:   p.trust.vouches,
		MayWrite: func(id crdt.PeerID) bool { return p.trust.may(trust.PeerID(id), trust.MayWrite) },
	}, control.Saved{Ops: stored.Ops, Book: stored.Book, Instances: instances, Records: stored.Records})
	p.stepping, p.answering, p.flushing = p.machine.Step, p.machine.Answer, p.machine.Flush
	p.prober = p.ports.Prober(p.runExec, p.box.probe)
	p.exec = newExecutor(p.runtime, func(d control.Done) { p.answered(d) })
	for _, instance := range instances {
		p.adoptProbes(instance)
	}
	return nil
}

func (p *Peer) noteDamage(damage *Damage) {
	if damage == nil {
		return
	}
	text := damage.What + "; " + damage.Lost
	if damage.Aside != "" {
		text += "; the damaged store is at " + damage.Aside
	}
	p.audit.add(control.AuditEntry{At: damage.At, Reason: AuditDamage, Subject: "store", Text: text})
}

// ID is this peer's identity.
func (p *Peer) ID() crdt.PeerID { return crdt.PeerID(p.id) }

// Started is closed once streams and gossip are up.
func (p *Peer) Started() <-chan struct{} { return p.started }

// Run runs the peer until ctx ends, or until it has left the cluster. Containers go on running.
func (p *Peer) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer p.stopOnce.Do(func() { close(p.stopped) })
	p.announce(ctx)
	if err := p.connect(); err != nil {
		return err
	}
	p.intake.start(goruntime.GOMAXPROCS(0))
	var group sync.WaitGroup
	group.Go(func() { p.rejoinLost(ctx) })
	group.Go(func() { p.keepAnnouncing(ctx) })
	group.Go(func() { p.watch.run(ctx) })
	defer func() {
		cancel()
		p.stopOnce.Do(func() { close(p.stopped) })
		p.intake.stop()
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

// RemoteAPI accepts the API streams that other peers open.
func (p *Peer) RemoteAPI() net.Listener { return p.remote }
