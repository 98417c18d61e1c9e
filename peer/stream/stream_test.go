package stream

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"shoal/gossip/gossiptest"
	"shoal/peer"
	"shoal/peer/trust"
)

func TestMain(m *testing.M) {
	gossiptest.Serial()
	goleak.VerifyTestMain(m)
}

// desk is a handler that remembers what arrived.
type desk struct {
	known func(trust.PeerID, string) bool
	mu    sync.Mutex
	got   []string
	news  chan struct{}
}

func newDesk() *desk {
	return &desk{known: func(_ trust.PeerID, proof string) bool { return proof == "member" }, news: make(chan struct{}, 4096)}
}

func (d *desk) Proof() []byte                            { return []byte("member") }
func (d *desk) Known(id trust.PeerID, proof []byte) bool { return d.known(id, string(proof)) }

func (d *desk) Receive(_ trust.PeerID, _ peer.Lane, message []byte) {
	d.mu.Lock()
	d.got = append(d.got, string(message))
	d.mu.Unlock()
	d.news <- struct{}{}
}

func (d *desk) Admit(_ context.Context, id trust.PeerID, request []byte) ([]byte, error) {
	return fmt.Appendf(nil, "%s asked %s", id, request), nil
}

func (d *desk) ServeAPI(_ trust.PeerID, conn net.Conn) {
	defer conn.Close()
	_, _ = io.Copy(conn, conn)
}

// wait returns all that has arrived once it is n messages.
func (d *desk) wait(t *testing.T, n int) []string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		d.mu.Lock()
		got := append([]string(nil), d.got...)
		d.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-d.news:
		case <-deadline:
			t.Fatalf("%d messages arrived, want %d", len(got), n)
		}
	}
}

func (d *desk) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.got)
}

func newTestKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

type end struct {
	*Streams
	desk *desk
	key  ed25519.PrivateKey
	id   trust.PeerID
	at   netip.AddrPort
}

func open(t *testing.T, over Network, at netip.AddrPort) end {
	t.Helper()
	e := end{desk: newDesk(), key: newTestKey(t), at: at}
	e.id = peer.ID(e.key)
	streams, err := New(Config{PrivateKey: e.key, Bind: at, Network: over}, e.desk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = streams.Close() })
	e.Streams = streams
	return e
}

// loopback opens one end on a free port of the loopback.
func loopback(t *testing.T) end {
	t.Helper()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := probe.Addr().(*net.TCPAddr).AddrPort()
	_ = probe.Close()
	return open(t, nil, at)
}

func TestMessagesArriveWholeAndInOrder(t *testing.T) {
	a, b := loopback(t), loopback(t)
	large := strings.Repeat("x", 1<<20)
	for i := range 20 {
		a.Send(b.id, b.at, peer.Intent, fmt.Appendf(nil, "%d", i))
	}
	a.Send(b.id, b.at, peer.Intent, []byte(large))
	got := b.desk.wait(t, 21)
	for i := range 20 {
		if got[i] != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got[i])
		}
	}
	if got[20] != large {
		t.Fatalf("the large message came as %d bytes", len(got[20]))
	}
	b.Send(a.id, a.at, peer.Intent, []byte("back"))
	a.desk.wait(t, 1)
}

func TestApiStreamsCarryBytesBothWays(t *testing.T) {
	a, b := loopback(t), loopback(t)
	conn, err := a.Dial(t.Context(), b.id, b.at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("echo")); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, 4)
	if _, err := io.ReadFull(conn, back); err != nil || string(back) != "echo" {
		t.Fatalf("came back as %q, %v", back, err)
	}
}

func TestStrangersGetJoinAlone(t *testing.T) {
	a, b := loopback(t), loopback(t)
	b.desk.known = func(trust.PeerID, string) bool { return false }
	if conn, err := a.Dial(t.Context(), b.id, b.at); err == nil {
		_, _ = conn.Write([]byte("echo"))
		if n, _ := conn.Read(make([]byte, 4)); n > 0 {
			t.Fatal("a stranger reached the API")
		}
		_ = conn.Close()
	}
	a.Send(b.id, b.at, peer.Intent, []byte("psst"))
	var seen trust.PeerID
	remote, reply, err := Join(t.Context(), JoinConfig{PrivateKey: a.key, Addr: b.at.String()}, func(id trust.PeerID) []byte {
		seen = id
		return []byte("let me in")
	})
	if err != nil {
		t.Fatal(err)
	}
	if remote != b.id || seen != b.id {
		t.Fatalf("the other end is %s, it says %s and said %s", b.id, remote, seen)
	}
	if want := string(a.id) + " asked let me in"; string(reply) != want {
		t.Fatalf("got %q, want %q", reply, want)
	}
	if got := b.desk.wait(t, 0); len(got) != 0 {
		t.Fatalf("a stranger's message got in: %q", got)
	}
}

func TestJoinNamesASeedThatDoesNotAnswer(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.Addr().String()
	_ = closed.Close()
	_, _, err = Join(t.Context(), JoinConfig{PrivateKey: newTestKey(t), Addr: addr}, func(trust.PeerID) []byte { return nil })
	if err == nil || !strings.Contains(err.Error(), addr) {
		t.Fatalf("got %v, want an error that names %s", err, addr)
	}
}

func TestPortInUseIsNamed(t *testing.T) {
	a := loopback(t)
	_, err := New(Config{PrivateKey: newTestKey(t), Bind: a.at}, newDesk())
	if err == nil || !strings.Contains(err.Error(), a.at.String()) {
		t.Fatalf("got %v, want an error that names %s", err, a.at)
	}
}

func TestQueueOfALostPeerIsBounded(t *testing.T) {
	a, b := loopback(t), loopback(t)
	_ = b.Close()
	for range 10 * queueMessages {
		a.Send(b.id, b.at, peer.Intent, []byte("into the void"))
	}
	if lost := a.Lost(); lost < 9*queueMessages-4 {
		t.Fatalf("only %d of %d messages were dropped", lost, 10*queueMessages)
	}
	huge := make([]byte, MaxMessage+1)
	before := a.Lost()
	a.Send(b.id, b.at, peer.Intent, huge)
	if a.Lost() != before+1 {
		t.Fatal("a message over the limit was queued")
	}
}

func TestADroppedPeerIsReachedAnew(t *testing.T) {
	a, b := loopback(t), loopback(t)
	a.Send(b.id, b.at, peer.Intent, []byte("before"))
	b.desk.wait(t, 1)
	a.Drop(b.id)
	a.Drop(b.id) // again, and one that was never there
	a.Drop(peer.ID(newTestKey(t)))
	a.Send(b.id, b.at, peer.Intent, []byte("after"))
	if got := b.desk.wait(t, 2); got[1] != "after" {
		t.Fatalf("got %q", got)
	}
}

func TestFramesAreCheckedBeforeAllocation(t *testing.T) {
	if _, err := readFrame(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 1}), MaxMessage); err != errTooLarge {
		t.Fatalf("got %v", err)
	}
	if _, err := readFrame(bytes.NewReader([]byte{0, 0, 0, 9, 1}), MaxMessage); err == nil {
		t.Fatal("half a frame was taken for a whole one")
	}
}

// TestBubble sends between peers over packets in memory, through a cut and its end, in virtual time.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := gossiptest.NewNetwork(1)
		world.Latency(5*time.Millisecond, 10*time.Millisecond)
		var ends []end
		for i := range 10 {
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 7400)
			ends = append(ends, open(t, world.Host(at.Addr()), at))
		}
		for _, from := range ends {
			for _, to := range ends {
				from.Send(to.id, to.at, peer.Intent, []byte("hello"))
			}
		}
		time.Sleep(5 * time.Second)
		for _, e := range ends {
			if got := len(e.desk.wait(t, 9)); got != 9 {
				t.Fatalf("%d messages arrived, want 9", got)
			}
		}
		world.Split([]netip.Addr{ends[0].at.Addr()}, []netip.Addr{ends[1].at.Addr()})
		ends[0].Send(ends[1].id, ends[1].at, peer.Intent, []byte("lost or late"))
		time.Sleep(time.Minute)
		world.Heal()
		time.Sleep(5 * time.Second)
		ends[0].Send(ends[1].id, ends[1].at, peer.Intent, []byte("again"))
		time.Sleep(5 * time.Second)
		got := ends[1].desk.wait(t, 10)
		if got[len(got)-1] != "again" {
			t.Fatalf("after the heal %q came last", got[len(got)-1])
		}
		for _, e := range ends {
			_ = e.Close()
		}
	})
}
