package machine

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// State is what state.json says of a testnet. It is written once, before anything else is made, and again when the keeper's
// process is known.
type State struct {
	Format  int       `json:"format"` // 1
	Name    string    `json:"name"`
	Keeper  Process   `json:"keeper"` // as seen from the real machine
	Cgroup  Cgroup    `json:"cgroup"`
	Shoal   string    `json:"shoal"`  // the program, absolute
	Hidden  []string  `json:"hidden"` // arguments before "keeper DIR" and "machine DIR PEER" that lead to RunKeeper and RunMachine
	Peers   []Peer    `json:"peers"`
	Expires time.Time `json:"expires"` // when the keeper tears it all down
}

// Peer is one machine of a testnet, and what its agent is told.
type Peer struct {
	Name        string       `json:"name"`
	Address     netip.Prefix `json:"address"`
	CPUMillis   int64        `json:"cpuMillis"`
	MemoryBytes int64        `json:"memoryBytes"`
}

// Peer returns the peer of that name.
func (s State) Peer(name string) (Peer, bool) {
	for _, p := range s.Peers {
		if p.Name == name {
			return p, true
		}
	}
	return Peer{}, false
}

// Dir is the directory of one testnet.
type Dir string

func (d Dir) path(elements ...string) string {
	return filepath.Join(append([]string{string(d)}, elements...)...)
}

// KeeperSocket is where the keeper is told what to do.
func (d Dir) KeeperSocket() string { return d.path("keeper.sock") }

// KeeperLog is what the keeper wrote.
func (d Dir) KeeperLog() string { return d.path("keeper.log") }

// Bin is a directory with a machine's program as "shoal", for PATH.
func (d Dir) Bin(peer string) string { return d.path(peer, "bin") }

// Install makes a program the one that a machine finds as "shoal" from its next start of one on.
func (d Dir) Install(peer, program string) error {
	if err := os.MkdirAll(d.Bin(peer), 0o755); err != nil {
		return err
	}
	fresh := filepath.Join(d.Bin(peer), "shoal.new")
	if err := os.Symlink(program, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, filepath.Join(d.Bin(peer), "shoal"))
}

// MachineSocket is where a machine is told what to do.
func (d Dir) MachineSocket(peer string) string { return d.path(peer, "machine.sock") }

// AgentLog is what a machine's agent wrote to its standard outputs, all its lives.
func (d Dir) AgentLog(peer string) string { return d.path(peer, "agent.log") }

// Data is a machine's data directory: its disk.
func (d Dir) Data(peer string) string { return d.path(peer, "data") }

// Socket is where a peer's API listens.
func (d Dir) Socket(peer string) string { return d.path(peer, "data", "shoal.sock") }

// Load reads state.json.
func (d Dir) Load() (State, error) {
	data, err := os.ReadFile(d.path("state.json"))
	if err != nil {
		return State{}, err
	}
	var state State
	if err := json.Unmarshal(data, &state); err != nil {
		return State{}, fmt.Errorf("%s: %w", d.path("state.json"), err)
	}
	if state.Format != 1 {
		return State{}, fmt.Errorf("%s has format %d, this program knows 1", d.path("state.json"), state.Format)
	}
	return state, nil
}

// save replaces state.json whole.
func (d Dir) save(state State) error {
	data, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	fresh := d.path("state.json.new")
	if err := os.WriteFile(fresh, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, d.path("state.json"))
}
