package apitest

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
	"shoal/peer/wire"
	"shoal/runtime"
)

// Backend is a peer that is not there. Every method may be called from any goroutine.
type Backend struct {
	mu       sync.Mutex
	machine  *control.Machine
	id       crdt.PeerID
	name     string
	elapsed  time.Duration
	requests uint64
	changed  chan struct{} // closed when version rises
	version  uint64
	specs    map[runtime.InstanceID]runtime.Spec
	images   []runtime.Image
	hosts    int
	dials    map[crdt.PeerID]func() (net.Conn, error)
	left     bool
	others   map[crdt.PeerID]gossip.State
	trail    trail
	full     bool
	rows     map[string]uint64 // how many each other peer has made
	trips    map[string]bool   // "site name" at which the code fails
}

// ID is the ID of the peer that has this name in tests.
func ID(name string) crdt.PeerID {
	sum := sha256.Sum256([]byte(name))
	return crdt.PeerID(hex.EncodeToString(sum[:]))
}

func sign(message []byte) []byte {
	sum := sha512.Sum512(message)
	return sum[:]
}

// New returns a peer of that name with room for 4 CPUs and 4 GiB, alone in its cluster.
func New(name string) *Backend {
	b := &Backend{id: ID(name), name: name, changed: make(chan struct{}), specs: map[runtime.InstanceID]runtime.Spec{},
		dials:  map[crdt.PeerID]func() (net.Conn, error){},
		others: map[crdt.PeerID]gossip.State{}, rows: map[string]uint64{}, trips: map[string]bool{}}
	b.machine = control.New(control.Config{
		Self: self(name), Boot: 1, Subnet: netip.MustParsePrefix("10.1.0.0/24"), Labels: labels(name), StorageBytes: 40 << 30, Pids: 4000, Sign: sign,
		Pick: func(n int) int { return 0 }, Tuning: control.Tuning{Settle: time.Nanosecond}, Trip: b.trip,
	}, control.Saved{})
	b.machine.Step(control.MemberChanged{Member: gossip.Member{Self: self(name), State: gossip.Alive}})
	b.Advance(time.Second)
	return b
}

// labels are those that a peer gives itself.
func labels(name string) map[string]string {
	return map[string]string{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
}

func self(name string) gossip.Self {
	return gossip.Self{ID: gossip.PeerID(ID(name)), Name: name, Stream: netip.MustParseAddrPort("192.0.2.1:7400"),
		Room: gossip.Room{CPUMillis: 4000, MemoryBytes: 4 << 30}}
}

// Advance lets time pass and everything happen that is due.
func (b *Backend) Advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.elapsed += d
	b.settle(0)
}

// settle flushes and answers until nothing is left to do; it returns the reply to a request.
func (b *Backend) settle(request uint64) (reply control.Reply) {
	const mostRounds = 10_000
	for range mostRounds {
		out := b.machine.Flush(control.Clock{Elapsed: b.elapsed, Wall: time.Now()})
		for _, r := range out.Replies {
			if r.Request == request {
				reply = r
			}
		}
		b.trail.note(out)
		for _, action := range out.Actions {
			b.act(action)
		}
		if out.Version > b.version {
			b.version = out.Version
			close(b.changed)
			b.changed = make(chan struct{})
		}
		if len(out.Actions) == 0 && (out.Wake == 0 || out.Wake > b.elapsed) {
			return reply
		}
	}
	panic("apitest: the control core never comes to rest")
}

// act is the runtime.
func (b *Backend) act(a control.Action) {
	done := control.Done{Action: a}
	switch a.Kind {
	case control.Prepare:
		if strings.Contains(a.Spec.Containers[0].Image, "missing") {
			done.Err = &runtime.Error{Op: "prepare", Subject: string(a.Instance), Reason: runtime.ImageMissing, Err: errors.New("no such image")}
			break
		}
		b.hosts++
		b.specs[a.Instance] = *a.Spec
		done.Address = netip.AddrFrom4([4]byte{10, 1, 0, byte(b.hosts)})
	case control.Start:
		done.Status = runtime.Status{Instance: a.Instance, Container: a.Container, Generation: a.Generation, Phase: runtime.Running, StartedAt: time.Now()}
	case control.Stop:
		done.Status = runtime.Status{Instance: a.Instance, Container: a.Container, Generation: a.Generation, Phase: runtime.Exited, ExitCode: 143, Reason: "Error"}
	case control.Remove:
		delete(b.specs, a.Instance)
	}
	b.machine.Step(done)
	if a.Kind == control.Start {
		b.begun(a)
	}
}

// begun is what a container does once it runs.
func (b *Backend) begun(a control.Action) {
	for _, c := range b.specs[a.Instance].Containers {
		switch {
		case c.Name != a.Container:
		case strings.Contains(c.Image, "crash"):
			b.machine.Step(control.Exited{Status: runtime.Status{Instance: a.Instance, Container: a.Container, Generation: a.Generation,
				Phase: runtime.Exited, ExitCode: 1, Reason: "Error"}})
		case c.Readiness != nil:
			ready := !strings.Contains(c.Image, "slow")
			b.machine.Step(control.Probed{Instance: a.Instance, Container: a.Container, Generation: a.Generation, OK: ready,
				Detail: map[bool]string{false: "HTTP 503"}[ready]})
		}
	}
}

// AddPeer makes another peer a member; dial, which may be nil, opens streams to its API.
func (b *Backend) AddPeer(name string, state gossip.State, dial func() (net.Conn, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dials[ID(name)], b.others[ID(name)] = dial, state
	b.machine.Step(control.MemberChanged{Member: gossip.Member{Self: self(name), State: state}})
	b.settle(0)
	if state == gossip.Alive {
		b.row(name, wire.Observation{CPUMillis: 4000, Memory: 4 << 30, Storage: 40 << 30, Pids: 4000, Labels: labels(name)})
	}
}

// Observe makes another peer observe something: it is its next row.
func (b *Backend) Observe(name string, o wire.Observation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.row(name, o)
}

func (b *Backend) row(name string, o wire.Observation) {
	b.rows[name]++
	row := replication.SealRow(replication.Row{Peer: ID(name), Version: replication.Version{Boot: 1, Sequence: b.rows[name]},
		Body: wire.EncodeObservation(o)}, sign)
	b.receive(name, replication.Message{Rows: &replication.Rows{Rows: []replication.Row{row}}})
}

func (b *Backend) receive(name string, message replication.Message) {
	b.machine.Step(control.Received{From: ID(name), Message: message})
	b.settle(0)
}

// Rival is a write by another peer that had seen of the object only what seen says.
func (b *Backend) Rival(name string, key crdt.Key, seen crdt.Seen, changes ...crdt.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	op := crdt.Op{Key: key, Stamp: crdt.Stamp{Time: crdt.Next(0, seen, time.Now()), Writer: ID(name)}, Seen: seen,
		Verb: crdt.Update, Manager: "shoal", User: "alice", Changes: changes}
	b.receive(name, replication.Message{Push: &replication.Push{Ops: []crdt.Op{replication.Seal(op, sign)}}})
}

// Full makes the disk full, or gives it room again.
func (b *Backend) Full(full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full = full
}

// Trip makes the code of this peer fail from now on when it comes to what has that name at a site of control: an object
// at "read", a replica at "act".
func (b *Backend) Trip(site, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trips[site+" "+name] = true
}

func (b *Backend) trip(site, name string) {
	if b.trips[site+" "+name] {
		panic("index out of range")
	}
}

// Seen is what this peer has seen of an object.
func (b *Backend) Seen(key crdt.Key) crdt.Seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, _ := b.machine.Object(key)
	return o.Seen
}

// Read implements peer.Backend.
func (b *Backend) Read(ctx context.Context, look func(*control.Machine)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left {
		return errors.New("the peer has stopped")
	}
	look(b.machine)
	return nil
}

// Write implements peer.Backend.
func (b *Backend) Write(ctx context.Context, w control.Write) (control.Reply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return control.Reply{}, peer.ErrFull
	}
	b.requests++
	w.Request = b.requests
	b.machine.Step(w)
	reply := b.settle(w.Request)
	return reply, reply.Err
}

// Changed implements peer.Backend.
func (b *Backend) Changed(since uint64) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.version > since {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return b.changed
}

// Leave implements peer.Backend: this peer can leave at once.
func (b *Backend) Leave(ctx context.Context, within time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = true
	return nil
}

// CreateTicket implements peer.Backend.
func (b *Backend) CreateTicket(ctx context.Context, uses int, expires time.Duration) (trust.Ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return trust.Ticket{}, peer.ErrFull
	}
	return trust.Ticket{Cluster: trust.PeerID(b.id), Seeds: []string{"192.0.2.1:7400"}, ID: "t1", Secret: make([]byte, 16),
		Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
}

func (b *Backend) holds(id runtime.InstanceID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.specs[id]; !ok {
		return &runtime.Error{Op: "read", Subject: string(id), Reason: runtime.NotFound, Err: errors.New("no such instance")}
	}
	return nil
}

// Logs implements peer.Backend: every container says the same three lines. Following never ends by itself.
func (b *Backend) Logs(ctx context.Context, id runtime.InstanceID, container string, o runtime.LogOptions) (io.ReadCloser, error) {
	if err := b.holds(id); err != nil {
		return nil, err
	}
	lines := []string{"one", "two", fmt.Sprintf("%s/%s on %s", id, container, b.name)}
	if o.Previous {
		lines = []string{"before"}
	}
	if o.TailLines >= 0 && o.TailLines < len(lines) {
		lines = lines[len(lines)-o.TailLines:]
	}
	text := strings.NewReader(strings.Join(append(lines, ""), "\n"))
	if !o.Follow {
		return io.NopCloser(text), nil
	}
	reader, writer := io.Pipe()
	go func() {
		io.Copy(writer, text)
		<-ctx.Done()
		writer.Close()
	}()
	return reader, nil
}

// Exec implements peer.Backend: every command is echo, and "false" fails.
func (b *Backend) Exec(ctx context.Context, id runtime.InstanceID, container string, command []string) (runtime.ExecResult, error) {
	if err := b.holds(id); err != nil {
		return runtime.ExecResult{}, err
	}
	if command[0] == "false" {
		return runtime.ExecResult{ExitCode: 1}, nil
	}
	return runtime.ExecResult{Output: []byte(strings.Join(command[1:], " ") + "\n")}, nil
}

// ImportImage implements peer.Backend: every archive that is not empty is an image.
func (b *Backend) ImportImage(ctx context.Context, archive io.Reader, name string) (runtime.Image, error) {
	body, err := io.ReadAll(archive)
	if err != nil {
		return runtime.Image{}, err
	}
	if len(body) == 0 {
		return runtime.Image{}, &runtime.Error{Op: "import", Subject: name, Reason: runtime.ImageCorrupt, Err: errors.New("the archive is empty")}
	}
	if name == "" {
		name = "shoal.example/imported:1"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	image := runtime.Image{Reference: name, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(body)), Layers: []string{"layer"}}
	b.images = append(b.images, image)
	return image, nil
}

// ListImages implements peer.Backend.
func (b *Backend) ListImages(ctx context.Context) ([]runtime.Image, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]runtime.Image(nil), b.images...), nil
}

// DialAPI implements peer.Backend.
func (b *Backend) DialAPI(ctx context.Context, id crdt.PeerID) (net.Conn, error) {
	b.mu.Lock()
	dial := b.dials[id]
	b.mu.Unlock()
	if dial == nil {
		return nil, errors.New("it does not answer")
	}
	return dial()
}
