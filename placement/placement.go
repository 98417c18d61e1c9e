package placement

import (
	"math"
	"time"
)

// PeerID names a peer.
type PeerID string

// WorkloadID names a workload: Kind/namespace/name.
type WorkloadID string

// ReplicaID names a replica: namespace/workload-ordinal. It is stable over moves and revisions.
type ReplicaID string

// Revision names one form of a workload: a short hash of what a replica of it runs.
type Revision string

// Resources are amounts, asked for or given.
type Resources struct {
	CPUMillis    int64
	MemoryBytes  int64
	StorageBytes int64 // ephemeral: writable layers, logs, empty directories
	Pids         int64 // processes and threads
}

// Amount is how much there is of one extended resource ("example.com/gpu"), asked for or given.
type Amount struct {
	Name  string
	Count int64
}

// Port is a port of the peer's own address that a replica asks for. An empty IP stands for all addresses.
type Port struct {
	IP       string
	Number   uint16
	Protocol string // "TCP" or "UDP"
}

// Health weighs a peer: 0 good, 1 fair, 2 poor.
type Health uint8

// Peer is a machine that may be given replicas.
type Peer struct {
	ID       PeerID
	Name     string
	Room     Resources // all it has to give, what it already runs included
	Devices  []Amount  // extended resources, all it has to give, sorted by Name
	Health   Health
	Labels   map[string]string
	Taints   []Taint       // sorted by Key, then Effect
	Live     bool          // a member that answers
	LostFor  time.Duration // of one that is not live: the longest of the spans in use (Wanted.LostWait) for which it has been lost
	Draining bool          // takes nothing new, and hands over what it has
	Cordoned bool          // takes nothing new, and keeps what it has
	Damped   bool          // came and went too often: takes nothing new, unless most live peers are damped, for then it was the network
	Steady   bool          // has been up and in touch for long enough to be given what runs elsewhere
	Came     time.Time     // of one that joined or came back not long ago: when, by its own clock; it is given its share of what began elsewhere before
}

// Effect is what a taint does to replicas that do not tolerate it.
type Effect string

// The effects are Kubernetes'.
const (
	NoSchedule       Effect = "NoSchedule"
	PreferNoSchedule Effect = "PreferNoSchedule"
	NoExecute        Effect = "NoExecute"
)

// Taint keeps replicas away from a peer that do not tolerate it.
type Taint struct {
	Key, Value string
	Effect     Effect
	For        time.Duration // of NoExecute: the longest of the spans in use (Toleration.For) for which it has stood
}

// Toleration lets a replica be where a taint is, as in Kubernetes.
type Toleration struct {
	Key    string // empty with Exists: every key
	Exists bool   // any value; else Value must be equal
	Value  string
	Effect Effect        // empty: every effect
	For    time.Duration // of NoExecute: how long it stays nevertheless; Forever without a limit
}

// Forever is a span that never ends.
const Forever time.Duration = math.MaxInt64

// Operator says what a Requirement asks of a label.
type Operator string

// The operators are Kubernetes'. Gt and Lt compare whole numbers and are for labels of peers only.
const (
	In           Operator = "In"
	NotIn        Operator = "NotIn"
	Exists       Operator = "Exists"
	DoesNotExist Operator = "DoesNotExist"
	Gt           Operator = "Gt"
	Lt           Operator = "Lt"
)

// Requirement is one condition on a label.
type Requirement struct {
	Key      string
	Operator Operator
	Values   []string
}

// PeerTerm holds for a peer that meets all of it; an empty one for no peer.
type PeerTerm struct {
	Labels []Requirement
	Names  []Requirement // on the peer's name (Kubernetes' matchFields metadata.name)
	Weight int32         // of a preference: 1 to 100
}

// ReplicaTerm selects other replicas; it holds in a topology domain (the peers with one value of the label TopologyKey) that
// has one of them.
type ReplicaTerm struct {
	Namespaces  []string // sorted
	Labels      []Requirement
	TopologyKey string
	Weight      int32 // of a preference: 1 to 100
}

// Spread bounds by how many the replicas that Labels selects, of the own namespace, may differ between topology domains.
type Spread struct {
	TopologyKey string
	Labels      []Requirement
	MaxSkew     int32
	MinDomains  int32 // 0 counts as 1
	Required    bool  // DoNotSchedule; else a preference (ScheduleAnyway)

	// Which peers' domains count: those that the node selector and affinity of the replica allow (Honor, the default), or all; and
	// whether those whose taints it does not tolerate are left out (not by default).
	IgnoreAffinity bool
	HonorTaints    bool
}

// Rules are what a workload asks beside room. They are shared by all its replicas and never changed. Affinity that is required counts when a
// place is chosen, not afterwards ("IgnoredDuringExecution").
type Rules struct {
	Namespace string
	Labels    map[string]string // of the replicas: what the terms of others select

	Peers       []PeerTerm // one of them must hold; none: all peers
	PreferPeers []PeerTerm

	Near        []ReplicaTerm // all must hold
	Apart       []ReplicaTerm // none may hold, for either side
	PreferNear  []ReplicaTerm
	PreferApart []ReplicaTerm

	Spread      []Spread
	Tolerations []Toleration
}

// Wanted is one replica that intent asks for, in the revision that it should now run.
type Wanted struct {
	Replica      ReplicaID
	Workload     WorkloadID
	Revision     Revision
	Request      Resources
	Devices      []Amount // sorted by Name
	Ports        []Port
	NodeSelector map[string]string
	Rules        *Rules // nil: none
	Only         PeerID // of "one on each": its peer; empty: any
	Priority     int32  // the higher may displace the lower

	// NeverDisplace says that it waits for room rather than displace others (preemptionPolicy Never).
	NeverDisplace bool

	LostWait   time.Duration // how long its place is kept for it on a peer that was lost
	MostMoving int           // how many of its workload may be on their way for the balance alone; below 1 counts as 1
}

// Incumbent is an instance of a replica that some peer holds, as that peer observed it.
type Incumbent struct {
	Replica  ReplicaID
	Revision Revision
	Peer     PeerID
	Request  Resources // what it holds there
	Devices  []Amount  // the same
	Ports    []Port    // the same
	Ready    bool
	Stopping bool      // on its way out; holds room, counts for nothing else
	Arriving bool      // admitted while another peer held it ready: a move that goes on until that one is gone
	Young    bool      // admitted not long ago, by its holder's word: others are moved before it
	Since    time.Time // when the holder admitted it, by the holder's clock; only breaks ties
}

// Refusal is a peer's own word that it cannot run a replica's revision before Until.
type Refusal struct {
	Replica  ReplicaID
	Revision Revision
	Peer     PeerID
	Reason   string
	Soft     bool // it failed there, again and again: better anywhere else, but there rather than nowhere
	Until    time.Time
}

// View is all that Plan looks at. Order in the slices carries no meaning.
type View struct {
	Now        time.Time // only to compare with Refusal.Until
	Peers      []Peer
	Wanted     []Wanted
	Incumbents []Incumbent // also those of lost peers that may be waited for
	Refusals   []Refusal
}

// Rule is the closed set of reasons for and against a peer.
type Rule string

const (
	Stays    Rule = "stays"        // incumbent on a fit peer
	Hash     Rule = "hash"         // first fit peer in the replica's hash order
	BestFit  Rule = "best-fit"     // room is tight: the best fitting of the first choices
	NotLive  Rule = "not-live"     // the peer does not answer
	Draining Rule = "draining"     // the peer hands over its work
	Selector Rule = "selector"     // its labels do not match the node selector
	NoCPU    Rule = "no-cpu"       // too little CPU left
	NoMemory Rule = "no-memory"    // too little memory left
	Refused  Rule = "refused"      // the peer refused
	Later    Rule = "later-choice" // fit, but later in the hash order than the one chosen

	Moving    Rule = "moving"    // on its way here, for the balance
	Rebalance Rule = "rebalance" // taken from a peer with more than its share, or with worse health
	Displaces Rule = "displaces" // others of lower priority make room for it here
	Waits     Rule = "waits"     // its peer is lost, and it is waited for
	Pinned    Rule = "pinned"    // it belongs to this peer alone: one on each
	Cordoned  Rule = "cordoned"  // the peer takes nothing new
	Damped    Rule = "damped"    // the peer came and went too often and takes nothing new
	Tainted   Rule = "taint"     // a taint that it does not tolerate
	Affinity  Rule = "affinity"  // the peer's labels do not meet its affinity
	Near      Rule = "near"      // not near the replicas that it must be near
	Apart     Rule = "apart"     // too near replicas that it, or they, must be apart from
	Skew      Rule = "skew"      // it would spread its replicas less evenly than it allows
	NoStorage Rule = "no-storage"
	NoPids    Rule = "no-pids"
	NoDevice  Rule = "no-device"
	PortTaken Rule = "port-taken"
	Elsewhere Rule = "elsewhere" // it belongs to another peer alone
)

// Verdict is one peer's yes or no for one replica, with the numbers behind it.
type Verdict struct {
	Peer   PeerID
	Rule   Rule
	Detail string // "needs 500m CPU, 120m left"; empty where the rule says all
}

// Assignment is where one replica should run, and why. Peer is empty while it is pending.
type Assignment struct {
	Replica  ReplicaID
	Workload WorkloadID
	Revision Revision
	Peer     PeerID
	Rule     Rule        // why there; empty while pending
	From     PeerID      // of one that moves: the peer that holds it until it is ready; empty otherwise
	Makes    []ReplicaID // of one that displaces: those that make room for it there, sorted
	By       ReplicaID   // of one that was displaced: for whom; empty otherwise
}

// Plan is all assignments from one view.
type Plan struct {
	Assignments Assignments
	Shifts      int      // assignments that are on their way for the balance, or are to be: Moving or Rebalance
	Digest      [32]byte // over the assignments; equal views give equal digests on every peer
}
