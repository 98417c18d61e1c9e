package promise

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// RoomKept is P6: neither by its own account nor by what is there does a peer give more than it has, of anything.
func RoomKept(s Snapshot) []Violation {
	f := findings{promise: "P6"}
	for _, p := range s.Peers {
		if p.Alive {
			f.within(p, "admitted", p.Admitted)
			f.holdsWithin(p)
		}
	}
	return f.sorted()
}

// Overdrawn is RoomKept for one peer by what is there: for a world that looks whenever something is admitted.
func Overdrawn(p Peer) []Violation {
	f := findings{promise: "P6"}
	f.holdsWithin(p)
	return f.sorted()
}

func (f *findings) holdsWithin(p Peer) {
	var held Resources
	devices := map[string]int64{}
	for _, i := range p.Instances {
		held.CPUMillis += i.Request.CPUMillis
		held.MemoryBytes += i.Request.MemoryBytes
		held.StorageBytes += i.Request.StorageBytes
		held.Pids += i.Request.Pids
		for name, count := range i.Devices { // in any order: it is added up
			devices[name] += count
		}
	}
	f.within(p, "holds", held)
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		if devices[name] > p.Devices[name] {
			f.add("%s holds %d of %s and has %d", p.Name, devices[name], name, p.Devices[name])
		}
	}
	f.portsApart(p)
}

func (f *findings) within(p Peer, verb string, amount Resources) {
	for _, part := range []struct {
		unit, name   string
		amount, room int64
		bounded      bool // else 0 is no limit: a peer need not say what it has of it
	}{
		{"m", " CPU", amount.CPUMillis, p.Room.CPUMillis, true},
		{" bytes", " of memory", amount.MemoryBytes, p.Room.MemoryBytes, true},
		{" bytes", " of storage", amount.StorageBytes, p.Room.StorageBytes, false},
		{"", " pids", amount.Pids, p.Room.Pids, false},
	} {
		if part.amount > part.room && (part.bounded || part.room > 0) {
			f.add("%s %s %d%s%s and has %d%s", p.Name, verb, part.amount, part.unit, part.name, part.room, part.unit)
		}
	}
}

// portsApart finds two instances that hold one port of a peer. Whoever holds it on all addresses holds it on each.
func (f *findings) portsApart(p Peer) {
	holder := map[string]string{}
	for _, i := range p.Instances {
		for _, port := range i.Ports {
			for _, held := range slices.Sorted(maps.Keys(holder)) {
				if holder[held] != i.ID && portsMeet(held, port) {
					f.add("%s gives %s to %s and to %s", p.Name, port, holder[held], i.ID)
				}
			}
			holder[port] = i.ID
		}
	}
}

// PortText is how a Snapshot writes a port; ip is empty for all addresses.
func PortText(protocol, ip string, number uint16) string {
	if ip == "" || ip == "0.0.0.0" || ip == "::" {
		return fmt.Sprintf("%s/%d", protocol, number)
	}
	return fmt.Sprintf("%s/%s:%d", protocol, ip, number)
}

func portsMeet(a, b string) bool {
	if a == b {
		return true
	}
	protocol, ip, number := cutPort(a)
	otherProtocol, otherIP, other := cutPort(b)
	return protocol == otherProtocol && number == other && (ip == "" || otherIP == "")
}

func cutPort(text string) (protocol, ip, number string) {
	protocol, number, _ = strings.Cut(text, "/")
	if at := strings.LastIndexByte(number, ':'); at >= 0 {
		ip, number = number[:at], number[at+1:]
	}
	return protocol, ip, number
}
