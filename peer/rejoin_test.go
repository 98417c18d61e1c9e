package peer

import (
	"fmt"
	"math/rand/v2"
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

// trying plays five minutes of a peer with so many lost ones, each attempt at which takes two seconds, beside others that
// live. It returns how many it tried in the busiest second, at once, and after how long at worst the same one again.
func trying(t *testing.T, lost, others int) (inASecond, atOnce int, gap time.Duration) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	r := newRejoin(nil, random.IntN)
	var alive, book []gossip.Member
	for i := range 1 + others {
		alive = append(alive, member(fmt.Sprint("alive", i), uint16(60_000+i), gossip.Alive))
	}
	for i := range lost {
		book = append(book, member(fmt.Sprint(i), uint16(i+1), gossip.Failed))
	}
	ends := map[time.Duration][]netip.AddrPort{}
	last := map[netip.AddrPort]time.Duration{}
	for now := time.Duration(0); now < 5*time.Minute; now += time.Second {
		for _, addr := range ends[now] {
			r.over(addr)
		}
		due := r.due(now, alive, book)
		for _, addr := range due {
			ends[now+3*time.Second] = append(ends[now+3*time.Second], addr) // noticed in the turn after the end
			gap = max(gap, now-last[addr])
			last[addr] = now
		}
		inASecond, atOnce = max(inASecond, len(due)), max(atOnce, len(r.trying))
	}
	if len(last) != lost {
		t.Errorf("only %d of %d were tried", len(last), lost)
	}
	return inASecond, atOnce, gap
}

// TestAThousandLostAreTriedSoon: a peer that is alone finds any one of 1,000 within ten seconds of its return.
func TestAThousandLostAreTriedSoon(t *testing.T) {
	if _, _, gap := trying(t, 1000, 0); gap > 9*time.Second {
		t.Errorf("one of 1,000 was left alone for %v", gap)
	}
	if _, atOnce, gap := trying(t, 5000, 0); atOnce > rejoinAtOnce || gap > time.Minute {
		t.Errorf("of 5,000, %d were tried at once, and one was left alone for %v", atOnce, gap)
	}
}

// TestManyShareTheTrying: the more peers live, the fewer packets each sends after the lost.
func TestManyShareTheTrying(t *testing.T) {
	for _, test := range []struct{ others, most int }{{0, 128}, {3, 32}, {7, 16}, {500, 16}} {
		if got, _, _ := trying(t, 500, test.others); got != test.most {
			t.Errorf("beside %d others, %d were tried in a second, want %d", test.others, got, test.most)
		}
	}
}
