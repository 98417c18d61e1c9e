package network

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	soon = 2 * time.Second
	long = 300 * time.Millisecond // that nothing comes
)

// joinHosts makes a fabric of hosts "h1"… at 10.9.0.1…, each of which serves port 80.
func joinHosts(t *testing.T, count int) (fabric *Fabric, spaces map[string]string) {
	t.Helper()
	fabric, err := OpenFabric(newSpace(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fabric.Close)
	spaces = map[string]string{}
	for i := 1; i <= count; i++ {
		name := fmt.Sprintf("h%d", i)
		spaces[name] = newSpace(t)
		if err := fabric.AddHostAt(spaces[name], name, prefix(t, fmt.Sprintf("10.9.0.%d/24", i))); err != nil {
			t.Fatal(err)
		}
		serve(t, spaces[name], ":80")
	}
	return fabric, spaces
}

func TestFabricSplitsAndHeals(t *testing.T) {
	fabric, spaces := joinHosts(t, 3)
	check := func(from string, to int, want bool) {
		t.Helper()
		within := soon
		if !want {
			within = long
		}
		err := ask(spaces[from], fmt.Sprintf("10.9.0.%d:80", to), within)
		if want && err != nil || !want && !timedOut(err) {
			t.Errorf("%s to h%d: %v, want reachable %v", from, to, err, want)
		}
	}
	check("h1", 2, true)
	check("h2", 3, true)

	if err := fabric.Group(map[string]int{"h1": 0, "h2": 7, "h3": 7}); err != nil {
		t.Fatal(err)
	}
	check("h1", 2, false)
	check("h3", 1, false)
	check("h2", 3, true)
	want := map[string]int{"h1": 0, "h2": 7, "h3": 7}
	if hosts, err := fabric.Hosts(); err != nil || !cmp.Equal(hosts, want) {
		t.Errorf("hosts %v, %v, want %v", hosts, err, want)
	}

	if err := fabric.Group(nil); err != nil {
		t.Fatal(err)
	}
	check("h1", 2, true)
	check("h3", 1, true)
	if link, err := fabric.find(bridgeOf(7)); err != nil || link != nil {
		t.Errorf("the bridge of an empty group is left: %v, %v", link, err)
	}
}

func TestFabricCutsConnectionsThatStand(t *testing.T) {
	fabric, spaces := joinHosts(t, 2)
	var near, far net.PacketConn
	open := func(name, address string) (conn net.PacketConn) {
		t.Helper()
		err := InNamespace(spaces[name], func() (err error) { conn, err = net.ListenPacket("udp", address); return err })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	near, far = open("h1", "10.9.0.1:90"), open("h2", "10.9.0.2:90")
	pass := func(within time.Duration) error {
		if _, err := near.WriteTo([]byte("x"), far.LocalAddr()); err != nil {
			return err
		}
		far.SetReadDeadline(time.Now().Add(within))
		_, _, err := far.ReadFrom(make([]byte, 8))
		return err
	}
	if err := pass(soon); err != nil {
		t.Fatal(err)
	}
	if err := fabric.Group(map[string]int{"h2": 1}); err != nil {
		t.Fatal(err)
	}
	if err := pass(long); !timedOut(err) {
		t.Errorf("a packet passed between groups: %v", err)
	}
	if err := fabric.Group(map[string]int{}); err != nil {
		t.Fatal(err)
	}
	if err := pass(soon); err != nil {
		t.Errorf("after the heal: %v", err)
	}
}

func TestFabricOpenedAgainCarriesOn(t *testing.T) {
	path := newSpace(t)
	first, err := OpenFabric(path)
	if err != nil {
		t.Fatal(err)
	}
	one, two := newSpace(t), newSpace(t)
	if err := first.AddHostAt(one, "shop-in-a-town-with-a-long-name", prefix(t, "10.9.0.1/24")); err != nil {
		t.Fatal(err)
	}
	if err := first.Group(map[string]int{"shop-in-a-town-with-a-long-name": 2}); err != nil {
		t.Fatal(err)
	}
	first.Close()

	second, err := OpenFabric(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := second.AddHostAt(one, "shop-in-a-town-with-a-long-name", prefix(t, "10.9.0.1/24")); err != nil {
		t.Fatal(err)
	}
	if err := second.AddHostAt(two, "b", prefix(t, "10.9.0.2/24")); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"shop-in-a-town-with-a-long-name": 2, "b": 0}
	if hosts, err := second.Hosts(); err != nil || !cmp.Equal(hosts, want) {
		t.Errorf("hosts %v, %v, want %v", hosts, err, want)
	}
	if err := second.Clear(); err != nil {
		t.Fatal(err)
	}
	all, err := second.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range all {
		if link.Type() == "bridge" || link.Type() == "veth" {
			t.Errorf("%s is left", link.Attrs().Name)
		}
	}
}

func TestFabricHostCanBeUnpluggedAndRemoved(t *testing.T) {
	fabric, spaces := joinHosts(t, 2)
	if err := fabric.SetHost("h2", false); err != nil {
		t.Fatal(err)
	}
	if err := ask(spaces["h1"], "10.9.0.2:80", long); !timedOut(err) {
		t.Errorf("an unplugged host answered: %v", err)
	}
	if err := fabric.SetHost("h2", true); err != nil {
		t.Fatal(err)
	}
	if err := ask(spaces["h1"], "10.9.0.2:80", soon); err != nil {
		t.Errorf("plugged in again: %v", err)
	}
	for range 2 {
		if err := fabric.RemoveHost("h2"); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask(spaces["h1"], "10.9.0.2:80", long); err == nil {
		t.Error("a removed host answered")
	}
}

func TestFabricRefuses(t *testing.T) {
	fabric, spaces := joinHosts(t, 2)
	for _, groups := range []map[string]int{{"h1": 1, "h9": 1}, {"h1": 1, "h2": -1}, {"h1": 1, "h2": 1000}} {
		if err := fabric.Group(groups); err == nil {
			t.Errorf("Group(%v) succeeded", groups)
		}
	}
	if hosts, _ := fabric.Hosts(); hosts["h1"] != 0 {
		t.Errorf("a refused Group moved h1 to %d", hosts["h1"])
	}
	if err := fabric.AddHostAt(spaces["h1"], "", prefix(t, "10.9.0.3/24")); err == nil {
		t.Error("a host without a name was added")
	}
	if err := fabric.AddHostAt(spaces["h1"], "six", prefix(t, "fd00::1/64")); err == nil {
		t.Error("a host with an IPv6 address was added")
	}
	if err := fabric.AddHost(1<<30, "gone", prefix(t, "10.9.0.3/24")); err == nil {
		t.Error("a host of a process that does not exist was added")
	}
	if err := fabric.SetHost("h9", true); err == nil {
		t.Error("an unknown host was plugged in")
	}
}

func TestFabricTakesAProcess(t *testing.T) {
	fabric, _ := joinHosts(t, 1)
	other := newSpace(t)
	process := exec.Command("sleep", "60")
	if err := InNamespace(other, process.Start); err != nil {
		t.Fatal(err)
	}
	defer process.Wait()
	defer process.Process.Kill()
	if err := fabric.AddHost(process.Process.Pid, "process", prefix(t, "10.9.0.8/24")); err != nil {
		t.Fatal(err)
	}
	if err := ask(other, "10.9.0.1:80", soon); err != nil {
		t.Error(err)
	}
}
