package testnet

import (
	"context"
	"slices"

	"golang.org/x/sys/unix"

	"shoal/testnet/machine"
)

// PeerStatus is what PS tells of one peer.
type PeerStatus struct {
	Name       string
	Machine    string // "up" or "off"
	Agent      string // "running" or "down"
	PID        int    // of the machine's first process, as the caller sees it; 0 when off
	MainPID    int    // of the agent's main process, as its machine sees it; 0 while there is none
	Address    string
	Side       int   // 0 while the network is whole; peers of one side have the same from 1 on
	Containers int   // that have a process
	RSSBytes   int64 // of the agent: supervisor and main process together
	PSSBytes   int64 // the same, with pages that N processes share counted as 1/N
}

// PS describes every peer's machine.
func (n *Net) PS(ctx context.Context) ([]PeerStatus, error) {
	keeper, err := machine.Call(ctx, n.dir.KeeperSocket(), machine.Request{Verb: machine.VerbKeeper})
	if err != nil {
		return nil, n.keeperError(err)
	}
	all := make([]PeerStatus, len(n.state.Peers))
	err = n.each(n.Peers(), func(name string) error {
		i := slices.IndexFunc(n.state.Peers, func(p machine.Peer) bool { return p.Name == name })
		status, err := n.peerStatus(ctx, n.state.Peers[i], keeper)
		all[i] = status
		return err
	})
	return all, err
}

func (n *Net) peerStatus(ctx context.Context, peer machine.Peer, keeper machine.Reply) (PeerStatus, error) {
	status := PeerStatus{
		Name: peer.Name, Machine: keeper.Machines[peer.Name], Agent: "down",
		Address: peer.Address.Addr().String(), Side: sideOf(keeper.Groups, peer.Name),
	}
	if status.Machine != "up" {
		return status, nil
	}
	reply, err := n.machine(ctx, peer.Name, machine.Request{Verb: machine.VerbStatus})
	if err != nil {
		return status, err
	}
	if reply.Agent.Running {
		status.Agent = "running"
		status.MainPID = reply.Agent.Main.PID
		status.RSSBytes = reply.Agent.Supervisor.RSSBytes + reply.Agent.Main.RSSBytes
		status.PSSBytes = reply.Agent.Supervisor.PSSBytes + reply.Agent.Main.PSSBytes
	}
	if status.PID, err = n.machinePID(ctx, peer.Name); err != nil {
		return status, err
	}
	leaves, err := n.Cgroup(peer.Name).Leaves()
	status.Containers = len(leaves)
	return status, err
}

// sideOf numbers the side that a peer is on: from 1 as they were named, then one for all that were not.
func sideOf(groups [][]string, peer string) int {
	if groups == nil {
		return 0
	}
	for i, group := range groups {
		if slices.Contains(group, peer) {
			return i + 1
		}
	}
	return len(groups) + 1
}

// machinePID asks the kernel who listens on a machine's socket: the answer is in the caller's own numbers.
func (n *Net) machinePID(ctx context.Context, peer string) (int, error) {
	conn, err := machine.Dial(ctx, n.dir.MachineSocket(peer))
	if err != nil {
		return 0, n.machineError(peer, err)
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var who *unix.Ucred
	var fault error
	err = raw.Control(func(fd uintptr) { who, fault = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || fault != nil {
		return 0, fault
	}
	return int(who.Pid), nil
}
