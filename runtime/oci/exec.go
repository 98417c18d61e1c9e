//go:build linux && cgo

package oci

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"shoal/runtime"
)

// execOutput is how much of a command's output is kept.
const execOutput = 64 << 10

// Exec implements runtime.Runtime. When ctx ends the command is killed. What the command leaves running in
// the background goes on; its output is not waited for.
func (r *Runtime) Exec(ctx context.Context, id runtime.InstanceID, name string, command []string) (runtime.ExecResult, error) {
	subject := string(id) + "/" + name
	in, c, err := r.find(id, name)
	if err != nil {
		return runtime.ExecResult{}, wrap("exec", subject, err)
	}
	if len(command) == 0 {
		return runtime.ExecResult{}, wrap("exec", subject, because(runtime.BadSpec, "there is no command"))
	}
	r.mu.Lock()
	status := c.Status
	i := slices.IndexFunc(in.Spec.Containers, func(s runtime.Container) bool { return s.Name == name })
	r.mu.Unlock()
	if status.Phase != runtime.Running {
		return runtime.ExecResult{}, wrap("exec", subject, because(runtime.NotFound, "it does not run"))
	}
	made, err := libcontainer.Load(r.runRoot(), runID(id, name, status.Generation))
	if errors.Is(err, libcontainer.ErrNotExist) {
		err = because(runtime.NotFound, "it has just ended")
	}
	if err != nil {
		return runtime.ExecResult{}, wrap("exec", subject, err)
	}
	process := r.process(in.Spec, in.Spec.Containers[i], in.Images[i], in.Users[i])
	process.Args = command
	null, err := os.Open(filepath.Join(r.containerDir(id, name), "dev", "null"))
	if err != nil {
		return runtime.ExecResult{}, wrap("exec", subject, err)
	}
	defer null.Close()
	process.Stdin = null
	result, err := runIn(ctx, made, process)
	return result, wrap("exec", subject, err)
}

// runIn runs a process in a container until it exits.
func runIn(ctx context.Context, made *libcontainer.Container, process *libcontainer.Process) (runtime.ExecResult, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return runtime.ExecResult{}, err
	}
	defer read.Close()
	process.Stdout, process.Stderr = write, write
	err = made.Run(process)
	write.Close()
	if err != nil {
		return runtime.ExecResult{}, explain(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = process.Signal(unix.SIGKILL) })
	defer stop()
	output := make(chan []byte, 1)
	go func() { output <- readSome(read) }()
	ended, _ := process.Wait()
	_ = read.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	result := runtime.ExecResult{Output: <-output, ExitCode: codeOf(ended)}
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	return result, nil
}

// readSome reads to the end and keeps the beginning.
func readSome(from io.Reader) []byte {
	kept, _ := io.ReadAll(io.LimitReader(from, execOutput))
	_, _ = io.Copy(io.Discard, from)
	return kept
}

// codeOf is the exit code of a child, 128+signal when it was killed.
func codeOf(ended *os.ProcessState) int {
	if ended == nil {
		return lost
	}
	status, ok := ended.Sys().(syscall.WaitStatus)
	switch {
	case !ok:
		return lost
	case status.Signaled():
		return 128 + int(status.Signal())
	default:
		return status.ExitStatus()
	}
}
