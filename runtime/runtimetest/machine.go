package runtimetest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"shoal/runtime"
)

// Verb names a method of a Runtime, for Fail.
type Verb string

// The verbs that can be made to fail.
const (
	Prepare Verb = "prepare"
	Start   Verb = "start"
	Stop    Verb = "stop"
	Remove  Verb = "remove"
	Exec    Verb = "exec"
	Bound   Verb = "bound"
)

// Behaviour is what a container's program does by itself. The zero value runs until it is told to stop, and then
// exits at once with 143, as a program does that leaves SIGTERM at its default.
type Behaviour struct {
	ExitAfter  time.Duration // ends by itself this long after Start, when Exits
	Exits      bool
	ExitCode   int
	IgnoreTerm bool     // Stop has to wait for all its grace
	Print      []string // lines written at the start
	Writes     int64    // bytes on disk, at the start
	Exec       func(command []string) (exitCode int, output []byte)
}

// Machine is an imaginary machine. All methods may be called from any goroutine.
type Machine struct {
	mu        sync.Mutex
	instances map[runtime.InstanceID]*instance
	next      netip.Addr
	life      *Fake // the program that runs now
	failures  map[Verb][]Failure
	calls     map[Verb]int
	behaviour func(runtime.InstanceID, runtime.Container) Behaviour
	delays    map[Verb]time.Duration
	images    map[string]bool // nil: every image is here
	made      time.Time
}

// Failure is how one call is made to fail.
type Failure struct {
	Instance runtime.InstanceID // any when empty
	Reason   runtime.Reason
	Late     bool // fails after the verb took effect, as if the answer was lost
}

type instance struct {
	spec       runtime.Spec
	until      time.Duration // its deadline by Machine.Now; 0 for none
	lifted     bool          // by Unbounded
	guard      *time.Timer
	address    netip.Addr
	containers map[string]*container
}

type container struct {
	status   runtime.Status
	does     Behaviour
	timer    *time.Timer
	ended    chan struct{} // closed when the generation ends
	output   map[uint64]*strings.Builder
	stopping bool
	told     bool // its exit is known to some life of the program
}

// NewMachine returns a machine with nothing on it. Instances get addresses from first upwards.
func NewMachine(first netip.Addr) *Machine {
	return &Machine{
		instances: map[runtime.InstanceID]*instance{}, next: first, made: time.Now(),
		failures: map[Verb][]Failure{}, calls: map[Verb]int{}, delays: map[Verb]time.Duration{},
		behaviour: func(runtime.InstanceID, runtime.Container) Behaviour { return Behaviour{} },
	}
}

// Open begins a life of the program on this machine. The one before it, if any, is dead: its callback is never
// called again and its calls fail.
func (m *Machine) Open(exited func(runtime.Status)) *Fake {
	m.mu.Lock()
	fake := &Fake{machine: m, exited: exited}
	m.life = fake
	var missed []runtime.Status
	for _, id := range m.sorted() {
		in := m.instances[id]
		for _, c := range in.spec.Containers {
			if held := in.containers[c.Name]; held.status.Phase == runtime.Exited && !held.told {
				held.told = true
				missed = append(missed, held.status)
			}
		}
	}
	m.mu.Unlock()
	for _, status := range missed {
		exited(status)
	}
	return fake
}

// Instances is what is on the machine, whether or not a program lives.
func (m *Machine) Instances() []runtime.Instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list()
}

func (m *Machine) list() []runtime.Instance {
	var all []runtime.Instance
	for _, id := range m.sorted() {
		in := m.instances[id]
		one := runtime.Instance{Spec: in.spec, Until: in.until}
		for _, c := range in.spec.Containers {
			one.Containers = append(one.Containers, in.containers[c.Name].status)
		}
		all = append(all, one)
	}
	return all
}

// Crash ends the program's life and leaves the containers as they are.
func (m *Machine) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life = nil
}

// PowerOff ends the program's life and every container with it; what was on disk stays.
func (m *Machine) PowerOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life = nil
	for _, in := range m.instances {
		in.until = 0
		for _, c := range in.containers {
			if c.status.Phase == runtime.Running {
				m.end(c, -1, "Lost")
			}
		}
	}
}

// Now is the clock that deadlines are of. It counts on whether or not a program lives.
func (m *Machine) Now() time.Duration { return time.Since(m.made) + time.Hour }

// bound sets an instance's deadline, which the machine keeps also when the program is dead. The lock is held.
func (m *Machine) bound(id runtime.InstanceID, until time.Duration) {
	in := m.instances[id]
	if in == nil {
		return
	}
	if in.guard != nil {
		in.guard.Stop()
	}
	if in.lifted = until == runtime.Unbounded; in.lifted {
		in.until = 0
		return
	}
	in.until = max(until, 1)
	in.guard = time.AfterFunc(until-m.Now(), func() { m.enforce(id, in) })
}

// enforce ends what is overdue, and tells the program.
func (m *Machine) enforce(id runtime.InstanceID, in *instance) {
	m.mu.Lock()
	var names []string
	if m.instances[id] == in && in.overdue(m.Now()) {
		for _, c := range in.spec.Containers {
			names = append(names, c.Name)
		}
	}
	m.mu.Unlock()
	for _, name := range names {
		m.finish(id, name, 0, 137, "Error")
	}
}

// overdue says whether nothing of an instance may run now.
func (in *instance) overdue(now time.Duration) bool {
	if in.until == 0 {
		return in.spec.Bounded && !in.lifted
	}
	return now >= in.until
}

// Behave says what the programs of containers started from now on do.
func (m *Machine) Behave(does func(runtime.InstanceID, runtime.Container) Behaviour) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.behaviour = does
}

// Images limits the images that are here; a Prepare that needs another one fails with ImageMissing.
func (m *Machine) Images(references ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.images = map[string]bool{}
	for _, reference := range references {
		m.images[reference] = true
	}
}

// Delay makes every call of verb take time.
func (m *Machine) Delay(verb Verb, span time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delays[verb] = span
}

// Fail makes the next matching call of verb fail; repeated, the calls after that too.
func (m *Machine) Fail(verb Verb, failure Failure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures[verb] = append(m.failures[verb], failure)
}

// Calls says how often verb was called, on all lives together.
func (m *Machine) Calls(verb Verb) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[verb]
}

// Exit ends a running container as if by itself. It says whether there was one.
func (m *Machine) Exit(id runtime.InstanceID, name string, code int) bool {
	reason := "Error"
	if code == 0 {
		reason = "Completed"
	}
	return m.finish(id, name, 0, code, reason)
}

// OOM ends a running container for lack of memory. It says whether there was one.
func (m *Machine) OOM(id runtime.InstanceID, name string) bool {
	return m.finish(id, name, 0, 137, "OOMKilled")
}

// Measure ends the instances of which a container wrote more than its limit of storage.
func (m *Machine) Measure() {
	m.mu.Lock()
	var over []func()
	for _, id := range m.sorted() {
		in := m.instances[id]
		for _, c := range in.spec.Containers {
			if most := c.Limits.StorageBytes; most > 0 && m.running(id, c.Name) != nil && in.containers[c.Name].does.Writes > most {
				detail := fmt.Sprintf("container %s wrote more than %dMi", c.Name, most>>20)
				for name := range in.containers {
					over = append(over, func() { m.exceed(id, name, detail) })
				}
			}
		}
	}
	m.mu.Unlock()
	for _, end := range over {
		end()
	}
}

func (m *Machine) exceed(id runtime.InstanceID, name, detail string) {
	m.mu.Lock()
	if c := m.running(id, name); c != nil {
		c.status.Detail = detail
	}
	m.mu.Unlock()
	m.finish(id, name, 0, 137, "StorageExceeded")
}

// Print adds a line to the output of a running container. It says whether there was one.
func (m *Machine) Print(id runtime.InstanceID, name, line string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.running(id, name)
	if c == nil {
		return false
	}
	fmt.Fprintln(c.output[c.status.Generation], line)
	return true
}

// finish ends generation of a container, or whichever runs when generation is 0, and tells the program.
func (m *Machine) finish(id runtime.InstanceID, name string, generation uint64, code int, reason string) bool {
	m.mu.Lock()
	c := m.running(id, name)
	if c == nil || (generation != 0 && c.status.Generation != generation) {
		m.mu.Unlock()
		return false
	}
	m.end(c, code, reason)
	life, status := m.life, c.status
	tell := life != nil && !c.stopping
	c.told = life != nil
	m.mu.Unlock()
	if tell {
		life.exited(status)
	}
	return true
}

// running returns a container that runs, or nil. The lock is held.
func (m *Machine) running(id runtime.InstanceID, name string) *container {
	in := m.instances[id]
	if in == nil || in.containers[name] == nil || in.containers[name].status.Phase != runtime.Running {
		return nil
	}
	return in.containers[name]
}

// end makes a running container an exited one. The lock is held.
func (m *Machine) end(c *container, code int, reason string) {
	if c.timer != nil {
		c.timer.Stop()
	}
	c.status.Phase, c.status.PID = runtime.Exited, 0
	c.status.ExitedAt, c.status.ExitCode, c.status.Reason = time.Now(), code, reason
	close(c.ended)
}

// sorted returns the ids of all instances. The lock is held.
func (m *Machine) sorted() []runtime.InstanceID {
	ids := make([]runtime.InstanceID, 0, len(m.instances))
	for id := range m.instances {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
