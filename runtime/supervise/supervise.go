//go:build linux

package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Config is what to supervise.
type Config struct {
	Args     []string  // of main, the first one being its name; the program itself is always this one
	Env      []string  // "NAME=value", added to this process's own
	ExitsDir string    // made when missing
	Log      io.Writer // one line per restart, and per failure to write an exit down; stderr when nil
}

// Pauses between lives of main, and how long a life counts as a good one.
const (
	pauseFirst = 100 * time.Millisecond
	pauseMost  = 30 * time.Second
	settled    = 10 * time.Second
)

// Run supervises until main has ended for good, and returns the exit code for this process; an error if there was nothing to
// supervise. It takes over the process: its signals, its children, its number of threads and its limits of memory. The
// calling goroutine keeps its thread.
func Run(config Config) (code int, err error) {
	if config.Log == nil {
		config.Log = os.Stderr
	}
	s := &supervisor{
		config: config, dead: make(chan int), collected: make(chan struct{}), started: make(chan struct{}, 1),
	}
	if err := s.prepare(); err != nil {
		return 0, fmt.Errorf("supervisor: %w", err)
	}
	go s.reap()
	return s.loop()
}

type supervisor struct {
	config    Config
	program   string
	signals   chan os.Signal
	dead      chan int      // a child that has ended and is not reaped
	collected chan struct{} // it is now
	started   chan struct{} // there are children again
	written   int           // exits since the last prune
}

// prepare makes this process small and a subreaper.
func (s *supervisor) prepare() error {
	goruntime.LockOSThread() // the parent-death signal is sent when the thread ends that started main
	small()
	var err error
	if s.program, err = os.Executable(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.config.ExitsDir, 0o700); err != nil {
		return err
	}
	if err := prune(s.config.ExitsDir, time.Now(), exitsAge, exitsMost); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("becoming a child subreaper: %w", err)
	}
	s.signals = make(chan os.Signal, 16)
	signal.Notify(s.signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGQUIT)
	return nil
}

// loop gives main one life after the other.
func (s *supervisor) loop() (int, error) {
	pause := time.Duration(0)
	for first := true; ; first = false {
		begin := time.Now()
		pid, err := s.start()
		if err != nil && first {
			return 0, fmt.Errorf("supervisor: starting the main process: %w", err)
		}
		if err != nil {
			fmt.Fprintf(s.config.Log, "shoal: supervisor: starting the main process: %v\n", err)
		} else {
			shed()
			status, stopping := s.live(pid)
			took := time.Since(begin)
			if code, over := verdict(status, stopping, first && took < settled); over {
				return code, nil
			}
			if took >= settled {
				pause = 0
			}
			fmt.Fprintf(s.config.Log, "shoal: supervisor: the main process ended after %v (%s); restarting in %v\n", took.Round(time.Millisecond), describe(status), pause)
		}
		if s.rest(pause) {
			return 0, nil
		}
		pause = min(max(2*pause, pauseFirst), pauseMost)
	}
}

// verdict says whether main's end is the end, and with which code.
func verdict(status unix.WaitStatus, stopping, young bool) (code int, over bool) {
	switch {
	case stopping:
		return codeOf(status), true
	case status.Exited() && status.ExitStatus() == 0:
		return 0, true
	case status.Exited() && young:
		return status.ExitStatus(), true
	}
	return 0, false
}

func describe(status unix.WaitStatus) string {
	if status.Signaled() {
		return "signal " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("code %d", status.ExitStatus())
}

func codeOf(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// start begins a life of main, in a process group of its own so that the terminal's signals reach it only through here.
func (s *supervisor) start() (int, error) {
	env := merge(os.Environ(), s.config.Env)
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "GOTRACEBACK=") }) {
		// A panic then ends main by a signal, which tells it from an exit with code 2.
		env = append(env, "GOTRACEBACK=crash")
	}
	process, err := os.StartProcess(s.program, s.config.Args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Env: env,
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL},
	})
	if err != nil {
		return 0, err
	}
	pid := process.Pid
	_ = process.Release() // reap waits for all children
	select {
	case s.started <- struct{}{}:
	default:
	}
	return pid, nil
}

// merge returns env with the variables of over in place of its own; of two with one name a program sees the first.
func merge(env, over []string) []string {
	kept := slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.ContainsFunc(over, func(o string) bool { return strings.HasPrefix(o, name+"=") })
	})
	return append(kept, over...)
}

// live passes signals on until main has ended. stopping is true if one of them asked for that.
func (s *supervisor) live(pid int) (status unix.WaitStatus, stopping bool) {
	for {
		select {
		case got := <-s.signals:
			stopping = stopping || ends(got)
			_ = unix.Kill(pid, got.(syscall.Signal)) // main is reaped by this goroutine, so its id is still its own
		case dead := <-s.dead:
			status := s.collect(dead, dead != pid)
			if dead == pid {
				return status, stopping
			}
		}
	}
}

// rest waits between lives. It returns true if this process is told to end meanwhile.
func (s *supervisor) rest(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case got := <-s.signals:
			if ends(got) {
				return true
			}
		case dead := <-s.dead:
			s.collect(dead, true)
		case <-timer.C:
			return false
		}
	}
}

func ends(signal os.Signal) bool { return signal == unix.SIGTERM || signal == unix.SIGINT }

// collect reaps a child. The exit of an orphan is written down first: once it is reaped, an adopted container's watcher looks.
func (s *supervisor) collect(pid int, orphan bool) unix.WaitStatus {
	defer func() { s.collected <- struct{}{} }()
	if orphan {
		if err := s.record(pid); err != nil {
			fmt.Fprintf(s.config.Log, "shoal: supervisor: writing down the exit of process %d: %v\n", pid, err)
		}
	}
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			return status
		}
	}
}

// record writes down how an orphan ended, which is still a zombie.
func (s *supervisor) record(pid int) error {
	started, err := StartTime(pid)
	if err != nil {
		return err
	}
	var info siginfo
	if err := waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG); err != nil {
		return err
	}
	if s.written++; s.written%1000 == 0 {
		if err := prune(s.config.ExitsDir, time.Now(), exitsAge, exitsMost); err != nil {
			return err
		}
	}
	return writeExit(s.config.ExitsDir, pid, started, info.exitCode())
}

// reap finds children that have ended, one after the other, and waits until the loop has dealt with each.
func (s *supervisor) reap() {
	for {
		var info siginfo
		if err := waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT); err != nil {
			<-s.started // there are no children; orphans come only while main is one
			continue
		}
		s.dead <- int(info.child.pid)
		<-s.collected
	}
}

// siginfo is what the kernel fills in for waitid.
type siginfo struct {
	signo, errno, code int32
	child              struct {
		_      [0]uintptr // the union begins where a pointer could
		pid    int32
		uid    uint32
		status int32 // exit code or signal, by code
	}
	_ [128]byte
}

func (i *siginfo) exitCode() int {
	const exited = 1 // CLD_EXITED
	if i.code == exited {
		return int(i.child.status)
	}
	return 128 + int(i.child.status)
}

func waitid(kind, id int, info *siginfo, options int) error {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, uintptr(kind), uintptr(id), uintptr(unsafe.Pointer(info)), uintptr(options), 0, 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
