package stream

import (
	"github.com/libp2p/go-libp2p/core/network"
)

// inbox is the stream that a peer sends on now, on one lane. A lane has one at a time: when it opens another, after a break
// that this end has not noticed, the older is ended first, and what it is still delivering is delivered, so that
// messages of a lane stay in order and one sender never has two of them in the handler's hands.
type inbox struct {
	stream network.Stream
	done   chan struct{}
}

// take makes stream the one that from sends on; release must be called when it is over.
func (s *Streams) take(from line, stream network.Stream) (release func()) {
	mine := &inbox{stream: stream, done: make(chan struct{})}
	s.mu.Lock()
	older := s.inboxes[from]
	s.inboxes[from] = mine
	s.mu.Unlock()
	if older != nil {
		_ = older.stream.Reset()
		<-older.done
	}
	return func() {
		s.mu.Lock()
		if s.inboxes[from] == mine {
			delete(s.inboxes, from)
		}
		s.mu.Unlock()
		close(mine.done)
	}
}
