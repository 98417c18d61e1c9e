package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"shoal/runtime/network"
)

// The files that Launch hands to a keeper, and a keeper to a machine, beside the standard ones.
const (
	reportFile = 3 // write end: one report
	leashFile  = 4 // read end: Lease.Keep writes a byte; end of file before that means tear down
)

// bootMost bounds how long a machine may take from its start to answering, or to go.
const bootMost = 20 * time.Second

// keeper is the process that holds a testnet.
type keeper struct {
	dir    Dir
	state  State
	fabric *network.Fabric // one caller at a time: under mu

	mu       sync.Mutex
	machines map[string]*box // those that were booted and not powered off
	split    [][]string      // nil when whole
	cuts     []Cut
	ending   sync.Once
}

// RunKeeper is the keeper's program: it makes the fabric, boots all machines, serves the control socket, and ends
// the testnet when that is due. It returns only if it could not begin. Launch starts it.
func RunKeeper(dir Dir) error {
	reports, leash := os.NewFile(reportFile, "report"), os.NewFile(leashFile, "leash")
	unix.CloseOnExec(reportFile)
	unix.CloseOnExec(leashFile)
	k := &keeper{dir: dir, machines: make(map[string]*box)}
	listener, err := k.begin()
	sendReport(reports, err)
	if err != nil {
		return err
	}
	slog.Info("the testnet is up", "name", k.state.Name, "expires", k.state.Expires)
	go k.watchLeash(leash)
	time.AfterFunc(time.Until(k.state.Expires), func() { k.end("its time has passed") })
	serve(listener, k.handle)
	return errors.New("the control socket was closed")
}

// begin makes everything up to machines that answer. What it made when it fails ends with the process.
func (k *keeper) begin() (*net.UnixListener, error) {
	if err := settle("keeper"); err != nil {
		return nil, err
	}
	state, err := k.dir.Load()
	if err != nil {
		return nil, err
	}
	k.state = state
	if k.fabric, err = network.OpenFabric("/proc/self/ns/net"); err != nil {
		return nil, fmt.Errorf("make the fabric: %w", err)
	}
	var boots sync.WaitGroup
	faults := make([]error, len(state.Peers))
	for i, peer := range state.Peers {
		boots.Go(func() { faults[i] = k.boot(peer) })
	}
	boots.Wait()
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return listen(k.dir.KeeperSocket())
}

func (k *keeper) handle(ctx context.Context, request Request, _ []*os.File) Reply {
	var err error
	switch request.Verb {
	case VerbBoot:
		peer, ok := k.state.Peer(request.Peer)
		if !ok {
			return Reply{Error: fmt.Sprintf("no peer %s in this testnet", request.Peer)}
		}
		err = k.boot(peer)
	case VerbPower:
		err = k.powerOff(ctx, request.Peer)
	case VerbSplit:
		err = k.regroup(request.Groups)
	case VerbCut:
		err = k.recut(request.Cuts)
	case VerbHeal:
		err = errors.Join(k.regroup(nil), k.recut(nil))
	case VerbKeeper:
		return k.status()
	default:
		err = fmt.Errorf("the keeper knows no verb %q", request.Verb)
	}
	if err != nil {
		return Reply{Error: err.Error()}
	}
	return Reply{}
}

// boot starts one machine, plugs it into the fabric and returns when it answers.
func (k *keeper) boot(peer Peer) error {
	k.mu.Lock()
	if b := k.machines[peer.Name]; b != nil && b.on() {
		k.mu.Unlock()
		return fmt.Errorf("the machine of %s is on already", peer.Name)
	}
	b, err := startBox(k.dir, peer, k.state)
	if err != nil {
		k.mu.Unlock()
		return fmt.Errorf("boot %s: %w", peer.Name, err)
	}
	k.machines[peer.Name] = b
	err = k.plug(b, peer)
	k.mu.Unlock() // machines of a testnet boot at the same time; only the fabric takes turns
	if err == nil {
		err = b.ready(bootMost)
	}
	if err != nil {
		b.kill()
		return fmt.Errorf("boot %s: %w", peer.Name, err)
	}
	return nil
}

// plug joins a machine to the fabric, on the side where it was before.
func (k *keeper) plug(b *box, peer Peer) error {
	if err := k.fabric.RemoveHost(peer.Name); err != nil { // the wire of an earlier life may go late
		return err
	}
	if err := k.fabric.AddHost(b.pid(), peer.Name, peer.Address); err != nil {
		return err
	}
	if err := k.cut(peer.Name); err != nil || k.split == nil {
		return err
	}
	return k.group()
}

// powerOff ends a machine with all that runs on it, at once. Its disk stays.
func (k *keeper) powerOff(ctx context.Context, name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.machines[name]
	if b == nil {
		return fmt.Errorf("no machine %s is on", name)
	}
	b.kill()
	group := k.state.Cgroup.Machine(name)
	ctx, cancel := context.WithTimeout(ctx, bootMost)
	defer cancel()
	faults := []error{
		group.thaw(),
		b.wait(ctx),
		k.fabric.RemoveHost(name),
		group.Remove(ctx),
	}
	delete(k.machines, name)
	return errors.Join(faults...)
}

// regroup puts the machines on sides; nil makes the network whole again.
func (k *keeper) regroup(split [][]string) error {
	seen := make(map[string]bool)
	for _, side := range split {
		for _, name := range side {
			if _, ok := k.state.Peer(name); !ok {
				return fmt.Errorf("no peer %s in this testnet", name)
			}
			if seen[name] {
				return fmt.Errorf("peer %s is named twice", name)
			}
			seen[name] = true
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.split = split
	return k.group()
}

// group brings the fabric in line with the split. Machines that no side names share a side of their own.
func (k *keeper) group() error {
	groups := make(map[string]int)
	present, err := k.fabric.Hosts()
	if err != nil {
		return err
	}
	for i, side := range k.split {
		for _, name := range side {
			if _, on := present[name]; on {
				groups[name] = i + 1
			}
		}
	}
	return k.fabric.Group(groups)
}

func (k *keeper) status() Reply {
	k.mu.Lock()
	defer k.mu.Unlock()
	reply := Reply{Machines: make(map[string]string), Groups: k.split, Cuts: k.cuts}
	for _, peer := range k.state.Peers {
		reply.Machines[peer.Name] = "off"
		if b := k.machines[peer.Name]; b != nil && b.on() {
			reply.Machines[peer.Name] = "up"
		}
	}
	return reply
}

func (k *keeper) watchLeash(leash io.ReadCloser) {
	n, _ := leash.Read(make([]byte, 1))
	leash.Close()
	if n == 0 {
		k.end("the program that had started it went away")
	}
}

// end tears the testnet down from inside; the keeper is the last of it to go.
func (k *keeper) end(why string) {
	k.ending.Do(func() {
		slog.Info("the testnet ends", "why", why)
		ctx, cancel := context.WithTimeout(context.Background(), bootMost)
		defer cancel()
		for _, peer := range k.state.Peers {
			if err := k.powerOff(ctx, peer.Name); err != nil {
				slog.Info("power off", "machine", peer.Name, "error", err)
			}
		}
		if err := errors.Join(k.state.Cgroup.Remove(ctx), os.RemoveAll(string(k.dir))); err != nil {
			slog.Error("something remains", "error", err)
		}
		os.Exit(0)
	})
}

// report is what a keeper or a machine says once: that it is ready, or why it cannot be.
type report struct {
	Error string `json:"error"`
}

func sendReport(file *os.File, err error) {
	r := report{}
	if err != nil {
		r.Error = err.Error()
	}
	_ = json.NewEncoder(file).Encode(r) // who started this is gone: the leash tells
	file.Close()
}

// readReport waits for a report; a process that ends without one is an error.
func readReport(file *os.File, within time.Duration) error {
	defer file.Close()
	_ = file.SetReadDeadline(time.Now().Add(within))
	var r report
	if err := json.NewDecoder(file).Decode(&r); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("it was not ready after %v", within)
		}
		return errors.New("it ended before it was ready")
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	return nil
}
