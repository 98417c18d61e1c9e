package network

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// packets gives each host a socket on port 90.
func packets(t *testing.T, spaces map[string]string, hosts ...string) map[string]net.PacketConn {
	t.Helper()
	all := map[string]net.PacketConn{}
	for _, host := range hosts {
		err := InNamespace(spaces[host], func() (err error) { all[host], err = net.ListenPacket("udp", ":90"); return err })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { all[host].Close() })
	}
	return all
}

func TestCutIsOneWay(t *testing.T) {
	fabric, spaces := joinHosts(t, 3)
	addresses := map[string]netip.Addr{}
	for _, host := range []string{"h1", "h2", "h3"} {
		addresses[host] = netip.MustParseAddr("10.9.0." + host[1:])
	}
	hosts := packets(t, spaces, "h1", "h2", "h3")
	check := func(from, to string, want bool) {
		t.Helper()
		within := soon
		if !want {
			within = long
		}
		if _, err := hosts[from].WriteTo([]byte(from), net.UDPAddrFromAddrPort(netip.AddrPortFrom(addresses[to], 90))); err != nil {
			t.Errorf("%s to %s: the sender is told: %v", from, to, err)
		}
		hosts[to].SetReadDeadline(time.Now().Add(within))
		_, _, err := hosts[to].ReadFrom(make([]byte, 8))
		if want && err != nil || !want && !timedOut(err) {
			t.Errorf("%s to %s: %v, want passed %v", from, to, err, want)
		}
	}
	cut := func(host string, to ...netip.Addr) {
		t.Helper()
		if err := fabric.CutAt(spaces[host], to); err != nil {
			t.Fatal(err)
		}
	}
	check("h1", "h3", true)
	cut("h1", addresses["h3"], addresses["h2"])
	check("h1", "h3", false)
	check("h3", "h1", true)
	check("h1", "h2", false)
	check("h2", "h3", true)

	cut("h1", addresses["h3"]) // h2 is reached again, h3 stays cut
	check("h1", "h2", true)
	check("h1", "h3", false)

	cut("h1")
	check("h1", "h3", true)
	cut("h1")
}
