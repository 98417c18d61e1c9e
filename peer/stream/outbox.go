package stream

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"shoal/peer"
)

const (
	queueMessages = 64
	queueBytes    = 8 << 20 // of intent
	rowBytes      = 2 << 20 // of observations
	writeTimeout  = 10 * time.Second
	idleAtMost    = 2 * time.Minute
	retryFirst    = 100 * time.Millisecond
	retryMost     = time.Second // together with the time of a dial, how late a heal is noticed
)

// outbox holds what waits for one peer on one lane, and sends it in order on a goroutine of its own. It is gone after
// some idle time. When it is full, the newest intent is dropped, so that what was sent first, on which the rest is
// built, arrives; and the oldest observation, because a newer one takes its place.
type outbox struct {
	streams *Streams
	ctx     context.Context // ends with the Streams, or when the peer is dropped
	cancel  context.CancelFunc
	line    line
	to      libpeer.ID
	wake    chan struct{} // has an entry when something was queued
	met     chan struct{} // has an entry when a connection with the peer came about

	mu    sync.Mutex
	at    netip.AddrPort
	queue [][]byte
	bytes int
}

func newOutbox(s *Streams, to line, id libpeer.ID) *outbox {
	ctx, cancel := context.WithCancel(s.ctx)
	return &outbox{streams: s, ctx: ctx, cancel: cancel, line: to, to: id, wake: make(chan struct{}, 1), met: make(chan struct{}, 1)}
}

// put queues a message and returns how many were dropped to stay within the bounds.
func (o *outbox) put(at netip.AddrPort, message []byte) (dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at = at
	if o.line.lane == peer.Observation {
		for len(o.queue) > 0 && (len(o.queue) >= queueMessages || o.bytes+len(message) > rowBytes) {
			o.pop()
			dropped++
		}
	} else if len(o.queue) >= queueMessages || o.bytes+len(message) > queueBytes {
		return 1
	}
	o.queue = append(o.queue, message)
	o.bytes += len(message)
	signal(o.wake)
	return dropped
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// next takes the oldest message, waiting for one for a while; false when the outbox is over.
func (o *outbox) next(ctx context.Context) ([]byte, bool) {
	idle := time.NewTimer(idleAtMost)
	defer idle.Stop()
	for {
		if ctx.Err() != nil {
			return nil, false
		}
		if message, ok := o.take(); ok {
			return message, true
		}
		select {
		case <-o.wake:
		case <-idle.C:
			if o.retire() {
				return nil, false
			}
		case <-ctx.Done():
		}
	}
}

func (o *outbox) take() ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return nil, false
	}
	return o.pop(), true
}

// pop removes the oldest message. o.mu is held.
func (o *outbox) pop() []byte {
	message := o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	o.bytes -= len(message)
	return message
}

// retire takes the outbox out of service unless something has come meanwhile.
func (o *outbox) retire() bool {
	o.streams.mu.Lock()
	defer o.streams.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) > 0 {
		return false
	}
	if o.streams.outboxes[o.line] == o {
		delete(o.streams.outboxes, o.line)
	}
	return true
}

func (o *outbox) run() {
	ctx := o.ctx
	defer o.cancel()
	var stream network.Stream
	defer func() {
		if stream == nil {
			return
		}
		_ = stream.Reset()
		if ctx.Err() == nil { // else the connection is closed by who ended this
			o.streams.closeIdle(o.to)
		}
	}()
	wait := retryFirst
	for {
		message, ok := o.next(ctx)
		if !ok {
			return
		}
		if stream = o.deliver(ctx, stream, message); stream != nil {
			wait = retryFirst
			continue
		}
		o.streams.lost.Add(1)
		if !o.pause(ctx, wait/2+rand.N(wait)) {
			return
		}
		wait = min(2*wait, retryMost)
	}
}

// deliver sends one message on stream, or on a new one where that has broken, and returns the stream to go on with;
// nil if the message is lost.
func (o *outbox) deliver(ctx context.Context, stream network.Stream, message []byte) network.Stream {
	for range 2 {
		if stream == nil {
			stream = o.open(ctx)
		}
		if stream == nil || writeFrame(stream, message) == nil {
			return stream
		}
		_ = stream.Reset()
		stream = nil
	}
	return nil
}

func (o *outbox) open(ctx context.Context) network.Stream {
	o.mu.Lock()
	at := o.at
	o.mu.Unlock()
	stream, err := o.streams.open(ctx, o.to, at, protocols[o.line.lane])
	if err != nil {
		return nil
	}
	return stream
}

// pause waits before the next attempt, at most until the peer itself has connected; false if ctx ended first.
func (o *outbox) pause(ctx context.Context, span time.Duration) bool {
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.met:
	case <-ctx.Done():
		return false
	}
	return true
}

func writeFrame(stream network.Stream, message []byte) error {
	if err := stream.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(message)), uint32(len(message)))
	_, err := stream.Write(append(frame, message...))
	return err
}

// readFrame reads one message of at most limit bytes; the length is checked before anything is allocated.
func readFrame(in io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if int64(size) > int64(limit) {
		return nil, errTooLarge
	}
	message := make([]byte, size)
	_, err := io.ReadFull(in, message)
	return message, err
}
