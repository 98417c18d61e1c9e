package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// box is a machine as its keeper holds it: the process that is its pid 1.
type box struct {
	command *exec.Cmd
	reports *os.File
	ended   chan struct{} // closed when all of the machine's processes have ended
}

// startBox starts a machine's pid 1.
func startBox(dir Dir, peer Peer, state State) (*box, error) {
	if err := os.MkdirAll(dir.Data(peer.Name), 0o755); err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer write.Close()
	command := isolated(state.Shoal, append(state.Hidden, "machine", string(dir), peer.Name)...)
	command.ExtraFiles = []*os.File{write} // reportFile
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Start(); err != nil {
		read.Close()
		return nil, err
	}
	b := &box{command: command, reports: read, ended: make(chan struct{})}
	go func() {
		// The kernel lets a pid 1 end last: no process of the machine outlives this.
		_ = command.Wait()
		close(b.ended)
	}()
	return b, nil
}

func (b *box) pid() int { return b.command.Process.Pid }

func (b *box) on() bool {
	select {
	case <-b.ended:
		return false
	default:
		return true
	}
}

// ready waits for the machine's report. It may be called once.
func (b *box) ready(within time.Duration) error { return readReport(b.reports, within) }

// kill cuts the power, and does not wait.
func (b *box) kill() {
	if err := b.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(fmt.Sprintf("a keeper may kill its own child: %v", err))
	}
}

func (b *box) wait(ctx context.Context) error {
	select {
	case <-b.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a killed machine does not end: %w", ctx.Err())
	}
}
