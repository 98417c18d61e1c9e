package peer

import (
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
		if len(r.due(now, nil, book)) > 0 {
			tries = append(tries, now)
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
		r.due(now, nil, lost)
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
