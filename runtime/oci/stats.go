//go:build linux && cgo

package oci

import (
	"context"
	"path/filepath"
	"time"

	"shoal/runtime"
)

// Stats implements runtime.Runtime. Memory is the working set: what the container uses less the file pages that the kernel
// would give up first, as in Kubernetes.
func (r *Runtime) Stats(_ context.Context, id runtime.InstanceID, name string) (runtime.Usage, error) {
	subject := string(id) + "/" + name
	_, c, err := r.find(id, name)
	if err != nil {
		return runtime.Usage{}, wrap("stats", subject, err)
	}
	r.mu.Lock()
	phase := c.Status.Phase
	r.mu.Unlock()
	if phase != runtime.Running {
		return runtime.Usage{}, wrap("stats", subject, because(runtime.NotFound, "it does not run"))
	}
	path := r.cgroupPath(id, name)
	usage := runtime.Usage{Pids: number(filepath.Join(r.cgroups.dir("pids", path), "pids.current"))}
	memory := r.cgroups.dir("memory", path)
	var idle int64
	if r.cgroups.pure() {
		usage.CPU = time.Duration(keyed(filepath.Join(r.cgroups.dir("cpu", path), "cpu.stat"), "usage_usec")) * time.Microsecond
		usage.MemoryBytes = number(filepath.Join(memory, "memory.current"))
		idle = keyed(filepath.Join(memory, "memory.stat"), "inactive_file")
	} else {
		usage.CPU = time.Duration(number(filepath.Join(r.cgroups.dir("cpuacct", path), "cpuacct.usage")))
		usage.MemoryBytes = number(filepath.Join(memory, "memory.usage_in_bytes"))
		idle = keyed(filepath.Join(memory, "memory.stat"), "total_inactive_file")
	}
	if idle < usage.MemoryBytes {
		usage.MemoryBytes -= idle
	}
	return usage, nil
}
