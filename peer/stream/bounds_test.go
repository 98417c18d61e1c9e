package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"shoal/gossip/gossiptest"
	"shoal/peer"
	"shoal/peer/trust"
)

func hostAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 7400)
}

// pair opens two ends in a network in memory.
func pair(t *testing.T) (world *gossiptest.Network, a, b end) {
	t.Helper()
	world = gossiptest.NewNetwork(1)
	world.Latency(time.Millisecond, 5*time.Millisecond)
	return world, open(t, world.Host(hostAt(0).Addr()), hostAt(0)), open(t, world.Host(hostAt(1).Addr()), hostAt(1))
}

func TestFloodFromOneHostLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world, a, b := pair(t)
		flood := world.Host(hostAt(7).Addr())
		var conns []net.Conn
		for range inboundPerHost + 20 {
			conn, err := flood.Dial(t.Context(), b.at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conns = append(conns, conn)
		}
		time.Sleep(time.Second)
		open := 0
		for _, conn := range conns {
			conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			var timeout net.Error
			if _, err := conn.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
				open++
			}
		}
		if open != inboundPerHost {
			t.Errorf("%d connections of one host are open, want %d", open, inboundPerHost)
		}
		a.Send(b.id, b.at, peer.Intent, []byte("still here"))
		b.desk.wait(t, 1)
		time.Sleep(time.Minute) // handshakes that never end have ended
		for _, conn := range conns {
			conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("a connection that says nothing stays open")
			}
		}
	})
}

func TestSilentStrangersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world, _, b := pair(t)
		for i := range 20 {
			stranger := open(t, world.Host(hostAt(i+10).Addr()), hostAt(i+10))
			id, err := toLibp2p(b.id)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if s, err := stranger.open(ctx, id, b.at, protocolMessage); err == nil {
				s.Reset()
			}
			cancel()
		}
		if len(b.swarm.Conns()) < 20 {
			t.Fatalf("only %d strangers got through", len(b.swarm.Conns()))
		}
		time.Sleep(2*sweepEvery + time.Second)
		if conns := len(b.swarm.Conns()); conns != 0 {
			t.Errorf("%d unused connections are open", conns)
		}
		time.Sleep(sweepEvery)
		if keys := len(b.store.PeersWithKeys()); keys != 1 {
			t.Errorf("%d keys are kept, want this peer's own", keys)
		}
	})
}

func TestRestingPeersTakeNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t)
		a.Send(b.id, b.at, peer.Intent, []byte("one"))
		b.desk.wait(t, 1)
		time.Sleep(idleAtMost + 3*sweepEvery)
		a.mu.Lock()
		boxes := len(a.outboxes)
		a.mu.Unlock()
		b.mu.Lock()
		inboxes := len(b.inboxes)
		b.mu.Unlock()
		if conns := len(a.swarm.Conns()) + len(b.swarm.Conns()); boxes+inboxes+conns != 0 {
			t.Errorf("at rest: %d outboxes, %d inboxes, %d connections", boxes, inboxes, conns)
		}
		a.Send(b.id, b.at, peer.Intent, []byte("two"))
		if got := b.desk.wait(t, 2); got[1] != "two" {
			t.Errorf("after the rest %q came", got)
		}
	})
}

// slowDesk takes its time with each message and notes when two are in its hands at once.
type slowDesk struct {
	*desk
	busy    chan struct{}
	overlap bool
}

func (d *slowDesk) Receive(from trust.PeerID, lane peer.Lane, message []byte) {
	select {
	case d.busy <- struct{}{}:
	default:
		d.overlap = true
	}
	time.Sleep(3 * time.Second)
	d.desk.Receive(from, lane, message)
	<-d.busy
}

// TestOrderSurvivesABreak cuts connections under a slow receiver: what arrives is in order, one at a time.
func TestOrderSurvivesABreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := gossiptest.NewNetwork(1)
		a := open(t, world.Host(hostAt(0).Addr()), hostAt(0))
		slow := &slowDesk{desk: newDesk(), busy: make(chan struct{}, 1)}
		key := newTestKey(t)
		b, err := New(Config{PrivateKey: key, Bind: hostAt(1), Network: world.Host(hostAt(1).Addr())}, slow)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		to, err := fromLibp2p(b.swarm.LocalPeer())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			a.Send(to, hostAt(1), peer.Intent, fmt.Appendf(nil, "%03d", i))
			time.Sleep(time.Second)
			if i%10 == 4 {
				for _, conn := range a.swarm.Conns() {
					conn.Close()
				}
			}
		}
		time.Sleep(5 * time.Minute)
		got := slow.wait(t, 10)
		if slow.overlap || !slices.IsSorted(got) || got[len(got)-1] != "039" {
			t.Errorf("overlap %v, got %q", slow.overlap, got)
		}
	})
}

// TestMessagesFlowSoonAfterAHeal measures how long after the end of a cut the first message gets through.
func TestMessagesFlowSoonAfterAHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world, a, b := pair(t)
		a.Send(b.id, b.at, peer.Intent, []byte("before"))
		b.desk.wait(t, 1)
		world.Split([]netip.Addr{a.at.Addr()})
		for range 40 {
			a.Send(b.id, b.at, peer.Intent, []byte("during"))
			b.Send(a.id, a.at, peer.Intent, []byte("during"))
			time.Sleep(2 * time.Second)
		}
		world.Heal()
		healed := time.Now()
		for a.desk.len() == 0 || b.desk.len() < 2 {
			if time.Since(healed) > 5*time.Second {
				t.Fatalf("nothing got through 5 s after the heal: %d there, %d back", b.desk.len(), a.desk.len())
			}
			a.Send(b.id, b.at, peer.Intent, []byte("after"))
			b.Send(a.id, a.at, peer.Intent, []byte("after"))
			time.Sleep(10 * time.Millisecond)
		}
		t.Log("messages flow both ways", time.Since(healed), "after the heal")
	})
}

func TestDialObeysItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world, a, b := pair(t)
		world.Sleep(b.at.Addr())
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := a.Dial(ctx, b.id, b.at); err == nil || time.Since(start) > time.Second {
			t.Errorf("dial to a peer without power: %v after %v", err, time.Since(start))
		}
		// A peer that accepts connections and then says nothing.
		deaf, err := world.Host(hostAt(5).Addr()).Listen(hostAt(5))
		if err != nil {
			t.Fatal(err)
		}
		defer deaf.Close()
		ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		start = time.Now()
		if _, err := a.Dial(ctx, b.id, hostAt(5)); err == nil || time.Since(start) > time.Second {
			t.Errorf("dial to a silent peer: %v after %v", err, time.Since(start))
		}
	})
}

// TestImpostorIsNotTalkedTo: at b's address sits somebody with another key.
func TestImpostorIsNotTalkedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t)
		if conn, err := a.Dial(t.Context(), trust.PeerID(fmt.Sprintf("%x", newTestKey(t).Public())), b.at); err == nil {
			conn.Close()
			t.Error("a connection to another key than asked for")
		}
	})
}

func TestRates(t *testing.T) {
	r, now := newRates(), time.Now()
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	count := func(addr netip.Addr, tries int) (allowed int) {
		for range tries {
			if r.allowHost(addr, now) {
				allowed++
			}
		}
		return allowed
	}
	if n := count(one, 100); n != joinBurst {
		t.Errorf("%d of 100 requests at once, want %d", n, joinBurst)
	}
	if n := count(two, 1); n != 1 {
		t.Error("one host's requests count for another")
	}
	now = now.Add(3 * joinEvery)
	if n := count(one, 100); n != 3 {
		t.Errorf("%d more after three spans, want 3", n)
	}
	if a, b := count(netip.MustParseAddr("2001:db8::1"), 100), count(netip.MustParseAddr("2001:db8:0:ff::2"), 100); a != joinBurst || b != 0 {
		t.Errorf("two addresses of one IPv6 network get %d and %d", a, b)
	}
	for i := range 5 * hostsAtMost {
		r.allowHost(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now)
	}
	if len(r.hosts) > hostsAtMost+1 {
		t.Errorf("%d hosts are remembered", len(r.hosts))
	}
	now = now.Add(time.Hour)
	if n := count(two, 100); n != joinBurst || len(r.hosts) > 2 {
		t.Errorf("after an hour %d allowed, %d hosts remembered", n, len(r.hosts))
	}
}

// TestGarbageAtTheDoor sends what is no handshake.
func TestGarbageAtTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world, a, b := pair(t)
		host := world.Host(hostAt(9).Addr())
		for _, garbage := range []string{"", "GET / HTTP/1.1\r\n\r\n", "\x13/multistream/1.0.0\n\xff\xff\xff\xff\x7f", "\x13/multistream/1.0.0\n\x07/noise\n\xff\xff"} {
			conn, err := host.Dial(t.Context(), b.at)
			if err != nil {
				t.Fatal(err)
			}
			conn.Write([]byte(garbage))
			conn.Close()
		}
		a.Send(b.id, b.at, peer.Intent, []byte("unharmed"))
		b.desk.wait(t, 1)
	})
}
