package gossiptest

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	queueLength   = 1024    // packets under way to, or waiting at, one socket
	windowBytes   = 1 << 18 // bytes under way in one direction of a stream
	backlogLength = 128     // connections not yet accepted, per listener
	firstFreePort = 49152
)

// Network is a network in memory. All methods may be called from any goroutine, also while traffic flows.
type Network struct {
	mu         sync.Mutex
	random     *rand.Rand
	least      time.Duration // latency, one way
	most       time.Duration
	loss       float64
	group      map[netip.Addr]int // side of a split; absent: side 0
	blocked    map[[2]netip.Addr]bool
	asleep     map[netip.Addr]bool
	stalled    map[netip.Addr]*held
	packets    map[netip.AddrPort]*packetConn
	listeners  map[netip.AddrPort]*listener
	nextPort   uint16
	changed    chan struct{} // closed and replaced when a path or a listener comes or goes
	dropped    int
	carried    int
	carriedLen int
}

// NewNetwork returns a network without latency, loss or cuts.
func NewNetwork(seed uint64) *Network {
	return &Network{
		random: rand.New(rand.NewPCG(seed, 0)), group: map[netip.Addr]int{}, blocked: map[[2]netip.Addr]bool{}, asleep: map[netip.Addr]bool{}, stalled: map[netip.Addr]*held{},
		packets: map[netip.AddrPort]*packetConn{}, listeners: map[netip.AddrPort]*listener{}, nextPort: firstFreePort, changed: make(chan struct{}),
	}
}

// Host is one machine on the network. It is a value to listen and dial with; nothing need be closed.
type Host struct {
	network *Network
	addr    netip.Addr
}

// Host returns the machine with this address.
func (n *Network) Host(addr netip.Addr) *Host { return &Host{network: n, addr: addr} }

// Addr is the machine's address.
func (h *Host) Addr() netip.Addr { return h.addr }

// Latency makes every packet and every byte take between least and most, one way.
func (n *Network) Latency(least, most time.Duration) {
	n.change(func() { n.least, n.most = least, most })
}

// Loss drops this share of the packets, 0 to 1. Streams lose nothing: what is lost of them arrives later.
func (n *Network) Loss(share float64) { n.change(func() { n.loss = share }) }

// Split cuts the hosts of each group off from all hosts outside of it. Hosts in no group stay
// together. An earlier split is replaced.
func (n *Network) Split(groups ...[]netip.Addr) {
	n.change(func() {
		n.group = map[netip.Addr]int{}
		for i, group := range groups {
			for _, addr := range group {
				n.group[addr] = i + 1
			}
		}
	})
}

// Heal ends all splits and one-way cuts.
func (n *Network) Heal() {
	n.change(func() { n.group, n.blocked = map[netip.Addr]int{}, map[[2]netip.Addr]bool{} })
}

// Block cuts one direction: nothing from one host reaches the other.
func (n *Network) Block(from, to netip.Addr) {
	n.change(func() { n.blocked[[2]netip.Addr{from, to}] = true })
}

// Sleep takes a host off the network without a word, as if its power went. Its programs
// still run, and should be closed by the test.
func (n *Network) Sleep(addr netip.Addr) { n.change(func() { n.asleep[addr] = true }) }

// Wake ends Sleep.
func (n *Network) Wake(addr netip.Addr) { n.change(func() { delete(n.asleep, addr) }) }

// Counts returns the packets carried and dropped so far, and the bytes of packets and streams carried.
func (n *Network) Counts() (carried, dropped, bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.carried, n.dropped, n.carriedLen
}

// change alters the network and wakes all who wait for a path.
func (n *Network) change(alter func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	alter()
	close(n.changed)
	n.changed = make(chan struct{})
}

// open says whether traffic flows, and gives a channel that closes when that may change. n.mu is held.
func (n *Network) open(from, to netip.Addr) bool {
	if n.asleep[from] || n.asleep[to] {
		return false
	}
	return from == to || n.group[from] == n.group[to] && !n.blocked[[2]netip.Addr{from, to}]
}

// path says whether traffic flows, and gives a channel that closes when that may change. A stalled host takes nothing from
// the streams that it has, and what it writes stays with it.
func (n *Network) path(from, to netip.Addr) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open(from, to) && n.stalled[from] == nil && n.stalled[to] == nil, n.changed
}

// delay draws a latency. n.mu is held.
func (n *Network) delay() time.Duration {
	if n.most <= n.least {
		return n.least
	}
	return n.least + time.Duration(n.random.Int64N(int64(n.most-n.least)))
}

// resendFirst is how long a sender waits at least before it sends what is not acknowledged again (Linux; RFC 6298 asks for 1 s).
const resendFirst = 200 * time.Millisecond

// draw is how long bytes of a stream are under way.
func (n *Network) draw(bytes int) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.carriedLen += bytes
	return n.delay() + n.resent(resendFirst, n.loss)
}

// handshake is how long a request to connect and its answer are under way.
func (n *Network) handshake() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.delay() + n.delay() + n.resent(dialAgain, 1-(1-n.loss)*(1-n.loss))
}

// place fills in this host and a free port where they are missing. n.mu is held.
func (h *Host) place(at netip.AddrPort) netip.AddrPort {
	port := at.Port()
	for port == 0 {
		h.network.nextPort = max(h.network.nextPort+1, firstFreePort)
		candidate := netip.AddrPortFrom(h.addr, h.network.nextPort)
		if h.network.packets[candidate] == nil && h.network.listeners[candidate] == nil {
			port = h.network.nextPort
		}
	}
	return netip.AddrPortFrom(h.addr, port)
}

// check refuses addresses that are another host's.
func (h *Host) check(at netip.AddrPort) error {
	if at.Addr().IsValid() && !at.Addr().IsUnspecified() && at.Addr() != h.addr {
		return os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	return nil
}

// Listen accepts streams. An unspecified address or port 0 is filled in.
func (h *Host) Listen(at netip.AddrPort) (net.Listener, error) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	full := h.place(at)
	err := h.check(at)
	if err == nil && n.listeners[full] != nil {
		err = os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(full), Err: err}
	}
	l := &listener{network: n, at: full, backlog: make(chan *conn, backlogLength), closed: make(chan struct{})}
	n.listeners[full] = l
	close(n.changed)
	n.changed = make(chan struct{})
	return l, nil
}

// dialAgain is how long after the first a lost request to connect is sent again; each further one after twice as long
// (RFC 6298, section 2).
const dialAgain = time.Second

// Dial opens a stream. Across a cut it tries again after 1, 3, 7, … s until ctx ends, as TCP does, so that the end of the
// cut is noticed late; where nobody listens it is refused after a round trip.
func (h *Host) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	n := h.network
	n.mu.Lock()
	from := h.place(netip.AddrPort{})
	n.mu.Unlock()
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Source: net.TCPAddrFromAddrPort(from), Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	for again := dialAgain; ; again *= 2 {
		n.mu.Lock()
		answers := n.open(h.addr, to.Addr()) && n.open(to.Addr(), h.addr) && n.stalled[h.addr] == nil // a stalled host's kernel answers
		n.mu.Unlock()
		if answers {
			break
		}
		if err := wait(ctx, again); err != nil {
			return fail(dialError(ctx))
		}
	}
	if err := wait(ctx, n.handshake()); err != nil {
		return fail(dialError(ctx))
	}
	n.mu.Lock()
	l := n.listeners[to]
	n.mu.Unlock()
	if l == nil {
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	near, far := newPipe(n, from, to)
	select {
	case l.backlog <- far:
		return near, nil
	case <-l.closed:
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	case <-ctx.Done():
		return fail(dialError(ctx))
	}
}

// dialError is what package net reports for an ended context.
func dialError(ctx context.Context) error {
	if ctx.Err() == context.DeadlineExceeded {
		return os.ErrDeadlineExceeded
	}
	return ctx.Err()
}

func wait(ctx context.Context, span time.Duration) error {
	if span <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listener hands out the far ends of dialled streams.
type listener struct {
	network *Network
	at      netip.AddrPort
	backlog chan *conn
	once    sync.Once
	closed  chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
	default:
		select {
		case c := <-l.backlog:
			return c, nil
		case <-l.closed:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

// Close refuses what is still in the backlog.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.network.change(func() { delete(l.network.listeners, l.at) })
		close(l.closed)
		for {
			select {
			case c := <-l.backlog:
				c.Close()
			default:
				return
			}
		}
	})
	return nil
}
