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

// membership is what each peer's membership layer believes of each other peer.
type membership struct {
	believed [][]belief // by observer, by subject
}

type belief struct {
	known   bool
	state   gossip.State
	self    gossip.Self
	inquiry uint64 // number of the newest inquiry
}

func newMembership(peers int) *membership {
	m := &membership{believed: make([][]belief, peers)}
	for i := range m.believed {
		m.believed[i] = make([]belief, peers)
	}
	return m
}

// forget is what the death of an observer's program does: its membership layer dies with it.
func (m *membership) forget(observer int) {
	for i := range m.believed[observer] {
		m.believed[observer][i] = belief{inquiry: m.believed[observer][i].inquiry + 1}
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
	inquiry := b.inquiry
	state, known := w.truth(observer, subject)
	if !known || b.known && b.state == state && b.self == subject.self {
		return
	}
	d := w.options.Detection
	span := w.between(d.LeastAlive, d.MostAlive)
	if state == gossip.Failed {
		span = w.between(d.LeastFailed, d.MostFailed)
		if d.Suspicion > 0 && b.state == gossip.Alive {
			w.after(span-d.Suspicion, func() { w.learn(observer, subject, gossip.Suspect, inquiry) })
		}
	}
	w.after(span, func() { w.learn(observer, subject, state, inquiry) })
}

// learn is news of a member, unless something newer has been found out since.
func (w *World) learn(observer, subject *Peer, state gossip.State, inquiry uint64) {
	b := &w.membership.believed[observer.index][subject.index]
	if !observer.alive || b.inquiry != inquiry {
		return
	}
	b.known, b.state = true, state
	if state == gossip.Alive {
		b.self = subject.self
	}
	w.print("member", observer.Name+subject.Name, uint64(state))
	w.tracef("%s learns that %s is %s", observer.Name, subject.Name, []string{"alive", "suspect", "failed", "left"}[state])
	observer.feed(control.MemberChanged{Member: gossip.Member{Self: b.self, State: state}})
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
