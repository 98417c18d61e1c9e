package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"shoal/testnet/machine"
)

const (
	// upMost and upMostEach bound how long Up waits for all peers to be members of each other: a busy machine of few
	// cores starts many agents by turns.
	upMost     = time.Minute
	upMostEach = 5 * time.Second
	// apiMost bounds how long an agent may take until its API answers.
	apiMost = 20 * time.Second
	// pollEach is the pace at which the testnet looks for a change.
	pollEach = 5 * time.Millisecond
)

// Keeper and Machine are the programs behind the hidden arguments of Options.Program: Hidden "keeper" DIR, and
// Hidden "machine" DIR PEER. They return only when they could not begin.
func Keeper(dir string) error { return machine.RunKeeper(machine.Dir(dir)) }

// Machine is described at Keeper.
func Machine(dir, peer string) error { return machine.RunMachine(machine.Dir(dir), peer) }

// Up makes a testnet and returns when all its peers are alive members in the view of each. What it began is gone
// when it fails.
func Up(ctx context.Context, options Options) (*Net, error) {
	dir, state, err := options.plan()
	if err != nil {
		return nil, err
	}
	lease, err := machine.Launch(ctx, dir, state)
	if errors.Is(err, ErrExists) {
		return nil, existsError(dir, state.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("testnet %q: %w", state.Name, err)
	}
	n := &Net{dir: dir, agent: options.Agent, lease: lease}
	if n.state, err = dir.Load(); err == nil {
		err = n.startAgents(ctx, options)
	}
	if err == nil && !options.Leashed {
		err = lease.Keep()
	}
	if err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiMost)
		defer cancel()
		return nil, errors.Join(err, n.Down(clean))
	}
	return n, nil
}

// existsError says which testnet is in the way, and whether it still runs.
func existsError(dir machine.Dir, name string) error {
	state, err := dir.Load()
	if err != nil {
		return fmt.Errorf("%w: %s is in the way, and is not readable as a testnet: %w", ErrExists, dir, err)
	}
	condition := "it is running"
	if !state.Keeper.Alive() {
		condition = "it is left over: its keeper is gone"
	}
	return fmt.Errorf("testnet %q (%s): %w; %s: end it with `shoal testnet down --name %s`, or choose another --name",
		name, dir, ErrExists, condition, name)
}

func (n *Net) startAgents(ctx context.Context, options Options) error {
	ctx, cancel := context.WithTimeout(ctx, upMost+time.Duration(len(n.Peers()))*upMostEach)
	defer cancel()
	peers := n.Peers()
	if options.Agents != 0 {
		peers = peers[:max(0, min(options.Agents, len(peers)))]
	}
	if len(peers) == 0 {
		return nil
	}
	if n.agent != nil {
		return n.each(peers, func(peer string) error { return n.startAgent(ctx, peer) })
	}
	if err := n.startAgent(ctx, peers[0]); err != nil {
		return err
	}
	if err := n.awaitAPI(ctx, peers[0]); err != nil {
		return err
	}
	if len(peers) == 1 {
		return nil
	}
	return n.Join(ctx, peers[0], peers[1:], "")
}

// Join starts the agents of peers that are in no cluster yet, lets them join through one that is, and waits until that one and
// all of them hold each other for alive. Without a ticket it takes one from the seed.
func (n *Net) Join(ctx context.Context, seed string, others []string, ticket string) (err error) {
	if ticket == "" {
		if ticket, err = n.Ticket(ctx, seed, len(others), time.Hour); err != nil {
			return err
		}
	}
	err = n.each(others, func(peer string) error {
		if err := n.startAgent(ctx, peer, "--join", n.StreamAddress(seed), "--ticket", ticket); err != nil {
			return err
		}
		return n.awaitAPI(ctx, peer)
	})
	if err != nil {
		return err
	}
	all := append([]string{seed}, others...)
	return n.each(all, func(peer string) error { return n.awaitMembers(ctx, peer, all) })
}

// Ticket creates a ticket on a peer.
func (n *Net) Ticket(ctx context.Context, peer string, uses int, valid time.Duration) (string, error) {
	client := n.Client(peer)
	defer client.Close()
	return client.CreateTicket(ctx, uses, valid)
}

// StreamAddress is where a peer listens for others: what --join takes.
func (n *Net) StreamAddress(peer string) string {
	p, _ := n.state.Peer(peer)
	return fmt.Sprintf("%s:%d", p.Address.Addr(), StreamPort)
}

// each does the same for several peers at the same time.
func (n *Net) each(peers []string, do func(peer string) error) error {
	faults := make([]error, len(peers))
	var all sync.WaitGroup
	for i, peer := range peers {
		all.Go(func() { faults[i] = do(peer) })
	}
	all.Wait()
	return firstOf(faults)
}

// firstOf is the first fault, with a word on how many more there are: they tend to be the same.
func firstOf(faults []error) error {
	faults = slices.DeleteFunc(faults, func(err error) bool { return err == nil })
	if len(faults) < 2 {
		return errors.Join(faults...)
	}
	return fmt.Errorf("%w (and %d peers more)", faults[0], len(faults)-1)
}

// awaitAPI waits until a peer's API answers; an agent that ended is an error with the end of its log.
func (n *Net) awaitAPI(ctx context.Context, peer string) error {
	if n.agent != nil {
		return nil // a stand-in has no API
	}
	ctx, cancel := context.WithTimeout(ctx, apiMost+time.Duration(len(n.Peers()))*upMostEach)
	defer cancel()
	client := n.Client(peer)
	defer client.Close()
	for {
		_, err := client.Members(ctx)
		if err == nil {
			return nil
		}
		status, statusErr := n.machine(ctx, peer, machine.Request{Verb: machine.VerbStatus})
		if statusErr == nil && !status.Agent.Running {
			return fmt.Errorf("the agent of %s ended with exit code %d: %s", peer, status.Agent.ExitCode, n.logEnd(peer))
		}
		if !pause(ctx, n.pace()) {
			return fmt.Errorf("the API of %s does not answer: %w: %s", peer, err, n.logEnd(peer))
		}
	}
}

// awaitMembers waits until a peer holds all the named peers for alive.
func (n *Net) awaitMembers(ctx context.Context, peer string, names []string) error {
	client := n.Client(peer)
	defer client.Close()
	for {
		alive, err := client.Alive(ctx, names)
		if err == nil && alive == len(names) {
			return nil
		}
		if !pause(ctx, n.pace()) {
			return errors.Join(err, fmt.Errorf("%s sees %d of %d peers alive: %s", peer, alive, len(names), n.logEnd(peer)))
		}
	}
}

// pace is how often a peer is looked at while it starts: with many of them the looking itself must not slow them down.
func (n *Net) pace() time.Duration { return pollEach + time.Duration(len(n.Peers()))*time.Millisecond }

// logEnd is the last line that a peer's agent wrote.
func (n *Net) logEnd(peer string) string {
	data, err := os.ReadFile(n.dir.AgentLog(peer))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}

// pause waits a little; false when ctx has ended.
func pause(ctx context.Context, span time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(span):
		return true
	}
}
