package stream

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	"shoal/peer"
	"shoal/peer/trust"
)

// MaxMessage bounds one message, in bytes.
const MaxMessage = 4 << 20

const (
	protocolMessage protocol.ID = "/shoal/message/1"
	protocolRow     protocol.ID = "/shoal/row/1"
	protocolJoin    protocol.ID = "/shoal/join/1"
	protocolAPI     protocol.ID = "/shoal/api/1"

	negotiateTimeout = 10 * time.Second
	outboxesAtMost   = 4096
)

var errTooLarge = errors.New("stream: a message is larger than allowed")

// Config is what Streams are made from.
type Config struct {
	PrivateKey ed25519.PrivateKey
	Bind       netip.AddrPort
	Network    Network // TCP when nil
}

// Streams implements peer.Streams.
type Streams struct {
	swarm   *swarm.Swarm
	store   peerstore.Peerstore
	handler peer.StreamHandler
	ctx     context.Context
	cancel  context.CancelFunc
	group   sync.WaitGroup
	lost    atomic.Uint64
	joins   chan struct{}
	rates   *rates

	mu       sync.Mutex
	outboxes map[line]*outbox             // to those to whom something is being sent
	dropping map[libpeer.ID]chan struct{} // closed when the old connections of the peer are
	inboxes  map[line]*inbox              // from those who have such a stream open
	closed   bool
}

// line is one lane between this peer and another.
type line struct {
	peer trust.PeerID
	lane peer.Lane
}

// protocols says what the stream of each lane is called.
var protocols = map[peer.Lane]protocol.ID{peer.Intent: protocolMessage, peer.Observation: protocolRow}

var _ peer.Streams = (*Streams)(nil)

// New listens and returns. The error names the address when it is in use.
func New(config Config, handler peer.StreamHandler) (*Streams, error) {
	if config.Network == nil {
		config.Network = tcp{}
	}
	s := &Streams{handler: handler, joins: make(chan struct{}, joinsAtOnce), rates: newRates(),
		outboxes: map[line]*outbox{}, dropping: map[libpeer.ID]chan struct{}{}, inboxes: map[line]*inbox{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(config); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Streams) start(config Config) error {
	key, id, err := identityOf(config.PrivateKey)
	if err != nil {
		return err
	}
	if s.store, err = pstoremem.NewPeerstore(); err != nil {
		return err
	}
	if err := errors.Join(s.store.AddPrivKey(id, key), s.store.AddPubKey(id, key.GetPublic())); err != nil {
		return err
	}
	s.swarm, err = swarm.NewSwarm(id, s.store, eventbus.NewBus(), swarm.WithDialTimeout(dialTimeout), swarm.WithDialTimeoutLocal(dialTimeout))
	if err != nil {
		return err
	}
	over, err := newCarrier(key, config.Network)
	if err != nil {
		return err
	}
	s.swarm.SetStreamHandler(s.accept)
	s.swarm.Notify(&network.NotifyBundle{ConnectedF: s.connected})
	at, err := multiaddr(config.Bind)
	if err != nil {
		return err
	}
	if err := errors.Join(s.swarm.AddTransport(over), s.swarm.Listen(at)); err != nil {
		return fmt.Errorf("streams cannot listen on %s: %w: choose another port with --port, or end what uses it", config.Bind, err)
	}
	s.group.Go(s.sweep)
	return nil
}

// Send implements peer.Streams.
func (s *Streams) Send(to trust.PeerID, at netip.AddrPort, lane peer.Lane, message []byte) {
	if len(message) > MaxMessage {
		s.lost.Add(1)
		return
	}
	s.lost.Add(uint64(s.put(line{to, lane}, at, message)))
}

// Lost counts messages that were dropped because a queue was full or a peer could not be reached.
func (s *Streams) Lost() uint64 { return s.lost.Load() }

// put queues a message and returns how many were dropped for want of room. An outbox exists only while it has
// something to do, so that their number follows the traffic and not the history.
func (s *Streams) put(to line, at netip.AddrPort, message []byte) (dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 1
	}
	box := s.outboxes[to]
	if box == nil {
		id, err := toLibp2p(to.peer)
		if err != nil || len(s.outboxes) >= outboxesAtMost {
			return 1
		}
		box = newOutbox(s, to, id)
		s.outboxes[to] = box
		s.group.Go(box.run)
	}
	return box.put(at, message)
}

// Drop implements peer.Streams.
func (s *Streams) Drop(to trust.PeerID) {
	id, err := toLibp2p(to)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for lane := range protocols {
		if box := s.outboxes[line{to, lane}]; box != nil {
			delete(s.outboxes, line{to, lane})
			box.cancel()
		}
	}
	earlier, done := s.dropping[id], make(chan struct{})
	s.dropping[id] = done
	s.group.Go(func() { s.drop(id, earlier, done) })
}

// drop closes a peer's connections, after an earlier drop of it. Whoever wants a stream to it meanwhile waits for
// done: a connection must not be closed that was made since.
func (s *Streams) drop(id libpeer.ID, earlier <-chan struct{}, done chan struct{}) {
	defer close(done)
	if earlier != nil {
		<-earlier
	}
	_ = s.swarm.ClosePeer(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropping[id] == done {
		delete(s.dropping, id)
	}
}

// dropped waits until no drop of a peer is under way.
func (s *Streams) dropped(ctx context.Context, id libpeer.ID) error {
	s.mu.Lock()
	done := s.dropping[id]
	s.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connected wakes an outbox that waits to try again: who could not be reached has come by itself.
func (s *Streams) connected(_ network.Network, conn network.Conn) {
	from, err := fromLibp2p(conn.RemotePeer())
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for lane := range protocols {
		if box := s.outboxes[line{from, lane}]; box != nil {
			signal(box.met)
		}
	}
}

// open connects to a peer where it was last known and agrees on a protocol.
func (s *Streams) open(ctx context.Context, to libpeer.ID, at netip.AddrPort, speak protocol.ID) (network.Stream, error) {
	addr, err := multiaddr(at)
	if err != nil {
		return nil, err
	}
	if err := s.dropped(ctx, to); err != nil {
		return nil, err
	}
	if s.swarm.Connectedness(to) != network.Connected {
		s.store.ClearAddrs(to)
		s.swarm.Backoff().Clear(to)
	}
	s.store.AddAddrs(to, []ma.Multiaddr{addr}, peerstore.TempAddrTTL)
	stream, err := s.swarm.NewStream(ctx, to)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = stream.Reset() })()
	if err := negotiate(stream, speak, s.handler.Proof()); err != nil {
		_ = stream.Reset()
		return nil, err
	}
	return stream, nil
}

func negotiate(stream network.Stream, speak protocol.ID, proof []byte) error {
	if err := stream.SetDeadline(time.Now().Add(negotiateTimeout)); err != nil {
		return err
	}
	if err := multistream.SelectProtoOrFail(speak, stream); err != nil {
		return err
	}
	if err := writeFrame(stream, proof); err != nil {
		return err
	}
	return stream.SetDeadline(time.Time{})
}

// closeIdle closes a peer's connections once no stream uses them any more.
func (s *Streams) closeIdle(id libpeer.ID) {
	for _, conn := range s.swarm.ConnsToPeer(id) {
		if len(conn.GetStreams()) == 0 {
			_ = conn.Close()
		}
	}
}

// Dial implements peer.Streams.
func (s *Streams) Dial(ctx context.Context, to trust.PeerID, at netip.AddrPort) (net.Conn, error) {
	id, err := toLibp2p(to)
	if err != nil {
		return nil, err
	}
	stream, err := s.open(ctx, id, at, protocolAPI)
	if err != nil {
		return nil, err
	}
	return conn{stream}, nil
}

// Close implements peer.Streams. It returns when all connections are closed and every goroutine has ended, save those
// that are within a call of the handler, which end with it.
func (s *Streams) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	var err error
	if s.swarm != nil {
		err = s.swarm.Close()
	}
	s.group.Wait()
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	return err
}

// conn is a stream as a net.Conn.
type conn struct{ network.Stream }

func (c conn) LocalAddr() net.Addr  { return nameOf(c.Stream.Conn().LocalPeer()) }
func (c conn) RemoteAddr() net.Addr { return nameOf(c.Stream.Conn().RemotePeer()) }

// name is a peer's ID as an address.
type name string

func nameOf(id libpeer.ID) name {
	own, err := fromLibp2p(id)
	if err != nil {
		return name(id.String())
	}
	return name(own)
}

func (name) Network() string  { return "shoal" }
func (n name) String() string { return string(n) }
