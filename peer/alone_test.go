package peer

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/gossip/gossiptest"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
	"shoal/peer/wire"
	"shoal/runtime"
	"shoal/runtime/runtimetest"
)

// alone is a whole peer whose streams lead nowhere and whose disk is memory. What arrives on its streams, the test brings.
type alone struct {
	*Peer
	handler StreamHandler
	disk    *memory
	streams *nowhere
	t       testing.TB
}

// begin starts a peer. change may alter it before it runs.
func begin(t testing.TB, change func(*Config, *Ports)) *alone {
	t.Helper()
	a := &alone{disk: &memory{ops: map[crdt.OpID]bool{}}, streams: &nowhere{sent: map[trust.PeerID]int{}, dropped: map[trust.PeerID]int{}}, t: t}
	key := keyOf("self")
	config := Config{
		Key: key, Cluster: ID(keyOf("root")), GossipKey: make([]byte, 32), Name: "self",
		Certificates: [][]byte{certificate("self", "root", trust.MayWrite, trust.MayAdmit)},
		Stream:       netip.MustParseAddrPort("192.0.2.1:7400"), Gossip: netip.MustParseAddrPort("192.0.2.1:7401"),
		Room: gossip.Room{CPUMillis: 1000, MemoryBytes: 1 << 30}, Random: func(int) int { return 0 },
	}
	ports := a.ports(config)
	if change != nil {
		change(&config, &ports)
	}
	p, err := New(config, ports)
	if err != nil {
		t.Fatal(err)
	}
	a.Peer = p
	return a
}

// run runs the peer until the test ends.
func (a *alone) run() *alone {
	a.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Peer.Run(ctx) }()
	a.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			a.t.Error(err)
		}
	})
	select {
	case <-a.Started():
	case err := <-done:
		a.t.Fatal("the peer did not start: ", err)
	}
	return a
}

func (a *alone) ports(config Config) Ports {
	began := time.Now()
	return Ports{
		Store: a.disk, Images: noImages{},
		Now: func() control.Clock { return control.Clock{Elapsed: time.Since(began), Wall: time.Now()} },
		Streams: func(h StreamHandler) (Streams, error) {
			a.handler = h
			return a.streams, nil
		},
		Gossip: func(changed func(gossip.Member)) (gossip.Cluster, error) {
			self := gossip.Self{ID: gossip.PeerID(ID(config.Key)), Name: config.Name, Stream: config.Stream, Room: config.Room}
			return gossiptest.NewHub().New(self, config.Gossip, changed)
		},
		Runtime: func(exited func(runtime.Status)) (runtime.Runtime, error) {
			return runtimetest.NewMachine(netip.MustParseAddr("10.200.0.2")).Open(exited), nil
		},
		Prober: func(ExecFunc, func(control.Probed)) Prober { return noProber{} },
	}
}

// seal gives a message the form that it has on a stream, with the certificates of its writers.
func seal(message replication.Message, certificates ...[]byte) []byte {
	return wire.EncodeEnvelope(wire.Envelope{Certificates: certificates, Message: replication.Encode(message)})
}

// holds says whether the peer has merged all of these operations and written them.
func (a *alone) holds(n int) bool {
	count := 0
	_ = a.Read(context.Background(), func(*control.Machine) { count = a.disk.len() })
	return count >= n
}

// until waits for what must come about; it asks as often as the peer can answer.
func (a *alone) until(what string, come func() bool) {
	a.t.Helper()
	for began := time.Now(); !come(); {
		if time.Since(began) > 30*time.Second {
			a.t.Fatal("does not come: ", what)
		}
	}
}

// memory is a store that keeps the names of operations.
type memory struct {
	mu   sync.Mutex
	ops  map[crdt.OpID]bool
	trip func(crdt.Op)
	fail func() error
}

func (m *memory) Load() (Stored, error) { return Stored{Boot: 1}, nil }
func (m *memory) Close() error          { return nil }

func (m *memory) Commit(batch Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range batch.Put {
		if m.trip != nil {
			m.trip(op)
		}
	}
	if m.fail != nil && len(batch.Put) > 0 {
		if err := m.fail(); err != nil {
			return err
		}
	}
	for _, op := range batch.Put {
		m.ops[op.ID()] = true
	}
	for _, op := range batch.Drop {
		delete(m.ops, op.ID())
	}
	return nil
}

func (m *memory) History(crdt.Key) ([]control.HistoryEntry, error) { return nil, nil }

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ops)
}

// nowhere are streams on which nothing arrives.
type nowhere struct {
	mu      sync.Mutex
	sent    map[trust.PeerID]int
	dropped map[trust.PeerID]int
}

func (n *nowhere) Send(to trust.PeerID, _ netip.AddrPort, _ Lane, _ []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent[to]++
}

func (n *nowhere) Drop(id trust.PeerID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dropped[id]++
}

func (n *nowhere) drops(id trust.PeerID) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dropped[id]
}

func (*nowhere) Dial(context.Context, trust.PeerID, netip.AddrPort) (net.Conn, error) {
	return nil, net.ErrClosed
}
func (*nowhere) Close() error { return nil }

type noProber struct{}

func (noProber) Watch(ProbeTarget)                 {}
func (noProber) Resume(ProbeTarget, time.Duration) {}
func (noProber) Forget(runtime.InstanceID, string) {}
func (noProber) Close()                            {}

type noImages struct{}

func (noImages) Import(context.Context, io.Reader, string) (runtime.Image, error) {
	return runtime.Image{}, fmt.Errorf("no images here")
}
func (noImages) Resolve(context.Context, string) (runtime.Image, error) {
	return runtime.Image{}, fmt.Errorf("no images here")
}
func (noImages) List(context.Context) ([]runtime.Image, error) { return nil, nil }

const (
	takeInWriters    = 4
	takeInPerMessage = 250
)

// smallOp is a signed operation that creates a Namespace with two labels.
func smallOp(key ed25519.PrivateKey, writer, number int) crdt.Op {
	name := fmt.Sprintf("shop-%d-%d", writer, number)
	return replication.Seal(crdt.Op{
		Key:   crdt.Key{Kind: "Namespace", Name: name},
		Stamp: crdt.Stamp{Time: crdt.Time(1_790_000_000_000<<16) + crdt.Time(number), Writer: crdt.PeerID(ID(key))},
		Verb:  crdt.Create, Manager: "shoal", User: "root",
		Changes: []crdt.Change{{Path: "metadata/labels/site", Value: []byte(`"harbour"`)}, {Path: "metadata/labels/shop", Value: fmt.Appendf(nil, "%q", name)}},
	}, signer(key))
}

// feeds are the coded messages of several writers, n operations in all.
func feeds(n, perMessage int) (from []trust.PeerID, messages [][][]byte) {
	for writer := range takeInWriters {
		name := fmt.Sprint("writer", writer)
		key := keyOf(name)
		chain := certificate(name, "root", trust.MayWrite)
		var coded [][]byte
		for first := 0; first < n/takeInWriters; first += perMessage {
			push := &replication.Push{}
			for i := range perMessage {
				push.Ops = append(push.Ops, smallOp(key, writer, first+i))
			}
			coded = append(coded, seal(replication.Message{Push: push}, chain))
		}
		from, messages = append(from, ID(key)), append(messages, coded)
	}
	return from, messages
}

// BenchmarkTakeIn measures signed operations per second from the bytes of four streams to merged and handed to the store,
// through the one loop of a whole peer: in messages of many, as reconciliation brings them, and of one, as pushes are.
func BenchmarkTakeIn(b *testing.B) {
	for _, perMessage := range []int{takeInPerMessage, 1} {
		b.Run(fmt.Sprintf("%d-per-message", perMessage), func(b *testing.B) {
			n := max(takeInWriters*perMessage, b.N/(takeInWriters*perMessage)*takeInWriters*perMessage)
			from, messages := feeds(n, perMessage)
			a := begin(b, nil).run()
			b.ResetTimer()
			var group sync.WaitGroup
			for i := range from {
				group.Go(func() {
					for _, message := range messages[i] {
						a.handler.Receive(from[i], Intent, message)
					}
				})
			}
			group.Wait()
			for !a.holds(n) {
			}
			b.StopTimer()
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}
