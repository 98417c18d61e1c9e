package gossiptest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var (
	one   = netip.MustParseAddr("10.0.0.1")
	two   = netip.MustParseAddr("10.0.0.2")
	three = netip.MustParseAddr("10.0.0.3")
)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// stream connects two hosts.
func stream(t *testing.T, n *Network) (near, far net.Conn) {
	t.Helper()
	l := must[net.Listener](t)(n.Host(two).Listen(netip.AddrPort{}))
	near = must[net.Conn](t)(n.Host(one).Dial(t.Context(), netip.MustParseAddrPort(l.Addr().String())))
	far = must[net.Conn](t)(l.Accept())
	t.Cleanup(func() { near.Close(); far.Close(); l.Close() })
	return near, far
}

func TestStreamCarriesBothWaysWithLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(1)
		n.Latency(20*time.Millisecond, 20*time.Millisecond)
		start := time.Now()
		near, far := stream(t, n)
		if took := time.Since(start); took != 40*time.Millisecond {
			t.Errorf("dial took %v, want a round trip", took)
		}
		go func() {
			io.Copy(far, far)
			far.(*conn).CloseWrite()
		}()
		text := strings.Repeat("shoal", 200_000) // more than the window
		go func() {
			io.WriteString(near, text)
			near.(*conn).CloseWrite()
		}()
		got := must[[]byte](t)(io.ReadAll(near))
		if string(got) != text {
			t.Errorf("%d bytes came back, want %d", len(got), len(text))
		}
	})
}

func TestCutHoldsStreamsAndHealReleasesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(1)
		near, far := stream(t, n)
		n.Split([]netip.Addr{one}, []netip.Addr{two})
		must[int](t)(near.Write([]byte("late")))
		near.Close()
		far.SetReadDeadline(time.Now().Add(time.Second))
		buf := make([]byte, 10)
		if _, err := far.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("read across a cut:", err)
		}
		far.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Minute, n.Heal)
		if got := must[[]byte](t)(io.ReadAll(far)); string(got) != "late" {
			t.Errorf("after the heal came %q", got)
		}
	})
}

func TestWriterWaitsAtTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := stream(t, NewNetwork(1))
		near.SetWriteDeadline(time.Now().Add(time.Second))
		sent, err := near.Write(make([]byte, windowBytes+1))
		if sent != windowBytes || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d bytes, %v", sent, err)
		}
	})
}

func TestCloseEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(1)
		near, far := stream(t, n)
		socket := must[net.PacketConn](t)(n.Host(one).ListenPacket(netip.AddrPort{}))
		l := must[net.Listener](t)(n.Host(one).Listen(netip.AddrPort{}))
		time.AfterFunc(time.Second, func() { near.Close(); socket.Close(); l.Close() })
		done := make(chan error, 3)
		go func() { _, err := near.Read(make([]byte, 1)); done <- err }()
		go func() { _, _, err := socket.ReadFrom(make([]byte, 1)); done <- err }()
		go func() { _, err := l.Accept(); done <- err }()
		for range 3 {
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Error("the other end read", err)
		}
		if _, err := far.Write(make([]byte, 1)); !errors.Is(err, syscall.EPIPE) {
			t.Error("the other end wrote", err)
		}
	})
}

func TestDialWithoutListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(1)
		target := netip.AddrPortFrom(two, 80)
		if _, err := n.Host(one).Dial(t.Context(), target); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error("nobody listens:", err)
		}
		n.Sleep(two)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := n.Host(one).Dial(ctx, target)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Error("host without power:", err)
		}
	})
}

// pings sends count packets from one host to the other and returns how many arrived within a second.
func pings(t *testing.T, n *Network, from, to netip.Addr, count int) int {
	t.Helper()
	a := must[net.PacketConn](t)(n.Host(from).ListenPacket(netip.AddrPort{}))
	b := must[net.PacketConn](t)(n.Host(to).ListenPacket(netip.AddrPort{}))
	defer a.Close()
	defer b.Close()
	for range count {
		must[int](t)(a.WriteTo([]byte("ping"), b.LocalAddr()))
	}
	b.SetReadDeadline(time.Now().Add(time.Second))
	for got := 0; ; got++ {
		if _, _, err := b.ReadFrom(make([]byte, 10)); err != nil {
			return got
		}
	}
}

func TestPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(1)
		n.Latency(time.Millisecond, 30*time.Millisecond)
		check := func(what string, from, to netip.Addr, want int) {
			t.Helper()
			if got := pings(t, n, from, to, 100); got != want {
				t.Errorf("%s: %d of 100 arrived, want %d", what, got, want)
			}
		}
		check("whole", one, two, 100)
		n.Split([]netip.Addr{one}, []netip.Addr{two, three})
		check("split", one, two, 0)
		check("same side", two, three, 100)
		n.Heal()
		n.Block(one, two)
		check("blocked", one, two, 0)
		check("not blocked", two, one, 100)
		n.Heal()
		n.Sleep(two)
		check("asleep", one, two, 0)
		n.Wake(two)
		check("awake", one, two, 100)
		n.Loss(0.2)
		if got := pings(t, n, one, two, 1000); got < 740 || got > 860 {
			t.Errorf("%d of 1000 arrived at 20 %% loss", got)
		}
		n.Loss(0)
		n.Latency(0, 0)
		if got := pings(t, n, one, two, queueLength+50); got != queueLength {
			t.Errorf("%d packets arrived at a queue for %d", got, queueLength)
		}
	})
}

func TestAddressesAreExclusive(t *testing.T) {
	n := NewNetwork(1)
	at := netip.AddrPortFrom(one, 7400)
	l := must[net.Listener](t)(n.Host(one).Listen(at))
	if _, err := n.Host(one).Listen(at); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error("second listener:", err)
	}
	if _, err := n.Host(two).Listen(at); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Error("another host's address:", err)
	}
	l.Close()
	must[net.Listener](t)(n.Host(one).Listen(at)).Close()
}

// TestStallHoldsBothWays: what a stalled host is sent and says comes through at once when it resumes.
func TestStallHoldsBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(1)
		n.Latency(time.Millisecond, time.Millisecond)
		a, b := must[net.PacketConn](t)(n.Host(one).ListenPacket(netip.AddrPort{})), must[net.PacketConn](t)(n.Host(two).ListenPacket(netip.AddrPort{}))
		defer a.Close()
		defer b.Close()
		l := must[net.Listener](t)(n.Host(two).Listen(netip.AddrPortFrom(two, 7)))
		defer l.Close()
		n.Stall(two)
		began := time.Now()
		_, errA := a.WriteTo([]byte("in"), b.LocalAddr())
		_, errB := b.WriteTo([]byte("out"), a.LocalAddr())
		stream, errC := n.Host(one).Dial(t.Context(), netip.AddrPortFrom(two, 7)) // the kernel answers
		if err := errors.Join(errA, errB, errC); err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		time.AfterFunc(3*time.Second, func() { n.Resume(two) })
		for _, c := range []struct {
			socket net.PacketConn
			want   string
		}{{a, "out"}, {b, "in"}} {
			got := make([]byte, 8)
			size, _, err := c.socket.ReadFrom(got)
			if took := time.Since(began); err != nil || string(got[:size]) != c.want || took < 3*time.Second || took > 3010*time.Millisecond {
				t.Errorf("%q, %v after %v, want %q", got[:size], err, took, c.want)
			}
		}
	})
}

// TestStreamsFeelLoss: nothing is lost, but it takes longer.
func TestStreamsFeelLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(1)
		l := must[net.Listener](t)(n.Host(two).Listen(netip.AddrPortFrom(two, 7)))
		defer l.Close()
		took := func() time.Duration {
			began := time.Now()
			for range 50 {
				near, err := n.Host(one).Dial(t.Context(), l.Addr().(*net.TCPAddr).AddrPort())
				if err != nil {
					t.Fatal(err)
				}
				far := must[net.Conn](t)(l.Accept())
				near.Write([]byte("x"))
				if _, err := far.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				near.Close()
				far.Close()
			}
			return time.Since(began)
		}
		if clean := took(); clean > time.Millisecond {
			t.Errorf("without loss it takes %v", clean)
		}
		n.Loss(0.2)
		// 50 times: 36 % of the handshakes wait a second or more, 20 % of the bytes 200 ms or more.
		if lossy := took(); lossy < 15*time.Second || lossy > 90*time.Second {
			t.Errorf("at 20 %% loss it takes %v", lossy)
		}
	})
}
