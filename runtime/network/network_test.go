package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"shoal/runtime"
)

// newPeer opens a network in a namespace of its own; again opens it once more, as the program's next life does.
func newPeer(t testing.TB, subnet string) (n *Network, home string, again func() *Network) {
	t.Helper()
	home = newSpace(t)
	config := Config{Bridge: "shoal-test", Subnet: prefix(t, subnet), Dir: filepath.Join(t.TempDir(), "network")}
	again = func() *Network {
		t.Helper()
		var n *Network
		if err := InNamespace(home, func() (err error) { n, err = Open(config); return err }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Close)
		return n
	}
	n = again()
	t.Cleanup(func() {
		if err := n.Cleanup(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n, home, again
}

func attach(t testing.TB, n *Network, id string) runtime.Attachment {
	t.Helper()
	attachment, err := n.Attach(context.Background(), runtime.InstanceID(id))
	if err != nil {
		t.Fatal(err)
	}
	return attachment
}

func detach(t testing.TB, n *Network, id string) {
	t.Helper()
	if err := n.Detach(context.Background(), runtime.InstanceID(id)); err != nil {
		t.Fatal(err)
	}
}

func TestInstancesAndPeerReachEachOther(t *testing.T) {
	n, home, _ := newPeer(t, "10.77.3.0/24")
	one, two := attach(t, n, "default.web-0.5f3c9a1e"), attach(t, n, "default.web-1.5f3c9a1e")
	if one.Address.String() != "10.77.3.2" || two.Address.String() != "10.77.3.3" {
		t.Errorf("addresses %s and %s", one.Address, two.Address)
	}
	serve(t, one.Namespace, ":80")
	serve(t, home, "10.77.3.1:80")
	for name, err := range map[string]error{
		"peer to instance":     ask(home, "10.77.3.2:80", soon),
		"instance to instance": ask(two.Namespace, "10.77.3.2:80", soon),
		"instance to itself":   ask(one.Namespace, "127.0.0.1:80", soon),
		"instance to peer":     ask(two.Namespace, "10.77.3.1:80", soon),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	routes := routesOf(t, two.Namespace)
	if len(routes) == 0 || !routes[0].Gw.Equal(n.pool.gateway().AsSlice()) {
		t.Errorf("routes %v, want a default by %s", routes, n.pool.gateway())
	}
}

func routesOf(t *testing.T, path string) (defaults []netlink.Route) {
	t.Helper()
	err := InNamespace(path, func() error {
		routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
		for _, route := range routes {
			if route.Gw != nil {
				defaults = append(defaults, route)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return defaults
}

func TestAttachRepeatedGivesTheSame(t *testing.T) {
	n, home, again := newPeer(t, "10.77.3.0/24")
	first := attach(t, n, "a")
	serve(t, first.Namespace, ":80")
	for _, n := range []*Network{n, again(), again()} {
		if got := attach(t, n, "a"); !cmp.Equal(first, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
			t.Errorf("got %v, want %v", got, first)
		}
	}
	if err := ask(home, "10.77.3.2:80", soon); err != nil {
		t.Errorf("the server inside is cut off: %v", err)
	}
}

// Whatever a crash has left undone or undone by half, the next life's Attach completes it.
func TestAttachCompletesWhatACrashLeft(t *testing.T) {
	for name, harm := range map[string]func(n *Network, path string) error{
		"namespace not made": func(_ *Network, path string) error { return DeleteNamespace(path) },
		"namespace not mounted": func(_ *Network, path string) error {
			return errors.Join(DeleteNamespace(path), os.WriteFile(path, nil, 0o444))
		},
		"pair not made":           func(n *Network, _ string) error { return n.links.remove(n.portOf("a")) },
		"pair not joined":         func(n *Network, _ string) error { return n.links.LinkSetNoMaster(must(n.links.find(n.portOf("a")))) },
		"outer end down":          func(n *Network, _ string) error { return n.links.LinkSetDown(must(n.links.find(n.portOf("a")))) },
		"inner end down":          func(_ *Network, path string) error { return inSpace(path, netlink.LinkSetDown) },
		"no address":              func(_ *Network, path string) error { return inSpace(path, dropAddresses) },
		"pair of a lost instance": replacePair,
		"bridge gone":             func(n *Network, _ string) error { return n.links.remove(n.config.Bridge) },
		"bridge down":             func(n *Network, _ string) error { return n.links.LinkSetDown(n.bridge) },
	} {
		t.Run(name, func(t *testing.T) {
			n, home, again := newPeer(t, "10.77.3.0/24")
			first := attach(t, n, "a")
			if err := harm(n, first.Namespace); err != nil {
				t.Fatal(err)
			}
			second := attach(t, again(), "a")
			if first != second {
				t.Errorf("got %v, want %v", second, first)
			}
			serve(t, second.Namespace, ":80")
			if err := ask(home, "10.77.3.2:80", soon); err != nil {
				t.Error(err)
			}
			if len(routesOf(t, second.Namespace)) != 1 {
				t.Error("no default route")
			}
		})
	}
}

func must(link netlink.Link, err error) netlink.Link {
	if err != nil {
		panic(err)
	}
	return link
}

func inSpace(path string, change func(netlink.Link) error) error {
	return InNamespace(path, func() error { return change(must(netlink.LinkByName(inside))) })
}

func dropAddresses(link netlink.Link) error {
	held, err := netlink.AddrList(link, netlink.FAMILY_V4)
	for i := range held {
		err = errors.Join(err, netlink.AddrDel(link, &held[i]))
	}
	return err
}

// replacePair leaves a port of the right name whose other end is not in the instance's namespace.
func replacePair(n *Network, _ string) error {
	name := n.portOf("a")
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	stray := netlink.NewVeth(attributes)
	stray.PeerName = "stray"
	return errors.Join(n.links.remove(name), n.links.LinkAdd(stray))
}

func TestDetachLeavesNothing(t *testing.T) {
	n, _, again := newPeer(t, "10.77.3.0/24")
	attachment := attach(t, n, "a")
	detach(t, again(), "a")
	detach(t, again(), "a")
	if link, err := n.links.find(n.portOf("a")); err != nil || link != nil {
		t.Errorf("port is left: %v, %v", link, err)
	}
	if _, err := os.Lstat(attachment.Namespace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("namespace is left: %v", err)
	}
}

func TestDetachWhileAProcessIsInside(t *testing.T) {
	n, home, _ := newPeer(t, "10.77.3.0/24")
	first := attach(t, n, "a")
	serve(t, first.Namespace, ":80") // its socket holds the namespace
	detach(t, n, "a")
	if err := ask(home, first.Address.String()+":80", long); err == nil {
		t.Error("a detached instance answers")
	}
	second := attach(t, n, "a")
	if first.Address == second.Address {
		t.Errorf("%s was given out again at once", first.Address)
	}
	serve(t, second.Namespace, ":80")
	if err := ask(home, second.Address.String()+":80", soon); err != nil {
		t.Error(err)
	}
}

func TestCleanupRemovesAll(t *testing.T) {
	n, home, again := newPeer(t, "10.77.3.0/24")
	for i := range 3 {
		attach(t, n, fmt.Sprint("i", i))
	}
	if err := again().Cleanup(context.Background()); err != nil {
		t.Fatal(err)
	}
	err := InNamespace(home, func() error {
		all, err := netlink.LinkList()
		for _, link := range all {
			if link.Type() == "bridge" || link.Type() == "veth" {
				t.Errorf("%s is left", link.Attrs().Name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(n.config.Dir, "netns")); err != nil || len(left) > 0 {
		t.Errorf("namespaces are left: %v, %v", left, err)
	}
}

// A peer whose machine got a new network, while its directory and its instances' namespaces are as before.
func TestOpenInAnotherNamespace(t *testing.T) {
	n, _, _ := newPeer(t, "10.77.3.0/24")
	first := attach(t, n, "a")
	home := newSpace(t)
	var next *Network
	if err := InNamespace(home, func() (err error) { next, err = Open(n.config); return err }); err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	second := attach(t, next, "a")
	if first != second {
		t.Errorf("got %v, want %v", second, first)
	}
	serve(t, second.Namespace, ":80")
	if err := ask(home, second.Address.String()+":80", soon); err != nil {
		t.Error(err)
	}
}

func TestTwoPeersInOneNamespace(t *testing.T) {
	home := newSpace(t)
	var peers []*Network
	for i, name := range []string{"peer-a", "peer-b"} {
		config := Config{Bridge: name, Subnet: prefix(t, fmt.Sprintf("10.77.%d.0/24", i)), Dir: t.TempDir()}
		err := InNamespace(home, func() error {
			n, err := Open(config)
			peers = append(peers, n)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer peers[i].Close()
		defer peers[i].Cleanup(context.Background())
	}
	one, two := attach(t, peers[0], "same"), attach(t, peers[1], "same")
	detach(t, peers[0], "same")
	serve(t, two.Namespace, ":80")
	if err := ask(home, two.Address.String()+":80", soon); err != nil {
		t.Errorf("detaching %s cut off %s: %v", one.Address, two.Address, err)
	}
}

func TestAttachConcurrently(t *testing.T) {
	n, home, _ := newPeer(t, "10.77.3.0/24")
	const count = 20
	attachments := make([]runtime.Attachment, count)
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() {
			var err error
			if attachments[i], err = n.Attach(context.Background(), runtime.InstanceID(fmt.Sprint("i", i))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	seen := map[netip.Addr]bool{}
	for _, attachment := range attachments {
		if seen[attachment.Address] {
			t.Errorf("%s was given out twice", attachment.Address)
		}
		seen[attachment.Address] = true
	}
	serve(t, attachments[count-1].Namespace, ":80")
	if err := ask(home, attachments[count-1].Address.String()+":80", soon); err != nil {
		t.Error(err)
	}
}

func TestNetworkRefuses(t *testing.T) {
	n, home, _ := newPeer(t, "10.77.3.0/24")
	for _, id := range []runtime.InstanceID{"", ".", "..", "a/b", "../x", "a\x00b", runtime.InstanceID(make([]byte, 256))} {
		if _, err := n.Attach(context.Background(), id); reasonOf(t, err) != runtime.BadSpec {
			t.Errorf("Attach(%q): %v", id, err)
		}
		if err := n.Detach(context.Background(), id); reasonOf(t, err) != runtime.BadSpec {
			t.Errorf("Detach(%q): %v", id, err)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := n.Attach(ended, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	good := Config{Bridge: "b", Subnet: prefix(t, "10.1.0.0/24"), Dir: t.TempDir()}
	for name, change := range map[string]func(*Config){
		"no bridge":   func(c *Config) { c.Bridge = "" },
		"long bridge": func(c *Config) { c.Bridge = "sixteen-bytes-xx" },
		"no subnet":   func(c *Config) { c.Subnet = netip.Prefix{} },
		"too small":   func(c *Config) { c.Subnet = prefix(t, "10.1.0.0/30") },
		"IPv6":        func(c *Config) { c.Subnet = prefix(t, "fd00::/64") },
		"no dir":      func(c *Config) { c.Dir = "" },
	} {
		config := good
		change(&config)
		if _, err := Open(config); reasonOf(t, err) != runtime.BadSpec {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := InNamespace(home, func() error {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = "b"
		if err := netlink.LinkAdd(netlink.NewVeth(attributes)); err == nil {
			t.Error("made a veth without a peer's name")
		}
		veth := netlink.NewVeth(attributes)
		veth.PeerName = "c"
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		_, err := Open(good)
		if reasonOf(t, err) != runtime.Failed {
			t.Errorf("a bridge's name that a veth has: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func reasonOf(t testing.TB, err error) runtime.Reason {
	t.Helper()
	var known *runtime.Error
	if !errors.As(err, &known) {
		t.Fatalf("%v is no *runtime.Error", err)
	}
	return known.Reason
}

// From Attach to the first answer, as a probe sees it.
func BenchmarkAttach(b *testing.B) {
	n, home, _ := newPeer(b, "10.77.0.0/16")
	var attached, answered, detached time.Duration
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprint("i", i)
		before := time.Now()
		attachment := attach(b, n, id)
		attached += time.Since(before)
		serve(b, attachment.Namespace, ":80")
		before = time.Now()
		if err := ask(home, attachment.Address.String()+":80", soon); err != nil {
			b.Fatal(err)
		}
		answered += time.Since(before)
		before = time.Now()
		detach(b, n, id)
		detached += time.Since(before)
	}
	b.ReportMetric(float64(attached.Microseconds())/float64(b.N), "us/attach")
	b.ReportMetric(float64(answered.Microseconds())/float64(b.N), "us/first-answer")
	b.ReportMetric(float64(detached.Microseconds())/float64(b.N), "us/detach")
}
