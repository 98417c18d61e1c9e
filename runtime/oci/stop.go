//go:build linux && cgo

package oci

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"shoal/runtime"
	"shoal/runtime/supervise"
)

// afterKill is how long a killed process may take to be gone: it may have a lot of memory to give back, or be stuck in
// the kernel.
const afterKill = 30 * time.Second

// Stop implements runtime.Runtime.
func (r *Runtime) Stop(ctx context.Context, id runtime.InstanceID, name string, grace time.Duration) (runtime.Status, error) {
	subject := string(id) + "/" + name
	in, c, err := r.find(id, name)
	if err != nil {
		return runtime.Status{}, wrap("stop", subject, err)
	}
	if err := r.end(ctx, in, c, grace); err != nil {
		return runtime.Status{}, wrap("stop", subject, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.statusOf(in, c), nil
}

// end brings a running container down. If ctx ends first, the container may go on and its exit is reported.
func (r *Runtime) end(ctx context.Context, in *instance, c *container, grace time.Duration) error {
	r.mu.Lock()
	if c.Status.Phase != runtime.Running {
		r.mu.Unlock()
		return nil
	}
	pid, started, ended := c.Status.PID, c.StartTime, c.ended
	gentle := in.stopSignal(c.Status.Container)
	c.stopping = true
	r.mu.Unlock()

	send := func(signal unix.Signal) error { return signalProcess(pid, started, signal) }
	err := signalAndWait(ctx, ended, gentle, grace, send)
	if err != nil {
		r.mu.Lock()
		c.stopping = false
		r.mu.Unlock()
	}
	select { // it may have ended between the failure and now, unreported
	case <-ended:
		return nil
	default:
		return err
	}
}

func signalAndWait(ctx context.Context, ended chan struct{}, gentle unix.Signal, grace time.Duration, send func(unix.Signal) error) error {
	if grace > 0 {
		if err := send(gentle); err != nil {
			return err
		}
		if err := wait(ctx, ended, grace); !errors.Is(err, errStillRuns) {
			return err
		}
	}
	if err := send(unix.SIGKILL); err != nil {
		return err
	}
	return wait(ctx, ended, afterKill)
}

// stopSignal is the one that a container's image wants.
func (in *instance) stopSignal(name string) unix.Signal {
	i := slices.IndexFunc(in.Spec.Containers, func(s runtime.Container) bool { return s.Name == name })
	if i < 0 || i >= len(in.Images) {
		return unix.SIGTERM
	}
	return signalOf(in.Images[i].StopSignal)
}

// signalProcess sends a signal to exactly the process that started then; if it is gone there is nobody to tell.
func signalProcess(pid int, started uint64, signal unix.Signal) error {
	process, err := openProcess(pid, started)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer process.Close()
	raw, err := process.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.PidfdSendSignal(int(fd), signal, nil, 0) }); err != nil {
		return err
	}
	if errors.Is(failed, unix.ESRCH) {
		return nil
	}
	return failed
}

// Remove implements runtime.Runtime. Containers that still run are killed.
func (r *Runtime) Remove(ctx context.Context, id runtime.InstanceID) error {
	if !isInstance(id) {
		return nil // no such instance can be
	}
	r.mu.Lock()
	in := r.instances[id]
	r.mu.Unlock()
	if in != nil {
		for _, c := range in.containers {
			if err := r.end(ctx, in, c, 0); err != nil {
				return wrap("remove", string(id), err)
			}
		}
	}
	if r.config.Network != nil {
		if err := r.config.Network.Detach(ctx, id); err != nil {
			return wrap("remove", string(id), err)
		}
	}
	if err := r.erase(id); err != nil {
		return wrap("remove", string(id), err)
	}
	if err := r.guard.Set([]supervise.Deadline{{Name: string(id), Until: -1}}); err != nil {
		return wrap("remove", string(id), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if in != nil {
		close(in.removed)
		delete(r.instances, id)
	}
	return nil
}
