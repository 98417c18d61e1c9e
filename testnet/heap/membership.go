package heap

import (
	"time"

	"shoal/gossip"
	"shoal/peer/control"
)

// Detection says how fast members learn of each other. Each pair of peers draws its own spans.
type Detection struct {
	LeastFailed, MostFailed time.Duration // from silence to the news of a failure
	LeastAlive, MostAlive   time.Duration // from the possibility of contact to the news of a member
	Suspicion               time.Duration // how long before the news of a failure a member is suspect
}

// Tuned is how gossip is set up in a cluster: a loss is known after a few seconds.
var Tuned = Detection{
	LeastFailed: 2 * time.Second, MostFailed: 4 * time.Second,
	LeastAlive: 50 * time.Millisecond, MostAlive: 900 * time.Millisecond, Suspicion: time.Second,
}

// rejoinMost is the longest back-off with which a peer tries a lost one of its book (package peer). Both sides of a
// cut try all of the other side, so that the first contact comes the sooner the more there are.
const rejoinMost = 8 * time.Second

// membership is what each peer's membership layer believes of each other peer.
type membership struct {
	believed [][]belief    // by observer, by subject
	selves   []gossip.Self // every description that a peer ever gave of itself
	contact  time.Duration // not before this do the sides of the newest cut that healed hear of each other
}

type belief struct {
	known   bool
	state   gossip.State
	since   time.Duration // of the state
	self    uint32        // in selves
	inquiry uint32        // number of the newest inquiry
}

// live says whether a peer takes another for being there.
func (m *membership) live(observer, subject *Peer) bool {
	b := &m.believed[observer.index][subject.index]
	return b.known && (b.state == gossip.Alive || b.state == gossip.Suspect)
}

func newMembership(peers int) *membership {
	m := &membership{believed: make([][]belief, peers)}
	for i := range m.believed {
		m.believed[i] = make([]belief, peers)
	}
	return m
}

// describe keeps a description, and returns its number.
func (m *membership) describe(self gossip.Self) uint32 {
	m.selves = append(m.selves, self)
	return uint32(len(m.selves) - 1)
}

// forget is what the death of an observer's program does: its membership layer dies with it.
func (m *membership) forget(observer int) {
	for i := range m.believed[observer] {
		m.believed[observer][i] = belief{inquiry: m.believed[observer][i].inquiry + 1, since: m.believed[observer][i].since, state: gossip.Failed}
	}
}

// truth is what an observer would find out about a subject if it looked for long enough.
func (w *World) truth(observer, subject *Peer) (gossip.State, bool) {
	b := &w.membership.believed[observer.index][subject.index]
	switch {
	case subject.alive && w.network.joined(observer.index, subject.index):
		return gossip.Alive, true
	case !b.known:
		return gossip.Failed, false // never heard of
	case subject.left && w.network.joined(observer.index, subject.index):
		return gossip.Left, true
	case b.state == gossip.Left:
		return gossip.Left, true
	}
	return gossip.Failed, true
}

// inquire lets observer find out after a while how subject is, if that is not what it believes.
func (w *World) inquire(observer, subject *Peer) {
	if observer == subject || !observer.alive {
		return
	}
	b := &w.membership.believed[observer.index][subject.index]
	b.inquiry++
	state, known := w.truth(observer, subject)
	if !known || b.known && b.state == state && b.self == subject.described {
		return
	}
	d := w.options.Detection
	span := w.between(d.LeastAlive, d.MostAlive) + max(0, w.membership.contact-w.now)
	if state == gossip.Failed {
		span = w.between(d.LeastFailed, d.MostFailed)
		if d.Suspicion > 0 && b.state == gossip.Alive {
			w.plan(span-d.Suspicion, &news{observer, subject, gossip.Suspect, b.inquiry})
		}
	}
	w.plan(span, &news{observer, subject, state, b.inquiry})
}

// news is what an observer is about to learn of a subject.
type news struct {
	observer, subject *Peer
	state             gossip.State
	inquiry           uint32
}

// happen is the news of a member, unless something newer has been found out since.
func (n *news) happen() {
	w, observer, subject := n.observer.world, n.observer, n.subject
	b := &w.membership.believed[observer.index][subject.index]
	if !observer.alive || b.inquiry != n.inquiry {
		return
	}
	if !b.known || b.state != n.state {
		b.since = w.now
	}
	if n.state == gossip.Alive && (!b.known || b.state != gossip.Alive) {
		w.disturbed = w.now
	}
	b.known, b.state = true, n.state
	if n.state == gossip.Alive {
		b.self = subject.described
	}
	if n.state == gossip.Failed {
		w.drop(observer, subject)
	}
	w.print("member", observer.Name+subject.Name, uint64(n.state))
	if w.traces() {
		w.tracef("%s learns that %s is %s", observer.Name, subject.Name, []string{"alive", "suspect", "failed", "left"}[n.state])
	}
	self := w.membership.selves[b.self]
	member := gossip.Member{Self: self, Addr: self.Stream, State: n.state}
	if w.plants.member != nil {
		w.plants.member(observer, &member)
	}
	observer.feed(control.MemberChanged{Member: member})
}

// inquireAll lets everybody find out about everybody.
func (w *World) inquireAll() {
	for _, observer := range w.peers {
		for _, subject := range w.peers {
			w.inquire(observer, subject)
		}
	}
}

// inquireAbout lets everybody find out about one peer, and it about everybody.
func (w *World) inquireAbout(p *Peer) {
	for _, other := range w.peers {
		w.inquire(other, p)
		w.inquire(p, other)
	}
}

// firstContact draws when the sides of a cut that heals find each other: each of the peers on one side tries each on
// the other at a moment of its own within the back-off.
func (w *World) firstContact() {
	count := map[int]int{}
	for _, p := range w.peers {
		if p.alive {
			count[w.network.side[p.index]]++
		}
	}
	tries := 0
	rest := len(w.peers)
	for _, n := range count { // in any order: only the sum counts
		tries += n * (rest - n)
	}
	if len(count) > 1 && tries > 0 {
		w.membership.contact = w.now + w.between(0, rejoinMost)/time.Duration(tries)
	}
}
