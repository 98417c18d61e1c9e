package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"shoal/runtime"
)

// Fake is one life of the program on a Machine. It implements runtime.Runtime.
type Fake struct {
	machine *Machine
	exited  func(runtime.Status)
}

var _ runtime.Runtime = (*Fake)(nil)

var errDead = errors.New("this life of the program is over")

func fail(verb Verb, subject string, reason runtime.Reason, text string) *runtime.Error {
	return &runtime.Error{Op: string(verb), Subject: subject, Reason: reason, Err: errors.New(text)}
}

// enter begins a call: it takes its time, and returns with the lock held, or with the failure that a test asked for.
// late is to be returned after the verb took effect.
func (f *Fake) enter(ctx context.Context, verb Verb, id runtime.InstanceID) (late, err error) {
	m := f.machine
	m.mu.Lock()
	m.calls[verb]++
	span := m.delays[verb]
	m.mu.Unlock()
	if span > 0 {
		select {
		case <-time.After(span):
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return nil, &runtime.Error{Op: string(verb), Subject: string(id), Reason: runtime.Failed, Err: ctx.Err()}
	}
	m.mu.Lock()
	if m.life != f {
		m.mu.Unlock()
		return nil, &runtime.Error{Op: string(verb), Subject: string(id), Reason: runtime.Failed, Err: errDead}
	}
	failures := m.failures[verb]
	at := slices.IndexFunc(failures, func(x Failure) bool { return x.Instance == "" || x.Instance == id })
	if at < 0 {
		return nil, nil
	}
	failure := failures[at]
	m.failures[verb] = slices.Delete(failures, at, at+1)
	err = fail(verb, string(id), failure.Reason, "a test wants it to fail")
	if failure.Late {
		return err, nil
	}
	m.mu.Unlock()
	return nil, err
}

// Prepare implements runtime.Runtime.
func (f *Fake) Prepare(ctx context.Context, spec runtime.Spec) (netip.Addr, error) {
	if err := checkSpec(spec); err != nil {
		return netip.Addr{}, err
	}
	late, err := f.enter(ctx, Prepare, spec.Instance)
	if err != nil {
		return netip.Addr{}, err
	}
	m := f.machine
	defer m.mu.Unlock()
	in := m.instances[spec.Instance]
	if in == nil {
		in = &instance{containers: map[string]*container{}}
		m.instances[spec.Instance] = in
	}
	in.spec = spec
	for _, c := range spec.Containers {
		if in.containers[c.Name] == nil {
			in.containers[c.Name] = &container{
				status: runtime.Status{Instance: spec.Instance, Container: c.Name},
				output: map[uint64]*strings.Builder{},
			}
		}
		if m.images != nil && !m.images[c.Image] {
			return netip.Addr{}, fail(Prepare, string(spec.Instance)+"/"+c.Name, runtime.ImageMissing, "no image "+c.Image)
		}
	}
	if !in.address.IsValid() {
		in.address, m.next = m.next, m.next.Next()
	}
	for _, c := range in.containers {
		c.status.Address = in.address
		c.status.Phase = max(c.status.Phase, runtime.Prepared)
	}
	return in.address, late
}

func checkSpec(spec runtime.Spec) error {
	id := string(spec.Instance)
	if id == "" || len(id) > 200 || strings.ContainsRune(id, '/') || len(spec.Containers) == 0 {
		return fail(Prepare, id, runtime.BadSpec, "an instance needs a name that is a file name, and a container")
	}
	seen := map[string]bool{}
	for _, c := range spec.Containers {
		if c.Name == "" || seen[c.Name] {
			return fail(Prepare, id, runtime.BadSpec, "containers need names of their own")
		}
		seen[c.Name] = true
	}
	return nil
}

// Start implements runtime.Runtime.
func (f *Fake) Start(ctx context.Context, id runtime.InstanceID, name string, generation uint64) (runtime.Status, error) {
	late, err := f.enter(ctx, Start, id)
	if err != nil {
		return runtime.Status{}, err
	}
	m := f.machine
	defer m.mu.Unlock()
	subject := string(id) + "/" + name
	c, spec := m.find(id, name)
	switch {
	case c == nil || c.status.Phase < runtime.Prepared:
		return runtime.Status{}, fail(Start, subject, runtime.NotFound, "it is not prepared")
	case c.status.Phase == runtime.Running && c.status.Generation == generation:
		return c.status, late
	case m.instances[id].overdue(m.Now()):
		return runtime.Status{}, fail(Start, subject, runtime.Overdue, "it may not run now")
	case generation <= c.status.Generation:
		return runtime.Status{}, fail(Start, subject, runtime.Stale, fmt.Sprintf("generation %d is not above %d", generation, c.status.Generation))
	case c.status.Phase == runtime.Running:
		return runtime.Status{}, fail(Start, subject, runtime.Failed, "an earlier generation runs")
	}
	m.begin(c, *spec, generation)
	return c.status, late
}

// find returns a container and its part of the spec, or nil. The lock is held.
func (m *Machine) find(id runtime.InstanceID, name string) (*container, *runtime.Container) {
	in := m.instances[id]
	if in == nil {
		return nil, nil
	}
	at := slices.IndexFunc(in.spec.Containers, func(c runtime.Container) bool { return c.Name == name })
	if at < 0 {
		return nil, nil
	}
	return in.containers[name], &in.spec.Containers[at]
}

// begin makes a container run. The lock is held.
func (m *Machine) begin(c *container, spec runtime.Container, generation uint64) {
	id, name, address := c.status.Instance, c.status.Container, c.status.Address
	previous := c.status.Generation
	c.status = runtime.Status{
		Instance: id, Container: name, Generation: generation, Phase: runtime.Running,
		Address: address, PID: 1000 + int(generation), StartedAt: time.Now(),
	}
	c.does, c.stopping, c.told, c.ended = m.behaviour(id, spec), false, false, make(chan struct{})
	for old := range c.output {
		if old != previous {
			delete(c.output, old)
		}
	}
	c.output[generation] = &strings.Builder{}
	for _, line := range c.does.Print {
		fmt.Fprintln(c.output[generation], line)
	}
	if c.does.Exits {
		code, reason := c.does.ExitCode, "Error"
		if code == 0 {
			reason = "Completed"
		}
		c.timer = time.AfterFunc(c.does.ExitAfter, func() { m.finish(id, name, generation, code, reason) })
	}
}

// Stop implements runtime.Runtime.
func (f *Fake) Stop(ctx context.Context, id runtime.InstanceID, name string, grace time.Duration) (runtime.Status, error) {
	late, err := f.enter(ctx, Stop, id)
	if err != nil {
		return runtime.Status{}, err
	}
	m := f.machine
	c, _ := m.find(id, name)
	if c == nil {
		m.mu.Unlock()
		return runtime.Status{}, fail(Stop, string(id)+"/"+name, runtime.NotFound, "no such container")
	}
	if c.status.Phase != runtime.Running {
		defer m.mu.Unlock()
		return c.status, late
	}
	c.stopping = true
	if !c.does.IgnoreTerm {
		m.end(c, 143, "Error")
		c.told = true
		defer m.mu.Unlock()
		return c.status, late
	}
	generation, ended := c.status.Generation, c.ended
	m.mu.Unlock()
	select {
	case <-time.After(grace):
		m.finish(id, name, generation, 137, "Error")
	case <-ended:
	case <-ctx.Done():
		return runtime.Status{}, &runtime.Error{Op: string(Stop), Subject: string(id), Reason: runtime.Failed, Err: ctx.Err()}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return c.status, late
}

// Remove implements runtime.Runtime.
func (f *Fake) Remove(ctx context.Context, id runtime.InstanceID) error {
	late, err := f.enter(ctx, Remove, id)
	if err != nil {
		return err
	}
	m := f.machine
	defer m.mu.Unlock()
	if in := m.instances[id]; in != nil {
		for _, c := range in.containers {
			if c.status.Phase == runtime.Running {
				m.end(c, 137, "Error")
			}
		}
		if in.guard != nil {
			in.guard.Stop()
		}
		delete(m.instances, id)
	}
	return late
}

// Bound implements runtime.Runtime.
func (f *Fake) Bound(ctx context.Context, bounds []runtime.Bound) error {
	late, err := f.enter(ctx, Bound, "")
	if err != nil {
		return err
	}
	m := f.machine
	defer m.mu.Unlock()
	for _, b := range bounds {
		m.bound(b.Instance, b.Until)
	}
	return late
}

// List implements runtime.Runtime.
func (f *Fake) List(context.Context) ([]runtime.Instance, error) {
	m := f.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life != f {
		return nil, &runtime.Error{Op: "list", Subject: "instances", Reason: runtime.Failed, Err: errDead}
	}
	return m.list(), nil
}

// Exec implements runtime.Runtime. Without a Behaviour.Exec, every command succeeds and prints itself.
func (f *Fake) Exec(ctx context.Context, id runtime.InstanceID, name string, command []string) (runtime.ExecResult, error) {
	late, err := f.enter(ctx, Exec, id)
	if err != nil {
		return runtime.ExecResult{}, err
	}
	m := f.machine
	c := m.running(id, name)
	if c == nil {
		m.mu.Unlock()
		return runtime.ExecResult{}, fail(Exec, string(id)+"/"+name, runtime.NotFound, "it does not run")
	}
	run := c.does.Exec
	m.mu.Unlock()
	if run == nil {
		return runtime.ExecResult{Output: []byte(strings.Join(command, " ") + "\n")}, late
	}
	code, output := run(command)
	return runtime.ExecResult{ExitCode: code, Output: output[:min(len(output), 64<<10)]}, late
}

// Stats implements runtime.Runtime: a running container has used its time at one tenth of a core.
func (f *Fake) Stats(_ context.Context, id runtime.InstanceID, name string) (runtime.Usage, error) {
	m := f.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.running(id, name)
	if c == nil {
		return runtime.Usage{}, fail("stats", string(id)+"/"+name, runtime.NotFound, "it does not run")
	}
	return runtime.Usage{CPU: time.Since(c.status.StartedAt) / 10, MemoryBytes: 1 << 20, Pids: 1}, nil
}
