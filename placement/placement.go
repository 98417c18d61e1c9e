package placement

import "time"

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
	CPUMillis   int64
	MemoryBytes int64
}

// Health weighs a peer: 0 good, 1 fair, 2 poor.
type Health uint8

// Peer is a machine that may be given replicas.
type Peer struct {
	ID       PeerID
	Name     string
	Room     Resources // all it has to give, what it already runs included
	Health   Health
	Labels   map[string]string
	Live     bool // a member that answers
	Draining bool // takes nothing new, and hands over what it has
}

// Wanted is one replica that intent asks for, in the revision that it should now run.
type Wanted struct {
	Replica      ReplicaID
	Workload     WorkloadID
	Revision     Revision
	Request      Resources
	NodeSelector map[string]string
}

// Incumbent is an instance of a replica that some peer holds, as that peer observed it.
type Incumbent struct {
	Replica  ReplicaID
	Revision Revision
	Peer     PeerID
	Request  Resources // what it holds there
	Ready    bool
	Stopping bool      // on its way out; holds room, counts for nothing else
	Since    time.Time // when the holder admitted it, by the holder's clock; only breaks ties
}

// Refusal is a peer's own word that it cannot run a replica's revision before Until.
type Refusal struct {
	Replica  ReplicaID
	Revision Revision
	Peer     PeerID
	Reason   string
	Until    time.Time
}

// View is all that Plan looks at. Order in the slices carries no meaning.
type View struct {
	Now        time.Time // only to compare with Refusal.Until
	Peers      []Peer
	Wanted     []Wanted
	Incumbents []Incumbent
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
	Rule     Rule // why there; empty while pending
}

// Plan is all assignments from one view, sorted by Replica.
type Plan struct {
	Assignments []Assignment
	Digest      [32]byte // over the assignments; equal views give equal digests on every peer
}
