package stream

import (
	"net"
	"net/netip"
	"sync"
)

const (
	// inboundAtMost bounds the connections that others opened, those in the middle of a handshake included. A peer has
	// at most a few with each of the peers that it talks to within two minutes.
	inboundAtMost = 1024
	// inboundPerHost bounds those from one address, so that one host cannot use up the rest.
	inboundPerHost = 64
)

// door is a listener that closes what comes beyond the bounds at once. That costs a friend a retry, and a flood no memory.
type door struct {
	net.Listener

	mu    sync.Mutex
	total int
	hosts map[netip.Addr]int
}

func newDoor(l net.Listener) *door { return &door{Listener: l, hosts: map[netip.Addr]int{}} }

func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host := hostOf(conn.RemoteAddr())
		if d.enter(host) {
			return &guest{Conn: conn, leave: sync.OnceFunc(func() { d.leave(host) })}, nil
		}
		_ = conn.Close()
	}
}

func (d *door) enter(host netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total >= inboundAtMost || d.hosts[host] >= inboundPerHost {
		return false
	}
	d.total++
	d.hosts[host]++
	return true
}

func (d *door) leave(host netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if d.hosts[host]--; d.hosts[host] == 0 {
		delete(d.hosts, host)
	}
}

// hostOf is the address without its port; zero for what is no TCP address, which then counts as one host.
func hostOf(addr net.Addr) netip.Addr {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// guest is a connection that is counted until it is closed.
type guest struct {
	net.Conn
	leave func()
}

func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}
