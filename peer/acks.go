package peer

import (
	"context"
	"slices"
	"sync"

	"shoal/crdt"
	"shoal/peer/control"
)

// acksAtMost bounds the operations whose acknowledgements are remembered. Beyond it the oldest that nobody
// waits for is forgotten; while somebody waits for all of them, no further one is taken.
const acksAtMost = 1024

// acks remembers which other peers hold an operation on disk, for those who wait for it. Nothing of it outlives
// the program.
type acks struct {
	mu    sync.Mutex
	ops   map[crdt.OpID]*acked
	order []crdt.OpID // of ops, oldest first
}

type acked struct {
	by      []crdt.PeerID // sorted
	waiters int
	changed chan struct{} // closed and replaced with each further peer
}

func newAcks() *acks { return &acks{ops: map[crdt.OpID]*acked{}} }

// take remembers acknowledgements.
func (a *acks) take(list []control.Ack) {
	if len(list) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ack := range list {
		op := a.of(ack.Op)
		if op == nil {
			continue
		}
		at, known := slices.BinarySearch(op.by, ack.By)
		if !known {
			op.by = slices.Insert(op.by, at, ack.By)
			close(op.changed)
			op.changed = make(chan struct{})
		}
	}
}

// of finds or makes the entry of an operation; nil if there is no room. a.mu is held.
func (a *acks) of(id crdt.OpID) *acked {
	if op := a.ops[id]; op != nil {
		return op
	}
	if len(a.ops) >= acksAtMost && !a.forgetOne() {
		return nil
	}
	op := &acked{changed: make(chan struct{})}
	a.ops[id] = op
	a.order = append(a.order, id)
	return op
}

func (a *acks) forgetOne() bool {
	for i, id := range a.order {
		if a.ops[id].waiters == 0 {
			delete(a.ops, id)
			a.order = slices.Delete(a.order, i, i+1)
			return true
		}
	}
	return false
}

// held returns who has acknowledged so far.
func (a *acks) held(id crdt.OpID) []crdt.PeerID {
	a.mu.Lock()
	defer a.mu.Unlock()
	if op := a.ops[id]; op != nil {
		return slices.Clone(op.by)
	}
	return nil
}

// await returns once n peers have acknowledged, or when ctx or stopped ends it: then with those that have.
func (a *acks) await(ctx context.Context, stopped <-chan struct{}, id crdt.OpID, n int) ([]crdt.PeerID, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	op := a.of(id)
	if op == nil {
		return nil, ErrBusy
	}
	op.waiters++
	defer func() { op.waiters-- }()
	for len(op.by) < n {
		changed := op.changed
		a.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		case <-stopped:
			err = ErrStopped
		}
		a.mu.Lock()
		if err != nil {
			return slices.Clone(op.by), err
		}
	}
	return slices.Clone(op.by), nil
}
