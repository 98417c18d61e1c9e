//go:build linux && cgo

package oci

import (
	"slices"
	"strings"

	"github.com/opencontainers/runc/libcontainer/configs"
	"golang.org/x/sys/unix"

	"shoal/runtime"
)

// usual are the capabilities of a container that asks for nothing: to own, change and serve its own files and ports, and to
// become another user. What reaches beyond the container (raw sockets, device nodes, changing roots, file
// capabilities, the audit log) has to be asked for.
var usual = []string{
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID",
}

// known are all capabilities that can be asked for.
var known = []string{
	"AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
	"DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
	"LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN",
	"SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
}

// capabilities returns the set of a container, as libcontainer names them. What is dropped goes first, then what is added
// comes, so that dropping ALL and adding one leaves that one.
func capabilities(add, drop []string) ([]string, error) {
	set := map[string]bool{}
	for _, name := range usual {
		set[name] = true
	}
	for _, name := range drop {
		switch {
		case name == "ALL":
			clear(set)
		case slices.Contains(known, name):
			delete(set, name)
		default:
			return nil, because(runtime.BadSpec, "there is no capability %q to drop", name)
		}
	}
	for _, name := range add {
		switch {
		case name == "ALL":
			for _, each := range known {
				set[each] = true
			}
		case slices.Contains(known, name):
			set[name] = true
		default:
			return nil, because(runtime.BadSpec, "there is no capability %q to add", name)
		}
	}
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, "CAP_"+name)
	}
	slices.Sort(names)
	return names, nil
}

// maskedPaths tell about the machine what a container need not know; readonlyPaths would change it.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// architectures are those whose system calls a container may make: the machine's own, and with it the narrow one, of 32 bits,
// where the program is of that kind. A filter for both takes ten times as long to make (15 ms instead of 1.5), and
// the narrow calls are a second door into the kernel that few containers need.
var architectures = map[string]struct{ native, narrow string }{
	"386": {"x86", "x86"}, "amd64": {"amd64", "x86"}, "arm": {"arm", "arm"}, "arm64": {"arm64", "arm"},
	"ppc64le": {"ppc64le", "ppc64le"}, "riscv64": {"riscv64", "riscv64"}, "s390x": {"s390x", "s390"},
}

// allowed are the system calls of ordinary programs, by theme. What is not here fails with EPERM: to mount, to make or enter
// namespaces, to load code into the kernel (modules, bpf, kexec), to use its keyrings, to set clocks or limits of the machine, to
// read other processes' counters, to hand out files by handle, and io_uring and userfaultfd, which served too many exploits.
// What is newer than this list fails with ENOSYS, so that programs fall back.
var allowed = strings.Fields(`
	read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 creat close close_range
	lseek dup dup2 dup3 pipe pipe2 fcntl ioctl flock fsync fdatasync sync syncfs sync_file_range
	truncate ftruncate fallocate fadvise64
	readahead sendfile splice tee vmsplice copy_file_range cachestat
	stat fstat lstat newfstatat statx statfs fstatfs
	ustat access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd chdir fchdir
	mkdir mkdirat rmdir rename renameat renameat2 link linkat unlink unlinkat symlink symlinkat mknod mknodat umask
	chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat
	futimesat name_to_handle_at
	getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat listxattr llistxattr flistxattr
	listxattrat removexattr lremovexattr fremovexattr removexattrat
	inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark
	select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl
	epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4
	timerfd_create timerfd_gettime timerfd_settime
	io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents
	mmap munmap mremap mprotect madvise process_madvise mincore msync brk mlock mlock2 mlockall munlock munlockall
	membarrier memfd_create memfd_secret map_shadow_stack mseal remap_file_pages pkey_alloc pkey_free pkey_mprotect
	get_mempolicy mbind set_mempolicy set_mempolicy_home_node
	fork vfork execve execveat exit exit_group wait4 waitid set_tid_address gettid getpid getppid getpgid
	getpgrp setpgid getsid setsid set_robust_list get_robust_list set_thread_area get_thread_area arch_prctl modify_ldt
	prctl ptrace process_vm_readv process_vm_writev process_mrelease pidfd_open pidfd_getfd pidfd_send_signal rseq
	futex futex_waitv futex_wait futex_wake futex_requeue capget capset seccomp restart_syscall
	landlock_create_ruleset landlock_add_rule landlock_restrict_self
	getuid geteuid getgid getegid setuid setgid setreuid
	setregid setresuid setresgid getresuid getresgid
	setfsuid setfsgid getgroups setgroups
	kill tkill tgkill sigaltstack rt_sigaction
	rt_sigprocmask rt_sigpending rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
	rt_tgsigqueueinfo pause alarm
	time times gettimeofday clock_gettime clock_getres clock_nanosleep
	nanosleep getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime
	timer_settime adjtimex clock_adjtime
	sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam
	sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval
	getpriority setpriority ioprio_get ioprio_set getcpu
	getrlimit setrlimit prlimit64 getrusage sysinfo uname getrandom
	socketpair bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt sendto
	sendmsg sendmmsg recvfrom recvmsg recvmmsg shutdown
	msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget
	mq_open mq_unlink mq_notify mq_getsetattr mq_timedreceive mq_timedsend
	riscv_flush_icache riscv_hwprobe
`)

// allowedOld are calls that only machines of 32 bits and older 64-bit ones have. To look up their names takes time at each
// start, so a filter without such an architecture leaves them out.
var allowedOld = strings.Fields(`
	_llseek _newselect arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush chown32 clock_adjtime64
	clock_getres_time64 clock_gettime64 clock_nanosleep_time64 fadvise64_64 fchown32 fcntl64 fstat64 fstatat64
	fstatfs64 ftruncate64 futex_time64 get_tls getegid32 geteuid32 getgid32 getgroups32 getresgid32 getresuid32
	getuid32 io_pgetevents_time64 ipc lchown32 lstat64 mmap2 mq_timedreceive_time64 mq_timedsend_time64 nice
	oldfstat oldlstat oldolduname oldstat olduname ppoll_time64 pselect6_time64 readdir recv recvmmsg_time64
	rt_sigtimedwait_time64 rtas s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr
	sched_rr_get_interval_time64 semtimedop_time64 send sendfile64 set_tls setfsgid32 setfsuid32 setgid32
	setgroups32 setregid32 setresgid32 setresuid32 setreuid32 setuid32 sigaction signal sigpending sigprocmask
	sigreturn sigsuspend socketcall stat64 statfs64 subpage_prot swapcontext switch_endian sync_file_range2
	timer_gettime64 timer_settime64 timerfd_gettime64 timerfd_settime64 truncate64 ugetrlimit utimensat_time64
	waitpid
`)

// seccompProfile returns the filter for programs of this machine's architecture, and narrow ones if wanted. extra are a
// container's capabilities: with some of them go the calls that they are for.
func seccompProfile(arch string, narrow bool, extra []string) *configs.Seccomp {
	eperm, enosys := uint(unix.EPERM), uint(unix.ENOSYS)
	profile := &configs.Seccomp{
		DefaultAction: configs.Errno, DefaultErrnoRet: &eperm, Architectures: []string{architectures[arch].native},
	}
	if narrow {
		profile.Architectures = append(profile.Architectures, architectures[arch].narrow)
	}
	allow := func(name string, args ...*configs.Arg) {
		profile.Syscalls = append(profile.Syscalls, &configs.Syscall{Name: name, Action: configs.Allow, Args: args})
	}
	names := slices.Clone(allowed)
	if narrow || !slices.Contains([]string{"amd64", "arm64", "riscv64"}, arch) {
		names = append(names, allowedOld...)
	}
	for _, capability := range extra {
		names = append(names, byCapability[capability]...)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		allow(name)
	}
	// Execution domains: Linux, 32 bit, without address randomisation, and to ask which.
	for _, domain := range []uint64{0, 0x8, 0x40000, 0x20000, 0x20008, 0xffffffff} {
		allow("personality", &configs.Arg{Index: 0, Value: domain, Op: configs.EqualTo})
	}
	// Sockets of all families but AF_ALG (38) and AF_VSOCK (40): the kernel's ciphers, and the machine's host.
	allow("socket", &configs.Arg{Index: 0, Value: unix.AF_ALG, Op: configs.LessThan})
	allow("socket", &configs.Arg{Index: 0, Value: unix.AF_NFC, Op: configs.EqualTo})
	allow("socket", &configs.Arg{Index: 0, Value: unix.AF_VSOCK, Op: configs.GreaterThan})
	if slices.Contains(extra, "CAP_SYS_ADMIN") {
		return profile
	}
	// clone may make threads and processes, not namespaces. What clone3 is asked for lies in memory, where a filter
	// cannot look; with ENOSYS the C libraries go back to clone.
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
		unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP
	flags := uint(0)
	if arch == "s390x" {
		flags = 1
	}
	allow("clone", &configs.Arg{Index: flags, Value: namespaces, ValueTwo: 0, Op: configs.MaskEqualTo})
	profile.Syscalls = append(profile.Syscalls, &configs.Syscall{Name: "clone3", Action: configs.Errno, ErrnoRet: &enosys})
	return profile
}

// byCapability are the calls that come with a capability, because it would be of no use without them.
var byCapability = map[string][]string{
	"CAP_SYS_ADMIN": {
		"bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lsm_get_self_attr", "mount",
		"mount_setattr", "move_mount", "open_tree", "perf_event_open", "pivot_root", "quotactl", "quotactl_fd",
		"setdomainname", "sethostname", "setns", "umount", "umount2", "unshare", "statmount", "listmount",
	},
	"CAP_BPF":             {"bpf"},
	"CAP_DAC_READ_SEARCH": {"open_by_handle_at"},
	"CAP_PERFMON":         {"perf_event_open"},
	"CAP_SYS_BOOT":        {"reboot"},
	"CAP_SYS_CHROOT":      {"chroot"},
	"CAP_SYS_MODULE":      {"delete_module", "finit_module", "init_module"},
	"CAP_SYS_NICE":        {"migrate_pages", "move_pages"},
	"CAP_SYS_PACCT":       {"acct"},
	"CAP_SYS_PTRACE":      {"kcmp"},
	"CAP_SYS_RAWIO":       {"ioperm", "iopl"},
	"CAP_SYS_TIME":        {"clock_settime", "clock_settime64", "settimeofday", "stime"},
	"CAP_SYS_TTY_CONFIG":  {"vhangup"},
	"CAP_SYSLOG":          {"syslog"},
}
