package peer

import (
	"sync"

	"shoal/gossip"
	"shoal/peer/control"
	"shoal/runtime"
)

// mailbox takes events from adapters that must never block. It stays bounded because it keeps only the
// newest news per member and per probe; answers are bounded by the actions asked for, exits by the containers.
type mailbox struct {
	mu      sync.Mutex
	members map[gossip.PeerID]gossip.Member
	order   []gossip.PeerID
	probes  map[probeKey]control.Probed
	probed  []probeKey
	events  []control.Event
	wake    chan struct{}
}

type probeKey struct {
	instance  runtime.InstanceID
	container string
	liveness  bool
}

func newMailbox() *mailbox {
	return &mailbox{
		members: map[gossip.PeerID]gossip.Member{},
		probes:  map[probeKey]control.Probed{},
		wake:    make(chan struct{}, 1),
	}
}

func (b *mailbox) member(m gossip.Member) {
	b.mu.Lock()
	if _, waiting := b.members[m.ID]; !waiting {
		b.order = append(b.order, m.ID)
	}
	b.members[m.ID] = m
	b.mu.Unlock()
	b.ring()
}

func (b *mailbox) probe(p control.Probed) {
	key := probeKey{p.Instance, p.Container, p.Liveness}
	b.mu.Lock()
	if _, waiting := b.probes[key]; !waiting {
		b.probed = append(b.probed, key)
	}
	b.probes[key] = p
	b.mu.Unlock()
	b.ring()
}

func (b *mailbox) add(e control.Event) {
	b.mu.Lock()
	b.events = append(b.events, e)
	b.mu.Unlock()
	b.ring()
}

// take empties the mailbox: answers and exits before probe results, so that a result of a new
// generation never comes before the start that made it.
func (b *mailbox) take() []control.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	for _, id := range b.order {
		events = append(events, control.MemberChanged{Member: b.members[id]})
	}
	for _, key := range b.probed {
		events = append(events, b.probes[key])
	}
	b.events, b.order, b.probed = nil, nil, nil
	clear(b.members)
	clear(b.probes)
	return events
}

func (b *mailbox) ring() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
