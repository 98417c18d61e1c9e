package machine

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// spaces are the namespaces that a keeper and a machine each have of their own.
const spaces = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// isolated prepares a command to be pid 1 of namespaces of its own, in a session of its own.
func isolated(program string, args ...string) *exec.Cmd {
	command := exec.Command(program, args...)
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: spaces, Setsid: true}
	return command
}

// settle makes a fresh pid 1's namespaces its own: nothing that is mounted from here on reaches any other
// namespace, /proc shows its processes, and it has a name.
func settle(hostname string) error {
	if os.Getpid() != 1 {
		return fmt.Errorf("this command runs only as the first process of a pid namespace; `shoal testnet up` starts it")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make all mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("set the host name %s: %w", hostname, err)
	}
	return nil
}
