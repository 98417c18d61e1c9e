package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	libp2p "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sys/unix"
)

// Network is what connections are made over. The zero Config uses TCP; the bubble world brings packets in memory.
type Network interface {
	Listen(at netip.AddrPort) (net.Listener, error)
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

const (
	dialTimeout = 3 * time.Second
	// unackedAtMost is how long sent bytes may go unacknowledged before the kernel gives a connection up.
	unackedAtMost = 5 * time.Second
	// unsentAtMost is how much the kernel takes that it cannot send yet: what waits there can no longer be overtaken.
	unsentAtMost = 128 << 10
)

// tcp is the machine's own network.
type tcp struct{}

func (tcp) Listen(at netip.AddrPort) (net.Listener, error) {
	config := net.ListenConfig{Control: controlSocket}
	return config.Listen(context.Background(), "tcp", at.String())
}

func (tcp) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Control: controlSocket, Timeout: dialTimeout}
	return dialer.DialContext(ctx, "tcp", to.String())
}

// controlSocket bounds how long a cut goes unnoticed (TCP_USER_TIMEOUT, RFC 5482) and how much waits unsent; accepted
// connections inherit both.
func controlSocket(_, _ string, raw syscall.RawConn) error {
	var fault error
	err := raw.Control(func(fd uintptr) {
		fault = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unackedAtMost/time.Millisecond)),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentAtMost))
	})
	if err != nil {
		return err
	}
	return fault
}

// carrier is a libp2p transport over a Network.
type carrier struct {
	network  Network
	upgrader transport.Upgrader
}

var _ transport.Transport = (*carrier)(nil)

// muxer bounds what one connection may hold: the library's own form has no bound on streams.
func muxer() *yamux.Transport {
	config := *yamux.DefaultTransport.Config()
	config.MaxIncomingStreams = 64
	config.MaxStreamWindowSize = 1 << 20
	return (*yamux.Transport)(&config)
}

func newCarrier(key libp2p.PrivKey, over Network) (*carrier, error) {
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: muxer()}}
	security, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	up, err := upgrader.New([]sec.SecureTransport{security}, muxers, nil, &network.NullResourceManager{}, nil)
	return &carrier{network: over, upgrader: up}, err
}

func (c *carrier) Dial(ctx context.Context, to ma.Multiaddr, id peer.ID) (transport.CapableConn, error) {
	addr, err := addrPort(to)
	if err != nil {
		return nil, err
	}
	raw, err := c.network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	conn, err := manet.WrapNetConn(raw)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c.upgrader.Upgrade(ctx, c, conn, network.DirOutbound, id, &network.NullScope{})
}

func (c *carrier) Listen(at ma.Multiaddr) (transport.Listener, error) {
	addr, err := addrPort(at)
	if err != nil {
		return nil, err
	}
	raw, err := c.network.Listen(addr)
	if err != nil {
		return nil, err
	}
	listener, err := manet.WrapNetListener(newDoor(raw))
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c.upgrader.UpgradeGatedMaListener(c, c.upgrader.GateMaListener(listener)), nil
}

func (c *carrier) CanDial(to ma.Multiaddr) bool {
	_, err := addrPort(to)
	return err == nil
}

func (c *carrier) Protocols() []int { return []int{ma.P_TCP} }
func (c *carrier) Proxy() bool      { return false }

func addrPort(a ma.Multiaddr) (netip.AddrPort, error) {
	addr, err := manet.ToNetAddr(a)
	if err != nil {
		return netip.AddrPort{}, err
	}
	at, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("stream: %s is no TCP address", a)
	}
	port := at.AddrPort()
	return netip.AddrPortFrom(port.Addr().Unmap(), port.Port()), nil
}

func multiaddr(at netip.AddrPort) (ma.Multiaddr, error) {
	return manet.FromNetAddr(net.TCPAddrFromAddrPort(at))
}
