//go:build linux

// Command calls makes system calls that a container must not make, and some that it may, and prints the answers.
package main

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	for _, call := range []struct {
		name   string
		number uintptr
		args   [3]uintptr
	}{
		{"keyctl", unix.SYS_KEYCTL, [3]uintptr{}},
		{"add_key", unix.SYS_ADD_KEY, [3]uintptr{}},
		{"bpf", unix.SYS_BPF, [3]uintptr{}},
		{"unshare", unix.SYS_UNSHARE, [3]uintptr{unix.CLONE_NEWUSER}},
		{"setns", unix.SYS_SETNS, [3]uintptr{}},
		{"mount", unix.SYS_MOUNT, [3]uintptr{}},
		{"init_module", unix.SYS_INIT_MODULE, [3]uintptr{}},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, [3]uintptr{}},
		{"userfaultfd", unix.SYS_USERFAULTFD, [3]uintptr{1}},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, [3]uintptr{}},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, [3]uintptr{}},
		{"clone3", unix.SYS_CLONE3, [3]uintptr{}},
		{"clone(NEWUSER)", unix.SYS_CLONE, [3]uintptr{unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD)}},
		{"AF_ALG", unix.SYS_SOCKET, [3]uintptr{unix.AF_ALG, unix.SOCK_SEQPACKET}},
		{"AF_VSOCK", unix.SYS_SOCKET, [3]uintptr{unix.AF_VSOCK, unix.SOCK_STREAM}},
		{"AF_INET", unix.SYS_SOCKET, [3]uintptr{unix.AF_INET, unix.SOCK_STREAM}},
		{"futex", unix.SYS_FUTEX, [3]uintptr{uintptr(unsafe.Pointer(new(int32))), 1, 1}},
		{"unknown", 4000, [3]uintptr{}},
	} {
		_, _, errno := unix.Syscall(call.number, call.args[0], call.args[1], call.args[2])
		if errno == 0 {
			fmt.Println(call.name, "done")
			continue
		}
		fmt.Println(call.name, errno)
	}
}
