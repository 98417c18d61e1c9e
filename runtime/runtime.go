package runtime

import (
	"context"
	"io"
	"net/netip"
	"time"
)

// InstanceID names one instance of a replica on one peer: namespace.workload-ordinal.revision.
// It is a valid file name and at most 200 bytes.
type InstanceID string

// Spec is all that a peer needs to run one instance of a replica. All its containers
// share one network, ipc and uts namespace; each has its own pid and mount namespace.
type Spec struct {
	Instance   InstanceID
	Hostname   string
	Note       []byte // the caller's own record; given back by List, also after a restart
	Containers []Container

	// Bounded says that nothing of it may run but until a deadline given by Bound.
	Bounded bool
}

// Container is one container of an instance.
type Container struct {
	Name       string
	Image      string   // as written in the manifest; resolved when prepared
	Command    []string // replaces the image's entrypoint when not empty
	Args       []string // replaces the image's command when not empty, or when Command is given
	Env        []Env
	WorkingDir string // the image's when empty
	User       string // "uid", "uid:gid" or a name in the image; the image's when empty
	Limits     Limits
	Ports      []Port
	Readiness  *Probe
	Liveness   *Probe
	Mounts     []Mount

	ReadOnlyRoot     bool
	AddCapabilities  []string // "NET_BIND_SERVICE", without CAP_
	DropCapabilities []string // the same; "ALL" drops all
}

// Env is one environment variable.
type Env struct{ Name, Value string }

// Port is a port on which a container says it listens.
type Port struct {
	Name     string
	Number   uint16
	Protocol string // "TCP" or "UDP"
}

// Mount is an empty directory that lives as long as the instance and is shared by
// its containers under the same Volume.
type Mount struct {
	Volume      string
	Path        string
	ReadOnly    bool
	VolumeBytes int64 // how much the volume may hold; 0: no limit of its own
}

// Limits bound a container. Zero is no limit, except Pids where it means DefaultPids.
type Limits struct {
	CPUMillis        int64 // hard quota
	CPURequestMillis int64 // its share when the machine is busy
	MemoryBytes      int64
	Pids             int64
	StorageBytes     int64 // of what it writes to disk: see the package doc
}

// DefaultPids bounds the processes of a container whose manifest says nothing.
const DefaultPids = 1024

// Probe asks a container how it is. Exactly one of HTTP, TCP and Exec is set.
type Probe struct {
	HTTP             *HTTPProbe
	TCP              *TCPProbe
	Exec             []string
	InitialDelay     time.Duration
	Period           time.Duration // 10 s when zero
	Timeout          time.Duration // 1 s when zero
	SuccessThreshold int           // 1 when zero
	FailureThreshold int           // 3 when zero
}

// HTTPProbe succeeds on a status from 200 to 399.
type HTTPProbe struct {
	Path   string
	Port   uint16
	Scheme string // "HTTP" or "HTTPS"; HTTP when empty
	Header []Env
}

// TCPProbe succeeds when the port accepts a connection.
type TCPProbe struct{ Port uint16 }

// Phase is a rung of the ladder that a container climbs and never descends within one generation.
type Phase uint8

const (
	Absent   Phase = iota // nothing of it exists
	Prepared              // image, root file system and network are there
	Running
	Exited
)

// Status is what the runtime knows of one container.
type Status struct {
	Instance   InstanceID
	Container  string
	Generation uint64 // the one given to Start; 0 while only prepared
	Phase      Phase
	Address    netip.Addr // of the instance, once prepared
	PID        int        // on this machine, while running
	StartedAt  time.Time
	ExitedAt   time.Time
	ExitCode   int    // 128+signal when killed; -1 when it could not be learned
	Reason     string // "OOMKilled", "StorageExceeded", "Completed", "Error", "Lost"
	Detail     string // of StorageExceeded: which limit, for people
}

// Instance is what List gives back: a spec with the state of its containers, in the spec's order.
type Instance struct {
	Spec       Spec
	Containers []Status
	Until      time.Duration // its deadline, as given to Bound; 0: there is none
}

// Usage is what a container uses now.
type Usage struct {
	CPU         time.Duration // since it started
	MemoryBytes int64
	Pids        int64
}

// ExecResult is how a command inside a container ended.
type ExecResult struct {
	ExitCode int
	Output   []byte // stdout and stderr together, the first 64 KiB
}

// LogOptions choose what Logs reads.
type LogOptions struct {
	Follow    bool      // go on until ctx ends or the instance is removed
	TailLines int       // only the last ones; all when negative
	Since     time.Time // zero for all
	Previous  bool      // of the generation before
}

// Runtime runs instances on one machine. Every method may be called from any goroutine, but
// the caller makes at most one call of Prepare, Start, Stop and Remove per instance at a time.
// Every method is idempotent: repeated after a crash it finishes what was begun. A failed one leaves nothing half
// done that Remove would not clear. Errors are *Error.
//
// Changes that nobody asked for (an exit, an out-of-memory kill) are handed to the function
// given at construction, once each, also for containers that ended while nobody was there.
type Runtime interface {
	// Prepare makes image, root file systems, cgroups and network ready and returns the address.
	Prepare(ctx context.Context, spec Spec) (netip.Addr, error)
	// Start runs a prepared or exited container anew under a generation higher than any before.
	// It returns once the container's own program is executing.
	Start(ctx context.Context, id InstanceID, container string, generation uint64) (Status, error)
	// Stop ends a container: SIGTERM (or the image's stop signal), after grace SIGKILL. It returns once it has exited.
	Stop(ctx context.Context, id InstanceID, container string, grace time.Duration) (Status, error)
	// Bound gives instances deadlines, by the clock of the machine that counts suspends (CLOCK_BOOTTIME on Linux): from then on nothing
	// of the instance runs, also when the program that called is stopped or dead. What still runs is killed, and its exit handed over
	// like any other. A later call replaces a deadline, Unbounded lifts it; unknown instances are passed over. Start fails with Overdue for an
	// instance whose deadline has passed, and for a Bounded one without.
	Bound(ctx context.Context, bounds []Bound) error
	// Remove ends all that remains of an instance, and forgets it. An unknown one is no error.
	Remove(ctx context.Context, id InstanceID) error
	// List gives all instances, also those of an earlier life of the program. Sorted by ID.
	List(ctx context.Context) ([]Instance, error)
	// Exec runs a command inside a running container and waits for it.
	Exec(ctx context.Context, id InstanceID, container string, command []string) (ExecResult, error)
	// Logs reads a container's output, as lines.
	Logs(ctx context.Context, id InstanceID, container string, options LogOptions) (io.ReadCloser, error)
	// Stats measures a running container.
	Stats(ctx context.Context, id InstanceID, container string) (Usage, error)
}

// Bound is a deadline of an instance.
type Bound struct {
	Instance InstanceID
	Until    time.Duration
}

// Unbounded is the Until of no deadline.
const Unbounded time.Duration = 1<<63 - 1

// Reason is the closed set of causes for which a runtime fails.
type Reason string

const (
	ImageMissing Reason = "ImageMissing"   // no such image on this peer
	ImageCorrupt Reason = "ImageCorrupt"   // stored bytes do not match their digest
	BadSpec      Reason = "BadSpec"        // the image has no such user, command, directory
	NoKernel     Reason = "MissingFeature" // the kernel lacks something; the text names it
	NoDisk       Reason = "DiskFull"
	NotFound     Reason = "NotFound" // no such instance or container, or not running
	Stale        Reason = "Stale"    // an older generation than the newest
	Overdue      Reason = "Overdue"  // the instance may not run any more, or not yet: see Bound
	Failed       Reason = "Failed"   // anything else; the text says what
)

// Error is how a Runtime fails.
type Error struct {
	Op      string // "prepare"
	Subject string // "default.web-0.5f3c/web"
	Reason  Reason
	Err     error
}

func (e *Error) Error() string {
	return e.Op + " " + e.Subject + ": " + string(e.Reason) + ": " + e.Err.Error()
}
func (e *Error) Unwrap() error { return e.Err }
