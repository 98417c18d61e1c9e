package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"shoal/peer/control"
	"shoal/runtime"
)

// actionsAtOnce bounds how many instances are prepared and started side by side. A stop only waits, and takes no slot.
const actionsAtOnce = 8

// executor carries out runtime actions: those of one instance in order, those of different ones side by side.
type executor struct {
	runtime runtime.Runtime
	done    func(control.Done)
	slots   chan struct{}

	mu     sync.Mutex
	queues map[runtime.InstanceID][]control.Action
	group  sync.WaitGroup
}

func newExecutor(rt runtime.Runtime, done func(control.Done)) *executor {
	return &executor{
		runtime: rt,
		done:    done,
		slots:   make(chan struct{}, actionsAtOnce),
		queues:  map[runtime.InstanceID][]control.Action{},
	}
}

// run queues an action; its Done comes later.
func (x *executor) run(ctx context.Context, action control.Action) {
	x.mu.Lock()
	defer x.mu.Unlock()
	queue, busy := x.queues[action.Instance]
	x.queues[action.Instance] = append(queue, action)
	if !busy {
		x.group.Go(func() { x.drain(ctx, action.Instance) })
	}
}

func (x *executor) drain(ctx context.Context, id runtime.InstanceID) {
	for {
		x.mu.Lock()
		queue := x.queues[id]
		if len(queue) == 0 || ctx.Err() != nil {
			delete(x.queues, id)
			x.mu.Unlock()
			return
		}
		action := queue[0]
		x.queues[id] = queue[1:]
		x.mu.Unlock()
		x.done(x.inSlot(ctx, action))
	}
}

func (x *executor) inSlot(ctx context.Context, action control.Action) control.Done {
	if action.Kind == control.Prepare || action.Kind == control.Start {
		x.slots <- struct{}{}
		defer func() { <-x.slots }()
	}
	return x.do(ctx, action)
}

// do survives a runtime that panics: one bad instance must not take the peer down (P13).
func (x *executor) do(ctx context.Context, action control.Action) (done control.Done) {
	done.Action = action
	defer func() {
		if fault := recover(); fault != nil {
			done.Err = failure(action, fmt.Errorf("panic: %v", fault))
		}
	}()
	var err error
	switch action.Kind {
	case control.Prepare:
		done.Address, err = x.runtime.Prepare(ctx, *action.Spec)
	case control.Start:
		done.Status, err = x.runtime.Start(ctx, action.Instance, action.Container, action.Generation)
	case control.Stop:
		done.Status, err = x.runtime.Stop(ctx, action.Instance, action.Container, action.Grace)
	case control.Remove:
		err = x.runtime.Remove(ctx, action.Instance)
	}
	if err != nil {
		done.Err = failure(action, err)
	}
	return done
}

func failure(action control.Action, err error) *runtime.Error {
	var typed *runtime.Error
	if errors.As(err, &typed) {
		return typed
	}
	return &runtime.Error{Op: "run", Subject: string(action.Instance), Reason: runtime.Failed, Err: err}
}

// wait returns when nothing is running any more.
func (x *executor) wait() { x.group.Wait() }
