//go:build linux && cgo

package oci

import (
	"context"
	"path/filepath"

	"github.com/opencontainers/runc/libcontainer"

	"shoal/runtime"
	"shoal/runtime/supervise"
)

// errOverdue is why an instance is not started.
var errOverdue = because(runtime.Overdue, "the time that it was given is over, or none was given")

// Bound implements runtime.Runtime: a process of its own, which outlives this one, keeps the deadlines.
func (r *Runtime) Bound(_ context.Context, bounds []runtime.Bound) error {
	var deadlines []supervise.Deadline
	r.mu.Lock()
	for _, b := range bounds {
		in := r.instances[b.Instance]
		if in == nil {
			continue
		}
		d := supervise.Deadline{Name: string(b.Instance), Until: max(b.Until, 0)}
		if in.unbounded = b.Until == runtime.Unbounded; in.unbounded {
			d.Until = -1
		} else {
			for _, base := range r.cgroups.all {
				d.Paths = append(d.Paths, filepath.Join(base, r.cgroupPath(b.Instance, "")))
			}
		}
		deadlines = append(deadlines, d)
	}
	r.mu.Unlock()
	return wrap("bound", "instances", r.guard.Set(deadlines))
}

// overdue says whether nothing of an instance may run now. The lock is held.
func (r *Runtime) overdue(in *instance) bool {
	until, known := r.guard.Until(string(in.Spec.Instance))
	if !known {
		return in.Spec.Bounded && !in.unbounded
	}
	return supervise.Uptime() >= until
}

// release lets the program of a container run that has been made, unless it is overdue by now.
func (r *Runtime) release(in *instance, made *libcontainer.Container) error {
	r.mu.Lock()
	overdue := r.overdue(in)
	r.mu.Unlock()
	if overdue {
		return errOverdue
	}
	return made.Exec()
}
