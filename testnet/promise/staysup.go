package promise

import (
	"slices"
	"strconv"
	"strings"
)

// StaysUp is P7 by what objects say, not by what peers make of that: a replica that was ready somewhere is still ready
// somewhere if every peer shows its object alive and with so many replicas, whatever else a merge made of the object. It does not
// count where every copy was lost to a fault, where a peer has no room for it, and where nobody looks at objects.
func StaysUp(before, after Snapshot) []Violation {
	f := findings{promise: "P7"}
	ready := after.ready()
	for replica, list := range before.ready() {
		kept := slices.IndexFunc(list, func(i placed) bool { return !after.lost(i) })
		if len(ready[replica]) > 0 || kept < 0 || !after.asksFor(replica) {
			continue
		}
		f.add("%s was ready on %s, its object lives, and it is now ready nowhere", replica, list[kept].peer.Name)
	}
	return f.sorted()
}

// asksFor says whether the object of a replica, namespace/workload-ordinal, lives on every peer and has so many replicas.
func (s Snapshot) asksFor(replica string) bool {
	at := strings.LastIndexByte(replica, '-')
	ordinal, err := strconv.Atoi(replica[at+1:])
	if at < 0 || err != nil {
		return false
	}
	asked := false
	for _, p := range s.Peers {
		if !p.Alive {
			continue
		}
		pending := slices.ContainsFunc(p.Wanted, func(w Wanted) bool { return w.Replica == replica && w.Pending })
		at := slices.IndexFunc(p.Objects, func(o Object) bool {
			return o.Live && strings.HasSuffix(o.Key, "/"+replica[:at]) && o.replicas() > ordinal
		})
		if at < 0 || pending {
			return false
		}
		asked = true
	}
	return asked
}

// replicas is the field spec/replicas of a workload; 1 where it has none.
func (o Object) replicas() int {
	for _, field := range o.Fields {
		if n, err := strconv.Atoi(field.Value); field.Path == "spec/replicas" && err == nil {
			return n
		}
	}
	return 1
}
