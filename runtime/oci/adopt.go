//go:build linux && cgo

package oci

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"shoal/runtime"
	"shoal/runtime/supervise"
)

// adopt makes the instances of earlier lives known. What is on disk but cannot have come as far as a container is removed.
func (r *Runtime) adopt() error {
	if entries, err := os.ReadDir(filepath.Join(r.config.Dir, "trash")); err == nil && len(entries) > 0 {
		r.workers.Go(func() {
			for _, entry := range entries {
				_ = os.RemoveAll(filepath.Join(r.config.Dir, "trash", entry.Name()))
			}
		})
	}
	entries, err := os.ReadDir(filepath.Join(r.config.Dir, "instances"))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		id := runtime.InstanceID(entry.Name())
		in := &instance{removed: make(chan struct{}), containers: map[string]*container{}}
		err := readJSON(r.recordPath(id), &in.record)
		var newer *newerError
		if errors.As(err, &newer) {
			return err
		}
		if err != nil || in.Spec.Instance != id {
			// instance.json is synced before any container may start: here nothing ever ran.
			if err := r.erase(id); err != nil {
				return err
			}
			continue
		}
		if err := r.adoptInstance(in); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runtime) adoptInstance(in *instance) error {
	r.instances[in.Spec.Instance] = in
	for _, spec := range in.Spec.Containers {
		c := &container{}
		in.containers[spec.Name] = c
		err := readJSON(r.statePath(in.Spec.Instance, spec.Name), &c.state)
		var newer *newerError
		if errors.As(err, &newer) {
			return err
		}
		if err != nil { // never begun, or torn by a loss of power, which ended it
			c.state = state{}
		}
		c.Status.Instance, c.Status.Container = in.Spec.Instance, spec.Name
		if in.Prepared {
			c.Status.Phase = max(c.Status.Phase, runtime.Prepared)
		}
		if err := r.adoptContainer(in, c); err != nil {
			return err
		}
	}
	return nil
}

// adoptContainer finds a container's process again, or finds out how it ended.
func (r *Runtime) adoptContainer(in *instance, c *container) error {
	if !c.Begun && c.Status.Phase != runtime.Running {
		return nil
	}
	code := lost
	if c.Boot == r.boot && !c.Begun {
		process, err := openProcess(c.Status.PID, c.StartTime)
		if err == nil {
			c.ended = make(chan struct{})
			go r.awaitAdopted(in, c, process)
			return nil
		}
		if left, known := supervise.ReadExit(r.config.ExitsDir, c.Status.PID, c.StartTime); known {
			code = left
		}
	}
	oom := c.Boot == r.boot && r.oomKills(c.Status.Instance, c.Status.Container) > 0
	if err := r.clean(c.Status); err != nil {
		return err
	}
	r.forgetExit(c.Status.PID, c.StartTime)
	c.Status = finished(c.Status, code, oom)
	c.Begun, c.StartTime = false, 0
	if err := r.saveState(c); err != nil {
		return err
	}
	r.tell(r.statusOf(in, c))
	return nil
}

// erase removes all that is left of an instance, known or not: processes, cgroups, mounts, then files. It can be repeated.
func (r *Runtime) erase(id runtime.InstanceID) error {
	path := r.cgroupPath(id, "")
	if entries, err := os.ReadDir(r.instanceDir(id)); err == nil {
		for _, entry := range entries {
			if entry.IsDir() && !reserved[entry.Name()] {
				if err := r.cgroups.clear(r.cgroupPath(id, entry.Name())); err != nil {
					return err
				}
				for _, mounted := range []string{"root", "dev"} {
					if err := unmount(filepath.Join(r.containerDir(id, entry.Name()), mounted)); err != nil {
						return err
					}
				}
			}
		}
	}
	if err := r.cgroups.clear(path); err != nil {
		return err
	}
	for _, kind := range []string{"net", "ipc", "uts", "shm"} {
		if err := unmount(r.namespacePath(id, kind)); err != nil {
			return err
		}
	}
	if err := r.discard(filepath.Join(r.config.Dir, "logs", string(id))); err != nil {
		return err
	}
	r.eraseRuns(id)
	return r.discard(r.instanceDir(id))
}

// eraseRuns removes libcontainer's state of all containers of an instance.
func (r *Runtime) eraseRuns(id runtime.InstanceID) {
	entries, _ := os.ReadDir(r.instanceDir(id))
	runs, _ := os.ReadDir(r.runRoot())
	for _, entry := range entries {
		prefix, _, _ := strings.Cut(runID(id, entry.Name(), 0), "-")
		for _, run := range runs {
			if strings.HasPrefix(run.Name(), prefix+"-") {
				_ = os.RemoveAll(filepath.Join(r.runRoot(), run.Name()))
			}
		}
	}
}
