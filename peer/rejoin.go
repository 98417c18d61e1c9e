package peer

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"shoal/gossip"
	"shoal/peer/control"
)

const (
	rejoinEach   = time.Second
	rejoinMost   = 8 * time.Second
	rejoinAtOnce = 8 // addresses tried in one go
)

// rejoin decides whom to try to reach again, and when. It is pure apart from its random numbers.
type rejoin struct {
	seeds  []netip.AddrPort
	random func(n int) int
	tries  map[netip.AddrPort]try
}

type try struct {
	next time.Duration // Elapsed before which it is left alone
	wait time.Duration
}

func newRejoin(seeds []netip.AddrPort, random func(n int) int) *rejoin {
	return &rejoin{seeds: seeds, random: random, tries: map[netip.AddrPort]try{}}
}

// due returns the addresses to try now: those of lost peers, and the seeds while nobody else is here.
func (r *rejoin) due(now time.Duration, alive, book []gossip.Member) []netip.AddrPort {
	here := map[gossip.PeerID]bool{}
	for _, member := range alive {
		if member.State == gossip.Alive || member.State == gossip.Suspect {
			here[member.ID] = true
		}
	}
	wanted := r.lost(here, book)
	for addr := range r.tries {
		if !wanted[addr] {
			delete(r.tries, addr)
		}
	}
	var due []netip.AddrPort
	for addr := range wanted {
		if len(due) < rejoinAtOnce && r.tries[addr].next <= now {
			due = append(due, addr)
			r.backOff(addr, now)
		}
	}
	return due
}

func (r *rejoin) lost(here map[gossip.PeerID]bool, book []gossip.Member) map[netip.AddrPort]bool {
	wanted := map[netip.AddrPort]bool{}
	for _, member := range book {
		if !here[member.ID] && member.State != gossip.Left && member.Addr.IsValid() {
			wanted[member.Addr] = true
		}
	}
	if len(here) <= 1 {
		for _, seed := range r.seeds {
			wanted[seed] = true
		}
	}
	return wanted
}

// backOff doubles the wait up to rejoinMost, with a quarter of jitter so that many peers do not knock at once.
func (r *rejoin) backOff(addr netip.AddrPort, now time.Duration) {
	last := r.tries[addr]
	wait := min(rejoinMost, max(rejoinEach, 2*last.wait))
	jitter := time.Duration(r.random(int(wait/4/time.Millisecond)+1)) * time.Millisecond
	r.tries[addr] = try{next: now + wait - jitter, wait: wait}
}

// rejoinLost tries the peers of the book that are not alive, for ever, each with back-off. Both sides of a cut do so.
func (p *Peer) rejoinLost(ctx context.Context) {
	tries := newRejoin(p.config.Seeds, p.config.Random)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if due := tries.due(p.ports.Now().Elapsed, p.cluster.Members(), p.bookAddrs(ctx)); len(due) > 0 {
			p.join(ctx, due)
		}
		timer.Reset(rejoinEach)
	}
}

func (p *Peer) join(ctx context.Context, seeds []netip.AddrPort) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := p.cluster.Join(ctx, seeds); err != nil {
		slog.Debug("lost peers do not answer yet", "tried", len(seeds), "error", err)
	}
}

func (p *Peer) bookAddrs(ctx context.Context) []gossip.Member {
	var book []gossip.Member
	_ = p.Read(ctx, func(m *control.Machine) {
		for _, member := range m.Members() {
			book = append(book, member.Member)
		}
	})
	return book
}
