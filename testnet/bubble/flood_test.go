package bubble

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/crdt"
	"shoal/peer"
	"shoal/peer/replication"
	"shoal/peer/stream"
	"shoal/peer/trust"
	"shoal/peer/wire"
)

// flooder is a machine with a good certificate that says what it likes, as fast as it can, and does nothing else.
type flooder struct {
	key      ed25519.PrivateKey
	id       trust.PeerID
	chain    []byte
	streams  *stream.Streams
	sequence uint64
}

const (
	floodRow  = 32 << 10             // bytes of one row
	floodEach = 4 * time.Millisecond // between two rows of one machine to one peer: 8 MB/s
)

func (w *World) newFlooder(number int, may ...trust.Capability) *flooder {
	w.t.Helper()
	f := &flooder{key: keyOf(fmt.Sprint("flooder", number))}
	f.id = peer.ID(f.key)
	certificate := trust.NewCertificate(f.id, "flooder", may, peer.ID(w.root), time.Now(), func(m []byte) []byte { return ed25519.Sign(w.root, m) })
	f.chain = trust.EncodeCertificate(certificate)
	addr := netip.AddrFrom4([4]byte{203, 0, 113, byte(number)})
	streams, err := stream.New(stream.Config{PrivateKey: f.key, Bind: netip.AddrPortFrom(addr, streamPort), Network: w.network.Host(addr)}, f)
	if err != nil {
		w.t.Fatal(err)
	}
	f.streams = streams
	return f
}

// flood sends until ctx ends.
func (f *flooder) flood(ctx context.Context, at []*Peer) {
	for ctx.Err() == nil {
		observation := wire.Observation{Images: []string{strings.Repeat("x", floodRow)}}
		f.send(at, peer.Observation, replication.Message{Rows: &replication.Rows{Rows: []replication.Row{f.row(observation)}}})
		time.Sleep(floodEach)
	}
}

// row is the next row of this machine.
func (f *flooder) row(o wire.Observation) replication.Row {
	f.sequence++
	return replication.SealRow(replication.Row{Peer: crdt.PeerID(f.id), Version: replication.Version{Boot: 1, Sequence: f.sequence},
		Body: wire.EncodeObservation(o)}, f.sign)
}

func (f *flooder) sign(message []byte) []byte { return ed25519.Sign(f.key, message) }

func (f *flooder) send(to []*Peer, lane peer.Lane, message replication.Message) {
	data := wire.EncodeEnvelope(wire.Envelope{Certificates: [][]byte{f.chain}, Message: replication.Encode(message)})
	for _, p := range to {
		f.streams.Send(p.ID, netip.AddrPortFrom(p.addr, streamPort), lane, data)
	}
}

func (f *flooder) Proof() []byte {
	return wire.EncodeEnvelope(wire.Envelope{Certificates: [][]byte{f.chain}})
}
func (f *flooder) Known(trust.PeerID, []byte) bool         { return true }
func (f *flooder) Receive(trust.PeerID, peer.Lane, []byte) {}
func (f *flooder) ServeAPI(_ trust.PeerID, conn net.Conn)  { _ = conn.Close() }
func (f *flooder) Admit(context.Context, trust.PeerID, []byte) ([]byte, error) {
	return nil, fmt.Errorf("admits nobody")
}

// TestAFloodOfRowsDelaysNoIntent measures how long a write takes to all disks, in peace, while one machine floods all peers with
// observations, and while eight do.
func TestAFloodOfRowsDelaysNoIntent(t *testing.T) {
	const writes = 20
	var calm []time.Duration
	for _, flooders := range []int{0, 1, 8} {
		synctest.Test(t, func(t *testing.T) {
			w := NewWorldOf(t, 5, 5*time.Millisecond)
			defer w.Close()
			ctx, stop := context.WithCancel(t.Context())
			for i := range flooders {
				f := w.newFlooder(i + 1)
				defer f.streams.Close()
				go f.flood(ctx, w.peers)
			}
			time.Sleep(500 * time.Millisecond)
			_, _, before := w.network.Counts()
			began := time.Now()
			took := w.spread(writes)
			_, _, after := w.network.Counts()
			stop()
			rate := float64(after-before) / time.Since(began).Seconds() / 1e6
			t.Logf("%d flooders, %.0f MB/s in all: a write is on all disks after %v in the median, %v at worst", flooders, rate, took[writes/2], took[writes-1])
			if rate < 10*float64(flooders) {
				t.Errorf("%d flooders send only %.1f MB/s: that is no flood", flooders, rate)
			}
			if calm == nil {
				calm = slices.Clone(took)
				return
			}
			for _, at := range []int{writes / 2, writes - 1} {
				if took[at] > calm[at]+50*time.Millisecond {
					t.Errorf("%d flooders delay a write from %v to %v", flooders, calm[at], took[at])
				}
			}
		})
	}
}
