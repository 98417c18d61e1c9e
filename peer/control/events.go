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

// Clock is both of a machine's clocks, read at one moment. Only stamps and what people read
// come from Wall; every deadline is a span of Elapsed, which never steps.
type Clock struct {
	Elapsed time.Duration // monotonic, since the peer's program started
	Wall    time.Time
}

// Event is a fact from outside. Step takes any of the types below.
type Event interface{ event() }

// Write is a user's command to change one object. Seen must be what the change was computed from.
type Write struct {
	Request uint64 // comes back in the Reply
	Key     crdt.Key
	Verb    crdt.Verb
	Seen    crdt.Seen
	Manager string
	User    string
	Changes []crdt.Change
	Acks    int // ask so many other peers to say when they hold it on disk: see Output.Acks
}

// MemberChanged is news from the membership layer.
type MemberChanged struct{ Member gossip.Member }

// Received is a replication message from another peer, its signatures verified.
type Received struct {
	From    crdt.PeerID
	Message replication.Message
	Waited  time.Duration // of the sender's own row: since it came to this machine
}

// Done is the answer to an Action: Status is set where the runtime gave one. Err is nil or says why it failed.
type Done struct {
	Action  Action
	Address netip.Addr     // after Prepare
	Status  runtime.Status // after Start and Stop
	Err     *runtime.Error
}

// Exited is a container that ended by itself.
type Exited struct{ Status runtime.Status }

// Probed is a change in what a probe says; the first result of each generation is a change.
type Probed struct {
	Instance   runtime.InstanceID
	Container  string
	Generation uint64
	Liveness   bool // else readiness
	OK         bool
	Detail     string // "HTTP 503", "connection refused"
}

// SelfChanged is a new measure of this peer.
type SelfChanged struct {
	Room   gossip.Room
	Health gossip.Health
	Why    string   // what speaks against its health, for people
	Images []string // references of the images held

	StorageBytes int64 // room, as in Config
	Pids         int64
	Devices      []placement.Amount
}

// LeaveAsked begins to hand over this peer's work; the Reply comes when nothing is left here or Within has passed.
type LeaveAsked struct {
	Request uint64
	Within  time.Duration
}

func (Write) event()         {}
func (MemberChanged) event() {}
func (Received) event()      {}
func (Done) event()          {}
func (Exited) event()        {}
func (Probed) event()        {}
func (SelfChanged) event()   {}
func (LeaveAsked) event()    {}

// ActionKind is what the runtime should do with an instance.
type ActionKind uint8

const (
	Prepare ActionKind = iota
	Start
	Stop
	Remove
)

// Action is a command to the runtime, as data. The loop runs the actions of one instance in
// order, one at a time, and different instances at the same time; each ends in one Done.
type Action struct {
	Kind       ActionKind
	Instance   runtime.InstanceID
	Container  string        // of Start and Stop
	Generation uint64        // of Start
	Spec       *runtime.Spec // of Prepare
	Grace      time.Duration // of Stop
}

// Send is a replication message for another peer.
type Send struct {
	To      crdt.PeerID
	Message replication.Message
}

// Reply answers a Write or LeaveAsked.
type Reply struct {
	Request uint64
	Stamp   crdt.Stamp // of the operation written
	Op      crdt.OpID  // of the same; after a Write that changed nothing the newest operation on the object
	Version uint64     // this peer's resource version that shows it
	Err     error      // ErrStale, *InvalidError, or nil
}

// Output is all that there is to do now. The loop does it in this order: Persist must be on
// disk before anything else of the same Output leaves the peer.
type Output struct {
	Persist Persist
	Replies []Reply
	Send    []Send
	Bounds  []Bound // until when instances may run; told to the runtime before the actions
	Actions []Action
	Notes   []Note
	Acks    []Ack         // other peers that hold a write of this one on disk
	Audit   []AuditEntry  // what was refused or set aside
	Synced  []crdt.PeerID // peers whose intent was found to equal this one's
	Self    *gossip.Self  // tell the membership layer, when not nil
	Wake    time.Duration // Elapsed at which Flush wants to be called at the latest; 0 for never
	Version uint64        // resource version after this flush
}

// Persist is what the store must hold.
type Persist struct {
	Put     []crdt.Op
	Drop    []crdt.Op
	Book    []gossip.Member   // members to remember, in their latest form
	Records map[string][]byte // small facts of control's own, by name; a nil value deletes
	History []HistoryEntry    // what became of objects, to be kept per object
}

// Empty says whether there is nothing to write.
func (p Persist) Empty() bool {
	return len(p.Put) == 0 && len(p.Drop) == 0 && len(p.Book) == 0 && len(p.Records) == 0 && len(p.History) == 0
}

// Note is an event in the sense of Kubernetes: something worth telling a person.
type Note struct {
	At      time.Time
	Warning bool
	Reason  string // one CamelCase word: "Started", "Moved", "Refused"
	Object  crdt.Key
	Replica string // empty when about the object
	Peer    crdt.PeerID
	Text    string
	Cause   string // what led to it: "p3 was lost"; empty where that is not known
	Count   int
}
