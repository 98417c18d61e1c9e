package control

import (
	"net/netip"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/replication"
	"shoal/placement"
	"shoal/runtime"
)

// MemberView is a peer as this one sees it.
type MemberView struct {
	gossip.Member
	Boot     uint64 // 0 until its first row has arrived
	Labels   map[string]string
	Subnet   netip.Prefix
	Leaving  bool // it hands over its work before it leaves, by its own word
	Draining bool // it hands over its work, for that or by intent
	Cordoned bool // it takes nothing new, by intent
	Damped   bool // it takes nothing new for a while, because it came and went
	Steady   bool // it has been up and in touch for long enough to be given its share
	Admitted placement.Resources
	Space    placement.Resources // all that its newest row gives to containers
	Devices  []placement.Amount  // the same, of extended resources; sorted by name
	Images   []string
	Since    time.Duration // Clock.Elapsed at which its State was learned
	RowAge   time.Duration // how old its newest row is, by this peer's clock
	Row      replication.Version
}

// ReplicaView is one replica with every instance of it that any peer holds. What a failed peer
// held when it was last heard is not among them: nobody knows whether it still runs.
type ReplicaView struct {
	ID         placement.ReplicaID
	Workload   crdt.Key
	Ordinal    int
	Wanted     bool
	Newest     placement.Revision // that intent asks for; a rollout gets to it in its turn
	Assignment placement.Assignment
	Pending    string // why it is not placed, for people; empty when it is
	Waits      string // why it has not begun where it is placed, for people: what its strategy lets go first; empty otherwise
	Instances  []InstanceView
}

// Explained is all that a view says of one replica: equal on all peers with equal views, to the byte.
type Explained struct {
	Assignment placement.Assignment
	Pending    string              // why it has no place, for people; empty if it has one
	Held       string              // what keeps it on a peer that hands over its work, for people: a disruption budget; empty if nothing does
	Remedy     string              // the smallest change with which it would have one; empty where no single one would do
	Verdicts   []placement.Verdict // of every peer, in the replica's hash order
	View       ViewDigest
	Plan       [32]byte
}

// InstanceState is a rung of an instance's ladder.
type InstanceState string

const (
	Admitted  InstanceState = "Admitted"
	Preparing InstanceState = "Preparing"
	Starting  InstanceState = "Starting"
	Running   InstanceState = "Running"
	Leasing   InstanceState = "Leasing" // waits for nothing but its lease
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
	Waits      string    // what it lacks to start, for people: a lease; empty if nothing
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
	ExitCode   int    // of the last generation that ended
	Reason     string // why it waits, or why it last ended
	Detail     string // "HTTP 503"
}

// Conflicted is an object about which writers disagreed who had not seen each other.
type Conflicted struct {
	Key    crdt.Key
	Live   bool
	Fields []crdt.Field // of a live object: those with rivals, won deletions (Value nil) among them

	// Of an object that is not live: the fields that were written by who had not seen the deletion, and the deletion.
	Orphans []crdt.Field
	Deleted Deletion
}

// Deletion is who deleted an object. The zero value means that it was deleted here by nobody known:
// the operation is forgotten already.
type Deletion struct {
	Stamp   crdt.Stamp
	Manager string
	User    string
}

// AsideEntry is something that made the code fail and that this peer leaves alone until it changes (P13).
type AsideEntry struct {
	At      time.Time
	Site    string   // "decode", "merge", "read", "plan", "act"
	Subject string   // the object, "the row of p7", or the replica
	Key     crdt.Key // the object; zero if it is about none
	Text    string
}

// SkewReport is what this peer knows of the clocks of the cluster.
type SkewReport struct {
	Own     time.Duration // how far this peer's clock is ahead of the median of the others; negative: behind
	Known   bool          // whether any other's clock is known
	Members []Skew        // by peer
}

// Skew is how far another peer's clock is ahead of this one's; negative: behind.
type Skew struct {
	Peer  crdt.PeerID
	Ahead time.Duration
	Rows  int // measurements behind the figure
}

// FloorStatus is how far the cluster is with forgetting its deletions.
type FloorStatus struct {
	Registered  []crdt.PeerID // whose word is needed: the book, less those who left and those who are forgotten
	Forgotten   []crdt.PeerID // not heard of for Tuning.ForgetAfter
	Forgettable int           // deletions kept only until the others hold them too
	Retained    int           // operations, deletions included
	Pending     bool          // a mark stands and is not closed yet
	Waiting     []FloorWait   // registered peers whose word is missing now, by peer
	Closed      crdt.Stamp    // of the operation that set the floor in force; zero: there is none
	Applied     bool          // this peer has applied it
	Doubtful    bool          // this peer was not asked and must first compare itself with one that was
}

// FloorWait is a peer that holds forgetting up, and why, for people.
type FloorWait struct {
	Peer crdt.PeerID
	Name string
	Why  string
}
