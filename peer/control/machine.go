package control

import (
	"errors"
	"net/netip"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/replication"
	"shoal/placement"
	"shoal/runtime"
)

// Config is fixed for the life of a Machine.
type Config struct {
	Self   gossip.Self
	Boot   uint64            // rises with every start of this peer's program
	Labels map[string]string // of this peer
	Subnet netip.Prefix      // for this peer's containers
	Sign   func(message []byte) []byte
	Pick   func(n int) int // a random number below n
	Tuning Tuning
}

// Tuning holds the machine's time constants. The zero value of each means its default.
type Tuning struct {
	Settle        time.Duration // after start or a member's return: how long to wait for rows before starting anything new; 3 s
	ReconcileEach time.Duration // 2 s
	BackoffFirst  time.Duration // the second restart of a container waits this long, each further one twice as long; 1 s
	BackoffMost   time.Duration // 5 min
	BackoffReset  time.Duration // running this long forgets the restarts; 10 min
	RefuseFor     time.Duration // how long a refusal stands; 30 s
}

// Saved is what an earlier life of this peer left behind.
type Saved struct {
	Ops       []crdt.Op
	Book      []gossip.Member
	Instances []runtime.Instance
}

// Machine is the control core of one peer. Not safe for concurrent use.
type Machine struct{}

// New returns a machine that resumes from saved.
func New(config Config, saved Saved) *Machine { panic("unwritten") }

// Step records a fact. It never fails, plans nothing, and gives out nothing.
func (m *Machine) Step(event Event) { panic("unwritten") }

// Flush plans once for all facts since the last one, and returns everything to do.
func (m *Machine) Flush(now Clock) Output { panic("unwritten") }

// ErrStale answers a Write whose Seen lacks this peer's own latest operation on the object: read again, and retry.
var ErrStale = errors.New("the object has changed since it was read")

// InvalidError answers a Write after which the object would be invalid.
type InvalidError struct{ Faults []string }

func (e *InvalidError) Error() string { panic("unwritten") }

// The methods below read the state as of the last Flush. What they return belongs to the caller.

// Objects returns the live objects of one kind, in all namespaces when namespace is empty, sorted by key.
func (m *Machine) Objects(kind, namespace string) []crdt.Object { panic("unwritten") }

// Object returns one object, live or not; false if nothing is known of it.
func (m *Machine) Object(key crdt.Key) (crdt.Object, bool) { panic("unwritten") }

// Invalid returns why the object as merged is not valid and an earlier form is in force; nil if it is valid.
func (m *Machine) Invalid(key crdt.Key) []string { panic("unwritten") }

// Members returns the peers known, sorted by ID.
func (m *Machine) Members() []MemberView { panic("unwritten") }

// Replicas returns all replicas wanted or held, sorted by ID.
func (m *Machine) Replicas() []ReplicaView { panic("unwritten") }

// Why returns every peer's verdict on one replica; false if there is no such replica.
func (m *Machine) Why(replica placement.ReplicaID) ([]placement.Verdict, bool) { panic("unwritten") }

// Notes returns the notes kept, oldest first: at most 1,000.
func (m *Machine) Notes() []Note { panic("unwritten") }

// Version is this peer's own resource version: it rises with every change that a reader could see.
func (m *Machine) Version() uint64 { panic("unwritten") }

// Digests returns the digest of the intent and that of the plan.
func (m *Machine) Digests() (intent, plan [32]byte) { panic("unwritten") }

// Admitted returns the sum of requests admitted here, and the room it must stay within (P6).
func (m *Machine) Admitted() (sum, room placement.Resources) { panic("unwritten") }

// MemberView is a peer as this one sees it.
type MemberView struct {
	gossip.Member
	Boot     uint64 // 0 until its first row has arrived
	Labels   map[string]string
	Subnet   netip.Prefix
	Draining bool
	Admitted placement.Resources
	Images   []string
	Since    time.Duration // Clock.Elapsed at which its State was learned
	RowAge   time.Duration // how old its newest row is, by this peer's clock
	Row      replication.Version
}

// ReplicaView is one replica with every instance of it that any peer holds.
type ReplicaView struct {
	ID         placement.ReplicaID
	Workload   crdt.Key
	Ordinal    int
	Wanted     bool
	Assignment placement.Assignment
	Pending    string // why it is not placed, for people; empty when it is
	Instances  []InstanceView
}

// InstanceState is a rung of an instance's ladder.
type InstanceState string

const (
	Admitted  InstanceState = "Admitted"
	Preparing InstanceState = "Preparing"
	Starting  InstanceState = "Starting"
	Running   InstanceState = "Running"
	BackOff   InstanceState = "BackOff" // waits before the next restart
	Stopping  InstanceState = "Stopping"
)

// InstanceView is one instance as its holder observed it.
type InstanceView struct {
	Instance   runtime.InstanceID
	Peer       crdt.PeerID
	Revision   placement.Revision
	Current    bool // its revision is the one wanted
	State      InstanceState
	Ready      bool
	Address    netip.Addr
	Since      time.Time // admitted, by its holder's clock
	Containers []ContainerView
}

// ContainerView is one container of an instance.
type ContainerView struct {
	Name       string
	Image      string
	Generation uint64
	Phase      runtime.Phase
	Ready      bool
	Restarts   int
	StartedAt  time.Time
	ExitCode   int
	Reason     string // why it waits or ended
	Detail     string // "HTTP 503"
}
