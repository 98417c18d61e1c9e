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
	Draining bool
	Admitted placement.Resources
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
	ExitCode   int    // of the last generation that ended
	Reason     string // why it waits, or why it last ended
	Detail     string // "HTTP 503"
}
