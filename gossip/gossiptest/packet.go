package gossiptest

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// ListenPacket opens a packet socket. An unspecified address or port 0 is filled in.
func (h *Host) ListenPacket(at netip.AddrPort) (net.PacketConn, error) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	full := h.place(at)
	err := h.check(at)
	if err == nil && n.packets[full] != nil {
		err = os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(full), Err: err}
	}
	p := &packetConn{network: n, at: full, queue: make(chan packet, queueLength), closed: make(chan struct{}), readBy: newDeadline()}
	n.packets[full] = p
	return p, nil
}

type packet struct {
	from netip.AddrPort
	data []byte
}

// packetConn is a socket in memory, with the manners of UDP.
type packetConn struct {
	network *Network
	at      netip.AddrPort
	queue   chan packet
	once    sync.Once
	closed  chan struct{}
	readBy  *deadline
}

func (p *packetConn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: p.LocalAddr(), Err: err}
}

func (p *packetConn) ReadFrom(into []byte) (int, net.Addr, error) {
	select {
	case <-p.closed:
		return 0, nil, p.fail("read", net.ErrClosed)
	case <-p.readBy.over():
		return 0, nil, p.fail("read", os.ErrDeadlineExceeded)
	case got := <-p.queue:
		return copy(into, got.data), net.UDPAddrFromAddrPort(got.from), nil
	}
}

// WriteTo never waits. Whether the packet arrives is not told to the sender.
func (p *packetConn) WriteTo(data []byte, to net.Addr) (int, error) {
	select {
	case <-p.closed:
		return 0, p.fail("write", net.ErrClosed)
	default:
	}
	target, err := netip.ParseAddrPort(to.String())
	if err != nil {
		return 0, p.fail("write", err)
	}
	n := p.network
	n.mu.Lock()
	defer n.mu.Unlock()
	sent := packet{from: p.at, data: append([]byte(nil), data...)}
	if !n.hold(p.at.Addr(), outgoing, func() { n.send(target, sent) }) {
		n.send(target, sent)
	}
	return len(data), nil
}

// send puts a packet on its way. n.mu is held.
func (n *Network) send(to netip.AddrPort, sent packet) {
	if !n.open(sent.from.Addr(), to.Addr()) || n.random.Float64() < n.loss {
		n.dropped++
		return
	}
	delay := n.delay()
	if delay <= 0 {
		n.deliver(to, sent)
		return
	}
	time.AfterFunc(delay, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.deliver(to, sent)
	})
}

// deliver queues a packet at its socket, or drops it. n.mu is held.
func (n *Network) deliver(to netip.AddrPort, sent packet) {
	if n.hold(to.Addr(), incoming, func() { n.deliver(to, sent) }) {
		return
	}
	socket := n.packets[to]
	if socket == nil || !n.open(sent.from.Addr(), to.Addr()) {
		n.dropped++
		return
	}
	select {
	case socket.queue <- sent:
		n.carried++
		n.carriedLen += len(sent.data)
	default:
		n.dropped++
	}
}

func (p *packetConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(p.at) }

func (p *packetConn) Close() error {
	p.once.Do(func() {
		p.network.change(func() { delete(p.network.packets, p.at) })
		close(p.closed)
		p.readBy.set(time.Time{})
	})
	return nil
}

func (p *packetConn) SetDeadline(t time.Time) error      { return p.SetReadDeadline(t) }
func (p *packetConn) SetReadDeadline(t time.Time) error  { p.readBy.set(t); return nil }
func (p *packetConn) SetWriteDeadline(t time.Time) error { return nil }
