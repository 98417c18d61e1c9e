package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process names a process so that a reused process number is not mistaken for it. The
// zero value names none.
type Process struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // field 22 of /proc/PID/stat (proc(5)), in clock ticks since the boot
}

// Identify reads the name of a living process.
func Identify(pid int) (Process, error) {
	fields, err := readStat(pid)
	if err != nil {
		return Process{}, err
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return Process{PID: pid, Started: started}, err
}

// readStat returns the fields of /proc/PID/stat from the third (state) on.
func readStat(pid int) ([]string, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, err
	}
	// The second field is in brackets and may contain anything.
	_, rest, found := strings.Cut(string(data[strings.LastIndexByte(string(data), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return nil, fmt.Errorf("process %d: unknown form of stat", pid)
	}
	return fields, nil
}

// Alive says whether the process exists and has not ended; a zombie has.
func (p Process) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	fields, err := readStat(p.PID)
	return err == nil && fields[19] == strconv.FormatUint(p.Started, 10) && fields[0] != "Z" && fields[0] != "X"
}

// Kill sends SIGKILL and waits until the process has ended. One that has is no error.
func (p Process) Kill(ctx context.Context) error {
	if p.PID <= 0 {
		return nil
	}
	pidfd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	defer unix.Close(pidfd)
	if !p.Alive() { // asked after the pidfd was opened, so the number cannot change hands in between
		return nil
	}
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return waitPidfd(ctx, pidfd, p.PID)
}

func waitPidfd(ctx context.Context, pidfd, pid int) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 20)
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for process %d: %w", pid, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("process %d does not end: %w", pid, ctx.Err())
		}
	}
}

// every calls done each interval until it says so or ctx ends.
func every(ctx context.Context, interval time.Duration, done func() bool) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}
