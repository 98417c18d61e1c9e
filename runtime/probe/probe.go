package probe

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"shoal/runtime"
)

// Target is a container to be probed.
type Target struct {
	Instance   runtime.InstanceID
	Container  string
	Generation uint64
	Address    netip.Addr
	Readiness  *runtime.Probe
	Liveness   *runtime.Probe
}

// Result is a change in what a probe says; the first result of each generation is a change.
type Result struct {
	Instance   runtime.InstanceID
	Container  string
	Generation uint64
	Liveness   bool // else readiness
	OK         bool
	Detail     string // "HTTP 503", "connection refused"
}

// Exec runs a command in a container, for exec probes. It must end when its context does. An error says that the
// command could not be run, not that it failed.
type Exec func(ctx context.Context, id runtime.InstanceID, container string, command []string) (exitCode int, output []byte, err error)

// maxAtOnce bounds the probes under way.
const maxAtOnce = 32

// Prober probes containers. Safe for concurrent use.
type Prober struct {
	exec    Exec
	changed func(Result)
	slots   chan struct{}
	running sync.WaitGroup

	mutex   sync.Mutex
	closed  bool
	watched map[subject]context.CancelFunc
}

type subject struct {
	instance  runtime.InstanceID
	container string
}

// New returns a prober that hands results to changed: one at a time per container and kind of probe, several at
// once for different ones. changed should return soon; meanwhile that container is not probed.
func New(exec Exec, changed func(Result)) *Prober {
	return &Prober{exec: exec, changed: changed, slots: make(chan struct{}, maxAtOnce), watched: map[subject]context.CancelFunc{}}
}

// Watch probes a container of one generation until Forget or Close. A further Watch of the same container replaces
// the one before. It does not block, and the probes given must not be changed any more. After Close it does nothing.
func (p *Prober) Watch(target Target) { p.Resume(target, 0) }

// Resume is Watch for a container that has been running for a while, as after a restart of this program: age counts
// towards InitialDelay.
func (p *Prober) Resume(target Target, age time.Duration) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.forget(subject{target.Instance, target.Container})
	if p.closed || target.Readiness == nil && target.Liveness == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.watched[subject{target.Instance, target.Container}] = cancel
	if target.Readiness != nil {
		p.start(ctx, &watch{target: target, probe: *target.Readiness, age: age})
	}
	if target.Liveness != nil {
		p.start(ctx, &watch{target: target, probe: *target.Liveness, age: age, liveness: true})
	}
}

// Forget ends the probing of a container; one that is not watched is fine. It does not wait: a result that was on its
// way may still come. Its generation tells.
func (p *Prober) Forget(id runtime.InstanceID, container string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.forget(subject{id, container})
}

func (p *Prober) forget(who subject) {
	if cancel := p.watched[who]; cancel != nil {
		cancel()
		delete(p.watched, who)
	}
}

// Close ends all probing. When it returns no result comes any more. changed must not call it.
func (p *Prober) Close() {
	p.mutex.Lock()
	p.closed = true
	for who := range p.watched {
		p.forget(who)
	}
	p.mutex.Unlock()
	p.running.Wait()
}

func (p *Prober) start(ctx context.Context, w *watch) {
	w.prober, w.probe = p, withDefaults(w.probe)
	p.running.Go(func() { w.run(ctx) })
}

func withDefaults(probe runtime.Probe) runtime.Probe {
	if probe.Period <= 0 {
		probe.Period = 10 * time.Second
	}
	if probe.Timeout <= 0 {
		probe.Timeout = time.Second
	}
	if probe.SuccessThreshold <= 0 {
		probe.SuccessThreshold = 1
	}
	if probe.FailureThreshold <= 0 {
		probe.FailureThreshold = 3
	}
	return probe
}
