package stream

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// sweepEvery is also how long a connection may do nothing before it is closed, at least; twice that at most. A stranger
// that connects and says nothing is gone after it; a stream that has not said what it is for has a deadline of its own.
const sweepEvery = 15 * time.Second

// sweep closes connections that no stream uses, and forgets the keys of those who have gone: the swarm would keep both
// for ever, and anybody can make keys.
func (s *Streams) sweep() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	unused := map[network.Conn]bool{}
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		unused = s.sweepConns(unused)
		s.sweepKeys()
	}
}

// sweepConns closes what was unused at the last sweep too, and returns what is unused now.
func (s *Streams) sweepConns(before map[network.Conn]bool) map[network.Conn]bool {
	now := map[network.Conn]bool{}
	for _, conn := range s.swarm.Conns() {
		switch {
		case len(conn.GetStreams()) > 0:
		case before[conn]:
			_ = conn.Close()
		default:
			now[conn] = true
		}
	}
	return now
}

func (s *Streams) sweepKeys() {
	for _, id := range s.store.PeersWithKeys() {
		if id != s.swarm.LocalPeer() && s.swarm.Connectedness(id) != network.Connected {
			s.store.RemovePeer(id)
		}
	}
}
