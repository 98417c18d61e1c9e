package peer

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/trust"
	"shoal/runtime"
)

// Store keeps what must outlive the program. Commit returns only when all of it is on disk.
type Store interface {
	Load() (Stored, error)
	// Commit writes a batch whole or not at all, and returns when it is on disk.
	Commit(batch Batch) error
	// History returns what is remembered of an object's changes, the newest first. Any goroutine may call it.
	History(key crdt.Key) ([]control.HistoryEntry, error)
	Close() error
}

// Stored is everything that a Store holds.
type Stored struct {
	Ops          []crdt.Op // not re-verified: they were when they came in
	Book         []gossip.Member
	Certificates [][]byte
	Records      map[string][]byte // what control keeps about itself, by name
	Boot         uint64            // how often this store was loaded, this time included
	Damage       *Damage           // nil: nothing was lost
}

// Damage is what a Store lost before or while it was loaded. The peer goes on with what is left and fetches the
// rest from others.
type Damage struct {
	At    time.Time
	What  string // what was found, in words: "page 17 is torn"
	Lost  string // what could not be saved, in words: "2 operations of 40"
	Aside string // where the damaged store was put; empty where it was mended in place
}

// Batch is written whole or not at all.
type Batch struct {
	control.Persist
	Certificates [][]byte
}

// Lane keeps observations apart from intent all the way from one peer's loop to another's: each lane has queues,
// streams and bounds of its own, so that a flood on one cannot delay the other.
type Lane uint8

const (
	Intent Lane = iota
	Observation
	lanes // how many there are
)

func (l Lane) String() string { return [lanes]string{"intent", "observation"}[min(l, Observation)] }

// Streams carry everything that gossip does not. Messages are whole and in order per
// peer and lane; a peer that is slow or away loses messages, never delays others. Both ends know each other's key.
type Streams interface {
	// Send queues one coded message and never blocks. On the lane of intent at most 64 messages or 8 MiB wait per peer,
	// and the newest beyond that are dropped; on that of observations at most 64 or 2 MiB, and the oldest are dropped
	// (reconciliation repairs both). at is where the peer was last known.
	Send(to trust.PeerID, at netip.AddrPort, lane Lane, message []byte)
	// Drop closes what is open to a peer that was lost and forgets what waits for it, so that the next Send begins
	// anew and does not queue behind connections that died in a cut.
	Drop(to trust.PeerID)
	// Dial opens a byte stream to another peer's API.
	Dial(ctx context.Context, to trust.PeerID, at netip.AddrPort) (net.Conn, error)
	// Close ends all streams.
	Close() error
}

// StreamHandler is what a Streams adapter calls. Calls may be concurrent.
type StreamHandler interface {
	// Proof is what this peer shows when it opens a stream other than to join: at most 64 KiB.
	Proof() []byte
	// Known says whether the peer of that key, which showed that proof, may open streams other than to join.
	Known(id trust.PeerID, proof []byte) bool
	// Receive takes one message; blocking here pushes back on that sender and lane alone.
	Receive(from trust.PeerID, lane Lane, message []byte)
	// Admit answers a request to join from the holder of id's key.
	Admit(ctx context.Context, id trust.PeerID, request []byte) (reply []byte, err error)
	// ServeAPI takes a stream that another peer opened with Dial, and owns it.
	ServeAPI(from trust.PeerID, conn net.Conn)
}

// Prober probes running containers and reports changes.
type Prober interface {
	// Watch probes one container of one generation until Forget; a further Watch of the same container replaces it.
	Watch(target ProbeTarget)
	// Resume is Watch for a container that has been running for age: its initial delay counts from its start.
	Resume(target ProbeTarget, age time.Duration)
	Forget(id runtime.InstanceID, container string)
	Close()
}

// ProbeTarget is a container to be probed.
type ProbeTarget struct {
	Instance   runtime.InstanceID
	Container  string
	Generation uint64
	Address    netip.Addr
	Readiness  *runtime.Probe
	Liveness   *runtime.Probe
}

// Ticker reads both clocks of the machine. In the bubble it is the bubble's.
type Ticker func() control.Clock

// Ports are the adapters that a peer is built from.
type Ports struct {
	Store   Store
	Streams func(StreamHandler) (Streams, error)
	Gossip  func(changed func(gossip.Member)) (gossip.Cluster, error)
	Runtime func(exited func(runtime.Status)) (runtime.Runtime, error)
	Images  runtime.Images
	Prober  func(exec ExecFunc, changed func(control.Probed)) Prober
	Now     Ticker
	Began   time.Duration       // what the clock of the runtime's deadlines showed when Now's Elapsed was 0
	Signs   func() gossip.Signs // measures this machine, every healthEach; nil: nothing is known of it
}

// ExecFunc runs a command in a container, for exec probes.
type ExecFunc func(ctx context.Context, id runtime.InstanceID, container string, command []string) (exitCode int, output []byte, err error)

// Backend is what the API serves from. *Peer implements it.
type Backend interface {
	// Read runs look in the peer's loop, against the state of the last flush. look must be short and keep nothing.
	Read(ctx context.Context, look func(*control.Machine)) error
	// Write makes one change durable on this peer. Request in w is ignored.
	Write(ctx context.Context, w control.Write) (control.Reply, error)
	// History returns what this peer remembers of an object's changes, the newest first.
	History(ctx context.Context, key crdt.Key) ([]control.HistoryEntry, error)
	// Audit says what was dropped, refused or set aside here, and how replication does.
	Audit(ctx context.Context) (AuditReport, error)
	// AwaitAcks returns once n other peers hold an operation on disk, with those that do, sorted; when ctx ends first, with
	// its error and those that do so far. Acknowledgements are asked for by Write.Acks; they do not outlive the program.
	AwaitAcks(ctx context.Context, op crdt.OpID, n int) (held []crdt.PeerID, err error)
	// Changed returns a channel that is closed when the version has risen above since.
	Changed(since uint64) <-chan struct{}
	// Leave hands over this peer's work and then stops the peer.
	Leave(ctx context.Context, within time.Duration) error
	// CreateTicket records a ticket that admits uses peers until expires.
	CreateTicket(ctx context.Context, uses int, expires time.Duration) (trust.Ticket, error)
	// Logs reads a container's output on this peer.
	Logs(ctx context.Context, id runtime.InstanceID, container string, options runtime.LogOptions) (io.ReadCloser, error)
	// Exec runs a command in a container on this peer.
	Exec(ctx context.Context, id runtime.InstanceID, container string, command []string) (runtime.ExecResult, error)
	// ImportImage and ListImages are those of runtime.Images on this peer.
	ImportImage(ctx context.Context, archive io.Reader, name string) (runtime.Image, error)
	ListImages(ctx context.Context) ([]runtime.Image, error)
	// DialAPI opens a stream to another peer's API.
	DialAPI(ctx context.Context, id crdt.PeerID) (net.Conn, error)
}
