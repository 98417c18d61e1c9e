package swim

import (
	"sync"

	"shoal/gossip"
)

// news is the queue between serf and the function that changes are handed to. It holds the newest
// state of each member that has changed, at most one entry per member, in the order of first change.
type news struct {
	mu     sync.Mutex
	order  []gossip.PeerID
	latest map[gossip.PeerID]gossip.Member
	wake   chan struct{} // has an entry when order has
}

func newNews() *news {
	return &news{latest: map[gossip.PeerID]gossip.Member{}, wake: make(chan struct{}, 1)}
}

// put never waits. A newer state takes the place of a waiting one.
func (n *news) put(m gossip.Member) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, waiting := n.latest[m.ID]; !waiting {
		n.order = append(n.order, m.ID)
	}
	n.latest[m.ID] = m
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// take returns the next change, false if there is none.
func (n *news) take() (gossip.Member, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.order) == 0 {
		return gossip.Member{}, false
	}
	id := n.order[0]
	n.order = n.order[1:]
	m := n.latest[id]
	delete(n.latest, id)
	return m, true
}
