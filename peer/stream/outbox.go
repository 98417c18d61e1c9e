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
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	queueMessages = 64
	queueBytes    = 8 << 20
	writeTimeout  = 10 * time.Second
	idleAtMost    = 2 * time.Minute
	retryFirst    = 100 * time.Millisecond
	retryMost     = 2 * time.Second
)

// outbox holds what waits for one peer, and sends it in order. Its goroutine lives while there is something to send or
// a stream to keep.
type outbox struct {
	streams *Streams
	to      peer.ID

	mu      sync.Mutex
	at      netip.AddrPort
	queue   [][]byte
	bytes   int
	running bool
	wake    chan struct{}
}

// put queues a message; false if there is no room.
func (o *outbox) put(at netip.AddrPort, message []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at = at
	if len(o.queue) >= queueMessages || o.bytes+len(message) > queueBytes {
		return false
	}
	o.queue = append(o.queue, message)
	o.bytes += len(message)
	if !o.running {
		o.running = true
		o.streams.group.Go(o.run)
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return true
}

// next takes the oldest message, waiting for one for a while; false when the outbox may rest.
func (o *outbox) next(ctx context.Context) ([]byte, bool) {
	idle := time.NewTimer(idleAtMost)
	defer idle.Stop()
	for {
		o.mu.Lock()
		if len(o.queue) > 0 && ctx.Err() == nil {
			message := o.queue[0]
			o.queue = o.queue[1:]
			o.bytes -= len(message)
			o.mu.Unlock()
			return message, true
		}
		o.mu.Unlock()
		select {
		case <-o.wake:
		case <-idle.C:
			if o.rest() {
				return nil, false
			}
		case <-ctx.Done():
			return nil, false
		}
	}
}

// rest ends the goroutine unless something has come meanwhile.
func (o *outbox) rest() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) > 0 {
		return false
	}
	o.running = false
	return true
}

func (o *outbox) run() {
	ctx := o.streams.ctx
	var stream network.Stream
	defer func() {
		if stream != nil {
			_ = stream.Reset()
			o.streams.closeIdle(o.to)
		}
	}()
	wait := retryFirst
	for {
		message, ok := o.next(ctx)
		if !ok {
			return
		}
		for tries := 0; tries < 2; tries++ {
			if stream == nil {
				stream = o.open(ctx)
			}
			if stream != nil && writeFrame(stream, message) == nil {
				wait = retryFirst
				break
			}
			if stream != nil {
				_ = stream.Reset()
				stream = nil
				continue
			}
			if !pause(ctx, wait/2+rand.N(wait)) {
				return
			}
			wait = min(2*wait, retryMost)
		}
		if stream == nil {
			o.streams.lost.Add(1)
		}
	}
}

func (o *outbox) open(ctx context.Context) network.Stream {
	o.mu.Lock()
	at := o.at
	o.mu.Unlock()
	stream, err := o.streams.open(ctx, o.to, at, protocolMessage)
	if err != nil {
		return nil
	}
	return stream
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, span time.Duration) bool {
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
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
