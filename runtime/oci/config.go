//go:build linux && cgo

package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/runc/libcontainer/configs"
	"golang.org/x/sys/unix"

	"shoal/runtime"
)

// defaultPath is PATH for an image that says nothing.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// oomScore makes the kernel choose containers before this program when the whole machine has no memory left.
const oomScore = 500

// runID names a generation for libcontainer; it is also the name of its keyring, which must be no other container's.
func runID(id runtime.InstanceID, name string, generation uint64) string {
	sum := sha256.Sum256([]byte(string(id) + "/" + name))
	return fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:10]), generation)
}

// arguments returns the command line, by the rules of Kubernetes.
func arguments(c runtime.Container, image runtime.Image) []string {
	var line []string
	switch {
	case len(c.Command) > 0:
		line = append(append(line, c.Command...), c.Args...)
	case len(c.Args) > 0:
		line = append(append(line, image.Entrypoint...), c.Args...)
	default:
		line = append(append(line, image.Entrypoint...), image.Command...)
	}
	return line
}

// environment returns the variables of a container: a PATH, the host's name, the image's, then the container's.
func environment(spec runtime.Spec, c runtime.Container, image runtime.Image) []string {
	all := []runtime.Env{{Name: "PATH", Value: defaultPath}}
	if spec.Hostname != "" {
		all = append(all, runtime.Env{Name: "HOSTNAME", Value: spec.Hostname})
	}
	all = append(append(all, image.Env...), c.Env...)
	at := map[string]int{}
	var out []string
	for _, e := range all {
		if i, found := at[e.Name]; found {
			out[i] = e.Name + "=" + e.Value
			continue
		}
		at[e.Name] = len(out)
		out = append(out, e.Name+"="+e.Value)
	}
	return out
}

// configOf describes the i-th container of an instance to libcontainer.
func (r *Runtime) configOf(in *instance, i int) (*configs.Config, error) {
	spec := in.Spec.Containers[i]
	caps, err := capabilities(spec.AddCapabilities, spec.DropCapabilities)
	if err != nil {
		return nil, err
	}
	root := r.rootDir(in.Spec.Instance, spec.Name)
	score := oomScore
	config := &configs.Config{
		Rootfs:          root,
		Readonlyfs:      spec.ReadOnlyRoot,
		RootPropagation: unix.MS_SLAVE | unix.MS_REC,
		Namespaces:      r.namespaces(in),
		Capabilities:    &configs.Capabilities{Bounding: caps, Effective: caps, Permitted: caps},
		Cgroups: &cgroups.Cgroup{
			Path:      r.cgroupPath(in.Spec.Instance, spec.Name),
			Resources: r.resources(spec.Limits),
		},
		MaskPaths:       maskedPaths,
		ReadonlyPaths:   readonlyPaths,
		NoNewPrivileges: true,
		Seccomp:         seccompProfile(goruntime.GOARCH, in.Narrow[i], caps),
		Mounts:          r.mounts(in, spec),
		OomScoreAdj:     &score,
		Sysctl: map[string]string{ // an own network makes low ports and ping harmless
			"net.ipv4.ip_unprivileged_port_start": "0",
			"net.ipv4.ping_group_range":           "0 2147483647",
		},
	}
	if len(in.Spec.Containers) == 1 {
		config.Hostname = in.Spec.Hostname
	}
	return config, nil
}

func (r *Runtime) namespaces(in *instance) configs.Namespaces {
	all := configs.Namespaces{
		{Type: configs.NEWNS}, {Type: configs.NEWPID}, {Type: configs.NEWNET, Path: in.Netns},
	}
	if r.cgroups.pure() {
		all = append(all, configs.Namespace{Type: configs.NEWCGROUP})
	}
	if len(in.Spec.Containers) == 1 {
		return append(all, configs.Namespace{Type: configs.NEWIPC}, configs.Namespace{Type: configs.NEWUTS})
	}
	id := in.Spec.Instance
	return append(all,
		configs.Namespace{Type: configs.NEWIPC, Path: r.namespacePath(id, "ipc")},
		configs.Namespace{Type: configs.NEWUTS, Path: r.namespacePath(id, "uts")})
}

// resources turns limits into those of cgroup v2, and of v1 where that is what the machine has.
func (r *Runtime) resources(limits runtime.Limits) *cgroups.Resources {
	pids := limits.Pids
	if pids == 0 {
		pids = runtime.DefaultPids
	}
	out := &cgroups.Resources{PidsLimit: &pids, Devices: deviceRules()}
	if limits.CPUMillis > 0 {
		const period = 100_000 // µs
		out.CpuPeriod = period
		out.CpuQuota = max(1_000, limits.CPUMillis*period/1000)
	}
	if r.cgroups.pure() {
		out.CpuWeight = weight(limits.CPURequestMillis)
	} else {
		out.CpuShares = shares(limits.CPURequestMillis)
	}
	if limits.MemoryBytes > 0 {
		out.Memory = limits.MemoryBytes
		if r.swapLimits() {
			out.MemorySwap = limits.MemoryBytes // both together: none of it is swap
		}
		if r.cgroups.pure() {
			// A container that lost one process to the lack of memory is not whole any more.
			out.Unified = map[string]string{"memory.oom.group": "1"}
		}
	}
	return out
}

// leastRequest is the share of a container that requests nothing, so that it is not starved where all is busy.
const leastRequest = 50

// shares is a request in cgroup v1's measure, where 1024 is one core; weight is the same in v2's.
func shares(millis int64) uint64 {
	return uint64(max(2, min(262_144, max(leastRequest, millis)*1024/1000)))
}

func weight(millis int64) uint64 { return cgroups.ConvertCPUSharesToCgroupV2Value(shares(millis)) }

// shareOut gives an instance's cgroup the sum of its containers' requests: among instances that is what counts. The
// kernel has the file once the first container was made.
func (r *Runtime) shareOut(spec runtime.Spec) error {
	var sum int64
	for _, c := range spec.Containers {
		sum += max(leastRequest, c.Limits.CPURequestMillis)
	}
	dir := r.cgroups.dir("cpu", r.cgroupPath(spec.Instance, ""))
	if r.cgroups.pure() {
		return os.WriteFile(filepath.Join(dir, "cpu.weight"), strconv.AppendUint(nil, weight(sum), 10), 0)
	}
	return os.WriteFile(filepath.Join(dir, "cpu.shares"), strconv.AppendUint(nil, shares(sum), 10), 0)
}

// swapLimits says whether this kernel counts swap.
func (r *Runtime) swapLimits() bool {
	if r.cgroups.pure() {
		return true // libcontainer leaves it out by itself where it is not
	}
	_, err := os.Stat(filepath.Join(r.cgroups.v1["memory"], "memory.memsw.limit_in_bytes"))
	return err == nil
}

// mounts are the file systems of a container beside its root.
func (r *Runtime) mounts(in *instance, spec runtime.Container) []*configs.Mount {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	all := []*configs.Mount{
		{Source: "proc", Destination: "/proc", Device: "proc", Flags: quiet},
		{Source: filepath.Join(r.containerDir(in.Spec.Instance, spec.Name), "dev"), Destination: "/dev", Device: "bind", Flags: unix.MS_BIND | unix.MS_NOSUID | unix.MS_NOEXEC},
		{Source: "devpts", Destination: "/dev/pts", Device: "devpts", Flags: unix.MS_NOSUID | unix.MS_NOEXEC, Data: "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{Source: "mqueue", Destination: "/dev/mqueue", Device: "mqueue", Flags: quiet},
		{Source: "sysfs", Destination: "/sys", Device: "sysfs", Flags: quiet | unix.MS_RDONLY},
	}
	all = append(all, r.sharedMemory(in))
	if r.cgroups.pure() {
		all = append(all, &configs.Mount{Source: "cgroup", Destination: "/sys/fs/cgroup", Device: "cgroup", Flags: quiet | unix.MS_RDONLY})
	}
	for _, m := range spec.Mounts {
		flags := unix.MS_BIND | unix.MS_REC | unix.MS_NOSUID | unix.MS_NODEV
		if m.ReadOnly {
			flags |= unix.MS_RDONLY
		}
		all = append(all, &configs.Mount{
			Source:      filepath.Join(r.instanceDir(in.Spec.Instance), "volumes", m.Volume),
			Destination: filepath.Clean(m.Path), Device: "bind", Flags: flags, PropagationFlags: []int{unix.MS_PRIVATE},
		})
	}
	return all
}

// shmOptions bound /dev/shm, which also counts as the container's memory.
const shmOptions = "mode=1777,size=65536k"

// sharedMemory is /dev/shm: its own for a single container, else one for all who share the ipc namespace.
func (r *Runtime) sharedMemory(in *instance) *configs.Mount {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if len(in.Spec.Containers) == 1 {
		return &configs.Mount{Source: "shm", Destination: "/dev/shm", Device: "tmpfs", Flags: quiet, Data: shmOptions}
	}
	return &configs.Mount{
		Source: r.namespacePath(in.Spec.Instance, "shm"), Destination: "/dev/shm", Device: "bind",
		Flags: quiet | unix.MS_BIND, PropagationFlags: []int{unix.MS_PRIVATE},
	}
}

// deviceNodes are in every container's /dev.
var deviceNodes = []struct {
	name         string
	major, minor uint32
}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}

// deviceRules allow those nodes and terminals, and nothing else.
func deviceRules() []*devices.Rule {
	rules := []*devices.Rule{{Type: devices.WildcardDevice, Major: devices.Wildcard, Minor: devices.Wildcard, Permissions: "rwm"}}
	allow := func(major, minor int64) {
		rules = append(rules, &devices.Rule{Type: devices.CharDevice, Major: major, Minor: minor, Permissions: "rwm", Allow: true})
	}
	for _, node := range deviceNodes {
		allow(int64(node.major), int64(node.minor))
	}
	allow(136, devices.Wildcard) // /dev/pts/*
	allow(5, 2)                  // /dev/ptmx
	return rules
}

// signalOf reads an image's stop signal, "SIGTERM" or "TERM" or "15"; anything else is SIGTERM.
func signalOf(name string) unix.Signal {
	name = strings.ToUpper(name)
	var n int
	if _, err := fmt.Sscanf(name, "%d", &n); err == nil && n > 0 && n < 65 {
		return unix.Signal(n)
	}
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if signal := unix.SignalNum(name); signal != 0 {
		return signal
	}
	return unix.SIGTERM
}
