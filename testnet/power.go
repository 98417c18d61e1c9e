package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"shoal/testnet/machine"
)

// StreamPort is where agents listen for each other.
const StreamPort = 7400

// faultVariable names the faults that a program built with -tags faults plants in itself. Agents get it from whoever
// starts them, and else nothing of that environment.
const faultVariable = "SHOAL_FAULT"

// Kill cuts a peer's power: all its processes, mounts and wires are gone at once, its data directory stays as the disk was.
func (n *Net) Kill(ctx context.Context, peer string) error {
	return n.keeper(ctx, machine.Request{Verb: machine.VerbPower, Peer: peer})
}

// Start boots a peer that was killed and starts its agent, or starts only the agent where the machine is on. It
// returns when the agent's API answers.
func (n *Net) Start(ctx context.Context, peer string) error {
	status, err := machine.Call(ctx, n.dir.KeeperSocket(), machine.Request{Verb: machine.VerbKeeper})
	if err != nil {
		return n.keeperError(err)
	}
	if status.Machines[peer] != "up" {
		if err := n.keeper(ctx, machine.Request{Verb: machine.VerbBoot, Peer: peer}); err != nil {
			return err
		}
	}
	if err := n.startAgent(ctx, peer); err != nil {
		return err
	}
	return n.awaitAPI(ctx, peer)
}

// Reboot is Kill and then boot of the machine alone, without its agent.
func (n *Net) Reboot(ctx context.Context, peer string) error {
	return errors.Join(n.Kill(ctx, peer), n.keeper(ctx, machine.Request{Verb: machine.VerbBoot, Peer: peer}))
}

// KillAgent sends SIGKILL to a peer's main process, or to its supervisor, and to nothing else.
func (n *Net) KillAgent(ctx context.Context, peer string, supervisor bool) error {
	which := machine.AgentMain
	if supervisor {
		which = machine.AgentSupervisor
	}
	_, err := n.machine(ctx, peer, machine.Request{Verb: machine.VerbKill, Argv: []string{which}})
	return err
}

// Split lets only peers on the same side reach each other. Peers that no side names are together on one more side.
func (n *Net) Split(ctx context.Context, sides [][]string) error {
	return n.keeper(ctx, machine.Request{Verb: machine.VerbSplit, Groups: sides})
}

// Cut lets everything vanish that peers of from send to peers of to, and replaces earlier cuts. With both, so does
// everything on the way back. Splits are apart from this.
func (n *Net) Cut(ctx context.Context, from, to []string, both bool) error {
	var cuts []machine.Cut
	for _, a := range from {
		for _, b := range to {
			cuts = append(cuts, machine.Cut{From: a, To: b})
			if both {
				cuts = append(cuts, machine.Cut{From: b, To: a})
			}
		}
	}
	return n.keeper(ctx, machine.Request{Verb: machine.VerbCut, Cuts: cuts})
}

// Heal lets all peers reach each other again, and ends all cuts.
func (n *Net) Heal(ctx context.Context) error {
	return n.keeper(ctx, machine.Request{Verb: machine.VerbHeal})
}

// Install gives a peer's machine another build of shoal, which its next start of an agent runs: an upgrade, or a
// downgrade. What runs goes on.
func (n *Net) Install(peer, program string) error {
	path, err := programPath(program)
	if err != nil {
		return err
	}
	return n.dir.Install(peer, path)
}

// startAgent starts a peer's agent. arguments follow those that every start has.
func (n *Net) startAgent(ctx context.Context, peer string, arguments ...string) error {
	argv := n.agent
	if argv == nil {
		argv = append([]string{"shoal", "agent"}, arguments...)
	}
	var base []string
	if planted, found := os.LookupEnv(faultVariable); found {
		base = append(base, faultVariable+"="+planted)
	}
	_, err := n.machine(ctx, peer, machine.Request{Verb: machine.VerbAgent, Argv: argv, Env: n.environment(peer, base), Dir: "/"})
	return err
}

// environment is what programs on a peer's machine find: base, with shoal itself in the path, the peer's socket, and
// the settings of its agent, so that `shoal agent` there is that peer.
func (n *Net) environment(peer string, base []string) []string {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	env := []string{"HOME=/root"}
	for _, entry := range base {
		if value, found := strings.CutPrefix(entry, "PATH="); found {
			path = value
		} else {
			env = append(env, entry)
		}
	}
	p, _ := n.state.Peer(peer)
	return append(env, "PATH="+n.dir.Bin(peer)+":"+path, "SHOAL_SOCKET="+n.dir.Socket(peer),
		"SHOAL_NAME="+p.Name, "SHOAL_DATA="+n.dir.Data(peer), "SHOAL_BIND="+p.Address.Addr().String(),
		"SHOAL_PORT="+strconv.Itoa(StreamPort), "SHOAL_CGROUP_PARENT="+string(n.Cgroup(peer)),
		"SHOAL_CPU="+strconv.FormatInt(p.CPUMillis, 10), "SHOAL_MEMORY="+strconv.FormatInt(p.MemoryBytes, 10))
}

func (n *Net) keeper(ctx context.Context, request machine.Request) error {
	if _, err := machine.Call(ctx, n.dir.KeeperSocket(), request); err != nil {
		return n.keeperError(err)
	}
	return nil
}

// keeperError says what to do where the keeper is gone.
func (n *Net) keeperError(err error) error {
	if n.state.Keeper.Alive() {
		return err
	}
	return fmt.Errorf("the keeper of testnet %q is gone, and all machines with it: clear up with `shoal testnet down --name %s`", n.state.Name, n.state.Name)
}

// machineError says what to do where a machine is off.
func (n *Net) machineError(peer string, err error) error {
	if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if !n.state.Keeper.Alive() {
		return n.keeperError(err)
	}
	return fmt.Errorf("the machine of %s is off: boot it with `shoal testnet start %s`", peer, peer)
}

func (n *Net) machine(ctx context.Context, peer string, request machine.Request) (machine.Reply, error) {
	reply, err := machine.Call(ctx, n.dir.MachineSocket(peer), request)
	return reply, n.machineError(peer, err)
}
