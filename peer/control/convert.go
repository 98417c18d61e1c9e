package control

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/manifest"
	"shoal/peer/replication"
	"shoal/peer/wire"
	"shoal/placement"
	"shoal/runtime"
)

// This file alone turns the nouns of one room into those of another.

// mostAmount bounds what a row may claim, so that no sum of claims can overflow.
const mostAmount = 1 << 50

func amount(n int64) int64 { return min(max(n, 0), mostAmount) }

// resources bounds claimed amounts.
func resources(r placement.Resources) placement.Resources {
	return placement.Resources{CPUMillis: amount(r.CPUMillis), MemoryBytes: amount(r.MemoryBytes),
		StorageBytes: amount(r.StorageBytes), Pids: amount(r.Pids)}
}

func roomOf(r gossip.Room) placement.Resources {
	return resources(placement.Resources{CPUMillis: r.CPUMillis, MemoryBytes: r.MemoryBytes})
}

func plus(a, b placement.Resources) placement.Resources {
	return placement.Resources{CPUMillis: a.CPUMillis + b.CPUMillis, MemoryBytes: a.MemoryBytes + b.MemoryBytes,
		StorageBytes: a.StorageBytes + b.StorageBytes, Pids: a.Pids + b.Pids}
}

func minus(a, b placement.Resources) placement.Resources {
	return placement.Resources{CPUMillis: a.CPUMillis - b.CPUMillis, MemoryBytes: a.MemoryBytes - b.MemoryBytes,
		StorageBytes: a.StorageBytes - b.StorageBytes, Pids: a.Pids - b.Pids}
}

// devicesOf lists what a row says that its peer has, sorted by name.
func devicesOf(devices map[string]int64) []placement.Amount {
	var all []placement.Amount
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		all = append(all, placement.Amount{Name: name, Count: amount(devices[name])})
	}
	return all
}

// deviceMap is the inverse of devicesOf.
func deviceMap(devices []placement.Amount) map[string]int64 {
	if len(devices) == 0 {
		return nil
	}
	byName := map[string]int64{}
	for _, d := range devices {
		byName[d.Name] = d.Count
	}
	return byName
}

func amountsOf(held []wire.Amount) []placement.Amount {
	var all []placement.Amount
	for _, a := range held {
		all = append(all, placement.Amount{Name: a.Name, Count: amount(a.Count)})
	}
	return all
}

func wireAmounts(held []placement.Amount) []wire.Amount {
	var all []wire.Amount
	for _, a := range held {
		all = append(all, wire.Amount{Name: a.Name, Count: a.Count})
	}
	return all
}

// tcp is the protocol that a row leaves out.
const tcp = "TCP"

func portsOf(held []wire.HostPort) []placement.Port {
	var all []placement.Port
	for _, p := range held {
		port := placement.Port{IP: p.IP, Number: p.Number, Protocol: p.Protocol}
		if port.Protocol == "" {
			port.Protocol = tcp
		}
		all = append(all, port)
	}
	return all
}

func wirePorts(held []placement.Port) []wire.HostPort {
	var all []wire.HostPort
	for _, p := range held {
		port := wire.HostPort{IP: p.IP, Number: p.Number, Protocol: p.Protocol}
		if port.Protocol == tcp {
			port.Protocol = ""
		}
		all = append(all, port)
	}
	return all
}

func workloadID(key crdt.Key) placement.WorkloadID { return placement.WorkloadID(key.String()) }

// keyOf is the inverse of workloadID. A string of another form gives a key with that name alone.
func keyOf(id string) crdt.Key {
	switch parts := strings.Split(id, "/"); len(parts) {
	case 2:
		return crdt.Key{Kind: parts[0], Name: parts[1]}
	case 3:
		return crdt.Key{Kind: parts[0], Namespace: parts[1], Name: parts[2]}
	}
	return crdt.Key{Name: id}
}

// replicaID names a replica by what tells it from the others of its workload: its ordinal or, of one on each, its peer.
func replicaID(key crdt.Key, which string) placement.ReplicaID {
	return placement.ReplicaID(key.Namespace + "/" + key.Name + "-" + which)
}

// replicaName is a replica's name within its namespace.
func replicaName(id placement.ReplicaID) string {
	return string(id[strings.IndexByte(string(id), '/')+1:])
}

// ordinalOf reads the number at the end of a replica's name; -1 if there is none.
func ordinalOf(id placement.ReplicaID) int {
	n, err := strconv.Atoi(string(id[strings.LastIndexByte(string(id), '-')+1:]))
	if err != nil {
		return -1
	}
	return n
}

const mostInstanceID = 200

// instanceID names an instance; a name too long for a file is cut and told apart by its hash.
func instanceID(replica placement.ReplicaID, revision placement.Revision) runtime.InstanceID {
	name := strings.Replace(string(replica), "/", ".", 1)
	if tail := "." + string(revision); len(name)+len(tail) > mostInstanceID {
		name = name[:mostInstanceID-len(tail)-9] + "-" + shortHash(name)
	}
	return runtime.InstanceID(name + "." + string(revision))
}

// hostname is a replica's name as far as a DNS label can carry it.
func hostname(name string) string {
	if len(name) <= 63 {
		return name
	}
	return name[:54] + "-" + shortHash(name)
}

func shortHash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:4])
}

// revisionOf is the revision that one ordinal of a workload should have in the end.
func revisionOf(w *manifest.Workload, ordinal int) placement.Revision {
	return markedRevision(w, w.Restarts[ordinal])
}

// markedRevision is the revision of one replica of a workload, with the mark that replaces it alone.
func markedRevision(w *manifest.Workload, mark string) placement.Revision {
	if mark != "" {
		return placement.Revision(shortHash(w.Revision, mark))
	}
	return placement.Revision(w.Revision)
}

func requestOf(w *manifest.Workload) placement.Resources {
	return resources(placement.Resources{CPUMillis: w.RequestCPUMillis, MemoryBytes: w.RequestMemoryBytes,
		StorageBytes: w.RequestStorageBytes, Pids: w.RequestPids})
}

func sends(outgoing []replication.Outgoing) []Send {
	out := make([]Send, len(outgoing))
	for i, o := range outgoing {
		out[i] = Send{To: o.To, Message: o.Message}
	}
	return out
}

func decodeRow(body []byte) (*wire.Observation, error) {
	o, err := wire.DecodeObservation(body)
	if err != nil {
		return nil, err
	}
	return &o, nil
}

// millis is a time as rows carry it: 0 is unknown.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func incumbentOf(peer crdt.PeerID, in wire.Instance) placement.Incumbent {
	return placement.Incumbent{
		Replica:  placement.ReplicaID(in.Replica),
		Revision: placement.Revision(in.Revision),
		Peer:     placement.PeerID(peer),
		Request: resources(placement.Resources{CPUMillis: in.CPUMillis, MemoryBytes: in.Memory,
			StorageBytes: in.Storage, Pids: in.Pids}),
		Devices:  amountsOf(in.Devices),
		Ports:    portsOf(in.Ports),
		Ready:    in.Ready,
		Stopping: InstanceState(in.State) == Stopping,
		Arriving: in.Arriving,
		Young:    in.Young,
		Since:    fromMillis(in.Since),
	}
}

// refusalOf keeps the refuser's own clock: it alone ends a refusal, by a newer row without it, so
// that every peer with that row plans alike whatever its own clock says.
func refusalOf(peer crdt.PeerID, at int64, r wire.Refusal) placement.Refusal {
	return placement.Refusal{
		Replica:  placement.ReplicaID(r.Replica),
		Revision: placement.Revision(r.Revision),
		Peer:     placement.PeerID(peer),
		Reason:   r.Reason,
		Soft:     r.Soft,
		Until:    time.UnixMilli(at + r.ForMillis).UTC(),
	}
}
