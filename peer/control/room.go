package control

import (
	"fmt"

	"shoal/placement"
)

// left is what is not admitted of what a peer has to give. A peer alone decides over its own (P6).
type left struct {
	room    placement.Resources
	devices map[string]int64
	ports   []placement.Port // those taken
}

// leftNow is what this peer could still give, with everything held counted, also what is on its way out.
func (m *Machine) leftNow() *left {
	return m.leftWithout(func(*instance) bool { return false })
}

// leftWithout is leftNow as if some instances were gone.
func (m *Machine) leftWithout(gone func(*instance) bool) *left {
	l := &left{room: m.space(), devices: map[string]int64{}}
	for _, d := range m.devices {
		l.devices[d.Name] = amount(d.Count)
	}
	for _, in := range m.held {
		if !gone(in) {
			l.take(&in.record)
		}
	}
	return l
}

func (l *left) take(r *record) {
	l.room = minus(l.room, r.request())
	for _, d := range r.Devices {
		l.devices[d.Name] -= amount(d.Count)
	}
	l.ports = append(l.ports, r.Ports...)
}

// shortage says what is missing to grant a request; empty if nothing.
func (l *left) shortage(w *placement.Wanted) string {
	for _, part := range []struct {
		needs, left int64
		format      string
	}{
		{w.Request.CPUMillis, l.room.CPUMillis, "NoRoom: needs %dm CPU, %dm left"},
		{w.Request.MemoryBytes, l.room.MemoryBytes, "NoRoom: needs %d bytes of memory, %d left"},
		{w.Request.StorageBytes, l.room.StorageBytes, "NoRoom: needs %d bytes of storage, %d left"},
		{w.Request.Pids, l.room.Pids, "NoRoom: needs %d pids, %d left"},
	} {
		if part.needs > 0 && part.needs > part.left {
			return fmt.Sprintf(part.format, part.needs, max(part.left, 0))
		}
	}
	for _, d := range w.Devices {
		if d.Count > 0 && d.Count > l.devices[d.Name] {
			return fmt.Sprintf("NoDevice: needs %d of %s, %d left", d.Count, d.Name, max(l.devices[d.Name], 0))
		}
	}
	for _, p := range w.Ports {
		for _, taken := range l.ports {
			if clash(p, taken) {
				return fmt.Sprintf("PortTaken: port %d/%s is taken", p.Number, p.Protocol)
			}
		}
	}
	return ""
}

// clash says whether two cannot both have a port of one peer.
func clash(a, b placement.Port) bool {
	return a.Number == b.Number && a.Protocol == b.Protocol && (a.IP == b.IP || allAddresses(a.IP) || allAddresses(b.IP))
}

func allAddresses(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
