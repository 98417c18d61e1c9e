package gossiptest

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// deadline is a channel that closes at a time that can be moved.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{}
}

func newDeadline() *deadline { return &deadline{done: make(chan struct{})} }

func (d *deadline) over() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}

// set moves the deadline; zero is never.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	select {
	case <-d.done:
		d.done = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	done := d.done
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.done == done && d.timer != nil {
				d.timer = nil
				close(done)
			}
		})
		return
	}
	close(done)
}

// segment is what one Write sent.
type segment struct {
	data []byte
	at   time.Time // when it arrives, unless there is a cut
}

// half is one direction of a stream.
type half struct {
	network  *Network
	from, to netip.Addr

	mu      sync.Mutex
	queue   []segment
	bytes   int
	ended   bool          // the writer closed: the reader gets io.EOF after the rest
	reset   bool          // the reader closed: the writer gets an error
	changed chan struct{} // closed and replaced at each change
}

func newHalf(n *Network, from, to netip.Addr) *half {
	return &half{network: n, from: from, to: to, changed: make(chan struct{})}
}

// signal wakes all who wait. h.mu is held.
func (h *half) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// wakers are what a waiting reader or writer waits for: a change of the half, of the paths, or a span; zero values never come.
type wakers struct {
	change, path <-chan struct{}
	span         time.Duration
}

// take copies what has arrived into p. When there is nothing yet it gives what to wait for.
func (h *half) take(p []byte) (n int, until wakers, err error) {
	open, path := h.network.path(h.from, h.to)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reset {
		return 0, wakers{}, io.ErrClosedPipe
	}
	if !open || len(h.queue) == 0 {
		if open && h.ended {
			return 0, wakers{}, io.EOF
		}
		return 0, wakers{h.changed, path, 0}, nil
	}
	head := &h.queue[0]
	if left := time.Until(head.at); left > 0 {
		return 0, wakers{h.changed, path, left}, nil
	}
	n = copy(p, head.data)
	head.data = head.data[n:]
	if len(head.data) == 0 {
		h.queue = h.queue[1:]
	}
	h.bytes -= n
	h.signal()
	return n, wakers{}, nil
}

func (h *half) read(p []byte, by *deadline) (int, error) {
	for {
		select {
		case <-by.over():
			return 0, os.ErrDeadlineExceeded
		default:
		}
		n, until, err := h.take(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		if err := pause(until, by.over()); err != nil {
			return 0, err
		}
	}
}

// pause waits for the first of its arguments; over ends in an error.
func pause(until wakers, over <-chan struct{}) error {
	var after <-chan time.Time
	if until.span > 0 {
		timer := time.NewTimer(until.span)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-until.change:
	case <-until.path:
	case <-after:
	case <-over:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// offer queues as much of p as the window has room for.
func (h *half) offer(p []byte) (n int, until wakers, err error) {
	delay := h.network.draw(len(p))
	answered, _ := h.network.path(h.to, h.from) // across a cut, nobody learns that the reader has gone
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return 0, wakers{}, io.ErrClosedPipe
	case h.reset && answered:
		return 0, wakers{}, os.NewSyscallError("write", syscall.EPIPE)
	}
	n = min(len(p), windowBytes-h.bytes)
	if n == 0 {
		return 0, wakers{change: h.changed}, nil
	}
	at := time.Now().Add(delay)
	if last := len(h.queue) - 1; last >= 0 && at.Before(h.queue[last].at) {
		at = h.queue[last].at // bytes do not overtake
	}
	h.queue = append(h.queue, segment{data: append([]byte(nil), p[:n]...), at: at})
	h.bytes += n
	h.signal()
	return n, wakers{}, nil
}

func (h *half) write(p []byte, by *deadline) (int, error) {
	sent := 0
	for len(p) > 0 {
		select {
		case <-by.over():
			return sent, os.ErrDeadlineExceeded
		default:
		}
		n, until, err := h.offer(p)
		sent, p = sent+n, p[n:]
		if err != nil {
			return sent, err
		}
		if n == 0 {
			if err := pause(until, by.over()); err != nil {
				return sent, err
			}
		}
	}
	return sent, nil
}

func (h *half) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.signal()
}

func (h *half) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reset, h.queue, h.bytes = true, nil, 0
	h.signal()
}

// conn is one end of a stream.
type conn struct {
	in, out       *half
	local, remote netip.AddrPort
	readBy        *deadline
	writeBy       *deadline
}

func newPipe(n *Network, near, far netip.AddrPort) (*conn, *conn) {
	there, back := newHalf(n, near.Addr(), far.Addr()), newHalf(n, far.Addr(), near.Addr())
	return &conn{in: back, out: there, local: near, remote: far, readBy: newDeadline(), writeBy: newDeadline()},
		&conn{in: there, out: back, local: far, remote: near, readBy: newDeadline(), writeBy: newDeadline()}
}

func (c *conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if err == io.ErrClosedPipe {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p, c.readBy)
	return n, c.wrap("read", err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p, c.writeBy)
	return n, c.wrap("write", err)
}

// CloseWrite ends this direction; the other goes on.
func (c *conn) CloseWrite() error { c.out.end(); return nil }

func (c *conn) Close() error {
	c.out.end()
	c.in.stop()
	c.readBy.set(time.Time{})
	c.writeBy.set(time.Time{})
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *conn) SetDeadline(t time.Time) error {
	c.readBy.set(t)
	c.writeBy.set(t)
	return nil
}
func (c *conn) SetReadDeadline(t time.Time) error  { c.readBy.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.writeBy.set(t); return nil }
