//go:build linux && cgo

package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runc/libcontainer"

	"shoal/runtime"
	"shoal/runtime/supervise"
)

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, id runtime.InstanceID, name string, generation uint64) (runtime.Status, error) {
	subject := string(id) + "/" + name
	in, c, err := r.find(id, name)
	if err != nil {
		return runtime.Status{}, wrap("start", subject, err)
	}
	done, err := r.work(in)
	if err != nil {
		return runtime.Status{}, wrap("start", subject, err)
	}
	defer done()
	if status, done, err := r.mayStart(in, c, generation); done {
		return status, wrap("start", subject, err)
	}
	if err := r.begin(ctx, in, c, generation); err != nil {
		return runtime.Status{}, wrap("start", subject, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.statusOf(in, c), nil
}

// mayStart applies the rules of generations; done is false when there is something to do.
func (r *Runtime) mayStart(in *instance, c *container, generation uint64) (status runtime.Status, done bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !in.Prepared:
		return status, true, because(runtime.NotFound, "it is not prepared")
	case c.Status.Phase == runtime.Running && c.Status.Generation == generation:
		return r.statusOf(in, c), true, nil
	case r.overdue(in):
		return status, true, errOverdue
	case generation <= c.Status.Generation:
		return status, true, because(runtime.Stale, "generation %d is not above %d", generation, c.Status.Generation)
	case c.Status.Phase == runtime.Running:
		return status, true, because(runtime.Failed, "generation %d still runs", c.Status.Generation)
	}
	return status, false, nil
}

// begin brings a generation to life.
func (r *Runtime) begin(ctx context.Context, in *instance, c *container, generation uint64) error {
	i := slices.IndexFunc(in.Spec.Containers, func(s runtime.Container) bool { return s.Name == c.Status.Container })
	if err := r.furnish(ctx, in); err != nil {
		return err
	}
	if !c.fresh {
		if err := r.freshRoot(in, i); err != nil {
			return err
		}
	}
	output, err := r.openLog(c, generation)
	if err != nil {
		return err
	}
	defer output.Close()
	r.mu.Lock()
	before := c.state
	c.state = state{Boot: r.boot, Begun: true, Status: runtime.Status{
		Instance: c.Status.Instance, Container: c.Status.Container, Generation: generation, Phase: runtime.Prepared,
	}}
	err = r.saveState(c)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	c.fresh = false
	if err := r.launch(in, i, c, output); err != nil {
		// The generation is used up, though nothing of it ran: what was known before stays, under its new number.
		r.mu.Lock()
		before.Status.Generation = generation
		c.state = before
		saved := r.saveState(c)
		r.mu.Unlock()
		return errors.Join(err, saved)
	}
	return nil
}

// launch makes the container and lets its program run.
func (r *Runtime) launch(in *instance, i int, c *container, output *os.File) error {
	config, err := r.configOf(in, i)
	if err != nil {
		return err
	}
	id := runID(c.Status.Instance, c.Status.Container, c.Status.Generation)
	made, err := libcontainer.Create(r.runRoot(), id, config)
	if err != nil {
		return err
	}
	r.joinFewer(made)
	process := r.process(in.Spec, in.Spec.Containers[i], in.Images[i], in.Users[i])
	process.Init = true
	process.Stdout, process.Stderr = output, output
	// The machine's own /dev/null would be a handle on a file of the machine.
	null, err := os.Open(filepath.Join(r.containerDir(c.Status.Instance, c.Status.Container), "dev", "null"))
	if err != nil {
		return err
	}
	defer null.Close()
	process.Stdin = null
	if err := made.Start(process); err != nil {
		r.clean(c.Status)
		return explain(err)
	}
	// Making a container takes a while, and this program may have been stopped in it.
	if err := r.release(in, made); err != nil {
		r.clean(c.Status)
		_, _ = process.Wait()
		return explain(err)
	}
	pid, err := process.Pid()
	if err != nil {
		return err
	}
	// Without it the container runs, only with the share of any other: no reason to take it down.
	_ = r.shareOut(in.Spec)
	awaitExec(pid)
	started, err := supervise.StartTime(pid)
	if err != nil { // it cannot have been reaped yet, only by us
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	status := c.Status
	status.Phase, status.PID, status.StartedAt = runtime.Running, pid, time.Now().Round(0)
	c.state = state{Boot: r.boot, StartTime: started, Status: status}
	c.ended, c.stopping = make(chan struct{}), false
	go r.awaitChild(in, c, process)
	return r.saveState(c)
}

// joinFewer makes a container join only those hierarchies of a v1 machine that do something for us. Each one joined makes the
// kernel wait until no processor looks at the old membership any more. The names that systemd tracks services by are
// joined where it runs, because a container must not be in the service that this program is. libcontainer gives
// out the table that it works with; should it once be a copy, more is joined and nothing else changes.
func (r *Runtime) joinFewer(made *libcontainer.Container) {
	state, err := made.State()
	if err != nil || r.cgroups.pure() {
		return
	}
	idle := []string{"blkio", "cpuset", "hugetlb", "misc", "net_cls", "net_prio", "perf_event", "rdma"}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		idle = append(idle, "name=systemd", "")
	}
	for _, name := range idle {
		delete(state.CgroupPaths, name)
	}
}

func (r *Runtime) runRoot() string { return filepath.Join(r.config.Dir, "run") }

// process is what runs in a container.
func (r *Runtime) process(instance runtime.Spec, spec runtime.Container, image runtime.Image, user account) *libcontainer.Process {
	process := &libcontainer.Process{
		Args: arguments(spec, image),
		Env:  environment(instance, spec, image),
		UID:  user.UID, GID: user.GID, AdditionalGroups: user.Groups,
		Cwd: "/",
	}
	for _, dir := range []string{spec.WorkingDir, image.WorkingDir} {
		if dir != "" {
			process.Cwd = dir
			break
		}
	}
	return process
}

// awaitExec waits until a container's first process is no more this program's copy but the container's own. That
// is a fraction of a millisecond after it was let go, and never long.
func awaitExec(pid int) {
	ours := os.Args[0] + "\x00init\x00"
	for wait := 20 * time.Microsecond; wait < 20*time.Millisecond; wait += wait / 2 {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil || string(line) != ours {
			return
		}
		time.Sleep(wait)
	}
}

// explain finds the user's mistakes among the reasons for which a container does not start.
func explain(err error) error {
	text := err.Error()
	inImage := strings.Contains(text, "exec:") || strings.Contains(text, "chdir to cwd") || strings.Contains(text, "init: mkdir")
	for _, mistake := range []string{"executable file not found", "no such file or directory", "permission denied", "not a directory", "is a directory"} {
		if inImage && strings.Contains(text, mistake) {
			return because(runtime.BadSpec, "%w", err)
		}
	}
	if strings.Contains(text, "seccomp") && strings.Contains(text, "not supported") {
		return because(runtime.NoKernel, "this program was built without seccomp: %w", err)
	}
	return err
}

// clean removes what a generation left in the kernel and on disk: processes, cgroup, libcontainer's state.
func (r *Runtime) clean(status runtime.Status) error {
	err := r.cgroups.clear(r.cgroupPath(status.Instance, status.Container))
	dir := filepath.Join(r.runRoot(), runID(status.Instance, status.Container, status.Generation))
	if removed := os.RemoveAll(dir); err == nil && removed != nil {
		err = fmt.Errorf("forgetting generation %d: %w", status.Generation, removed)
	}
	return err
}
