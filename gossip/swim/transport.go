package swim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// Network is where a Cluster listens and dials.
type Network interface {
	ListenPacket(at netip.AddrPort) (net.PacketConn, error)
	Listen(at netip.AddrPort) (net.Listener, error)
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// machine is the network of the machine.
type machine struct{}

func (machine) ListenPacket(at netip.AddrPort) (net.PacketConn, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	// Best effort: a burst of gossip must fit while the reader is not scheduled.
	_ = conn.SetReadBuffer(1 << 20)
	return conn, nil
}

func (machine) Listen(at netip.AddrPort) (net.Listener, error) {
	return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
}

func (machine) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", to.String())
}

// AddressError says that a peer cannot gossip where it was told to.
type AddressError struct {
	Addr netip.AddrPort
	Err  error
}

func (e *AddressError) Error() string {
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		return fmt.Sprintf("cannot gossip on %v: another program uses this port; stop it, or choose another with --port (gossip uses the port after it)", e.Addr)
	}
	return fmt.Sprintf("cannot gossip on %v: %v", e.Addr, e.Err)
}

func (e *AddressError) Unwrap() error { return e.Err }

const (
	// packetBytes is the largest packet that is read; more than memberlist sends.
	packetBytes = 65536
	// packetQueue packets wait for memberlist, which takes them at once; beyond it the kernel's queue
	// fills, and then packets are lost, which gossip is made for.
	packetQueue = 64
)

// transport is memberlist's view of a Network. Its two readers stop at Shutdown, which waits for them.
type transport struct {
	network   Network
	patience  time.Duration // with an address that does not answer
	advertise netip.AddrPort
	packets   net.PacketConn
	listener  net.Listener
	packetCh  chan *memberlist.Packet
	streamCh  chan net.Conn
	running   context.Context // ends at Shutdown
	stop      context.CancelFunc
	readers   sync.WaitGroup

	mu    sync.Mutex
	heard map[netip.AddrPort]time.Time // when the last packet came; at most heardAtMost, then it begins anew
}

// heardAtMost bounds the addresses that are remembered: whoever can send packets can make some up.
const heardAtMost = 4096

// note remembers that a packet came.
func (t *transport) note(from net.Addr, at time.Time) {
	udp, is := from.(*net.UDPAddr)
	if !is {
		return
	}
	addr := udp.AddrPort()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.heard) >= heardAtMost {
		clear(t.heard)
	}
	t.heard[netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())] = at
}

// lastHeard says when the last packet came from an address; zero if that is not known.
func (t *transport) lastHeard(addr netip.AddrPort) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.heard[addr]
}

var _ memberlist.Transport = (*transport)(nil)

// newTransport listens at bind and tells others to answer at advertise, with the port of bind.
func newTransport(network Network, bind netip.AddrPort, advertise netip.Addr, patience time.Duration) (*transport, error) {
	listener, err := network.Listen(bind)
	if err != nil {
		return nil, &AddressError{Addr: bind, Err: err}
	}
	at, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return nil, errors.Join(&AddressError{Addr: bind, Err: err}, listener.Close())
	}
	bind = netip.AddrPortFrom(bind.Addr(), at.Port())
	packets, err := network.ListenPacket(bind)
	if err != nil {
		return nil, errors.Join(&AddressError{Addr: bind, Err: err}, listener.Close())
	}
	t := &transport{network: network, patience: patience, advertise: netip.AddrPortFrom(advertise, at.Port()), packets: packets, listener: listener,
		packetCh: make(chan *memberlist.Packet, packetQueue), streamCh: make(chan net.Conn), heard: map[netip.AddrPort]time.Time{}}
	t.running, t.stop = context.WithCancel(context.Background())
	t.readers.Add(2)
	go t.readPackets()
	go t.acceptStreams()
	return t, nil
}

func (t *transport) readPackets() {
	defer t.readers.Done()
	buf := make([]byte, packetBytes)
	for {
		n, from, err := t.packets.ReadFrom(buf)
		if t.done() {
			return
		}
		if err != nil || n == 0 {
			continue
		}
		t.note(from, time.Now())
		packet := &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: time.Now()}
		select {
		case t.packetCh <- packet:
		case <-t.running.Done():
			return
		}
	}
}

func (t *transport) acceptStreams() {
	defer t.readers.Done()
	for {
		conn, err := t.listener.Accept()
		if t.done() {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil {
			t.rest()
			continue
		}
		select {
		case t.streamCh <- conn:
		case <-t.running.Done():
			conn.Close()
			return
		}
	}
}

// rest keeps a failing Accept (no file descriptors left) from spinning.
func (t *transport) rest() {
	select {
	case <-time.After(50 * time.Millisecond):
	case <-t.running.Done():
	}
}

func (t *transport) done() bool { return t.running.Err() != nil }

func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.advertise.Addr().AsSlice(), int(t.advertise.Port()), nil
}

func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = t.packets.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return time.Now(), err
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packetCh }

func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.running, min(timeout, t.patience))
	defer cancel()
	return t.network.Dial(ctx, to)
}

func (t *transport) StreamCh() <-chan net.Conn { return t.streamCh }

func (t *transport) Shutdown() error {
	if t.done() {
		return nil
	}
	t.stop()
	err := errors.Join(t.packets.Close(), t.listener.Close())
	t.readers.Wait()
	return err
}
