package heap

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/placement"
	"shoal/runtime"
	"shoal/testnet/promise"
)

// Beside is what a machine has to give beside CPU and memory. The zero value is a machine that says nothing of it.
type Beside struct {
	StorageBytes int64
	Pids         int64
	Devices      []placement.Amount // sorted by name
}

func (b Beside) devices() map[string]int64 { return amounts(b.Devices) }

func amounts(list []placement.Amount) map[string]int64 {
	all := map[string]int64{}
	for _, a := range list {
		all[a.Name] += a.Count
	}
	return all
}

// measure is what a machine finds out of itself.
func (p *Peer) measure() control.SelfChanged {
	m := control.SelfChanged{Room: p.self.Room, Health: p.self.Health, Images: slices.Sorted(maps.Keys(p.machine.images))}
	if p.world.plants.measured != nil {
		p.world.plants.measured(&m)
	}
	return m
}

// Resize gives a machine another room: it was restarted with more or less of everything.
func (w *World) Resize(name string, room gossip.Room, beside Beside) {
	p := w.Peer(name)
	w.tracef("%s has %v %v", name, room, beside)
	p.self.Room, p.has, p.owns = room, beside, room
	p.feed(p.measure())
}

// Health sets how well a machine feels, by its own measure.
func (w *World) Health(name string, health gossip.Health) {
	p := w.Peer(name)
	w.tracef("%s feels %d", name, health)
	p.self.Health = health
	p.feed(p.measure())
}

// held is what the record of an instance says that it holds, in the form of package control.
type held struct {
	CPUMillis, MemoryBytes, StorageBytes, Pids int64
	Devices                                    []placement.Amount
	Ports                                      []placement.Port
}

// holding shows what an instance holds by its peer's own record; a record that says nothing holds nothing.
func (m *machine) holding(id runtime.InstanceID) promise.Instance {
	var h held
	_ = json.Unmarshal(m.instances[id].spec.Note, &h)
	i := promise.Instance{ID: string(id), Replica: replicaOf(id), Revision: revisionOf(id), Devices: amounts(h.Devices),
		Request: promise.Resources{CPUMillis: h.CPUMillis, MemoryBytes: h.MemoryBytes, StorageBytes: h.StorageBytes, Pids: h.Pids}}
	for _, port := range h.Ports {
		i.Ports = append(i.Ports, promise.PortText(port.Protocol, port.IP, port.Number))
	}
	return i
}

// asAsked checks that an instance of the revision in force holds all that its object asks for: an account that leaves
// something out keeps no room (P6).
func (m *machine) asAsked(id runtime.InstanceID) []promise.Violation {
	p := m.peer
	if len(p.world.peers) > smallWorld {
		return nil
	}
	assigned, _ := p.core.Assignment(placement.ReplicaID(replicaOf(id)))
	object, live := p.core.Object(keyOf(string(assigned.Workload)))
	if !live || string(assigned.Revision) != revisionOf(id) {
		return nil
	}
	w, faults := p.world.memo.read(object.Key, object.Fields)
	if w == nil || len(faults) > 0 || w.Revision != revisionOf(id) {
		return nil
	}
	asked := held{w.RequestCPUMillis, w.RequestMemoryBytes, w.RequestStorageBytes, w.RequestPids, w.Devices, w.Ports}
	var kept held
	_ = json.Unmarshal(m.instances[id].spec.Note, &kept)
	if fmt.Sprint(asked) != fmt.Sprint(kept) {
		return []promise.Violation{{Promise: "P6", Text: fmt.Sprintf("%s keeps %v for %s, which asks for %v", p.Name, kept, id, asked)}}
	}
	return nil
}

// keyOf reads the name of a workload, Kind/namespace/name.
func keyOf(workload string) crdt.Key {
	parts := strings.SplitN(workload+"//", "/", 3)
	return crdt.Key{Kind: parts[0], Namespace: parts[1], Name: strings.TrimRight(parts[2], "/")}
}
