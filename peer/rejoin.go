package peer

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"shoal/gossip"
	"shoal/peer/control"
)

const (
	rejoinEach = time.Second
	rejoinMost = 8 * time.Second
	// rejoinPerTurn bounds the addresses that the live peers of one side begin to try in each second, all together: a book of
	// 1,000 lost peers takes one that is alone eight seconds, and a packet or two to each. Many share the work, since it is
	// enough that one of them, or the returned peer itself, finds another; each does rejoinLeast at least.
	rejoinPerTurn = 128
	rejoinLeast   = 16
	// rejoinAtOnce bounds those that are being tried. A silent one takes two seconds (four between far peers: gossip/swim).
	rejoinAtOnce = 5 * rejoinPerTurn
)

// rejoin decides whom to try to reach again, and when. It is pure apart from its random numbers.
type rejoin struct {
	seeds  []netip.AddrPort
	random func(n int) int
	tries  map[netip.AddrPort]try
	trying map[netip.AddrPort]bool
}

type try struct {
	next time.Duration // Elapsed before which it is left alone
	wait time.Duration
}

func newRejoin(seeds []netip.AddrPort, random func(n int) int) *rejoin {
	return &rejoin{seeds: seeds, random: random, tries: map[netip.AddrPort]try{}, trying: map[netip.AddrPort]bool{}}
}

// due returns the addresses to try in this second: those of lost peers, and the seeds while nobody else is here. Who was lost
// just now comes first, then who was left alone for longest. Each counts as being tried until over.
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
		if !r.trying[addr] && r.tries[addr].next <= now {
			due = append(due, addr)
		}
	}
	slices.SortFunc(due, func(a, b netip.AddrPort) int {
		return cmp.Or(cmp.Compare(r.tries[a].next, r.tries[b].next), a.Compare(b))
	})
	due = due[:min(len(due), max(rejoinLeast, rejoinPerTurn/max(1, len(here))), rejoinAtOnce-len(r.trying))]
	for _, addr := range due {
		r.trying[addr] = true
		r.backOff(addr, now)
	}
	return due
}

// over notes that an attempt has ended.
func (r *rejoin) over(addr netip.AddrPort) { delete(r.trying, addr) }

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
	ended := make(chan netip.AddrPort, rejoinAtOnce)
	var attempts sync.WaitGroup
	defer attempts.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case addr := <-ended:
			tries.over(addr)
			continue
		case <-timer.C:
		}
		for _, addr := range tries.due(p.ports.Now().Elapsed, p.cluster.Members(), p.bookAddrs(ctx)) {
			attempts.Go(func() {
				p.join(ctx, addr)
				ended <- addr
			})
		}
		timer.Reset(rejoinEach)
	}
}

func (p *Peer) join(ctx context.Context, addr netip.AddrPort) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := p.cluster.Join(ctx, []netip.AddrPort{addr}); err != nil {
		slog.Debug("a lost peer does not answer yet", "address", addr, "error", err)
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
