package swim

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
	"go.uber.org/goleak"

	"shoal/gossip"
	"shoal/gossip/gossiptest"
)

func TestMain(m *testing.M) {
	gossiptest.Serial()
	goleak.VerifyTestMain(m)
}

// world runs clusters over a network in memory, inside a bubble.
type world struct {
	network *gossiptest.Network
	hosts   map[gossip.PeerID]netip.Addr
	key     []byte
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{network: gossiptest.NewNetwork(seed), hosts: map[gossip.PeerID]netip.Addr{}, key: bytes.Repeat([]byte{7}, 32)}
	t.Cleanup(w.Settle) // the bubble must not end before memberlist's last goroutine
	w.network.Latency(200*time.Microsecond, 2*time.Millisecond)
	return w
}

func (w *world) Start(self gossip.Self, changed func(gossip.Member)) (gossip.Cluster, error) {
	addr := self.Stream.Addr()
	w.hosts[self.ID] = addr
	return New(Config{Self: self, Bind: netip.AddrPortFrom(addr, 7401), Key: w.key, Network: w.network.Host(addr)}, changed)
}

func (w *world) Addr(id gossip.PeerID) netip.AddrPort { return netip.AddrPortFrom(w.hosts[id], 7401) }
func (w *world) Crash(id gossip.PeerID)               { w.network.Sleep(w.hosts[id]) }
func (w *world) Heal()                                { w.network.Heal() }

// Settle waits for memberlist's last probes: one takes up to probeEach, times eight where it does badly.
func (w *world) Settle() { time.Sleep(8*Edge.figures().probeEach + 6*time.Second) }

func (w *world) Split(groups ...[]gossip.PeerID) {
	var addrs [][]netip.Addr
	for _, group := range groups {
		var side []netip.Addr
		for _, id := range group {
			side = append(side, w.hosts[id])
		}
		addrs = append(addrs, side)
	}
	w.network.Split(addrs...)
}

func TestSwimConforms(t *testing.T) {
	gossiptest.Conformance(t, func(t *testing.T, test func(t *testing.T, w gossiptest.World)) {
		synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, 1)) })
	})
}

func selfOf(i int) gossip.Self {
	return gossip.Self{ID: gossip.PeerID(strings.Repeat(fmt.Sprintf("%02x", i+1), 32)), Name: fmt.Sprint("p", i+1),
		Stream: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 7400), Room: gossip.Room{CPUMillis: 2000, MemoryBytes: 4 << 30}}
}

// start runs n joined clusters.
func start(t *testing.T, w *world, n int) []gossip.Cluster {
	t.Helper()
	var out []gossip.Cluster
	for i := range n {
		c, err := w.Start(selfOf(i), func(gossip.Member) {})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		out = append(out, c)
		if i > 0 {
			if _, err := c.Join(t.Context(), []netip.AddrPort{w.Addr(selfOf(0).ID)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

// until waits for a condition in the bubble's time and says how long that took.
func until(t *testing.T, what string, within time.Duration, holds func() bool) time.Duration {
	t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if holds() {
			return time.Since(start)
		}
		if time.Since(start) > within {
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}

// count says how many members a cluster holds in a state.
func count(c gossip.Cluster, state gossip.State) int {
	n := 0
	for _, m := range c.Members() {
		if m.State == state {
			n++
		}
	}
	return n
}

// all says whether each cluster holds n members in a state.
func all(clusters []gossip.Cluster, state gossip.State, n int) func() bool {
	return func() bool {
		for _, c := range clusters {
			if count(c, state) != n {
				return false
			}
		}
		return true
	}
}

// TestTwentyPeersLiveThroughIt is a day in the life: join, crash, split, heal.
func TestTwentyPeersLiveThroughIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		clusters := start(t, w, 20)
		t.Log("all 20 know each other after", until(t, "join", 5*time.Second, all(clusters, gossip.Alive, 20)))
		w.Crash(selfOf(19).ID)
		t.Log("a crash is known to all after", until(t, "crash", 8*time.Second, all(clusters[:19], gossip.Failed, 1)))
		clusters[19].Close()
		var left, right []gossip.PeerID
		for i := range 19 {
			if i < 8 {
				left = append(left, selfOf(i).ID)
			} else {
				right = append(right, selfOf(i).ID)
			}
		}
		w.Split(left, right)
		until(t, "split, left", 30*time.Second, all(clusters[:8], gossip.Alive, 8))
		until(t, "split, right", 30*time.Second, all(clusters[8:19], gossip.Alive, 11))
		w.Heal()
		t.Log("one cluster again after", until(t, "heal", 5*time.Second, rejoining(t, clusters[:19], selfOf(19).ID, all(clusters[:19], gossip.Alive, 19))))
	})
}

// rejoining does what a peer's loop does while a condition is waited for: every second each tries those that it lost.
// Gossip alone brings no certainty: a piece of news is sent a few times, and who misses it learns of it much later.
func rejoining(t *testing.T, clusters []gossip.Cluster, dead gossip.PeerID, holds func() bool) func() bool {
	var last time.Time
	return func() bool {
		if time.Since(last) < time.Second {
			return holds()
		}
		last = time.Now()
		for _, c := range clusters {
			for _, m := range c.Members() {
				if m.State == gossip.Failed && m.ID != dead {
					_, _ = c.Join(t.Context(), []netip.AddrPort{m.Addr})
				}
			}
		}
		return holds()
	}
}

// TestPowerLossIsKnownSoon measures detection among 5 peers over several runs: on average it takes 3.2 s, and 1.5 s more if memberlist were
// to wait for objections for three intervals more before it asks for an inquest.
func TestPowerLossIsKnownSoon(t *testing.T) {
	var worst, sum time.Duration
	const runs = 12
	for run := range runs {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, uint64(run))
			clusters := start(t, w, 5)
			until(t, "join", 5*time.Second, all(clusters, gossip.Alive, 5))
			time.Sleep(time.Duration(run) * 137 * time.Millisecond)
			w.Crash(selfOf(2).ID)
			rest := append(append([]gossip.Cluster(nil), clusters[:2]...), clusters[3:]...)
			took := until(t, "crash", 8*time.Second, all(rest, gossip.Failed, 1))
			worst, sum = max(worst, took), sum+took
		})
	}
	if sum/runs > 4*time.Second {
		t.Errorf("power loss is known to all only after %v on average", sum/runs)
	}
	t.Logf("power loss of 1 of 5 is known to all after %v on average, %v at worst", sum/runs, worst)
}

// TestNoFalseAlarm runs 10 peers for two minutes over a bad network.
func TestNoFalseAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.network.Latency(time.Millisecond, 80*time.Millisecond)
		w.network.Loss(0.05)
		var failures atomic.Int32
		for i := range 10 {
			c, err := w.Start(selfOf(i), func(m gossip.Member) {
				if m.State == gossip.Failed {
					failures.Add(1)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			if _, err := c.Join(t.Context(), []netip.AddrPort{w.Addr(selfOf(0).ID)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		if n := failures.Load(); n > 0 {
			t.Errorf("%d false alarms in two minutes at 5 %% loss", n)
		}
	})
}

// TestNeighbourReturnsByItself: nobody calls Join after the heal.
func TestNeighbourReturnsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		clusters := start(t, w, 4)
		until(t, "join", 5*time.Second, all(clusters, gossip.Alive, 4))
		w.Split([]gossip.PeerID{selfOf(3).ID})
		time.Sleep(5 * time.Minute)
		if !all(clusters[:3], gossip.Failed, 1)() {
			t.Fatal("a member that was away is forgotten")
		}
		w.Heal()
		t.Log("after five minutes apart, one cluster again within", until(t, "heal", time.Minute, all(clusters, gossip.Alive, 4)))
	})
}

// TestPeerMovesToAnotherAddress: a peer restarts elsewhere before anybody has noticed that it was gone.
func TestPeerMovesToAnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		clusters := start(t, w, 4)
		until(t, "join", 5*time.Second, all(clusters, gossip.Alive, 4))
		w.Crash(selfOf(3).ID)
		clusters[3].Close()
		moved := selfOf(3)
		moved.Stream = netip.MustParseAddrPort("10.0.7.7:7400")
		back, err := w.Start(moved, func(gossip.Member) {})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { back.Close() })
		if _, err := back.Join(t.Context(), []netip.AddrPort{w.Addr(selfOf(0).ID)}); err != nil {
			t.Fatal(err)
		}
		took := until(t, "all see it at its new address", 20*time.Second, func() bool {
			for _, c := range clusters[:3] {
				if m := c.Members()[3]; m.Self != moved || m.State != gossip.Alive || m.Addr != w.Addr(moved.ID) {
					return false
				}
			}
			return true
		})
		t.Log("all see it at its new address after", took)
	})
}

// TestTrafficAtRest measures what gossip costs five peers when nothing happens.
func TestTrafficAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 9)
		clusters := start(t, w, 5)
		until(t, "join", 5*time.Second, all(clusters, gossip.Alive, 5))
		time.Sleep(time.Minute)
		_, _, before := w.network.Counts()
		time.Sleep(3 * time.Minute)
		_, _, after := w.network.Counts()
		perDay := (after - before) * 480 / 5
		t.Logf("%d MB a day are sent by each of 5 peers at rest, without headers", perDay>>20)
		if perDay > 100<<20 {
			t.Errorf("%d bytes a day at rest", perDay)
		}
	})
}

func TestWrongKeyIsNotLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5)
		clusters := start(t, w, 2)
		until(t, "join", 5*time.Second, all(clusters, gossip.Alive, 2))
		w.key = bytes.Repeat([]byte{8}, 32)
		stranger, err := w.Start(selfOf(2), func(gossip.Member) {})
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		if n, err := stranger.Join(t.Context(), []netip.AddrPort{w.Addr(selfOf(0).ID)}); n != 0 || err == nil {
			t.Errorf("a stranger's join answered %d, %v", n, err)
		}
		if !all(clusters, gossip.Alive, 2)() || count(stranger, gossip.Alive) != 1 {
			t.Error("a stranger got in")
		}
	})
}

// TestDeadSeedHoldsNothingUp: one of the seeds has no power.
func TestDeadSeedHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 6)
		clusters := start(t, w, 2)
		dead := netip.MustParseAddrPort("10.0.9.9:7401")
		w.network.Sleep(dead.Addr())
		begin := time.Now()
		n, err := clusters[1].Join(t.Context(), []netip.AddrPort{dead, w.Addr(selfOf(0).ID)})
		if n != 1 || err != nil || time.Since(begin) > 6*time.Second {
			t.Errorf("join answered %d, %v after %v", n, err, time.Since(begin))
		}
	})
}

func TestSlowListenerHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 7)
		clusters := start(t, w, 3)
		var told []gossip.Member
		slow, err := w.Start(selfOf(3), func(m gossip.Member) {
			time.Sleep(time.Minute)
			told = append(told, m)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := slow.Join(t.Context(), []netip.AddrPort{w.Addr(selfOf(0).ID)}); err != nil {
			t.Fatal(err)
		}
		self := selfOf(1)
		for i := range 30 {
			self.Room.CPUMillis = int64(i)
			clusters[1].Update(self)
			time.Sleep(time.Second)
		}
		until(t, "members", time.Second, all(append(clusters, slow), gossip.Alive, 4))
		time.Sleep(8 * time.Minute)
		slow.Close()
		var last gossip.Member
		for _, m := range told {
			if m.ID == self.ID {
				last = m
			}
		}
		if last.Self != self || len(told) > 8 {
			t.Errorf("told %d times, of the changing member at last %+v", len(told), last)
		}
	})
}

// TestFailedMembersAreKept: a test of a year would take a year's probes.
func TestFailedMembersAreKept(t *testing.T) {
	for _, profile := range []Profile{LAN, WAN, Edge} {
		c := serf.DefaultConfig()
		profile.figures().tuneSerf(c)
		if year := 365 * 24 * time.Hour; c.ReconnectTimeout < 10*year || c.TombstoneTimeout < 24*time.Hour {
			t.Errorf("profile %d forgets failed members after %v, left ones after %v", profile, c.ReconnectTimeout, c.TombstoneTimeout)
		}
	}
}

func TestPortInUseIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bind := netip.MustParseAddrPort(taken.Addr().String())
	_, err = New(Config{Self: selfOf(0), Bind: bind}, func(gossip.Member) {})
	var address *AddressError
	if !errors.As(err, &address) || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), bind.String()) {
		t.Errorf("port in use: %v", err)
	}
}

func TestConfigReportsAllFaults(t *testing.T) {
	err := Config{Self: gossip.Self{ID: "aa"}, Bind: netip.MustParseAddrPort("0.0.0.0:7401"), Key: []byte("short")}.Validate()
	for _, part := range []string{"name", "advertise", "5 bytes"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v: does not mention %q", err, part)
		}
	}
}

// TestRealSockets joins two peers over loopback.
func TestRealSockets(t *testing.T) {
	met := make(chan gossip.Member, 16)
	var clusters []*Cluster
	for i := range 2 {
		c, err := New(Config{Self: selfOf(i), Bind: netip.MustParseAddrPort("127.0.0.1:0"), Key: make([]byte, 16)}, func(m gossip.Member) { met <- m })
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clusters = append(clusters, c)
	}
	if _, err := clusters[1].Join(t.Context(), []netip.AddrPort{clusters[0].Members()[0].Addr}); err != nil {
		t.Fatal(err)
	}
	for seen := map[gossip.PeerID]int{}; seen[selfOf(0).ID] < 2 || seen[selfOf(1).ID] < 2; {
		select {
		case m := <-met:
			seen[m.ID]++
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func TestTags(t *testing.T) {
	largest := gossip.Self{ID: gossip.PeerID(strings.Repeat("f", 64)), Name: strings.Repeat("n", 63), Health: gossip.Poor,
		Stream: netip.MustParseAddrPort("[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535"), Room: gossip.Room{CPUMillis: 1 << 62, MemoryBytes: 1 << 62}}
	for _, self := range []gossip.Self{selfOf(3), largest, {ID: "a", Name: "b"}} {
		tags, err := encodeTags(self)
		if err != nil {
			t.Fatal(err)
		}
		bytes := 0
		for k, v := range tags {
			bytes += 4 + len(k) + len(v)
		}
		if bytes > memberlist.MetaMaxSize/2 {
			t.Errorf("%+v takes %d bytes", self, bytes)
		}
		tags["zz"] = "a tag of the future"
		if got, err := decodeTags(string(self.ID), tags); err != nil || got != self {
			t.Errorf("%+v came back as %+v, %v", self, got, err)
		}
	}
	for _, tags := range []map[string]string{{}, {nameTag: "x", streamTag: "?"}, {nameTag: "x", roomTag: "\xff"}, {nameTag: strings.Repeat("x", 64)}} {
		if got, err := decodeTags("aa", tags); err == nil {
			t.Errorf("%v was read as %+v", tags, got)
		}
	}
}
