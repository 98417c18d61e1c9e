package promise

import "time"

// Snapshot is a world at one moment. Order in its slices carries no meaning.
type Snapshot struct {
	At     time.Duration // since the world began; only for messages
	Peers  []Peer
	Writes []Write // every command that a peer was given so far, where the world keeps a log
	Ended  []Container

	Policies []Policy // of workloads that have one other than to run on every side
}

// Policy is what a split means for the replicas of one workload, as its object says.
type Policy struct {
	Prefix    string   // of its replicas: "default/web-"
	Exclusive bool     // never two of one replica at once
	Frozen    bool     // nobody starts what a lost peer has
	Witnesses []string // IDs of peers: it runs only on the side with most of them; none: that does not matter
}

// Resources are amounts of room.
type Resources struct {
	CPUMillis    int64
	MemoryBytes  int64
	StorageBytes int64
	Pids         int64
}

// Peer is one machine. What it believes (digests, Wanted, Objects, Admitted) is as of its last
// flush, and empty while its program is not running.
type Peer struct {
	ID   string
	Name string

	Alive   bool // its program runs
	Powered bool // its machine is on; containers may run without the program
	Leaving bool // it hands over its work
	Filling bool // it came, or is damped, so that plans may yet begin to give it its share of what runs elsewhere
	Side    int  // peers that can reach each other have the same

	IntentDigest [32]byte
	PlanDigest   [32]byte
	Admitted     Resources // by its own account
	Room         Resources
	Devices      map[string]int64 // extended resources, all it has to give
	Wanted       []Wanted         // replicas that it sees wanted
	Objects      []Object         // intent as it sees it; nil where the world does not look
	Instances    []Instance
}

// Wanted is a replica that intent asks for. One without room is Pending. One is Held back where its workload's word on splits
// and losses keeps it from being started, or from running at all: see PolicyKept.
type Wanted struct {
	Replica  string
	Revision string
	Pending  bool
	Held     bool
	Moving   bool // it is on its way from one peer to another
}

// Instance is what runs on a peer, or is being made ready to, or is on its way out.
type Instance struct {
	ID         string
	Replica    string
	Revision   string
	Ready      bool
	Balance    bool // it was begun for the balance, while another was ready
	Unaware    bool // it was begun while one was ready on a peer that its own took for gone
	Request    Resources
	Devices    map[string]int64 // what it holds of them
	Ports      []string         // of the peer's own address that it holds: "TCP/80", or "TCP/10.0.0.1:80"
	Containers []Container      // those that run
}

// Container is one running container; equal values are the same process.
type Container struct {
	Peer       string // ID
	Instance   string
	Name       string
	Generation uint64
	StartedAt  time.Time
}

// Write is a command that changed, or should have changed, one object. IDs are those of the world's log.
type Write struct {
	ID      string // of the acknowledged operation; unique
	Peer    string // that took it
	Object  string // Kind/namespace/name
	Refused string // why the peer did not take it; empty when it was acknowledged
	Unknown bool   // the peer died before it answered: nobody knows whether it took the write, and the ID means nothing
	Create  bool
	Delete  bool
	Fields  map[string]string // path to value; an empty value deletes the field
	Saw     []string          // IDs of earlier writes that the peer had when it took this one
	Unheard []string          // IDs of peers that had not heard of it when its deletions were forgotten: nobody waited for them any more
}

// Object is one object as a peer sees it. A dead one shows in Fields what its deletion had not seen.
type Object struct {
	Key    string
	Live   bool
	Fields []Field
}

// Field is one field, with the writes that lost to it without having been seen. An empty value is a deletion.
type Field struct {
	Path      string
	Value     string
	Write     string // ID
	Conflicts []Rival
}

// Rival is a value that lost, with the ID of its write; its path is the field's own, or one above or below.
type Rival struct{ Path, Write, Value string }

// Violation is one broken promise.
type Violation struct {
	Promise string // "P3", or "converged"
	Text    string
}

// String is one line for people.
func (v Violation) String() string { return v.Promise + ": " + v.Text }
