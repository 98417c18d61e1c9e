package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// ErrExists says that a testnet of the name is there, running or left over.
var ErrExists = errors.New("there is a testnet of this name already")

// ErrNone says that there is no testnet in the directory.
var ErrNone = errors.New("there is no testnet of this name")

// Lease is the hold of a Launch's caller on a testnet: when the caller's process ends, however it does, the
// testnet is torn down, unless Keep was called before.
type Lease struct{ leash *os.File }

// Keep lets the testnet outlive the caller.
func (l *Lease) Keep() error {
	_, err := l.leash.Write([]byte{1})
	return errors.Join(err, l.leash.Close())
}

// Drop lets go of the testnet at once, as the end of the caller's process would.
func (l *Lease) Drop() error { return l.leash.Close() }

// Launch makes a testnet of machines, all booted, without agents. state's Keeper is filled in here. What a failed
// Launch had begun is gone when it returns.
func Launch(ctx context.Context, dir Dir, state State) (*Lease, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a testnet needs root: it makes namespaces, network devices and cgroups; run it as root or with sudo")
	}
	if err := os.MkdirAll(filepath.Dir(string(dir)), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(string(dir), 0o755); errors.Is(err, fs.ErrExist) {
		return nil, ErrExists
	} else if err != nil {
		return nil, err
	}
	if err := state.Cgroup.Claim(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(string(dir)))
	}
	lease, err := launch(dir, &state)
	if err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), bootMost)
		defer cancel()
		return nil, errors.Join(err, destroy(clean, dir, state))
	}
	return lease, nil
}

func launch(dir Dir, state *State) (*Lease, error) {
	state.Format = 1
	if err := dir.save(*state); err != nil {
		return nil, err
	}
	for _, peer := range state.Peers {
		if err := dir.Install(peer.Name, state.Shoal); err != nil {
			return nil, err
		}
	}
	command, reports, lease, err := startKeeper(dir, *state)
	if err != nil {
		return nil, err
	}
	if state.Keeper, err = Identify(command.Process.Pid); err != nil {
		return nil, err
	}
	go command.Wait() // no zombie while the caller lives on; process.Kill watches by pidfd
	if err := dir.save(*state); err != nil {
		return nil, err
	}
	if err := readReport(reports, bootMost+5*time.Second); err != nil {
		return nil, fmt.Errorf("the testnet's keeper: %w", err)
	}
	return lease, nil
}

// startKeeper starts the keeper apart from the caller: no terminal, no open file but its own.
func startKeeper(dir Dir, state State) (*exec.Cmd, *os.File, *Lease, error) {
	log, err := os.OpenFile(dir.KeeperLog(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, nil, err
	}
	defer log.Close()
	reports, reportsEnd, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	defer reportsEnd.Close()
	leashEnd, leash, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(err, reports.Close())
	}
	defer leashEnd.Close()
	command := isolated(state.Shoal, append(state.Hidden, "keeper", string(dir))...)
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = []*os.File{reportsEnd, leashEnd} // reportFile, leashFile
	if err := command.Start(); err != nil {
		return nil, nil, nil, errors.Join(err, reports.Close(), leash.Close())
	}
	return command, reports, &Lease{leash}, nil
}

// Destroy leaves nothing of a testnet, whatever state it is in: no process, mount, namespace, cgroup or file. Without
// one it returns ErrNone.
func Destroy(ctx context.Context, dir Dir) error {
	state, err := dir.Load()
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(string(dir)); err == nil {
			return fmt.Errorf("%s is not a testnet's directory: it has no state.json", dir)
		}
		return ErrNone
	}
	if err != nil {
		return err
	}
	return destroy(ctx, dir, state)
}

func destroy(ctx context.Context, dir Dir, state State) error {
	// The keeper is pid 1 of all: the kernel ends everything below it before it ends itself. Frozen processes
	// have to be thawed for that, so thawing goes on beside the wait.
	ended := make(chan error, 1)
	go func() { ended <- state.Keeper.Kill(ctx) }()
	var fault error
	for waiting := true; waiting; {
		select {
		case fault = <-ended:
			waiting = false
		case <-time.After(10 * time.Millisecond):
			_ = state.Cgroup.thaw() // Remove reports what does not go
		}
	}
	fault = errors.Join(fault, state.Cgroup.Remove(ctx))
	if fault != nil {
		return fault // the directory stays: it is what a second Destroy works from
	}
	return os.RemoveAll(string(dir))
}

// exitCode is what a shell would report.
func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
