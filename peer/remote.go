package peer

import (
	"net"
)

// remoteAtMost bounds the API streams of other peers that wait to be accepted; a further one is closed.
const remoteAtMost = 64

// remoteListener hands streams that other peers opened to an HTTP server.
type remoteListener struct {
	conns   chan net.Conn
	stopped <-chan struct{}
}

func newRemoteListener(stopped <-chan struct{}) *remoteListener {
	return &remoteListener{conns: make(chan net.Conn, remoteAtMost), stopped: stopped}
}

func (l *remoteListener) offer(conn net.Conn) {
	select {
	case l.conns <- conn:
	default:
		_ = conn.Close()
	}
}

func (l *remoteListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.stopped:
		return nil, net.ErrClosed
	}
}

func (l *remoteListener) Close() error   { return nil }
func (l *remoteListener) Addr() net.Addr { return remoteAddr{} }

type remoteAddr struct{}

func (remoteAddr) Network() string { return "shoal" }
func (remoteAddr) String() string  { return "peers" }
