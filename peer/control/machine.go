package control

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/lease"
	"shoal/peer/manifest"
	"shoal/peer/replication"
	"shoal/peer/wire"
	"shoal/placement"
	"shoal/runtime"
)

// Config is fixed for the life of a Machine.
type Config struct {
	Self   gossip.Self
	Boot   uint64            // rises with every start of this peer's program
	Labels map[string]string // of this peer
	Subnet netip.Prefix      // for this peer's containers

	// What this peer has to give to containers, beside what Self says.
	StorageBytes int64
	Pids         int64
	Devices      []placement.Amount // extended resources, sorted by name

	Sign   func(message []byte) []byte
	Pick   func(n int) int // a random number below n
	Tuning Tuning

	// Decode reads the body of a row; nil means wire.DecodeObservation. It is here so that the many
	// machines of one simulation can share what they decode. The result is never changed.
	Decode func(body []byte) (*wire.Observation, error)

	// Read makes the workload of an object's fields, and Plan plans a view; nil means what manifest and placement
	// do. They are here for the same reason. What they return is never changed.
	Read func(key crdt.Key, fields []crdt.Field) (*manifest.Workload, manifest.Faults)
	Plan func(view placement.View) placement.Plan

	// Verify says whether a row that was on disk is signed by its peer, one of the cluster; nil means that all are.
	Verify func(row replication.Row) bool

	// Shared is what the machines of one simulation share; nil shares nothing.
	Shared *Shared

	// Session names the life of what outlives the program and not the machine's boot or its disk (the supervisor process): what a
	// witness of leases has on disk counts only within it. Empty: nothing outlives the program.
	Session string

	// Build names the version of the program. What was set aside by another build is tried again.
	Build string

	// MayWrite says whether a peer may write intent; nil means that all may. Only such peers
	// propose and close floors.
	MayWrite func(peer crdt.PeerID) bool

	// Trip is called with the site ("decode", "merge", "read", "plan", "act") and the name of what is handled there
	// (an object's key, a row's peer, a replica). It is nil in production; a panic in it stands for one in the code (P13).
	Trip func(site, name string)
}

// Tuning holds the machine's time constants. The zero value of each means its default.
type Tuning struct {
	Settle        time.Duration // after start or a member's return: how long to wait for rows before starting anything new; 3 s
	ReconcileEach time.Duration // 2 s
	LeaseTerm     time.Duration // how long a lease lasts that is not renewed; the same on all peers; lease.Term
	BackoffFirst  time.Duration // the second restart of a container waits this long, each further one twice as long; 1 s
	BackoffMost   time.Duration // 5 min
	BackoffReset  time.Duration // running this long forgets the restarts; 10 min
	RefuseFor     time.Duration // how long a first refusal stands, each further one of the same twice as long; 30 s
	RefuseMost    time.Duration // 10 min
	MoveWithin    time.Duration // a replica that moves here and is not ready by then is given up; 5 min
	ForgetAfter   time.Duration // a peer not heard of for so long holds forgetting up no more; 45 days
	MarkEach      time.Duration // how often deletions are forgotten when there are few; 10 min
	MarkSoon      time.Duration // and when they are many for what lives; 10 s
	RowEach       time.Duration // own rows are not sent more often, save the first after a quiet time; 100 ms
}

// Saved is what an earlier life of this peer left behind.
type Saved struct {
	Ops       []crdt.Op
	Book      []gossip.Member
	Instances []runtime.Instance
	Records   map[string][]byte
}

// Machine is the control core of one peer. Not safe for concurrent use.
type Machine struct {
	config Config
	self   crdt.PeerID
	now    Clock
	begun  bool // a Flush has run
	inbox  []Event
	out    Output
	wake   time.Duration // the earliest deadline; 0 for none

	set     *crdt.Set
	spread  *replication.Machine
	lastOwn crdt.Time // the highest time of any stamp of this writer

	objects      map[crdt.Key]*object
	objectsDirty map[crdt.Key]bool

	members      map[crdt.PeerID]*member
	rows         map[crdt.PeerID]*row // the newest of each peer, this one's own included
	questions    uint64               // asked in this life; see word.go
	greet        []crdt.PeerID        // peers that just came: they get this peer's row directly
	liveDirty    bool
	liveIDs      []crdt.PeerID           // other peers that answer, sorted
	lost         map[crdt.PeerID]*member // those that neither answer nor left
	pending      map[crdt.PeerID]*member // those with a deadline
	pendingDue   time.Duration           // not after the first of these deadlines; 0 for none
	waiting      int                     // how many of them must send a row before anything new is started
	ids          []crdt.PeerID           // see peerIDs
	healFrom     time.Duration           // when the first failed peer of a healing cut was back
	healUntil    time.Duration           // until when the others that failed are waited for
	again        again
	healDue      time.Duration  // not before this does another such time begin
	bootsRaised  uint64         // added to the store's count of starts
	selfAddr     netip.AddrPort // where this peer gossips, as the membership layer says
	reconcileDue time.Duration

	room     gossip.Room
	storage  int64 // bytes
	pids     int64
	devices  []placement.Amount
	health   gossip.Health
	images   []string
	draining bool
	leaves   []leave
	rowDirty bool
	body     []byte // of this peer's newest row, without its time
	unsealed bool   // body was not sealed yet
	sequence uint64

	floors    forgetting
	clocks    clocks
	disputes  map[crdt.Key]bool // objects with conflicts
	news      map[crdt.Key]*arrivals
	acks      []awaited
	remindDue time.Duration
	asides    map[string]*aside
	auditMore int
	refilling bool // see recordRefill
	fresh     bool // see recordFresh
	rowsCame  bool // since they were passed on
	passDue   time.Duration
	rowTokens tokens
	flap      flap

	planner     planner
	held        map[runtime.InstanceID]*instance
	heldIDs     []runtime.InstanceID          // sorted
	generations map[runtime.InstanceID]uint64 // the highest generation of instances that were removed
	refusals    map[refusalKey]*refusal
	refusedEver map[refusalKey]refusedBefore
	nodes       map[string]*node             // what intent says of peers, by name
	budgets     map[crdt.Key]*budget         // of disruption
	priorities  map[string]manifest.Priority // as written, by name
	classes     map[string]manifest.Priority // those in force; see manifest.Priorities
	steps       steps
	away        away
	kept        keptRows
	moves       map[placement.ReplicaID]time.Duration // since when the plan sends them here for the balance
	leases      leases
	notes       noteLog
	happened    happened
	heals       heals
	ran         []wire.Ran // what was ended here lately, for this peer's row
	ranCut      int64      // see wire.Observation.RanCut
	version     uint64
	touched     bool // a reader could see a change since the last flush

	decided     bool          // and nothing has happened since that deciding looks at, save what other flags tell
	instanceDue time.Duration // the first deadline of an instance when that was done; 0 for none

	lastRead reading
	answered bool // writes, since the last Flush
}

// New returns a machine that resumes from saved.
func New(config Config, saved Saved) *Machine {
	config.Tuning = config.Tuning.withDefaults()
	if config.Decode == nil {
		config.Decode = decodeRow
	}
	set := crdt.NewSet()
	m := &Machine{
		config:       config,
		self:         crdt.PeerID(config.Self.ID),
		set:          set,
		objects:      map[crdt.Key]*object{},
		objectsDirty: map[crdt.Key]bool{},
		members:      map[crdt.PeerID]*member{},
		lost:         map[crdt.PeerID]*member{},
		pending:      map[crdt.PeerID]*member{},
		disputes:     map[crdt.Key]bool{},
		news:         map[crdt.Key]*arrivals{},
		asides:       map[string]*aside{},
		rows:         map[crdt.PeerID]*row{},
		room:         config.Self.Room,
		storage:      config.StorageBytes,
		pids:         config.Pids,
		devices:      config.Devices,
		health:       config.Self.Health,
		rowDirty:     true,
		held:         map[runtime.InstanceID]*instance{},
		generations:  map[runtime.InstanceID]uint64{},
		refusals:     map[refusalKey]*refusal{},
		refusedEver:  map[refusalKey]refusedBefore{},
		nodes:        map[string]*node{},
		moves:        map[placement.ReplicaID]time.Duration{},
		budgets:      map[crdt.Key]*budget{},
		classes:      manifest.Priorities(nil),
		priorities:   map[string]manifest.Priority{},
		notes:        newNoteLog(),
		happened:     newHappened(),
	}
	m.spread = replication.New(m.self, set, config.Pick)
	m.planner = planner{stale: true, wantedStale: true, wantedList: &wantedList{}}
	m.planner.peers.own.moved = true
	m.resumeBoots(saved.Records[recordBoots])
	m.resumeAside(saved.Records)
	m.resumeIntent(saved.Ops)
	m.resumeFloors(saved.Records)
	m.flap.resume(saved.Records[recordFlap])
	m.resumeAway(saved.Records)
	m.resumeBook(saved.Book)
	m.resumeRows(saved.Records)
	m.resumeEvents(saved.Records)
	m.resumeHeals(saved.Records)
	m.resumeRan(saved.Records)
	m.resumeLeases(saved)
	m.adopt(saved.Instances)
	m.refreshObjects()
	return m
}

func (t Tuning) withDefaults() Tuning {
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{
		{&t.Settle, 3 * time.Second},
		{&t.ReconcileEach, 2 * time.Second},
		{&t.LeaseTerm, lease.Term},
		{&t.BackoffFirst, time.Second},
		{&t.BackoffMost, 5 * time.Minute},
		{&t.BackoffReset, 10 * time.Minute},
		{&t.RefuseFor, 30 * time.Second},
		{&t.RefuseMost, 10 * time.Minute},
		{&t.MoveWithin, 5 * time.Minute},
		{&t.ForgetAfter, 45 * 24 * time.Hour},
		{&t.MarkEach, 10 * time.Minute},
		{&t.MarkSoon, 10 * time.Second},
		{&t.RowEach, 100 * time.Millisecond},
	} {
		if *d.value <= 0 {
			*d.value = d.usual
		}
	}
	return t
}

// ErrStale answers a Write whose Seen lacks this peer's own latest operation on the object: read again, and retry.
var ErrStale = errors.New("the object has changed since it was read")

// InvalidError answers a Write after which the object would be invalid.
type InvalidError struct{ Faults []string }

func (e *InvalidError) Error() string { return strings.Join(e.Faults, "; ") }
