package control

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/placement"
	"shoal/runtime"
)

// record is what a machine needs to know of an instance after a restart of its program. It is the
// Note of the instance's Spec, as JSON; fields are only ever added.
type record struct {
	Replica        placement.ReplicaID
	Workload       string
	Revision       placement.Revision
	CPUMillis      int64
	MemoryBytes    int64
	StorageBytes   int64              `json:",omitempty"`
	Pids           int64              `json:",omitempty"`
	Devices        []placement.Amount `json:",omitempty"`
	Ports          []placement.Port   `json:",omitempty"`
	Arriving       bool               `json:",omitempty"` // admitted while another peer held it ready
	SinceMillis    int64
	GraceSeconds   int64
	BaseGeneration uint64 // the generation before the first of this instance
}

func (r record) request() placement.Resources {
	return resources(placement.Resources{CPUMillis: r.CPUMillis, MemoryBytes: r.MemoryBytes, StorageBytes: r.StorageBytes, Pids: r.Pids})
}

func (r record) encode() []byte {
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // a struct of strings and numbers always encodes
	}
	return data
}

func decodeRecord(data []byte) (record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return r, err
	}
	if r.Replica == "" || r.Workload == "" || r.Revision == "" {
		return r, fmt.Errorf("it names no replica, workload or revision")
	}
	return r, nil
}

// instance is one that this peer holds. It counts against the room from admission until it is removed.
type instance struct {
	id         runtime.InstanceID
	record     record
	spec       runtime.Spec
	prepared   bool
	address    netip.Addr
	containers []container
	inflight   *Action // given out and not answered

	stopping  bool
	admitted  time.Duration // by Clock.Elapsed; negative for one of an earlier program
	before    []crdt.PeerID // had the replica when it was admitted
	goesDown  bool          // and something of it was stopped for that
	tries     int           // failures in a row to stop or remove
	retryAt   time.Duration // nothing is tried before
	surplus   time.Duration // since it is surplus: when it goes; 0 when it is not
	everReady bool
	wasYoung  bool // as last observed
	wasReady  bool // as last observed
	dormant   bool // adopted when none of it ran, and not started since

	ranSince time.Time // since when it runs, or ran until it was ended; zero when that was told
	ranUntil time.Time // since when nothing of it runs
	ends     Note      // why it is ended

	withheld   bool          // it needs a lease and has none: nothing of it may run
	waits      string        // what it lacks then, for people
	leaseGrace time.Duration // how long a container gets to end by itself when the lease is about to end
	bound      time.Duration // until when the runtime lets it run; 0 where it was not told
}

// container is one container of an instance.
type container struct {
	spec       *runtime.Container
	base       uint64 // generation before its first
	generation uint64
	phase      runtime.Phase
	probed     bool // what the readiness probe last said of this generation
	unhealthy  bool // the liveness probe has given this generation up
	startedAt  time.Time
	startedBy  time.Duration // the same by Clock.Elapsed; negative for one started by an earlier program
	startAt    time.Duration // the next start is not before
	failures   int           // ends in a row that count for the back-off
	exitCode   int
	reason     string
	detail     string
}

func newInstance(id runtime.InstanceID, r record, spec runtime.Spec) *instance {
	in := &instance{id: id, record: r, spec: spec, containers: make([]container, len(spec.Containers))}
	for i := range in.containers {
		in.containers[i] = container{spec: &in.spec.Containers[i], base: r.BaseGeneration, generation: r.BaseGeneration}
	}
	return in
}

func (c *container) ready() bool {
	return c.phase == runtime.Running && !c.unhealthy && (c.spec.Readiness == nil || c.probed)
}

// restarts is how often it was started again: generations rise by one with each start.
func (c *container) restarts() int {
	if c.generation <= c.base+1 {
		return 0
	}
	return int(c.generation - c.base - 1)
}

func (in *instance) ready() bool {
	if in.stopping || in.withheld || !in.prepared || len(in.containers) == 0 {
		return false
	}
	for i := range in.containers {
		if !in.containers[i].ready() {
			return false
		}
	}
	return true
}

// state is the rung of the ladder that the instance is on.
func (in *instance) state(now time.Duration) InstanceState {
	switch {
	case in.stopping:
		return Stopping
	case in.inflight != nil && in.inflight.Kind == Prepare:
		return Preparing
	case !in.prepared:
		return Admitted
	case in.withheld && !in.active():
		return Leasing
	}
	state := Running
	for i := range in.containers {
		c := &in.containers[i]
		if c.phase == runtime.Running {
			continue
		}
		if c.failures > 0 && c.startAt > now {
			return BackOff
		}
		state = Starting
	}
	return state
}

// youngFor is for how long after its admission others are moved before an instance.
const youngFor = 2 * time.Minute

func (in *instance) young(now time.Duration) bool { return now-in.admitted < youngFor }

// failing says whether a container has ended so often that it waits before it is started again.
func (in *instance) failing() bool {
	return slices.ContainsFunc(in.containers, func(c container) bool {
		return c.phase != runtime.Running && c.failures > 1
	})
}

func (in *instance) grace() time.Duration { return time.Duration(in.record.GraceSeconds) * time.Second }

func (in *instance) container(name string) *container {
	for i := range in.containers {
		if in.containers[i].spec.Name == name {
			return &in.containers[i]
		}
	}
	return nil
}

// workload is the key of the object that asked for it.
func (in *instance) workload() crdt.Key { return keyOf(in.record.Workload) }

// admitted is the room taken by everything held, also by what is on its way out.
func (m *Machine) admitted() placement.Resources {
	var sum placement.Resources
	for _, in := range m.held {
		sum = plus(sum, in.record.request())
	}
	return sum
}

// space is all that this peer has to give.
func (m *Machine) space() placement.Resources {
	return plus(roomOf(m.room), resources(placement.Resources{StorageBytes: m.storage, Pids: m.pids}))
}

// age notes which instances are young no longer.
func (m *Machine) age() {
	for _, in := range m.held {
		m.rowDirty = m.rowDirty || in.wasYoung != in.young(m.now.Elapsed)
	}
}

func (m *Machine) hold(in *instance) {
	m.held[in.id] = in
	i, _ := slices.BinarySearch(m.heldIDs, in.id)
	m.heldIDs = slices.Insert(m.heldIDs, i, in.id)
	m.rowDirty = true
}

// mostGenerations bounds what is remembered of removed instances; beyond it all is forgotten, which
// matters only for an answer that is still under way from that long ago.
const mostGenerations = 1000

// release forgets an instance that is gone for good, and what was refused for want of its room.
func (m *Machine) release(in *instance) {
	delete(m.held, in.id)
	i, _ := slices.BinarySearch(m.heldIDs, in.id)
	m.heldIDs = slices.Delete(m.heldIDs, i, i+1)
	if len(m.generations) >= mostGenerations {
		clear(m.generations)
	}
	for i := range in.containers {
		m.generations[in.id] = max(m.generations[in.id], in.containers[i].generation)
	}
	m.clearRefusals(func(r *refusal) bool { return r.room })
	m.rowDirty = true
}
