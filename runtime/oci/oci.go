//go:build linux && cgo

package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"shoal/runtime"
	"shoal/runtime/supervise"
)

// Config is where a Runtime keeps its things and whom it asks.
type Config struct {
	Dir          string // absolute, no symbolic links in it; made when missing
	CgroupParent string // "shoal": containers are in CgroupParent/INSTANCE/CONTAINER
	ExitsDir     string // where the supervisor leaves the exit codes of orphans; Dir/exits when empty
	Images       runtime.Images
	Network      runtime.Network // nil: each instance gets an empty network of its own, and no address
	Nameservers  []string        // for resolv.conf; when empty those of the machine that a container can reach
}

// Runtime runs containers. Its methods are those of runtime.Runtime.
type Runtime struct {
	config  Config
	exited  func(runtime.Status)
	cgroups hierarchies
	boot    string
	guard   *supervise.Guard

	mu        sync.Mutex
	instances map[runtime.InstanceID]*instance
	closed    bool
	reports   []runtime.Status // exits to be handed over, oldest first; at most one per started container
	wake      chan struct{}    // has room for one
	done      chan struct{}    // closed by Close
	workers   sync.WaitGroup
}

var _ runtime.Runtime = (*Runtime)(nil)

type instance struct {
	record
	containers map[string]*container
	unbounded  bool // its deadline was lifted in this life
	furnished  bool // this life has made or checked its network, namespaces and mounts
	removed    chan struct{}

	busy      int              // calls that make something of it
	over      string           // it is being brought down, for it wrote too much: which limit it is over
	untold    []runtime.Status // exits that are told when all of it has ended
	measureAt time.Time        // what it wrote is not measured before
}

type container struct {
	state
	fresh    bool // no generation has run on the root as it is
	ended    chan struct{}
	stopping bool // somebody asked for the end: it is not reported
}

// New adopts what earlier lives left in config.Dir. exited is called for each exit that nobody asked for, from one goroutine,
// in the order of the exits, perhaps before New returns.
func New(config Config, exited func(runtime.Status)) (*Runtime, error) {
	fail := func(err error) (*Runtime, error) { return nil, wrap("open", config.Dir, err) }
	if config.Dir == "" || !filepath.IsAbs(config.Dir) || config.CgroupParent == "" || config.Images == nil {
		return fail(errors.New("the configuration needs an absolute Dir, a CgroupParent and Images"))
	}
	for _, dir := range []string{"instances", "logs", "run", "trash"} {
		if err := os.MkdirAll(filepath.Join(config.Dir, dir), 0o711); err != nil {
			return fail(err)
		}
	}
	real, err := filepath.EvalSymlinks(config.Dir)
	if err != nil {
		return fail(err)
	}
	config.Dir = real
	config.CgroupParent = strings.Trim(config.CgroupParent, "/")
	if config.ExitsDir == "" {
		config.ExitsDir = filepath.Join(config.Dir, "exits")
	}
	tree, err := findHierarchies()
	if err != nil {
		return fail(err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fail(err)
	}
	r := &Runtime{
		config: config, exited: exited, cgroups: tree, boot: strings.TrimSpace(string(boot)),
		instances: map[runtime.InstanceID]*instance{},
		wake:      make(chan struct{}, 1), done: make(chan struct{}),
	}
	if r.guard, err = supervise.OpenGuard(config.Dir); err != nil {
		return fail(err)
	}
	if err := r.adopt(); err != nil {
		return fail(err)
	}
	r.workers.Go(r.report)
	r.workers.Go(func() { r.each(logEach, r.shortenAll) })
	r.workers.Go(func() { r.each(measureEach, func() { r.measure(time.Now()) }) })
	return r, nil
}

// Close ends this life: nothing is reported or written down any more. Containers are not touched. It waits for
// a call of exited that is under way.
func (r *Runtime) Close() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	close(r.done)
	r.mu.Unlock()
	r.guard.Close()
	r.workers.Wait()
}

// each does something again and again, until Close.
func (r *Runtime) each(span time.Duration, do func()) {
	tick := time.NewTicker(span)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			do()
		case <-r.done:
			return
		}
	}
}

// report hands exits over, one at a time.
func (r *Runtime) report() {
	for {
		r.mu.Lock()
		next := r.reports
		r.reports = nil
		r.mu.Unlock()
		for _, status := range next {
			select {
			case <-r.done:
				return
			default:
				r.exited(status)
			}
		}
		if len(next) > 0 {
			continue
		}
		select {
		case <-r.wake:
		case <-r.done:
			return
		}
	}
}

// tell queues an exit for report. The lock is held.
func (r *Runtime) tell(status runtime.Status) {
	r.reports = append(r.reports, status)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// List implements runtime.Runtime.
func (r *Runtime) List(context.Context) ([]runtime.Instance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]runtime.Instance, 0, len(r.instances))
	for _, in := range r.instances {
		one := runtime.Instance{Spec: in.Spec}
		one.Until, _ = r.guard.Until(string(in.Spec.Instance))
		for _, c := range in.Spec.Containers {
			one.Containers = append(one.Containers, r.statusOf(in, in.containers[c.Name]))
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b runtime.Instance) int {
		return strings.Compare(string(a.Spec.Instance), string(b.Spec.Instance))
	})
	return all, nil
}

// statusOf is a container's status with its instance's address. The lock is held.
func (r *Runtime) statusOf(in *instance, c *container) runtime.Status {
	status := c.Status
	if status.Phase >= runtime.Prepared {
		status.Address = in.Address
	}
	return status
}

// find returns an instance and one of its containers.
func (r *Runtime) find(id runtime.InstanceID, name string) (*instance, *container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.instances[id]
	if in == nil {
		return nil, nil, &runtime.Error{Reason: runtime.NotFound, Err: errors.New("no such instance")}
	}
	c := in.containers[name]
	if c == nil {
		return nil, nil, &runtime.Error{Reason: runtime.NotFound, Err: errors.New("the instance has no such container")}
	}
	return in, c, nil
}

// wrap makes any error a *runtime.Error of an operation on a subject, and keeps the reason of one that has it.
func wrap(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	var typed *runtime.Error
	if errors.As(err, &typed) {
		if typed.Op == "" {
			return &runtime.Error{Op: op, Subject: subject, Reason: typed.Reason, Err: typed.Err}
		}
		return &runtime.Error{Op: op, Subject: subject, Reason: typed.Reason, Err: err}
	}
	reason := runtime.Failed
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		reason = runtime.NoDisk
	case errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENOSYS):
		reason = runtime.NoKernel
	}
	return &runtime.Error{Op: op, Subject: subject, Reason: reason, Err: err}
}

// because gives an error a reason, to be completed by wrap.
func because(reason runtime.Reason, format string, args ...any) error {
	return &runtime.Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}

func (r *Runtime) instanceDir(id runtime.InstanceID) string {
	return filepath.Join(r.config.Dir, "instances", string(id))
}

func (r *Runtime) containerDir(id runtime.InstanceID, name string) string {
	return filepath.Join(r.instanceDir(id), name)
}

// wait blocks until c has ended, at most for span.
func wait(ctx context.Context, ended <-chan struct{}, span time.Duration) error {
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return errStillRuns
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errStillRuns = errors.New("it still runs")
