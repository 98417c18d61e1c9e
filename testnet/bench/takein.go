package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/gossip/gossiptest"
	"shoal/peer"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/store"
	"shoal/peer/trust"
	"shoal/peer/wire"
	"shoal/runtime"
	"shoal/runtime/image"
	"shoal/runtime/runtimetest"
)

const (
	takeInWriters    = 4
	takeInOps        = 40_000
	takeInPerMessage = 250
)

// takeInSigned measures one whole peer with a real store, to which the streams of four others bring operations that it
// does not know: from the first byte until all of them are merged and on disk. Each creates a small object.
func takeInSigned(ctx context.Context, l *lab) ([]series, error) {
	s := series{name: fmt.Sprintf("signed operations taken in, checked, merged and on disk (%d of %d writers)", takeInOps, takeInWriters), reach: "20,000 /s", unit: "/s", more: true}
	cpu := series{name: "the same: CPU of each", unit: "us"}
	crowd, err := newCrowd()
	if err != nil {
		return nil, err
	}
	for range l.runs {
		took, used, err := crowd.fill(ctx, l.dir)
		if err != nil {
			return nil, err
		}
		s.all = append(s.all, takeInOps/took.Seconds())
		cpu.all = append(cpu.all, float64(used.Nanoseconds())/1e3/takeInOps)
	}
	return []series{s, cpu}, nil
}

// crowd is a cluster's root, its writers, and what they wrote.
type crowd struct {
	root   ed25519.PrivateKey
	feeds  []feed
	digest [32]byte // of all that was written
}

// feed is all that one writer sends, ready to be sent.
type feed struct {
	from     trust.PeerID
	messages [][]byte
}

func newCrowd() (*crowd, error) {
	root, err := newKey()
	if err != nil {
		return nil, err
	}
	c := &crowd{root: root}
	all := crdt.NewSet()
	for writer := range takeInWriters {
		key, err := newKey()
		if err != nil {
			return nil, err
		}
		f := feed{from: peer.ID(key)}
		certificate := c.certify(key, fmt.Sprintf("writer%d", writer))
		for first := 0; first < takeInOps/takeInWriters; first += takeInPerMessage {
			push := &replication.Push{}
			for i := range takeInPerMessage {
				op := smallObject(key, writer, first+i)
				push.Ops = append(push.Ops, op)
				all.Add(op)
			}
			envelope := wire.Envelope{Certificates: [][]byte{certificate}, Message: replication.Encode(replication.Message{Push: push})}
			f.messages = append(f.messages, wire.EncodeEnvelope(envelope))
		}
		c.feeds = append(c.feeds, f)
	}
	c.digest = all.Digest()
	return c, nil
}

func newKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// certify lets a key write.
func (c *crowd) certify(key ed25519.PrivateKey, name string) []byte {
	certificate := trust.NewCertificate(peer.ID(key), name, []trust.Capability{trust.MayWrite}, peer.ID(c.root), time.Now(),
		func(m []byte) []byte { return ed25519.Sign(c.root, m) })
	return trust.EncodeCertificate(certificate)
}

// smallObject is a signed operation that creates a Namespace with two labels.
func smallObject(key ed25519.PrivateKey, writer, number int) crdt.Op {
	name := fmt.Sprintf("shop-%d-%d", writer, number)
	op := crdt.Op{
		Key:   crdt.Key{Kind: "Namespace", Name: name},
		Stamp: crdt.Stamp{Time: crdt.Time(time.Now().UnixMilli()<<16) + crdt.Time(number), Writer: crdt.PeerID(peer.ID(key))},
		Verb:  crdt.Create, Manager: "shoal", User: "root",
		Changes: []crdt.Change{{Path: "metadata/labels/site", Value: []byte(`"harbour"`)}, {Path: "metadata/labels/shop", Value: fmt.Appendf(nil, "%q", name)}},
	}
	return replication.Seal(op, func(m []byte) []byte { return ed25519.Sign(key, m) })
}

// fill starts an empty peer with its store in dir, sends it everything, and returns how long it took until it held all, and
// how much of the processors.
func (c *crowd) fill(ctx context.Context, dir string) (took, used time.Duration, err error) {
	dir, err = os.MkdirTemp(dir, "takein-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	opened, err := store.Open(dir)
	if err != nil {
		return 0, 0, err
	}
	defer opened.Close()
	images, err := image.Open(filepath.Join(dir, "images"))
	if err != nil {
		return 0, 0, err
	}
	key, err := newKey()
	if err != nil {
		return 0, 0, err
	}
	inside := &insides{handler: make(chan peer.StreamHandler, 1)}
	config := peer.Config{
		Key: key, Cluster: peer.ID(c.root), GossipKey: make([]byte, 32), Certificates: [][]byte{c.certify(key, "taker")}, Name: "taker",
		Stream: netip.MustParseAddrPort("192.0.2.1:7400"), Gossip: netip.MustParseAddrPort("192.0.2.1:7401"),
		Room: gossip.Room{CPUMillis: 1000, MemoryBytes: 1 << 30}, Random: func(int) int { return 0 },
	}
	taker, err := peer.New(config, inside.ports(config, opened, images))
	if err != nil {
		return 0, 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- taker.Run(ctx) }()
	defer func() { stop(); err = errors.Join(err, <-ended) }()
	handler, before := <-inside.handler, processorTime()
	took, err = c.send(ctx, taker, handler)
	return took, processorTime() - before, err
}

// processorTime is what this process has used so far, of all processors together.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err) // only a wrong address can be at fault
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// send lets all writers send at once and waits until the peer, which answers from its last write to disk, has all.
func (c *crowd) send(ctx context.Context, taker *peer.Peer, handler peer.StreamHandler) (time.Duration, error) {
	began := time.Now()
	var writers sync.WaitGroup
	for _, f := range c.feeds {
		writers.Go(func() {
			for _, message := range f.messages {
				handler.Receive(f.from, peer.Intent, message)
			}
		})
	}
	writers.Wait()
	_, err := await(ctx, func() (err error) {
		read := taker.Read(ctx, func(m *control.Machine) {
			if intent, _ := m.Digests(); intent != c.digest {
				err = errors.New("not all has been taken in")
			}
		})
		return errors.Join(read, err)
	})
	return time.Since(began), err
}

// insides are the adapters of a peer that talks to nobody.
type insides struct{ handler chan peer.StreamHandler }

func (i *insides) ports(config peer.Config, opened *store.Store, images runtime.Images) peer.Ports {
	began := time.Now()
	return peer.Ports{
		Store: opened, Images: images,
		Now: func() control.Clock { return control.Clock{Elapsed: time.Since(began), Wall: time.Now()} },
		Streams: func(handler peer.StreamHandler) (peer.Streams, error) {
			i.handler <- handler
			return unheard{}, nil
		},
		Gossip: func(changed func(gossip.Member)) (gossip.Cluster, error) {
			self := gossip.Self{ID: gossip.PeerID(peer.ID(config.Key)), Name: config.Name, Stream: config.Stream, Room: config.Room}
			return gossiptest.NewHub().New(self, config.Gossip, changed)
		},
		Runtime: func(exited func(runtime.Status)) (runtime.Runtime, error) {
			return runtimetest.NewMachine(netip.MustParseAddr("10.200.0.2")).Open(exited), nil
		},
		Prober: func(peer.ExecFunc, func(control.Probed)) peer.Prober { return unprobed{} },
	}
}

// unheard sends nothing to nobody.
type unheard struct{}

func (unheard) Send(trust.PeerID, netip.AddrPort, peer.Lane, []byte) {}
func (unheard) Drop(trust.PeerID)                                    {}
func (unheard) Close() error                                         { return nil }
func (unheard) Dial(context.Context, trust.PeerID, netip.AddrPort) (net.Conn, error) {
	return nil, errors.New("nobody is there")
}

// unprobed probes nothing: nothing runs.
type unprobed struct{}

func (unprobed) Watch(peer.ProbeTarget)                 {}
func (unprobed) Resume(peer.ProbeTarget, time.Duration) {}
func (unprobed) Forget(runtime.InstanceID, string)      {}
func (unprobed) Close()                                 {}
