package testnet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/peer/api"
	"shoal/testnet/machine"
)

// Await looks again and again, every few milliseconds, until look returns nil; its last error says what
// was missing when ctx ended. It returns how long it took.
func Await(ctx context.Context, look func() error) (time.Duration, error) {
	began := time.Now()
	for {
		err := look()
		if err == nil {
			return time.Since(began), nil
		}
		if !pause(ctx, pollEach) {
			return time.Since(began), fmt.Errorf("after %s: %w", time.Since(began).Round(time.Millisecond), err)
		}
	}
}

// AllReady is nil when exactly count replicas of a workload are wanted, each has a ready instance of the wanted revision, and
// nothing is held that is not wanted.
func (c *Client) AllReady(ctx context.Context, workload string, count int) error {
	replicas, err := c.Replicas(ctx, workload)
	if err != nil {
		return err
	}
	current := func(i api.Instance) bool { return i.Ready && i.Current }
	wanted, ready := 0, 0
	for _, r := range replicas {
		if !r.Wanted {
			return fmt.Errorf("%s sees %s, which is no longer wanted", c.peer, r.ID)
		}
		wanted++
		if slices.ContainsFunc(r.Instances, current) {
			ready++
		}
	}
	if wanted != count || ready != count {
		return fmt.Errorf("%s sees %d replicas of %s wanted and %d of them ready; it should be %d", c.peer, wanted, workload, ready, count)
	}
	return nil
}

// Containers lists the running containers of a peer, by INSTANCE/CONTAINER, as the kernel knows them: each
// with its first process, in the caller's numbers.
func (n *Net) Containers(peer string) (map[string]machine.Process, error) {
	leaves, err := n.Cgroup(peer).Leaves()
	if err != nil {
		return nil, err
	}
	containers := make(map[string]machine.Process)
	for name, pids := range leaves {
		process, err := machine.Identify(slices.Min(pids))
		if err == nil { // else it ended since
			containers[name] = process
		}
	}
	return containers, nil
}

// KillContainer sends SIGKILL to one running container's first process, as an accident would, and returns when it has ended.
func (n *Net) KillContainer(ctx context.Context, peer, name string) error {
	containers, err := n.Containers(peer)
	if err != nil {
		return err
	}
	process, found := containers[name]
	if !found {
		return fmt.Errorf("no container %s runs on %s; there are %v", name, peer, slices.Sorted(maps.Keys(containers)))
	}
	return process.Kill(ctx)
}

// SameContainers says which containers of before no longer run as the same process.
func (n *Net) SameContainers(peer string, before map[string]machine.Process) error {
	now, err := n.Containers(peer)
	if err != nil {
		return err
	}
	var faults []error
	for name, process := range before {
		if now[name] != process {
			faults = append(faults, fmt.Errorf("container %s of %s does not run on as it was", name, peer))
		}
	}
	return errors.Join(faults...)
}
