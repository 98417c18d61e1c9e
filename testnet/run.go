package testnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"shoal/testnet/machine"
)

// Stdio is what a command run on a machine reads and writes. Nil files are empty.
type Stdio struct {
	In       *os.File
	Out, Err *os.File
}

// Run runs a command on each peer's machine, in dir, with SHOAL_SOCKET set to that peer's API and shoal itself in PATH. On one
// peer it has the caller's files; on several they run at the same time with empty input, and each line of output begins with the
// peer's name. It returns the first peer's exit code that is not 0. The command is killed when ctx ends.
func (n *Net) Run(ctx context.Context, peers, command []string, stdio Stdio) (code int, err error) {
	if len(command) == 0 {
		return 0, wrongUse("no command to run")
	}
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	for _, file := range []**os.File{&stdio.In, &stdio.Out, &stdio.Err} {
		if *file == nil {
			*file = null
		}
	}
	if len(peers) == 1 {
		return n.runOn(ctx, peers[0], dir, command, stdio)
	}
	stdio.In = null
	codes, faults := make([]int, len(peers)), make([]error, len(peers))
	var output sync.Mutex
	var all sync.WaitGroup
	for i, peer := range peers {
		all.Go(func() { codes[i], faults[i] = n.runPrefixed(ctx, peer, dir, command, stdio, &output) })
	}
	all.Wait()
	for _, c := range codes {
		if code == 0 {
			code = c
		}
	}
	return code, errors.Join(faults...)
}

// runOn runs a command on one machine.
func (n *Net) runOn(ctx context.Context, peer, dir string, command []string, stdio Stdio) (int, error) {
	request := machine.Request{Verb: machine.VerbRun, Argv: command, Env: n.environment(peer, os.Environ()), Dir: dir}
	reply, err := machine.Call(ctx, n.dir.MachineSocket(peer), request, stdio.In, stdio.Out, stdio.Err)
	if err != nil {
		return max(reply.Code, 1), fmt.Errorf("on %s: %w", peer, n.machineError(peer, err))
	}
	return reply.Code, nil
}

// runPrefixed is runOn with the peer's name before each line.
func (n *Net) runPrefixed(ctx context.Context, peer, dir string, command []string, stdio Stdio, output *sync.Mutex) (int, error) {
	var copies sync.WaitGroup
	var ends []*os.File
	prefixed := func(to io.Writer) (*os.File, error) {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		ends = append(ends, write)
		copies.Go(func() { copyLines(to, read, peer+" | ", output); read.Close() })
		return write, nil
	}
	defer copies.Wait()
	defer func() {
		for _, end := range ends {
			end.Close()
		}
	}()
	out, err := prefixed(stdio.Out)
	if err != nil {
		return 1, err
	}
	fault, err := prefixed(stdio.Err)
	if err != nil {
		return 1, err
	}
	return n.runOn(ctx, peer, dir, command, Stdio{In: stdio.In, Out: out, Err: fault})
}

// copyLines copies whole lines, of at most 64 KiB, each after a prefix.
func copyLines(to io.Writer, from io.Reader, prefix string, output *sync.Mutex) {
	emit := func(line []byte) {
		output.Lock()
		defer output.Unlock()
		fmt.Fprintf(to, "%s%s\n", prefix, line)
	}
	var pending []byte
	buffer := make([]byte, 32<<10)
	for {
		count, err := from.Read(buffer)
		pending = append(pending, buffer[:count]...)
		for {
			line, rest, found := bytes.Cut(pending, []byte("\n"))
			if !found {
				break
			}
			emit(line)
			pending = rest
		}
		if len(pending) > 0 && (err != nil || len(pending) > 64<<10) {
			emit(pending)
			pending = nil
		}
		if err != nil {
			return
		}
	}
}
