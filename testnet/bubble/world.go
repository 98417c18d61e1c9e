package bubble

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"shoal/gossip"
	"shoal/gossip/gossiptest"
	"shoal/gossip/swim"
	"shoal/peer"
	"shoal/peer/control"
	"shoal/peer/stream"
	"shoal/peer/trust"
	"shoal/runtime"
	"shoal/runtime/runtimetest"
	"shoal/testnet/promise"
)

// World is a cluster in a bubble. Its peers are named p1, p2, … and start as members of one cluster.
type World struct {
	t       *testing.T
	network *gossiptest.Network
	root    ed25519.PrivateKey
	peers   []*Peer
	sides   map[string]int
	groups  [][]*Peer                     // of the cut, if there is one
	trip    func(peer, site, name string) // faults of the code, planted in every peer; nil: none
	seed    netip.AddrPort                // where p1 gossiped when the world began
	course  *course
}

// Peer is one machine of a World: what survives its program, and the program while it runs.
type Peer struct {
	Name    string // in this world, for good
	called  string // what it calls itself
	ID      trust.PeerID
	world   *World
	key     ed25519.PrivateKey
	chain   [][]byte // its certificates
	addr    netip.Addr
	disk    *disk
	machine *runtimetest.Machine
	program *peer.Peer
	live    atomic.Pointer[peer.Peer] // program, for those who look from elsewhere than the test
	stop    context.CancelFunc
	done    chan error
	session int // of its supervisor: how often its power was lost
}

const (
	streamPort = 7400
	gossipPort = 7401
	webImage   = "shoal.example/web:1"
)

// NewWorld starts n peers, 1 to 5 ms apart, and waits until all are members of each other.
func NewWorld(t *testing.T, n int) *World {
	return newWorld(t, n, time.Millisecond, 5*time.Millisecond, nil)
}

// NewWorldOf is NewWorld with the same latency on every link, one way.
func NewWorldOf(t *testing.T, n int, latency time.Duration) *World {
	return newWorld(t, n, latency, latency, nil)
}

// NewFaultyWorld is NewWorld where every peer calls trip before it handles what comes from outside.
func NewFaultyWorld(t *testing.T, n int, trip func(peer, site, name string)) *World {
	return newWorld(t, n, time.Millisecond, 5*time.Millisecond, trip)
}

func newWorld(t *testing.T, n int, least, most time.Duration, trip func(peer, site, name string)) *World {
	w := &World{t: t, network: gossiptest.NewNetwork(1), root: keyOf("root"), sides: map[string]int{}, trip: trip, course: newCourse()}
	w.network.Latency(least, most)
	for i := range n {
		w.peers = append(w.peers, w.newPeer(i+1))
	}
	w.seed = netip.AddrPortFrom(w.peers[0].addr, gossipPort)
	for _, p := range w.peers {
		p.Start()
	}
	w.Await(time.Minute, "all are members of each other", func() bool {
		for _, p := range w.peers {
			if p.alive() != n {
				return false
			}
		}
		return true
	})
	return w
}

func keyOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func (w *World) newPeer(number int) *Peer {
	p := &Peer{
		Name: fmt.Sprintf("p%d", number), world: w, disk: newDisk(),
		addr:    netip.AddrFrom4([4]byte{192, 0, 2, byte(number)}),
		machine: runtimetest.NewMachine(netip.AddrFrom4([4]byte{10, 200, byte(number), 2})),
	}
	p.called = p.Name
	p.machine.Images(webImage)
	p.machine.Delay(runtimetest.Start, 30*time.Millisecond)
	p.key = keyOf(p.Name)
	p.ID = peer.ID(p.key)
	p.chain = p.admitted()
	return p
}

// Peer finds a peer by name.
func (w *World) Peer(name string) *Peer {
	for _, p := range w.peers {
		if p.Name == name {
			return p
		}
	}
	w.t.Fatalf("no peer %s", name)
	return nil
}

// Close ends all programs, says what was broken meanwhile, and waits for memberlist's last probes to end by themselves.
func (w *World) Close() {
	w.course.tell(func(time.Duration) []promise.Violation {
		for _, v := range w.course.broken {
			w.t.Errorf("meanwhile %s", v)
		}
		return nil
	})
	for _, p := range w.peers {
		p.Crash()
	}
	time.Sleep(30 * time.Second)
}

// Await lets time pass until what is waited for has come, and returns how long that took.
func (w *World) Await(most time.Duration, what string, come func() bool) time.Duration {
	w.t.Helper()
	started := time.Now()
	for !come() {
		if time.Since(started) > most {
			w.t.Fatalf("after %v still not: %s\n%s", most, what, w.describe())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(started)
}

// Split cuts the network between groups of peers, wherever they move meanwhile.
func (w *World) Split(groups ...[]string) {
	w.groups = nil
	for side, group := range groups {
		var peers []*Peer
		for _, name := range group {
			peers = append(peers, w.Peer(name))
			w.sides[name] = side
		}
		w.groups = append(w.groups, peers)
	}
	w.cut()
	w.trouble()
}

func (w *World) cut() {
	var addrs [][]netip.Addr
	for _, group := range w.groups {
		var list []netip.Addr
		for _, p := range group {
			list = append(list, p.addr)
		}
		addrs = append(addrs, list)
	}
	w.network.Split(addrs...)
}

// Deafen cuts one direction: what the peers of from send does not reach those of to.
func (w *World) Deafen(from, to []string) {
	for _, a := range from {
		for _, b := range to {
			w.network.Block(w.Peer(a).addr, w.Peer(b).addr)
		}
	}
	w.trouble()
}

// Heal joins the network again.
func (w *World) Heal() {
	clear(w.sides)
	w.groups = nil
	w.network.Heal()
	w.trouble()
}

// Move gives a peer another address, on its own side of a cut. Its program must not run.
func (p *Peer) Move(to netip.Addr) {
	if p.program != nil {
		p.world.t.Fatalf("%s cannot move while it runs", p.Name)
	}
	p.addr = to
	if p.world.groups != nil {
		p.world.cut()
	}
}

// Start runs the peer's program, on what an earlier life left.
func (p *Peer) Start() {
	p.world.t.Helper()
	program, err := peer.New(p.config(), p.ports())
	if err != nil {
		p.world.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.program, p.stop, p.done = program, cancel, make(chan error, 1)
	p.live.Store(program)
	p.world.trouble()
	go func() { p.done <- program.Run(ctx) }()
	<-program.Started()
}

// Crash ends the program without a goodbye. Its containers go on running.
func (p *Peer) Crash() {
	if p.program == nil {
		return
	}
	p.world.trouble()
	p.machine.Crash()
	p.live.Store(nil)
	p.stop()
	if err := <-p.done; err != nil {
		p.world.t.Errorf("%s: %v", p.Name, err)
	}
	p.program = nil
}

// PowerOff ends the program and every container.
func (p *Peer) PowerOff() {
	for _, instance := range p.running() {
		p.ends(runtime.InstanceID(instance.ID))
	}
	p.machine.PowerOff()
	p.session++
	p.Crash()
}

// admitted is the certificate of a peer that the world itself admits.
func (p *Peer) admitted() [][]byte {
	certificate := trust.NewCertificate(p.ID, p.Name, []trust.Capability{trust.MayWrite, trust.MayAdmit},
		peer.ID(p.world.root), time.Now(), func(m []byte) []byte { return ed25519.Sign(p.world.root, m) })
	return [][]byte{trust.EncodeCertificate(certificate)}
}

func (p *Peer) config() peer.Config {
	config := peer.Config{
		Key: p.key, Cluster: peer.ID(p.world.root), GossipKey: make([]byte, 32), Name: p.called,
		Certificates: p.chain,
		Stream:       netip.AddrPortFrom(p.addr, streamPort), Gossip: netip.AddrPortFrom(p.addr, gossipPort),
		Room:   gossip.Room{CPUMillis: 4000, MemoryBytes: 4 << 30},
		Random: func(n int) int { return rand.IntN(n) },
		Build:  "bubble", Session: fmt.Sprint(p.session),
	}
	if trip := p.world.trip; trip != nil {
		config.Trip = func(site, name string) { trip(p.Name, site, name) }
	}
	if first := p.world.peers[0]; first != p {
		config.Seeds = []netip.AddrPort{p.world.seed}
	}
	return config
}

func (p *Peer) ports() peer.Ports {
	started := time.Now()
	host := p.world.network.Host(p.addr)
	return peer.Ports{
		Store: p.disk, Images: imagined{},
		Now:   func() control.Clock { return control.Clock{Elapsed: time.Since(started), Wall: time.Now()} },
		Began: p.machine.Now(),
		Streams: func(handler peer.StreamHandler) (peer.Streams, error) {
			return stream.New(stream.Config{PrivateKey: p.key, Bind: netip.AddrPortFrom(p.addr, streamPort), Network: host}, handler)
		},
		Gossip: func(changed func(gossip.Member)) (gossip.Cluster, error) {
			config := p.config()
			return swim.New(swim.Config{
				Self:    gossip.Self{ID: gossip.PeerID(p.ID), Name: p.called, Stream: config.Stream, Room: config.Room},
				Bind:    config.Gossip,
				Key:     config.GossipKey,
				Network: host,
			}, changed)
		},
		Runtime: func(exited func(runtime.Status)) (runtime.Runtime, error) {
			return followed{p.machine.Open(func(s runtime.Status) { p.ends(s.Instance); exited(s) }), p}, nil
		},
		Prober: func(peer.ExecFunc, func(control.Probed)) peer.Prober { return unprobed{} },
	}
}

// unprobed probes nothing: the manifests of this world have no probes.
type unprobed struct{}

func (unprobed) Watch(peer.ProbeTarget)                 {}
func (unprobed) Resume(peer.ProbeTarget, time.Duration) {}
func (unprobed) Forget(runtime.InstanceID, string)      {}
func (unprobed) Close()                                 {}
