package peer

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"shoal/gossip"
)

func member(id string, port uint16, state gossip.State) gossip.Member {
	return gossip.Member{
		Self: gossip.Self{ID: gossip.PeerID(id)}, State: state,
		Addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port),
	}
}

func never(int) int { return 0 }

func TestRejoinTriesOnlyTheLost(t *testing.T) {
	r := newRejoin(nil, never)
	alive := []gossip.Member{member("a", 1, gossip.Alive), member("b", 2, gossip.Alive), member("c", 3, gossip.Failed)}
	book := []gossip.Member{member("b", 2, gossip.Alive), member("c", 3, gossip.Failed), member("d", 4, gossip.Left)}
	due := r.due(0, alive, book)
	if len(due) != 1 || due[0].Port() != 3 {
		t.Fatalf("tried %v, want the failed peer alone", due)
	}
}

func TestRejoinBacksOffAndNeverGivesUp(t *testing.T) {
	r := newRejoin(nil, never)
	book := []gossip.Member{member("c", 3, gossip.Failed)}
	var tries []time.Duration
	for now := time.Duration(0); now < time.Minute; now += time.Second {
		for _, addr := range r.due(now, nil, book) {
			tries = append(tries, now)
			r.over(addr)
		}
	}
	if len(tries) < 8 {
		t.Fatalf("tried only at %v", tries)
	}
	for i := 1; i < len(tries); i++ {
		if gap := tries[i] - tries[i-1]; gap > rejoinMost {
			t.Fatalf("waited %v, at most %v is allowed", gap, rejoinMost)
		}
	}
}

func TestRejoinForgetsBackOffOnceFound(t *testing.T) {
	r := newRejoin(nil, never)
	lost := []gossip.Member{member("c", 3, gossip.Failed)}
	for now := time.Duration(0); now < 30*time.Second; now += time.Second {
		for _, addr := range r.due(now, nil, lost) {
			r.over(addr)
		}
	}
	r.due(30*time.Second, []gossip.Member{member("c", 3, gossip.Alive)}, lost)
	if due := r.due(31*time.Second, nil, lost); len(due) != 1 {
		t.Fatal("a peer lost anew was not tried at once")
	}
}

func TestSeedsOnlyWhileAlone(t *testing.T) {
	seed := netip.MustParseAddrPort("192.0.2.9:7401")
	r := newRejoin([]netip.AddrPort{seed}, never)
	if due := r.due(0, []gossip.Member{member("a", 1, gossip.Alive)}, nil); len(due) != 1 || due[0] != seed {
		t.Fatalf("alone, tried %v, want the seed", due)
	}
	both := []gossip.Member{member("a", 1, gossip.Alive), member("b", 2, gossip.Alive)}
	if due := r.due(time.Minute, both, nil); len(due) != 0 {
		t.Fatalf("in company, tried %v", due)
	}
}

// TestAllOfManyLostAreTried has 200 lost peers of which none answers, each attempt taking five seconds.
func TestAllOfManyLostAreTried(t *testing.T) {
	r := newRejoin(nil, never)
	var book []gossip.Member
	for i := range 200 {
		book = append(book, member(fmt.Sprint(i), uint16(i+1), gossip.Failed))
	}
	ends := map[time.Duration][]netip.AddrPort{}
	last := map[netip.AddrPort]time.Duration{}
	for now := time.Duration(0); now < 5*time.Minute; now += time.Second {
		for _, addr := range ends[now] {
			r.over(addr)
		}
		for _, addr := range r.due(now, nil, book) {
			ends[now+5*time.Second] = append(ends[now+5*time.Second], addr)
			if gap := now - last[addr]; gap > 40*time.Second {
				t.Fatalf("%v was not tried for %v", addr, gap)
			}
			last[addr] = now
		}
		if len(r.trying) > rejoinAtOnce {
			t.Fatalf("%d are tried at once", len(r.trying))
		}
	}
	if len(last) != len(book) {
		t.Errorf("only %d of %d were tried", len(last), len(book))
	}
}
