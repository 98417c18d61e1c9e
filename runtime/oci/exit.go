//go:build linux && cgo

package oci

import (
	"errors"
	"os"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"shoal/runtime"
	"shoal/runtime/supervise"
)

// lost is the exit code that could not be learned.
const lost = -1

// awaitChild waits for a container that this life started.
func (r *Runtime) awaitChild(in *instance, c *container, process *libcontainer.Process) {
	result, _ := process.Wait() // a non-zero exit is an error too, and told by result
	r.ended(in, c, codeOf(result))
}

// ended records that the running generation of c is over, cleans up after it and reports it if nobody asked for it.
func (r *Runtime) ended(in *instance, c *container, code int) {
	r.mu.Lock()
	if r.closed || c.Status.Phase != runtime.Running {
		r.mu.Unlock()
		return
	}
	status, started := c.Status, c.StartTime
	r.mu.Unlock()

	oom := r.oomKills(status.Instance, status.Container) > 0
	cleaned := r.clean(status)
	r.forgetExit(status.PID, started)

	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(c.ended)
	c.Status = finished(c.Status, code, oom)
	c.StartTime = 0
	in.overEnded(&c.Status)
	// A failure to write is told at the next verb that writes; a failure to clean up by the next Start, which cleans again.
	_ = errors.Join(cleaned, r.saveState(c))
	if !c.stopping {
		in.untold = append(in.untold, r.statusOf(in, c))
	}
	if r.lastEnded(in) && !r.closed {
		for _, status := range in.untold {
			r.tell(status)
		}
		in.untold = nil
	}
}

// finished is a status after the exit.
func finished(status runtime.Status, code int, oom bool) runtime.Status {
	status.Phase, status.PID = runtime.Exited, 0
	status.ExitedAt, status.ExitCode = time.Now().Round(0), code
	switch {
	case code == lost:
		status.Reason = "Lost"
	case oom && code == 128+int(unix.SIGKILL):
		status.Reason = "OOMKilled"
	case code == 0:
		status.Reason = "Completed"
	default:
		status.Reason = "Error"
	}
	return status
}

// openProcess returns a handle of a process, if the one with this id is still the one that started then.
func openProcess(pid int, started uint64) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	// Read after the handle was opened: from here on the two cannot come apart.
	if now, err := supervise.StartTime(pid); err != nil || now != started {
		file.Close()
		return nil, os.ErrNotExist
	}
	return file, nil
}

// awaitAdopted waits for a container that an earlier life started.
func (r *Runtime) awaitAdopted(in *instance, c *container, process *os.File) {
	defer process.Close()
	raw, err := process.SyscallConn()
	if err != nil {
		return
	}
	gone := make(chan struct{})
	go func() { // without a thread of its own: the descriptor is non-blocking and becomes readable at the exit
		defer close(gone)
		_ = raw.Read(func(fd uintptr) bool {
			polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(polled, 0)
			return err == nil && n > 0
		})
	}()
	select {
	case <-gone:
	case <-r.done:
		_ = process.SetReadDeadline(time.Unix(1, 0))
		<-gone
		return
	}
	r.ended(in, c, r.learnExit(process, c.Status.PID, c.StartTime))
}

// learnExit finds out how somebody else's child ended. Its parent has to reap it first, which it does at once or never.
func (r *Runtime) learnExit(process *os.File, pid int, started uint64) int {
	deadline := time.Now().Add(3 * time.Second)
	for pause := time.Millisecond; time.Now().Before(deadline); pause = min(2*pause, 100*time.Millisecond) {
		if code, known := supervise.ReadExit(r.config.ExitsDir, pid, started); known {
			return code
		}
		if code, known := exitOf(process); known {
			return code
		}
		select {
		case <-time.After(pause):
		case <-r.done:
			return lost
		}
	}
	return lost
}

// exitOf asks the kernel for the exit code of a process that was reaped (Linux 6.15 and later).
func exitOf(process *os.File) (int, bool) {
	raw, err := process.SyscallConn()
	if err != nil {
		return lost, false
	}
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.IoctlPidfdInfo(int(fd), &info) }); err != nil || failed != nil {
		return lost, false
	}
	if info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return lost, false
	}
	status := unix.WaitStatus(info.Exit_code)
	if status.Signaled() {
		return 128 + int(status.Signal()), true
	}
	return status.ExitStatus(), true
}

// forgetExit removes what the supervisor left about a process, once it is known. If that fails, the supervisor prunes it.
func (r *Runtime) forgetExit(pid int, started uint64) {
	_ = supervise.ForgetExit(r.config.ExitsDir, pid, started)
}
