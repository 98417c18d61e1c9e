package testnet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/peer/api"
	"shoal/testnet/machine"
	"shoal/testnet/promise"
)

// restPause lies between two checks of CheckWithin.
const restPause = 100 * time.Millisecond

// Report is the outcome of a check.
type Report struct {
	Lines      []string // one per promise, for people, in order
	Violations []promise.Violation
}

// Err is nil when all promises hold, and else names each violation.
func (r Report) Err() error {
	if len(r.Violations) == 0 {
		return nil
	}
	texts := make([]string, len(r.Violations))
	for i, v := range r.Violations {
		texts[i] = v.String()
	}
	return fmt.Errorf("%d violations:\n%s", len(texts), strings.Join(texts, "\n"))
}

// checks are the promises that a look at a testnet at rest can check, with what they say when they hold.
var checks = []struct {
	promise string
	holds   string
	check   func(observed) []promise.Violation
}{
	{"P1", "every running agent answers", func(o observed) []promise.Violation { return o.unanswered }},
	{"P3", "peers of one side hold equal intent and equal plans", func(o observed) []promise.Violation { return promise.Agreement(o.Snapshot) }},
	{"P6", "no peer admitted more than its room", func(o observed) []promise.Violation { return promise.RoomKept(o.Snapshot) }},
	{"converged", "on each side every wanted replica that has room is ready exactly once", func(o observed) []promise.Violation { return promise.Converged(o.Snapshot) }},
	{"kernel", "the processes that run are those that the peers say run", runsAsSaid},
	{"leftover", "nothing runs where no machine is on", leftovers},
}

// observed is a testnet at one moment: what its peers say, and what the kernel says.
type observed struct {
	promise.Snapshot
	unanswered []promise.Violation
	said       map[string][]string // peer name -> INSTANCE/CONTAINER that it says run
	found      map[string][]string // peer name -> INSTANCE/CONTAINER in whose cgroup there are processes
}

// Check looks once at all peers and checks the promises. It changes nothing.
func (n *Net) Check(ctx context.Context) (Report, error) {
	seen, err := n.observe(ctx)
	if err != nil {
		return Report{}, err
	}
	return reportOn(seen), nil
}

func reportOn(seen observed) (report Report) {
	for _, c := range checks {
		broken := c.check(seen)
		mark, text := "ok    ", c.holds
		if len(broken) > 0 {
			mark, text = "BROKEN", fmt.Sprintf("not so: %s", c.holds)
		}
		report.Lines = append(report.Lines, fmt.Sprintf("%s  %-9s  %s", mark, c.promise, text))
		for _, violation := range broken {
			report.Lines = append(report.Lines, "                     "+violation.Text)
		}
		report.Violations = append(report.Violations, broken...)
	}
	return report
}

// CheckWithin checks again until all promises hold or the span has passed; with 0 it checks once. It is for
// after a change: while peers still act on it, a look at one after the other is no single moment.
func (n *Net) CheckWithin(ctx context.Context, span time.Duration) (Report, error) {
	deadline := time.Now().Add(span)
	for {
		report, err := n.Check(ctx)
		if err != nil || len(report.Violations) == 0 || time.Now().After(deadline) || !pause(ctx, restPause) {
			return report, err
		}
	}
}

// observe asks every peer and the kernel.
func (n *Net) observe(ctx context.Context) (observed, error) {
	keeper, err := machine.Call(ctx, n.dir.KeeperSocket(), machine.Request{Verb: machine.VerbKeeper})
	if err != nil {
		return observed{}, n.keeperError(err)
	}
	looks := make([]peerLook, len(n.state.Peers))
	err = n.each(n.Peers(), func(name string) error {
		i := slices.Index(n.Peers(), name)
		looks[i], err = n.lookAt(ctx, name, keeper)
		return err
	})
	if err != nil {
		return observed{}, err
	}
	seen := observed{said: make(map[string][]string), found: make(map[string][]string)}
	for _, l := range looks {
		seen.Peers = append(seen.Peers, l.peer)
		seen.said[l.peer.Name], seen.found[l.peer.Name] = l.said, l.found
		if l.fault != nil {
			seen.unanswered = append(seen.unanswered, promise.Violation{Promise: "P1", Text: l.fault.Error()})
		}
	}
	return seen, nil
}

// peerLook is what is seen of one peer.
type peerLook struct {
	peer        promise.Peer
	said, found []string
	fault       error // the agent runs, and does not answer
}

func (n *Net) lookAt(ctx context.Context, name string, keeper machine.Reply) (peerLook, error) {
	l := peerLook{peer: promise.Peer{ID: name, Name: name, Powered: keeper.Machines[name] == "up", Side: sideOf(keeper.Groups, name)}}
	leaves, err := n.Cgroup(name).Leaves()
	if err != nil {
		return l, err
	}
	l.found = slices.Sorted(maps.Keys(leaves))
	if !l.peer.Powered {
		return l, nil
	}
	status, err := n.machine(ctx, name, machine.Request{Verb: machine.VerbStatus})
	if err != nil {
		return l, err
	}
	if !status.Agent.Running {
		return l, nil
	}
	client := n.Client(name)
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	view, err := client.View(ctx)
	if err == nil {
		err = l.take(view)
	}
	l.peer.Alive, l.fault = err == nil, err
	return l, nil
}

// take fills in what a peer says of itself.
func (l *peerLook) take(view api.View) error {
	l.peer.ID = view.ID
	l.peer.Leaving = view.Draining
	l.peer.Admitted, l.peer.Room = promise.Resources(view.Admitted), promise.Resources(view.Room)
	err := errors.Join(digest(&l.peer.IntentDigest, view.IntentDigest), digest(&l.peer.PlanDigest, view.PlanDigest))
	for _, r := range view.Replicas {
		if r.Wanted {
			l.peer.Wanted = append(l.peer.Wanted, promise.Wanted{Replica: r.ID, Revision: r.Revision, Pending: r.Peer == ""})
		}
		for _, i := range r.Instances {
			if i.Peer == view.Peer {
				l.hold(r, i)
			}
		}
	}
	slices.Sort(l.said)
	return err
}

// hold notes an instance that the peer says is on it.
func (l *peerLook) hold(r api.Replica, i api.Instance) {
	instance := promise.Instance{ID: i.ID, Replica: r.ID, Revision: i.Revision, Ready: i.Ready}
	for _, c := range i.Containers {
		if !c.Running {
			continue
		}
		instance.Containers = append(instance.Containers, promise.Container{
			Peer: l.peer.ID, Instance: i.ID, Name: c.Name, Generation: c.Generation, StartedAt: c.StartedAt,
		})
		l.said = append(l.said, i.ID+"/"+c.Name)
	}
	l.peer.Instances = append(l.peer.Instances, instance)
}

func digest(to *[32]byte, text string) error {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) != len(to) {
		return fmt.Errorf("%q is not a digest", text)
	}
	copy(to[:], data)
	return nil
}

// runsAsSaid compares, on each peer that answers, what it says runs with the processes that there are.
func runsAsSaid(o observed) (broken []promise.Violation) {
	for _, p := range o.Peers {
		if !p.Alive {
			continue
		}
		for _, name := range o.found[p.Name] {
			if !slices.Contains(o.said[p.Name], name) {
				broken = append(broken, promise.Violation{Promise: "kernel", Text: fmt.Sprintf("%s runs on %s, which does not say so", name, p.Name)})
			}
		}
		for _, name := range o.said[p.Name] {
			if !slices.Contains(o.found[p.Name], name) {
				broken = append(broken, promise.Violation{Promise: "kernel", Text: fmt.Sprintf("%s says that %s runs, and no process of it exists", p.Name, name)})
			}
		}
	}
	return broken
}

// leftovers are processes in the cgroups of machines that are off.
func leftovers(o observed) (broken []promise.Violation) {
	for _, p := range o.Peers {
		if !p.Powered && len(o.found[p.Name]) > 0 {
			broken = append(broken, promise.Violation{Promise: "leftover", Text: fmt.Sprintf("%s is off, and processes run in its cgroups %v", p.Name, o.found[p.Name])})
		}
	}
	return broken
}
