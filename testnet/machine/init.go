package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// initd is a machine's pid 1: it holds the namespaces, reaps orphans, and starts what it is told.
type initd struct {
	dir  Dir
	peer string

	mu    sync.Mutex // held while a process is started, so that it is not reaped before it is known
	waits map[int]chan syscall.WaitStatus
	agent int // process number of the agent's supervisor; 0 while none runs
	code  int // exit code of the latest agent that ended
}

// RunMachine is the program of a machine's pid 1. It returns only if it could not begin. A keeper starts it.
func RunMachine(dir Dir, peer string) error {
	reports := os.NewFile(reportFile, "report")
	unix.CloseOnExec(reportFile)
	m := &initd{dir: dir, peer: peer, waits: make(map[int]chan syscall.WaitStatus)}
	listener, err := m.begin()
	sendReport(reports, err)
	if err != nil {
		return err
	}
	go m.reap()
	serve(listener, m.handle)
	return errors.New("the control socket was closed")
}

func (m *initd) begin() (*net.UnixListener, error) {
	if err := settle(m.peer); err != nil {
		return nil, err
	}
	// What programs keep in /run is a machine's own, and gone after a boot.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return nil, fmt.Errorf("mount /run: %w", err)
	}
	return listen(m.dir.MachineSocket(m.peer))
}

// reap collects every child that ends: the machine's own and the orphans that the kernel gives it.
func (m *initd) reap() {
	ended := make(chan os.Signal, 1) // one is enough: each round collects all
	signal.Notify(ended, unix.SIGCHLD)
	for {
		for m.reapOne() {
		}
		<-ended
	}
}

func (m *initd) reapOne() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if errors.Is(err, syscall.EINTR) {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if pid == m.agent {
		m.agent, m.code = 0, exitCode(status)
	}
	if wait := m.waits[pid]; wait != nil {
		wait <- status // has room for the one
		delete(m.waits, pid)
	}
	return true
}

func (m *initd) handle(ctx context.Context, request Request, files []*os.File) Reply {
	switch request.Verb {
	case VerbAgent:
		return errorReply(m.startAgent(request))
	case VerbKill:
		return errorReply(m.killAgent(ctx, request.Argv))
	case VerbRun:
		return m.run(ctx, request, files)
	case VerbStatus:
		return m.status()
	default:
		return Reply{Error: fmt.Sprintf("a machine knows no verb %q", request.Verb)}
	}
}

func errorReply(err error) Reply {
	if err != nil {
		return Reply{Error: err.Error()}
	}
	return Reply{}
}

// startAgent starts the machine's agent, which outlives the call.
func (m *initd) startAgent(request Request) error {
	log, err := os.OpenFile(m.dir.AgentLog(m.peer), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.agent != 0 {
		return fmt.Errorf("the agent of %s runs already", m.peer)
	}
	m.agent, err = spawn(request, []*os.File{null, log, log})
	return err
}

// run runs a command until it ends or the caller goes, which kills it.
func (m *initd) run(ctx context.Context, request Request, files []*os.File) Reply {
	if len(files) != 3 {
		return Reply{Error: "run needs standard input, output and error"}
	}
	m.mu.Lock()
	pid, err := spawn(request, files)
	wait := make(chan syscall.WaitStatus, 1)
	if err == nil {
		m.waits[pid] = wait
	}
	m.mu.Unlock()
	if errors.Is(err, os.ErrNotExist) {
		return Reply{Error: err.Error(), Code: 127}
	}
	if err != nil {
		return Reply{Error: err.Error(), Code: 126}
	}
	select {
	case status := <-wait:
		return Reply{Code: exitCode(status)}
	case <-ctx.Done():
		_ = unix.Kill(-pid, unix.SIGKILL) // it has just ended by itself at worst
		return Reply{Code: exitCode(<-wait)}
	}
}

// spawn starts a program in a session of its own and leaves the waiting to reap.
func spawn(request Request, files []*os.File) (pid int, err error) {
	if len(request.Argv) == 0 {
		return 0, errors.New("no command")
	}
	program, err := lookPath(request.Argv[0], request.Env, request.Dir)
	if err != nil {
		return 0, err
	}
	process, err := os.StartProcess(program, request.Argv, &os.ProcAttr{
		Dir: request.Dir, Env: request.Env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, err
	}
	pid = process.Pid
	return pid, process.Release()
}

// lookPath finds a program as a shell would, by the PATH of env.
func lookPath(name string, env []string, dir string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	if filepath.Base(name) != name {
		return filepath.Join(dir, name), nil
	}
	for _, folder := range filepath.SplitList(lookup(env, "PATH")) {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w in PATH", name, os.ErrNotExist)
}

// lookup gives the last value of a variable in an environment.
func lookup(env []string, name string) (value string) {
	for _, entry := range env {
		if rest, ok := strings.CutPrefix(entry, name+"="); ok {
			value = rest
		}
	}
	return value
}
