package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Cut makes all that the host of process pid sends to the addresses given vanish on the way, without an error to the
// sender; what they send to it still arrives. It replaces an earlier Cut of that host, and with no addresses ends it.
// A cut is one entry for each address in the host's own table of neighbours (RFC 826): it names a hardware address that
// no host of a fabric has, and is permanent, so that no answer to a question replaces it.
func (f *Fabric) Cut(pid int, to []netip.Addr) error {
	return f.CutAt(fmt.Sprintf("/proc/%d/ns/net", pid), to)
}

// CutAt is Cut for the host whose network namespace is at path.
func (f *Fabric) CutAt(path string, to []netip.Addr) error {
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
	link, err := host.LinkByName(inside)
	if err != nil {
		return fmt.Errorf("cut a host: %w", err)
	}
	if err := host.endCuts(link, to); err != nil {
		return err
	}
	for _, address := range to {
		if err := host.NeighSet(cutTo(link, address)); err != nil {
			return fmt.Errorf("cut the way to %s: %w", address, err)
		}
	}
	return nil
}

// endCuts removes the cuts to all addresses but those that stay cut.
func (l links) endCuts(link netlink.Link, stay []netip.Addr) error {
	neighbours, err := l.NeighList(link.Attrs().Index, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list the neighbours: %w", err)
	}
	for _, n := range neighbours {
		address, _ := netip.AddrFromSlice(n.IP)
		cut := cutTo(link, address.Unmap())
		if n.HardwareAddr.String() != cut.HardwareAddr.String() || slices.Contains(stay, address.Unmap()) {
			continue
		}
		if err := l.NeighDel(cut); err != nil {
			return fmt.Errorf("open the way to %s again: %w", address, err)
		}
	}
	return nil
}

// cutTo is the entry that sends what is for address to nobody.
func cutTo(link netlink.Link, address netip.Addr) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex: link.Attrs().Index, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT,
		IP: address.AsSlice(), HardwareAddr: hardwareOf(netip.IPv4Unspecified()),
	}
}
