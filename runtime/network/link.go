package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// inside is the name of an instance's and of a host's only interface.
const inside = "eth0"

// links is a netlink socket into one network namespace.
type links struct{ *netlink.Handle }

// linksHere opens a socket into the calling thread's namespace.
func linksHere() (links, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return links{}, fmt.Errorf("open a netlink socket: %w", err)
	}
	return links{handle}, nil
}

// linksAt opens a socket into the namespace behind a descriptor.
func linksAt(namespace int) (links, error) {
	handle, err := netlink.NewHandleAt(netns.NsHandle(namespace), unix.NETLINK_ROUTE)
	if err != nil {
		return links{}, fmt.Errorf("open a netlink socket in a network namespace: %w", err)
	}
	return links{handle}, nil
}

// find returns the link of that name, or nil where there is none.
func (l links) find(name string) (netlink.Link, error) {
	link, err := l.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up interface %s: %w", name, err)
	}
	return link, nil
}

// ensureBridge makes a bridge that is up, or takes the one that exists. hardware may be nil.
func (l links) ensureBridge(name string, hardware net.HardwareAddr) (netlink.Link, error) {
	link, err := l.find(name)
	if err != nil {
		return nil, err
	}
	if link == nil {
		attributes := netlink.NewLinkAttrs()
		attributes.Name, attributes.HardwareAddr = name, hardware
		if err := l.LinkAdd(&netlink.Bridge{LinkAttrs: attributes}); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("make bridge %s: %w", name, err)
		}
		if link, err = l.LinkByName(name); err != nil {
			return nil, fmt.Errorf("look up bridge %s: %w", name, err)
		}
	}
	if link.Type() != "bridge" {
		return nil, fmt.Errorf("interface %s exists and is a %s, not a bridge: choose another name, or delete it", name, link.Type())
	}
	return link, l.up(link)
}

// pair describes a veth pair to be made: outer lies in the links' own namespace as a port of bridge,
// inner becomes eth0 of the namespace behind a descriptor.
type pair struct {
	outer    string
	bridge   netlink.Link
	inner    links
	space    int
	hardware net.HardwareAddr
	alias    string // of outer; empty for none
}

// ensurePair makes a veth pair, unless it is there, and returns its ends, the outer one up. They are made by one
// message to the kernel, so that there are both or none.
func (l links) ensurePair(p pair) (outer, inner netlink.Link, err error) {
	if outer, err = l.find(p.outer); err != nil {
		return nil, nil, err
	}
	if inner, err = p.inner.find(inside); err != nil {
		return nil, nil, err
	}
	if outer != nil && (inner == nil || outer.Attrs().ParentIndex != inner.Attrs().Index) {
		if err := l.remove(p.outer); err != nil {
			return nil, nil, err
		}
		outer = nil
	}
	if outer == nil {
		// An inner end alone belongs to a pair whose other end is in a namespace that the peer has left.
		if err := p.inner.remove(inside); err != nil {
			return nil, nil, err
		}
		if outer, inner, err = l.makePair(p); err != nil {
			return nil, nil, err
		}
	}
	if outer.Attrs().MasterIndex != p.bridge.Attrs().Index {
		if err := l.LinkSetMaster(outer, p.bridge); err != nil {
			return nil, nil, fmt.Errorf("join %s to bridge %s: %w", p.outer, p.bridge.Attrs().Name, err)
		}
	}
	return outer, inner, l.up(outer)
}

func (l links) makePair(p pair) (outer, inner netlink.Link, err error) {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = p.outer
	veth := netlink.NewVeth(attributes)
	veth.PeerName, veth.PeerNamespace, veth.PeerHardwareAddr = inside, netlink.NsFd(p.space), p.hardware
	if err := l.LinkAdd(veth); err != nil {
		return nil, nil, fmt.Errorf("make veth pair %s: %w", p.outer, err)
	}
	if outer, err = l.LinkByName(p.outer); err != nil {
		return nil, nil, fmt.Errorf("look up %s: %w", p.outer, err)
	}
	if inner, err = p.inner.LinkByName(inside); err != nil {
		return nil, nil, fmt.Errorf("look up the inner end of %s: %w", p.outer, err)
	}
	if p.alias != "" {
		if err := l.LinkSetAlias(outer, p.alias); err != nil {
			return nil, nil, fmt.Errorf("name %s: %w", p.outer, err)
		}
	}
	return outer, inner, nil
}

// up sets a link up, unless it is.
func (l links) up(link netlink.Link) error {
	if link.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := l.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", link.Attrs().Name, err)
	}
	return nil
}

// settleFor bounds how long awaitCarrier waits. What is late then is late for the kernel's reasons.
const settleFor = 250 * time.Millisecond

// awaitCarrier waits until the kernel has noticed that a link that is up can carry packets, which it does a little
// later by itself. Until then it drops them, and a first ARP request that is dropped costs whoever connects a second.
func (l links) awaitCarrier(index int) {
	for begin := time.Now(); time.Since(begin) < settleFor; time.Sleep(50 * time.Microsecond) {
		link, err := l.LinkByIndex(index)
		if err != nil || link.Attrs().OperState == netlink.OperUp {
			return
		}
	}
}

// loopbackUp sets lo up.
func (l links) loopbackUp() error {
	link, err := l.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("look up lo: %w", err)
	}
	return l.up(link)
}

// address makes prefix the one IPv4 address of a link.
func (l links) address(link netlink.Link, prefix netip.Prefix) error {
	held, err := l.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
	}
	want := addressOf(prefix)
	there := false
	for i := range held {
		if held[i].IPNet.String() == want.IPNet.String() {
			there = true
		} else if err := l.AddrDel(link, &held[i]); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("take address %s from %s: %w", held[i].IPNet, link.Attrs().Name, err)
		}
	}
	if there {
		return nil
	}
	if err := l.AddrReplace(link, want); err != nil {
		return fmt.Errorf("give address %s to %s: %w", prefix, link.Attrs().Name, err)
	}
	return nil
}

// defaultRoute sends all else through gateway.
func (l links) defaultRoute(link netlink.Link, gateway netip.Addr) error {
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}
	if err := l.RouteReplace(route); err != nil {
		return fmt.Errorf("set the default route via %s: %w", gateway, err)
	}
	return nil
}

// remove deletes a link by name; one that does not exist is no error.
func (l links) remove(name string) error {
	link, err := l.find(name)
	if err != nil || link == nil {
		return err
	}
	err = l.LinkDel(link)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete interface %s: %w", name, err)
	}
	return nil
}

func addressOf(prefix netip.Prefix) *netlink.Addr {
	size := prefix.Addr().BitLen()
	return &netlink.Addr{IPNet: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), size)}}
}

// hardwareOf gives an IPv4 address its hardware address: locally administered, unicast.
func hardwareOf(address netip.Addr) net.HardwareAddr {
	four := address.As4()
	return append(net.HardwareAddr{0x02, 0x53}, four[:]...)
}

// shortName makes an interface name of 15 characters, the most that the kernel takes, out of a kind and names of any length.
func shortName(kind string, names ...string) string {
	hash := sha256.New()
	for _, name := range names {
		fmt.Fprintf(hash, "%d:%s", len(name), name)
	}
	return kind + hex.EncodeToString(hash.Sum(nil))[:15-len(kind)]
}
