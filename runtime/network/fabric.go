package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Fabric joins hosts, each a network namespace, by bridges in a network namespace of its own. There is one
// bridge for each group of hosts: hosts of one group reach each other, hosts of different groups do not.
// All its state is in the kernel, so that a Fabric opened later on the same namespace
// carries on. Not for concurrent use, save by one process at a time.
type Fabric struct{ links }

// groupPrefix and portPrefix begin the names of the fabric's bridges and ports. A port bears its host's name as alias.
const (
	groupPrefix = "group"
	portPrefix  = "ho"
)

// OpenFabric opens the fabric that lives in the network namespace at path, which nothing else should use:
// one made by CreateNamespace, or /proc/PID/ns/net.
func OpenFabric(path string) (*Fabric, error) {
	namespace, err := openNamespace(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(namespace)
	l, err := linksAt(namespace)
	if err != nil {
		return nil, err
	}
	f := &Fabric{l}
	if _, err := f.ensureBridge(bridgeOf(0), nil); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close closes the sockets and leaves the fabric as it is.
func (f *Fabric) Close() { f.links.Close() }

// AddHost joins the network namespace of process pid to the fabric, under a name, in group 0. There it makes
// eth0 with the address given, whose length is that of the network that all hosts share, and sets lo up. Repeated, it
// repairs what is missing, and a host that is still there stays in its group.
func (f *Fabric) AddHost(pid int, name string, address netip.Prefix) error {
	return f.AddHostAt(fmt.Sprintf("/proc/%d/ns/net", pid), name, address)
}

// AddHostAt is AddHost for the network namespace at path.
func (f *Fabric) AddHostAt(path, name string, address netip.Prefix) error {
	if name == "" || len(name) > 255 || !address.Addr().Is4() {
		return fmt.Errorf("add host %q at %s: want a name of 1 to 255 bytes and an IPv4 address", name, address)
	}
	space, err := openNamespace(path)
	if err != nil {
		return err
	}
	defer unix.Close(space)
	host, err := linksAt(space)
	if err != nil {
		return err
	}
	defer host.Close()
	bridge, err := f.bridgeFor(name)
	if err != nil {
		return err
	}
	port, link, err := f.ensurePair(pair{
		outer: portOf(name), bridge: bridge, inner: host, space: space, hardware: hardwareOf(address.Addr()), alias: name,
	})
	if err == nil {
		err = errors.Join(host.loopbackUp(), host.address(link, address), host.up(link))
	}
	if err != nil {
		return fmt.Errorf("add host %s: %w", name, err)
	}
	f.awaitCarrier(port.Attrs().Index)
	host.awaitCarrier(link.Attrs().Index)
	return nil
}

// bridgeFor gives the bridge that a host is at, and that of group 0 for a new host.
func (f *Fabric) bridgeFor(name string) (netlink.Link, error) {
	port, err := f.find(portOf(name))
	if err != nil {
		return nil, err
	}
	if port != nil && port.Attrs().MasterIndex != 0 {
		return f.LinkByIndex(port.Attrs().MasterIndex)
	}
	return f.ensureBridge(bridgeOf(0), nil)
}

// RemoveHost takes a host's interface away, as when its cable and its card are pulled. An unknown host is no error.
func (f *Fabric) RemoveHost(name string) error { return f.remove(portOf(name)) }

// SetHost plugs a host's cable in or pulls it, whatever its group.
func (f *Fabric) SetHost(name string, plugged bool) error {
	link, err := f.find(portOf(name))
	if err != nil {
		return err
	}
	if link == nil {
		return fmt.Errorf("no host %s in the fabric", name)
	}
	if plugged {
		return f.LinkSetUp(link)
	}
	return f.LinkSetDown(link)
}

// Hosts gives the group of each host.
func (f *Fabric) Hosts() (map[string]int, error) {
	all, err := f.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the fabric's hosts: %w", err)
	}
	groups := map[int]int{}
	for _, link := range all {
		if group, ok := groupOf(link.Attrs().Name); ok {
			groups[link.Attrs().Index] = group
		}
	}
	hosts := map[string]int{}
	for _, link := range all {
		if strings.HasPrefix(link.Attrs().Name, portPrefix) && link.Attrs().Alias != "" {
			hosts[link.Attrs().Alias] = groups[link.Attrs().MasterIndex]
		}
	}
	return hosts, nil
}

// Group puts each host named into its group, from 0 to 999, and every other host into group 0. When it returns no
// packet passes between groups any more, also of connections made before. Group(nil) makes one network of all hosts again.
// An unknown host fails before anything is moved.
func (f *Fabric) Group(hosts map[string]int) error {
	present, err := f.Hosts()
	if err != nil {
		return err
	}
	for name, group := range hosts {
		if _, ok := present[name]; !ok {
			return fmt.Errorf("no host %s in the fabric", name)
		}
		if group < 0 || group > 999 {
			return fmt.Errorf("group %d of host %s is not from 0 to 999", group, name)
		}
	}
	names := make([]string, 0, len(present))
	for name := range present {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := f.move(name, hosts[name]); err != nil {
			return fmt.Errorf("move host %s to group %d: %w", name, hosts[name], err)
		}
	}
	return f.dropEmpty(hosts)
}

// move makes a host's port one of a group's bridge.
func (f *Fabric) move(name string, group int) error {
	bridge, err := f.ensureBridge(bridgeOf(group), nil)
	if err != nil {
		return err
	}
	port, err := f.LinkByName(portOf(name))
	if err != nil {
		return err
	}
	if port.Attrs().MasterIndex == bridge.Attrs().Index {
		return nil
	}
	return f.LinkSetMaster(port, bridge)
}

// dropEmpty deletes the bridges of groups that have no host, except group 0's.
func (f *Fabric) dropEmpty(hosts map[string]int) error {
	used := map[int]bool{0: true}
	for _, group := range hosts {
		used[group] = true
	}
	return f.removeLinks(func(link netlink.Link) bool {
		group, ok := groupOf(link.Attrs().Name)
		return ok && !used[group]
	})
}

// Clear deletes all that the fabric has made, in its own namespace and in its hosts'.
func (f *Fabric) Clear() error {
	return f.removeLinks(func(link netlink.Link) bool {
		_, isGroup := groupOf(link.Attrs().Name)
		return isGroup || strings.HasPrefix(link.Attrs().Name, portPrefix) && link.Attrs().Alias != ""
	})
}

func (f *Fabric) removeLinks(which func(netlink.Link) bool) error {
	all, err := f.LinkList()
	if err != nil {
		return fmt.Errorf("list the fabric's links: %w", err)
	}
	for _, link := range all {
		if !which(link) {
			continue
		}
		if err := f.remove(link.Attrs().Name); err != nil {
			return err
		}
	}
	return nil
}

func bridgeOf(group int) string { return fmt.Sprintf("%s%d", groupPrefix, group) }

func groupOf(name string) (int, bool) {
	var group int
	n, err := fmt.Sscanf(name, groupPrefix+"%d", &group)
	return group, n == 1 && err == nil && name == bridgeOf(group)
}

func portOf(host string) string { return shortName(portPrefix, host) }
