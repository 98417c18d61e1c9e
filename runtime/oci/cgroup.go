//go:build linux && cgo

package oci

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"shoal/runtime"
)

// hierarchies is where the machine's cgroups are mounted. On a v2 machine there is only unified, which then has
// the controllers; a v1 machine may have an empty unified one beside the others.
type hierarchies struct {
	unified string
	v1      map[string]string // by controller
	all     []string
}

// findHierarchies reads this process's mounts.
func findHierarchies() (hierarchies, error) {
	body, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return hierarchies{}, err
	}
	h := hierarchies{v1: map[string]string{}}
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 3 || !strings.HasPrefix(left[4], "/sys/fs/cgroup") {
			continue
		}
		switch right[0] {
		case "cgroup2":
			h.unified = left[4]
			h.all = append(h.all, left[4])
		case "cgroup":
			for _, name := range strings.Split(right[2], ",") {
				h.v1[name] = left[4]
			}
			h.all = append(h.all, left[4])
		}
	}
	if len(h.all) == 0 {
		return h, because(runtime.NoKernel, "no cgroup file system is mounted below /sys/fs/cgroup")
	}
	return h, lines.Err()
}

// pure says whether this is a v2 machine.
func (h hierarchies) pure() bool { return h.unified == "/sys/fs/cgroup" }

// dir returns where a controller's files of a cgroup are, or "".
func (h hierarchies) dir(controller, path string) string {
	base := h.unified
	if !h.pure() {
		base = h.v1[controller]
	}
	if base == "" {
		return ""
	}
	return filepath.Join(base, path)
}

// processes returns who is in a cgroup, in any hierarchy.
func (h hierarchies) processes(path string) []int {
	seen := map[int]bool{}
	var pids []int
	for _, base := range h.all {
		body, err := os.ReadFile(filepath.Join(base, path, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(body)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !seen[pid] {
				seen[pid] = true
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// clear kills all in a cgroup and removes it; one that is not there is no error.
func (h hierarchies) clear(path string) error {
	if strings.Count(path, "/") < 2 {
		panic("oci: asked to kill all of cgroup " + path)
	}
	deadline := time.Now().Add(10 * time.Second)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if h.pure() {
			_ = os.WriteFile(filepath.Join(h.unified, path, "cgroup.kill"), []byte("1"), 0) // Linux 5.14 and later
		}
		pids := h.processes(path)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if freezer := h.v1["freezer"]; freezer != "" {
			_ = os.WriteFile(filepath.Join(freezer, path, "freezer.state"), []byte("THAWED"), 0)
		}
		err := h.rmdir(path)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("clearing cgroup %s (processes %v): %w", path, pids, err)
		}
		time.Sleep(pause)
	}
}

// rmdir removes a cgroup without processes, with the cgroups that a container may have made below it.
func (h hierarchies) rmdir(path string) error {
	var failed error
	for _, base := range h.all {
		if err := rmdirTree(filepath.Join(base, path)); err != nil {
			failed = err
		}
	}
	return failed
}

func rmdirTree(dir string) error {
	err := syscall.Rmdir(dir)
	if err == nil || errors.Is(err, syscall.ENOENT) {
		return nil
	}
	entries, readErr := os.ReadDir(dir)
	if readErr != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			_ = rmdirTree(filepath.Join(dir, entry.Name()))
		}
	}
	if err = syscall.Rmdir(dir); errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

// cgroupPath is a container's, from the mount point. name is empty for the instance's.
func (r *Runtime) cgroupPath(id runtime.InstanceID, name string) string {
	return "/" + filepath.Join(r.config.CgroupParent, string(id), name)
}

// oomKills counts the kernel's kills for lack of memory in a container's cgroup.
func (r *Runtime) oomKills(id runtime.InstanceID, name string) int64 {
	file := "memory.oom_control"
	if r.cgroups.pure() {
		file = "memory.events"
	}
	return keyed(filepath.Join(r.cgroups.dir("memory", r.cgroupPath(id, name)), file), "oom_kill")
}

// keyed reads one value of a flat keyed file; 0 when it is not there.
func keyed(path, key string) int64 {
	body, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(body)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == key {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n
		}
	}
	return 0
}

// number reads a file with one number; 0 when it is not there.
func number(path string) int64 {
	body, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(body)), 10, 64)
	return n
}
