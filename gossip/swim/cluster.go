package swim

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"shoal/gossip"
)

// Config is what New needs.
type Config struct {
	Self      gossip.Self
	Bind      netip.AddrPort // UDP and TCP; an unspecified address listens on all, port 0 takes a free one
	Advertise netip.Addr     // where others reach this peer; zero: Bind's address, else that of Self.Stream
	Key       []byte         // 16, 24 or 32 bytes shared by the cluster; empty: not encrypted
	Profile   Profile
	Network   Network      // nil: the machine's
	Logger    *slog.Logger // nil: silent; serf's own words come at level debug
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	_, err := encodeTags(c.Self)
	if !c.advertise().IsValid() {
		err = errors.Join(err, fmt.Errorf("gossip: %v does not say where others reach this peer, and no address to advertise is set", c.Bind))
	}
	if n := len(c.Key); n != 0 && n != 16 && n != 24 && n != 32 {
		err = errors.Join(err, fmt.Errorf("gossip: the key has %d bytes instead of 16, 24 or 32", n))
	}
	return err
}

func (c Config) advertise() netip.Addr {
	for _, addr := range []netip.Addr{c.Advertise, c.Bind.Addr(), c.Self.Stream.Addr()} {
		if addr.IsValid() && !addr.IsUnspecified() {
			return addr
		}
	}
	return netip.Addr{}
}

// Cluster is a gossip.Cluster over serf.
type Cluster struct {
	serf    *serf.Serf
	logger  *slog.Logger
	changed func(gossip.Member)
	news    *news
	events  chan serf.Event
	stopped chan struct{}

	id        gossip.PeerID
	figures   figures
	transport *transport

	announcing chan struct{} // holds an entry while serf.Join runs
	doubted    chan struct{} // has an entry when an inquiry has begun

	work    sync.WaitGroup // drain, report, spread, verify and its rounds
	leaving sync.WaitGroup // a goodbye under way
	first   sync.Once      // the first successful Join

	mu      sync.Mutex
	self    gossip.Self
	closed  bool
	inquest *inquest         // held by no one who waits for serf, because serf waits for drain
	update  chan gossip.Self // the newest description that is not spread yet
}

var _ gossip.Cluster = (*Cluster)(nil)

// New starts to gossip. changed gets every change of every member, this one included, from one
// goroutine; it may be slow. Where the address cannot be used the error is an *AddressError.
func New(config Config, changed func(gossip.Member)) (*Cluster, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Network == nil {
		config.Network = machine{}
	}
	figures := config.Profile.figures()
	transport, err := newTransport(config.Network, config.Bind, config.advertise(), figures.patience)
	if err != nil {
		return nil, err
	}
	c := &Cluster{logger: config.Logger, changed: changed, news: newNews(), events: make(chan serf.Event, 64),
		id: config.Self.ID, figures: figures, transport: transport, doubted: make(chan struct{}, 1), inquest: newInquest(figures),
		stopped: make(chan struct{}), announcing: make(chan struct{}, 1), self: config.Self, update: make(chan gossip.Self, 1)}
	c.work.Add(2)
	go c.drain()
	go c.report()
	if c.serf, err = serf.Create(c.serfConfig(config, transport)); err != nil {
		close(c.stopped)
		c.work.Wait()
		return nil, errors.Join(fmt.Errorf("gossip: %w", err), transport.Shutdown())
	}
	c.work.Add(2)
	go c.spread()
	go c.verify()
	return c, nil
}

func (c *Cluster) serfConfig(config Config, transport memberlist.Transport) *serf.Config {
	out := serf.DefaultConfig()
	out.Init()
	c.figures.tuneSerf(out)
	out.NodeName = string(config.Self.ID)
	out.Tags, _ = encodeTags(config.Self) // validated
	out.EventCh = c.events
	out.LogOutput = nil
	out.Logger = log.New(logWriter{config.Logger}, "", 0)
	m := memberlist.DefaultLANConfig()
	c.figures.tune(m)
	m.Transport = transport
	m.SecretKey = config.Key
	m.LogOutput, m.Logger = nil, out.Logger
	out.MemberlistConfig = m
	return out
}

// logWriter gives serf's log lines to slog. What matters of them reaches the peer as a change of a
// member; the rest is for people who look for a fault.
type logWriter struct{ logger *slog.Logger }

func (w logWriter) Write(line []byte) (int, error) {
	w.logger.Debug(strings.TrimSpace(string(line)))
	return len(line), nil
}

// drain takes serf's events, which serf hands over under its lock, without ever waiting.
func (c *Cluster) drain() {
	defer c.work.Done()
	for {
		select {
		case <-c.stopped:
			return
		case event := <-c.events:
			c.note(event)
		}
	}
}

func (c *Cluster) note(event serf.Event) {
	members, is := event.(serf.MemberEvent)
	if !is || members.Type == serf.EventMemberReap {
		return
	}
	for _, m := range members.Members {
		member, err := toMember(m)
		if err != nil {
			c.logger.Warn("gossip: a member cannot be understood and is left out", "error", err, "address", net.JoinHostPort(m.Addr.String(), fmt.Sprint(m.Port)))
			continue
		}
		if member.State = eventState(members.Type); member.State == gossip.Failed {
			c.doubt(member)
		} else {
			c.settle(member)
		}
	}
}

// eventState is the state that an event announces: serf hands over the member as it was a moment ago.
func eventState(kind serf.EventType) gossip.State {
	switch kind {
	case serf.EventMemberFailed:
		return gossip.Failed
	case serf.EventMemberLeave:
		return gossip.Left
	}
	return gossip.Alive
}

// report calls changed.
func (c *Cluster) report() {
	defer c.work.Done()
	for {
		select {
		case <-c.stopped:
			return
		case <-c.news.wake:
		}
		for {
			select {
			case <-c.stopped:
				return
			default:
			}
			m, more := c.news.take()
			if !more {
				break
			}
			c.changed(m)
		}
	}
}

// joinsAtOnce bounds how many seeds are tried side by side.
const joinsAtOnce = 8

// Join tries all seeds, some at a time, so that a dead one does not hold up the others. Attempts that
// are under way when ctx ends stop by themselves within seconds.
func (c *Cluster) Join(ctx context.Context, seeds []netip.AddrPort) (int, error) {
	answers := make(chan error, len(seeds)) // nil: answered
	turns := make(chan struct{}, joinsAtOnce)
	var mu sync.Mutex
	var answered []string
	for _, seed := range seeds {
		go func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			err := c.meet(ctx, seed)
			if err == nil {
				mu.Lock()
				answered = append(answered, seed.String())
				mu.Unlock()
			}
			answers <- err
		}()
	}
	var failures []error
	for range seeds {
		select {
		case err := <-answers:
			if err != nil {
				failures = append(failures, err)
			}
			continue
		case <-ctx.Done():
			failures = append(failures, ctx.Err())
		}
		break
	}
	mu.Lock()
	heard := slices.Clone(answered)
	mu.Unlock()
	return c.joined(ctx, heard, failures)
}

// meet exchanges all that both know with one seed.
func (c *Cluster) meet(ctx context.Context, seed netip.AddrPort) error {
	err := ctx.Err()
	if c.isClosed() {
		err = net.ErrClosed
	}
	if err == nil {
		_, err = c.serf.Memberlist().Join([]string{seed.String()})
	}
	if err != nil {
		return fmt.Errorf("%v: %w", seed, err)
	}
	return nil
}

// joined tells the others, through one seed, that this peer is meant to be here: serf's word
// for it outlives an older goodbye of the same peer that still goes round. It does so once at a time: serf holds a lock
// meanwhile, which no context ends.
func (c *Cluster) joined(ctx context.Context, answered []string, failures []error) (int, error) {
	if len(answered) == 0 {
		if len(failures) == 0 {
			return 0, errors.New("gossip: join: no seed was given")
		}
		return 0, fmt.Errorf("gossip: join: no seed answered: %w", errors.Join(failures...))
	}
	select {
	case c.announcing <- struct{}{}:
		if _, err := c.serf.Join(answered[:1], false); err != nil {
			c.logger.Debug("gossip: join was not announced", "error", err)
		}
		<-c.announcing
	case <-ctx.Done():
	case <-c.stopped:
	}
	c.first.Do(func() { go c.repeat(answered[0]) })
	return len(answered), nil
}

// repeat meets the first seed again a few times. A peer that restarts at another address is not believed as long as
// the others hold its former self to be alive, and they do not gossip to its new address; once they have found that one
// to have failed, the next exchange convinces them. Without this, that would be up to PushPullInterval later.
func (c *Cluster) repeat(seed string) {
	for _, pause := range []time.Duration{4 * time.Second, 4 * time.Second, 12 * time.Second} {
		select {
		case <-time.After(pause):
		case <-c.stopped:
			return
		}
		if _, err := c.serf.Memberlist().Join([]string{seed}); err != nil {
			c.logger.Debug("gossip: seed does not answer any more", "seed", seed, "error", err)
		}
	}
}

// Members lists all known members; those that cannot be understood are left out.
func (c *Cluster) Members() []gossip.Member {
	members := c.serf.Members()
	out := make([]gossip.Member, 0, len(members))
	c.mu.Lock()
	for _, m := range members {
		member, err := toMember(m)
		if err != nil {
			continue
		}
		if member.State == gossip.Failed && c.inquest.cases[member.ID] != nil {
			member.State = gossip.Suspect
		}
		out = append(out, member)
	}
	c.mu.Unlock()
	slices.SortFunc(out, func(a, b gossip.Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out
}

// Update checks self and returns; it spreads in the background, and of several quick updates only the last may.
func (c *Cluster) Update(self gossip.Self) error {
	if _, err := encodeTags(self); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return fmt.Errorf("gossip: update: %w", net.ErrClosed)
	case self.ID != c.self.ID:
		return fmt.Errorf("gossip: update: the ID cannot change from %s to %s", c.self.ID, self.ID)
	}
	c.self = self
	select {
	case <-c.update: // overtaken
	default:
	}
	c.update <- self
	return nil
}

// spread gives descriptions to serf, which waits until each has been sent at least once.
func (c *Cluster) spread() {
	defer c.work.Done()
	for {
		select {
		case <-c.stopped:
			return
		case self := <-c.update:
			tags, _ := encodeTags(self) // checked by Update
			if err := c.serf.SetTags(tags); err != nil {
				c.logger.Debug("gossip: update is still on its way", "error", err)
			}
		}
	}
}

// Awareness is how this peer does as a member, by memberlist's account (Lifeguard's local health): 0 while its probes are answered and
// nobody takes it for dead, at most 7.
func (c *Cluster) Awareness() int { return c.serf.Memberlist().GetHealthScore() }

// Leave says goodbye. It waits until the goodbye has been sent and had time to spread, at most some
// seconds, or until ctx ends; then the goodbye goes on in the background until Close.
func (c *Cluster) Leave(ctx context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return fmt.Errorf("gossip: leave: %w", net.ErrClosed)
	}
	c.leaving.Add(1)
	c.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		defer c.leaving.Done()
		done <- c.serf.Leave()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("gossip: leave: %w", ctx.Err())
	}
}

func (c *Cluster) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Close stops at once and without a word, save that it waits for a goodbye under way, and for the
// function that changes are handed to. Probes under way end by themselves within some seconds (a test
// in a bubble lets that time pass before it ends).
func (c *Cluster) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if !first {
		return nil
	}
	c.leaving.Wait() // memberlist panics when it is stopped in the middle of one
	err := c.serf.Shutdown()
	close(c.stopped)
	c.work.Wait()
	return err
}
