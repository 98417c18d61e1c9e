package runtimetest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"shoal/runtime"
)

// Logs implements runtime.Runtime. Since is honoured by the start of the generation alone.
func (f *Fake) Logs(ctx context.Context, id runtime.InstanceID, name string, options runtime.LogOptions) (io.ReadCloser, error) {
	m := f.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	c, _ := m.find(id, name)
	if c == nil {
		return nil, fail("logs", string(id)+"/"+name, runtime.NotFound, "no such container")
	}
	generation := c.status.Generation
	if options.Previous {
		generation = before(c)
	}
	text := ""
	if held := c.output[generation]; held != nil {
		text = held.String()
	}
	read := len(text)
	if options.TailLines >= 0 {
		lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
		text = strings.Join(lines[max(0, len(lines)-options.TailLines):], "")
		if text != "" {
			text += "\n"
		}
	}
	if !options.Follow || options.Previous {
		return io.NopCloser(strings.NewReader(text)), nil
	}
	ctx, cancel := context.WithCancel(ctx)
	return &follower{ctx: ctx, cancel: cancel, machine: m, of: c, generation: generation, read: read, ready: []byte(text)}, nil
}

// before returns the generation before a container's newest, or 0.
func before(c *container) uint64 {
	var found uint64
	for generation := range c.output {
		if generation < c.status.Generation && generation > found {
			found = generation
		}
	}
	return found
}

// follower reads a container's output as it grows, over its generations. It looks every 10 ms.
type follower struct {
	ctx        context.Context
	cancel     context.CancelFunc
	machine    *Machine
	of         *container
	mu         sync.Mutex
	generation uint64
	read       int
	ready      []byte
}

func (f *follower) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.ready) == 0 {
		if f.ctx.Err() != nil || !f.more() {
			return 0, io.EOF
		}
		if len(f.ready) > 0 {
			break
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-f.ctx.Done():
		}
	}
	n := copy(p, f.ready)
	f.ready = f.ready[n:]
	return n, nil
}

// more takes what was written since; false once the instance is gone.
func (f *follower) more() bool {
	f.machine.mu.Lock()
	defer f.machine.mu.Unlock()
	if held := f.of.output[f.generation]; held != nil {
		f.ready = bytes.Clone([]byte(held.String()[f.read:]))
		f.read += len(f.ready)
	}
	if len(f.ready) == 0 && f.generation < f.of.status.Generation {
		f.generation, f.read = f.of.status.Generation, 0
	}
	now, _ := f.machine.find(f.of.status.Instance, f.of.status.Container)
	return now == f.of || len(f.ready) > 0
}

func (f *follower) Close() error {
	f.cancel()
	return nil
}
