package testnet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"shoal/testnet/machine"
)

// Defaults of Options.
const (
	DefaultName        = "default"
	DefaultPeers       = 5
	DefaultCPUMillis   = 2000
	DefaultMemoryBytes = 1 << 30
	DefaultTTL         = 2 * time.Hour
)

// MostPeers is how many addresses there are: 10.77.0.1 to 10.77.0.250.
const MostPeers = 250

// Options say what testnet to make. The zero value of each means its default.
type Options struct {
	Name        string
	Peers       int
	CPUMillis   int64 // what each peer offers; the sum may be more than the machine has
	MemoryBytes int64
	TTL         time.Duration // after which the testnet ends by itself
	Leashed     bool          // it also ends with the calling process

	Program string   // the shoal program; the calling one when empty
	Hidden  []string // arguments that lead Program to Keeper and Machine; "testnet" when nil
	Agent   []string // started as each agent in place of shoal's; then nothing joins and nothing is waited for
	Agents  int      // start only the first so many peers' agents; all when 0, none when negative
}

// Net is a testnet that exists. Its methods may be called from any goroutine and from several programs at once.
type Net struct {
	dir   machine.Dir
	state machine.State
	agent []string // Options.Agent
	lease *machine.Lease
}

// UsageError is a wrong option or argument.
type UsageError struct{ Text string }

func (e *UsageError) Error() string { return e.Text }

func wrongUse(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// Errors that callers tell apart.
var (
	ErrExists = machine.ErrExists
	ErrNone   = machine.ErrNone
)

var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$`)

// DirOf is the directory of the testnet of a name: $SHOAL_TESTNET_DIR, else shoal-testnet-NAME among the temporary files.
func DirOf(name string) machine.Dir {
	if dir := os.Getenv("SHOAL_TESTNET_DIR"); dir != "" {
		return machine.Dir(dir)
	}
	return machine.Dir(filepath.Join(os.TempDir(), "shoal-testnet-"+name))
}

// Open returns the testnet of a name; ErrNone when there is none.
func Open(name string) (*Net, error) {
	return OpenAt(string(DirOf(nameOr(name))))
}

// OpenAt returns the testnet in a directory.
func OpenAt(path string) (*Net, error) {
	dir := machine.Dir(path)
	state, err := dir.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: make one with `shoal testnet up`", dir, ErrNone)
	}
	if err != nil {
		return nil, err
	}
	return &Net{dir: dir, state: state}, nil
}

// Down ends the testnet of a name and leaves nothing of it; ErrNone when there is none.
func Down(ctx context.Context, name string) error {
	return machine.Destroy(ctx, DirOf(nameOr(name)))
}

// Down ends this testnet and leaves nothing of it.
func (n *Net) Down(ctx context.Context) error { return machine.Destroy(ctx, n.dir) }

// nameOr is the name, else $SHOAL_TESTNET_NAME, else DefaultName.
func nameOr(name string) string {
	return cmp.Or(name, os.Getenv("SHOAL_TESTNET_NAME"), DefaultName)
}

// Destroy is Down for the testnet in a directory, whatever its name.
func Destroy(ctx context.Context, dir string) error { return machine.Destroy(ctx, machine.Dir(dir)) }

// Name is the testnet's name.
func (n *Net) Name() string { return n.state.Name }

// Dir is the testnet's directory.
func (n *Net) Dir() string { return string(n.dir) }

// Socket is where a peer's API listens.
func (n *Net) Socket(peer string) string { return n.dir.Socket(peer) }

// Data is a peer's data directory.
func (n *Net) Data(peer string) string { return n.dir.Data(peer) }

// AgentLog is the file with all that a peer's agent wrote.
func (n *Net) AgentLog(peer string) string { return n.dir.AgentLog(peer) }

// Cgroup is the path, in every hierarchy, below which a peer's containers are.
func (n *Net) Cgroup(peer string) machine.Cgroup { return n.state.Cgroup.Machine(peer) }

// Peers lists the names of all peers: p1, p2, …
func (n *Net) Peers() []string {
	names := make([]string, len(n.state.Peers))
	for i, p := range n.state.Peers {
		names[i] = p.Name
	}
	return names
}

// Select reads a list of peers as people write it, "p1,p3" or "all".
func (n *Net) Select(text string) ([]string, error) {
	if text == "all" {
		return n.Peers(), nil
	}
	var chosen []string
	for name := range strings.SplitSeq(text, ",") {
		if _, ok := n.state.Peer(name); !ok {
			return nil, wrongUse("no peer %q in testnet %q: it has %s", name, n.state.Name, strings.Join(n.Peers(), ", "))
		}
		if !slices.Contains(chosen, name) {
			chosen = append(chosen, name)
		}
	}
	return chosen, nil
}

// Sides reads a split as people write it, "p1,p2/p3,p4,p5".
func (n *Net) Sides(text string) ([][]string, error) {
	var sides [][]string
	named := make(map[string]bool)
	for part := range strings.SplitSeq(text, "/") {
		side, err := n.Select(part)
		if err != nil {
			return nil, err
		}
		for _, name := range side {
			if named[name] {
				return nil, wrongUse("peer %s is on two sides of %q", name, text)
			}
			named[name] = true
		}
		sides = append(sides, side)
	}
	return sides, nil
}

func cgroupOf(name string) machine.Cgroup { return machine.Cgroup("/shoal-testnet-" + name) }

// plan turns options into what is to be made.
func (o Options) plan() (machine.Dir, machine.State, error) {
	o = o.withDefaults()
	if !nameForm.MatchString(o.Name) {
		return "", machine.State{}, wrongUse("name %q: use 1 to 32 lower-case letters, digits and '-'", o.Name)
	}
	if o.Peers < 1 || o.Peers > MostPeers {
		return "", machine.State{}, wrongUse("%d peers: a testnet has 1 to %d", o.Peers, MostPeers)
	}
	if o.CPUMillis < 0 || o.MemoryBytes < 0 || o.TTL < 0 {
		return "", machine.State{}, wrongUse("CPU, memory and time to live cannot be negative")
	}
	dir := DirOf(o.Name)
	if !filepath.IsAbs(string(dir)) {
		return "", machine.State{}, wrongUse("SHOAL_TESTNET_DIR %q: use an absolute path", dir)
	}
	program, err := programPath(o.Program)
	if err != nil {
		return "", machine.State{}, err
	}
	state := machine.State{
		Name: o.Name, Cgroup: cgroupOf(o.Name), Shoal: program, Hidden: o.Hidden,
		Expires: time.Now().Add(o.TTL).Truncate(time.Second),
	}
	for i := range o.Peers {
		peer := machine.Peer{
			Name:        fmt.Sprintf("p%d", i+1),
			Address:     netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)}), 24),
			CPUMillis:   o.CPUMillis,
			MemoryBytes: o.MemoryBytes,
		}
		if socket := dir.Socket(peer.Name); len(socket) > 107 {
			return "", machine.State{}, wrongUse("the directory %s is too long: %s would not fit a unix socket's 107 bytes; set SHOAL_TESTNET_DIR", dir, socket)
		}
		state.Peers = append(state.Peers, peer)
	}
	return dir, state, nil
}

func (o Options) withDefaults() Options {
	o.Name = nameOr(o.Name)
	if o.Peers == 0 {
		o.Peers = DefaultPeers
	}
	if o.CPUMillis == 0 {
		o.CPUMillis = DefaultCPUMillis
	}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = DefaultMemoryBytes
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.Hidden == nil {
		o.Hidden = []string{"testnet"}
	}
	return o
}

func programPath(program string) (string, error) {
	if program == "" {
		return os.Executable()
	}
	path, err := filepath.Abs(program)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", err
	}
	return path, nil
}
