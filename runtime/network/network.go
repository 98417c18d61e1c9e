package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shoal/runtime"
)

// Config says how a peer's instances are joined.
type Config struct {
	Bridge string       // name of the bridge, at most 15 bytes; unique in the peer's network namespace
	Subnet netip.Prefix // IPv4, /8 to /29; the bridge has its first address
	Dir    string       // for the namespaces and what is held; one program at a time may use it
}

// Network implements runtime.Network. Safe for concurrent use.
type Network struct {
	config Config
	links  links
	bridge netlink.Link

	mutex sync.Mutex // of pool
	pool  *pool
}

var _ runtime.Network = (*Network)(nil)

// Open makes the bridge in the calling thread's network namespace, or takes the one that an earlier life of the
// program left there. The caller locks its thread where it is not in the process's own namespace.
func Open(config Config) (*Network, error) {
	n, err := openNetwork(config)
	return n, asError("open network", config.Bridge, err)
}

func openNetwork(config Config) (*Network, error) {
	if err := config.validate(); err != nil {
		return nil, &fault{runtime.BadSpec, err}
	}
	config.Subnet = config.Subnet.Masked()
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, err
	}
	config.Dir = dir
	if err := os.MkdirAll(filepath.Join(dir, "netns"), 0o711); err != nil {
		return nil, err
	}
	pool, err := openPool(filepath.Join(dir, "addresses.json"), config.Subnet)
	if err != nil {
		return nil, err
	}
	n := &Network{config: config, pool: pool}
	if n.links, err = linksHere(); err != nil {
		return nil, err
	}
	if err := n.openBridge(); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (c Config) validate() error {
	var faults []error
	if c.Bridge == "" || len(c.Bridge) > 15 || strings.ContainsAny(c.Bridge, "/ \t\n:") || c.Bridge == "." || c.Bridge == ".." {
		faults = append(faults, fmt.Errorf("bridge %q is no name of an interface: want 1 to 15 bytes without slash, colon and space", c.Bridge))
	}
	if !c.Subnet.IsValid() || !c.Subnet.Addr().Is4() || c.Subnet.Bits() < 8 || c.Subnet.Bits() > 29 {
		faults = append(faults, fmt.Errorf("subnet %s is not an IPv4 network from /8 to /29", c.Subnet))
	}
	if c.Dir == "" {
		faults = append(faults, errors.New("no directory is given"))
	}
	return errors.Join(faults...)
}

// openBridge makes the bridge. Its hardware address is set: left alone a bridge changes it as ports come and go.
func (n *Network) openBridge() (err error) {
	gateway := n.pool.gateway()
	if n.bridge, err = n.links.ensureBridge(n.config.Bridge, hardwareOf(gateway)); err != nil {
		return err
	}
	return n.links.address(n.bridge, netip.PrefixFrom(gateway, n.config.Subnet.Bits()))
}

// Close closes the sockets and leaves bridge and instances as they are.
func (n *Network) Close() { n.links.Close() }

// Attach implements runtime.Network. It takes a few milliseconds, most of them the kernel's for a new namespace.
func (n *Network) Attach(ctx context.Context, id runtime.InstanceID) (runtime.Attachment, error) {
	attachment, err := n.attach(ctx, id)
	return attachment, asError("attach", string(id), err)
}

func (n *Network) attach(ctx context.Context, id runtime.InstanceID) (runtime.Attachment, error) {
	if err := errors.Join(ctx.Err(), checkID(id)); err != nil {
		return runtime.Attachment{}, err
	}
	address, err := n.take(id)
	if err != nil {
		return runtime.Attachment{}, err
	}
	path := n.namespaceOf(id)
	if err := CreateNamespace(path); err != nil {
		return runtime.Attachment{}, err
	}
	space, err := openNamespace(path)
	if err != nil {
		return runtime.Attachment{}, err
	}
	defer unix.Close(space)
	inner, err := linksAt(space)
	if err != nil {
		return runtime.Attachment{}, err
	}
	defer inner.Close()
	port, link, err := n.links.ensurePair(pair{
		outer: n.portOf(id), bridge: n.bridge, inner: inner, space: space, hardware: hardwareOf(address),
	})
	if err == nil {
		err = n.configure(inner, link, address)
	}
	if err != nil {
		return runtime.Attachment{}, err
	}
	n.links.awaitCarrier(port.Attrs().Index)
	inner.awaitCarrier(link.Attrs().Index)
	n.links.awaitCarrier(n.bridge.Attrs().Index)
	return runtime.Attachment{Namespace: path, Address: address}, nil
}

// configure sets up the inside of an instance's namespace.
func (n *Network) configure(inner links, link netlink.Link, address netip.Addr) error {
	if err := inner.loopbackUp(); err != nil {
		return err
	}
	// A link that was made for another address, of a subnet that the peer had before, gets this one's hardware address too.
	if want := hardwareOf(address); link.Attrs().HardwareAddr.String() != want.String() {
		if err := inner.LinkSetHardwareAddr(link, want); err != nil {
			return fmt.Errorf("set the hardware address of %s: %w", inside, err)
		}
	}
	if err := inner.address(link, netip.PrefixFrom(address, n.config.Subnet.Bits())); err != nil {
		return err
	}
	if err := inner.up(link); err != nil {
		return err
	}
	return inner.defaultRoute(link, n.pool.gateway())
}

// Detach implements runtime.Network. Processes that are still in the namespace lose their network.
func (n *Network) Detach(ctx context.Context, id runtime.InstanceID) error {
	return asError("detach", string(id), n.detach(ctx, id))
}

// detach gives the address back last: until all else is gone no other instance may have it.
func (n *Network) detach(ctx context.Context, id runtime.InstanceID) error {
	if err := errors.Join(ctx.Err(), checkID(id)); err != nil {
		return err
	}
	if err := n.links.remove(n.portOf(id)); err != nil {
		return err
	}
	if err := DeleteNamespace(n.namespaceOf(id)); err != nil {
		return err
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.pool.give(id)
}

// Cleanup detaches all instances and deletes the bridge; the Network is of no use after it.
func (n *Network) Cleanup(ctx context.Context) error {
	return asError("clean up network", n.config.Bridge, n.cleanup(ctx))
}

func (n *Network) cleanup(ctx context.Context) error {
	n.mutex.Lock()
	ids := map[runtime.InstanceID]bool{}
	for id := range n.pool.record.Held {
		ids[id] = true
	}
	n.mutex.Unlock()
	left, err := os.ReadDir(filepath.Join(n.config.Dir, "netns"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range left {
		ids[runtime.InstanceID(entry.Name())] = true
	}
	var faults []error
	for id := range ids {
		faults = append(faults, n.detach(ctx, id))
	}
	return errors.Join(append(faults, n.links.remove(n.config.Bridge))...)
}

func (n *Network) take(id runtime.InstanceID) (netip.Addr, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.pool.take(id)
}

func (n *Network) namespaceOf(id runtime.InstanceID) string {
	return filepath.Join(n.config.Dir, "netns", string(id))
}

// portOf names an instance's port. Two peers may share a network namespace and both hold an instance of that name.
func (n *Network) portOf(id runtime.InstanceID) string {
	return shortName("sv", n.config.Bridge, string(id))
}

// maxIDBytes is the longest file name.
const maxIDBytes = 255

func checkID(id runtime.InstanceID) error {
	if id == "" || id == "." || id == ".." || len(id) > maxIDBytes || strings.ContainsAny(string(id), "/\x00") {
		return &fault{runtime.BadSpec, fmt.Errorf("%q is no file name", id)}
	}
	return nil
}
