//go:build linux && cgo

package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runc/libcontainer/seccomp"
	"golang.org/x/sys/unix"

	"shoal/runtime"
)

// Check says what this machine, or this program, lacks to run containers: all of it at once, as one *runtime.Error
// with the reason NoKernel. It is meant to be called once at the start.
func Check() error {
	var missing []string
	lacks := func(format string, args ...any) { missing = append(missing, fmt.Sprintf(format, args...)) }
	if os.Geteuid() != 0 {
		lacks("root (this runs as user %d)", os.Geteuid())
	} else if err := holdsSysAdmin(); err != nil {
		lacks("capability SYS_ADMIN: %v", err)
	}
	for _, kind := range []string{"mnt", "pid", "net", "ipc", "uts"} {
		if _, err := os.Stat("/proc/self/ns/" + kind); err != nil {
			lacks("%s namespaces", kind)
		}
	}
	if fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC); err == nil {
		unix.Close(fd)
	} else if !listed("overlay") {
		lacks("the overlay file system (modprobe overlay)")
	}
	if !seccomp.Enabled {
		lacks("seccomp in this program (build it with -tags seccomp)")
	}
	if _, err := os.Stat("/proc/sys/kernel/seccomp/actions_avail"); err != nil {
		lacks("seccomp filters in the kernel")
	}
	if fd, err := unix.PidfdOpen(os.Getpid(), unix.PIDFD_NONBLOCK); err == nil {
		unix.Close(fd)
	} else {
		lacks("pidfd_open (Linux 5.10): %v", err)
	}
	missing = append(missing, lackingControllers()...)
	if len(missing) == 0 {
		return nil
	}
	return &runtime.Error{
		Op: "check", Subject: "this machine", Reason: runtime.NoKernel,
		Err: errors.New("to run containers it lacks " + strings.Join(missing, "; ")),
	}
}

func holdsSysAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	if data[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return errors.New("not held")
	}
	return nil
}

// listed says whether the kernel knows a file system.
func listed(name string) bool {
	body, _ := os.ReadFile("/proc/filesystems")
	for line := range strings.Lines(string(body)) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[len(fields)-1] == name {
			return true
		}
	}
	return false
}

// lackingControllers names what cgroups cannot do here.
func lackingControllers() []string {
	tree, err := findHierarchies()
	if err != nil {
		return []string{"cgroups (no cgroup2 is mounted at /sys/fs/cgroup)"}
	}
	var missing []string
	if tree.pure() {
		body, _ := os.ReadFile(filepath.Join(tree.unified, "cgroup.controllers"))
		held := strings.Fields(string(body))
		for _, name := range []string{"cpu", "memory", "pids"} {
			if !slices.Contains(held, name) {
				missing = append(missing, "the cgroup controller "+name)
			}
		}
		return missing
	}
	for _, name := range []string{"cpu", "cpuacct", "memory", "pids", "devices", "freezer"} {
		if tree.v1[name] == "" {
			missing = append(missing, "the cgroup v1 controller "+name)
		}
	}
	return missing
}
