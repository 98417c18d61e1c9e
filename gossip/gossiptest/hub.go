package gossiptest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"shoal/gossip"
)

// Hub is a scripted membership: clusters that know of each other at once what the script lets them know.
// Nothing happens by itself and nothing takes time. Every call returns after all changes that follow from it were handed out.
type Hub struct {
	turn  sync.Mutex // one change at a time, its reports included
	mu    sync.Mutex
	peers map[gossip.PeerID]*Fake
	group map[gossip.PeerID]int
}

// NewHub returns a hub without peers.
func NewHub() *Hub { return &Hub{peers: map[gossip.PeerID]*Fake{}, group: map[gossip.PeerID]int{}} }

// Fake is one peer's view of a Hub, as a gossip.Cluster.
type Fake struct {
	hub     *Hub
	addr    netip.AddrPort
	changed func(gossip.Member)
	known   map[gossip.PeerID]gossip.Member // hub.mu
	pending []gossip.Member                 // hub.mu
	running bool                            // hub.mu: neither closed nor crashed
	left    bool                            // hub.mu
}

var _ gossip.Cluster = (*Fake)(nil)

// New adds a peer that gossips at addr and knows only itself. changed must not call back into the hub.
func (h *Hub) New(self gossip.Self, addr netip.AddrPort, changed func(gossip.Member)) (*Fake, error) {
	if self.ID == "" || self.Name == "" || len(self.Name) > 63 {
		return nil, fmt.Errorf("gossip: %+v lacks an ID or a name of 1 to 63 bytes", self)
	}
	f := &Fake{hub: h, addr: addr, changed: changed, known: map[gossip.PeerID]gossip.Member{}, running: true}
	err := h.change(func() error {
		for id, other := range h.peers {
			if other.running && (other.addr == addr || id == self.ID) {
				return fmt.Errorf("gossip: %v or %s is in use", addr, self.ID)
			}
		}
		h.peers[self.ID] = f
		f.learn(gossip.Member{Self: self, Addr: addr})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// change alters the hub and then hands out what has changed.
func (h *Hub) change(alter func() error) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.mu.Lock()
	err := alter()
	type report struct {
		to   *Fake
		news []gossip.Member
	}
	var reports []report
	for _, f := range h.sorted() {
		reports = append(reports, report{f, f.pending})
		f.pending = nil
	}
	h.mu.Unlock()
	for _, r := range reports {
		for _, m := range r.news {
			r.to.changed(m)
		}
	}
	return err
}

// sorted gives all peers in the order of their IDs, so that a script plays the same each time.
func (h *Hub) sorted() []*Fake {
	out := make([]*Fake, 0, len(h.peers))
	for _, f := range h.peers {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *Fake) int { return strings.Compare(a.addr.String(), b.addr.String()) })
	return out
}

// learn notes a member's state, and that it is news where it is. hub.mu is held.
func (f *Fake) learn(m gossip.Member) {
	if old, known := f.known[m.ID]; !f.running || known && old == m {
		return
	}
	f.known[m.ID] = m
	f.pending = append(f.pending, m)
}

// id is the peer's own. hub.mu is held.
func (f *Fake) id() gossip.PeerID {
	for id, other := range f.hub.peers {
		if other == f {
			return id
		}
	}
	return ""
}

// hears says whether two running peers can reach each other. hub.mu is held.
func (h *Hub) hears(a, b gossip.PeerID) bool {
	return h.peers[a].running && h.peers[b].running && !h.peers[a].left && !h.peers[b].left && h.group[a] == h.group[b]
}

// Crash ends a peer without a goodbye: all who knew and can be reached hold it to have failed.
func (h *Hub) Crash(id gossip.PeerID) {
	h.change(func() error {
		h.peers[id].running = false
		h.fail()
		return nil
	})
}

// Split cuts groups of peers off from all others. An earlier split is replaced.
func (h *Hub) Split(groups ...[]gossip.PeerID) {
	h.change(func() error {
		h.group = map[gossip.PeerID]int{}
		for i, group := range groups {
			for _, id := range group {
				h.group[id] = i + 1
			}
		}
		h.fail()
		return nil
	})
}

// Heal ends the split. Peers find each other again by Join.
func (h *Hub) Heal() {
	h.change(func() error { h.group = map[gossip.PeerID]int{}; return nil })
}

// fail marks, at each peer, the live members that it cannot hear. hub.mu is held.
func (h *Hub) fail() {
	for _, f := range h.sorted() {
		self := f.id()
		for _, id := range sortedIDs(f.known) {
			if m := f.known[id]; id != self && m.State == gossip.Alive && !h.hears(self, id) {
				m.State = gossip.Failed
				f.learn(m)
			}
		}
	}
}

func sortedIDs(known map[gossip.PeerID]gossip.Member) []gossip.PeerID {
	out := make([]gossip.PeerID, 0, len(known))
	for id := range known {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// spread brings peers that know each other and can hear each other to the same knowledge. hub.mu is held.
func (h *Hub) spread() {
	for again := true; again; {
		again = false
		for _, a := range h.sorted() {
			self := a.id()
			for _, id := range sortedIDs(a.known) {
				if id == self || !h.hears(self, id) || a.known[id].State != gossip.Alive {
					continue
				}
				again = h.exchange(a, h.peers[id]) || again
			}
		}
	}
}

// exchange tells b what a knows of peers that a has better knowledge of. hub.mu is held.
func (h *Hub) exchange(a, b *Fake) (news bool) {
	from, to := a.id(), b.id()
	for _, id := range sortedIDs(a.known) {
		m := a.known[id]
		if id != from && m.State == gossip.Alive && !h.hears(from, id) {
			continue
		}
		if old, known := b.known[id]; id != to && (!known || old != m && (id == from || m.State == gossip.Alive && h.hears(to, id))) {
			b.learn(m)
			news = true
		}
	}
	return news
}

// Join meets the peers at seeds.
func (f *Fake) Join(ctx context.Context, seeds []netip.AddrPort) (int, error) {
	answered := 0
	err := f.hub.change(func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		self := f.id()
		for _, seed := range seeds {
			for _, other := range f.hub.sorted() {
				if other.addr != seed || other.running && !f.hub.hears(self, other.id()) && other != f || !other.running || !f.running {
					continue
				}
				answered++
				f.learn(other.known[other.id()])
				other.learn(f.known[self])
			}
		}
		f.hub.spread()
		if answered == 0 {
			return fmt.Errorf("gossip: join: none of %v answered", seeds)
		}
		return nil
	})
	return answered, err
}

// Members lists what this peer knows.
func (f *Fake) Members() []gossip.Member {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	out := make([]gossip.Member, 0, len(f.known))
	for _, id := range sortedIDs(f.known) {
		out = append(out, f.known[id])
	}
	return out
}

// Update spreads at once to all who can be reached.
func (f *Fake) Update(self gossip.Self) error {
	return f.hub.change(func() error {
		if self.ID != f.id() || self.Name == "" || len(self.Name) > 63 {
			return errors.New("gossip: update: wrong ID or name")
		}
		if !f.running {
			return net.ErrClosed
		}
		f.learn(gossip.Member{Self: self, Addr: f.addr})
		f.hub.tell(f)
		return nil
	})
}

// tell gives f's state of itself to all who know it and can be reached. hub.mu is held.
func (h *Hub) tell(f *Fake) {
	self := f.id()
	for _, other := range h.sorted() {
		if _, knows := other.known[self]; knows && h.group[self] == h.group[other.id()] {
			other.learn(f.known[self])
		}
	}
}

// Leave says goodbye to all who can be reached.
func (f *Fake) Leave(ctx context.Context) error {
	return f.hub.change(func() error {
		if !f.running {
			return net.ErrClosed
		}
		m := f.known[f.id()]
		m.State = gossip.Left
		f.learn(m)
		f.hub.tell(f)
		f.left = true
		return nil
	})
}

// Close ends this peer without a goodbye.
func (f *Fake) Close() error {
	return f.hub.change(func() error {
		f.running = false
		f.pending = nil
		f.hub.fail()
		return nil
	})
}

// Awareness is 0: a script has no trouble of its own.
func (f *Fake) Awareness() int { return 0 }
