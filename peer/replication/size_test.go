package replication

import (
	"fmt"
	"strings"
	"testing"

	"shoal/crdt"
)

// keepers are peers that write in turns, hear everything, and agree on floors.
type keepers struct {
	ids    []crdt.PeerID
	sets   []*crdt.Set
	time   crdt.Time
	floors []crdt.Seen
}

func newKeepers(n int) *keepers {
	k := &keepers{time: 1_790_000_000_000 << 16}
	for i := range n {
		k.ids = append(k.ids, crdt.PeerID(strings.Repeat(fmt.Sprintf("%02x", i+17), 32)))
		k.sets = append(k.sets, crdt.NewSet())
	}
	return k
}

// write lets one of them change an object, as the machine of a peer does, and all others hear of it.
func (k *keepers) write(t *testing.T, turn int, verb crdt.Verb, key crdt.Key, changes ...crdt.Change) {
	t.Helper()
	by := turn % len(k.ids)
	k.time += 1 << 16
	if verb == crdt.Update {
		var paths []crdt.Path
		for _, c := range changes {
			paths = append(paths, c.Path)
		}
		for _, p := range k.sets[by].Carry(key, paths) {
			changes = append(changes, crdt.Change{Path: p})
		}
	}
	op := Seal(crdt.Op{Key: key, Stamp: crdt.Stamp{Time: k.time, Writer: k.ids[by]}, Seen: k.sets[by].Seen(key), Verb: verb,
		Manager: "shoal", User: "ops@example.org", Changes: changes}, longSign)
	for i, set := range k.sets {
		if result, _ := set.Add(op); result != crdt.Applied {
			t.Fatalf("peer %d does not take a write: %d", i, result)
		}
	}
}

// agree closes one more floor over all that is held, and all apply it.
func (k *keepers) agree() {
	first, second := crdt.Seen{}, crdt.Seen{}
	if n := len(k.floors); n > 0 {
		first = k.floors[n-1]
	}
	for _, id := range k.ids {
		second[id] = k.time
	}
	k.floors = append(k.floors, second)
	for _, set := range k.sets {
		set.Forget(first, second)
	}
}

// ratio is how many times as much one of them keeps as a set in which each live object was made just now: in bytes of the
// store, and in names under the digest.
func (k *keepers) ratio() (bytes, names float64) {
	kept, fresh, objects := 0, 0, 0
	for _, key := range k.sets[0].Keys() {
		kept += sealedBytes(k.sets[0].Ops(key)...)
		object, _ := k.sets[0].Object(key)
		if !object.Live {
			continue
		}
		objects++
		op := crdt.Op{Key: key, Stamp: crdt.Stamp{Time: k.time, Writer: k.ids[0]}, Verb: crdt.Create, Manager: "shoal", User: "ops@example.org"}
		for _, f := range object.Fields {
			op.Changes = append(op.Changes, crdt.Change{Path: f.Path, Value: f.Value})
		}
		fresh += sealedBytes(Seal(op, longSign))
	}
	return float64(kept) / float64(fresh), float64(k.sets[0].Count()) / float64(objects)
}

const container = "spec/template/spec/containers/name=web/"

// deployment is the fields of a typical one.
func deployment() []crdt.Change {
	var changes []crdt.Change
	for _, field := range [][2]string{
		{"metadata/labels/app", `"web"`}, {"metadata/labels/team", `"shop"`}, {"spec/replicas", "3"}, {"spec/selector/matchLabels/app", `"web"`},
		{"spec/strategy/rollingUpdate/maxSurge", "1"}, {"spec/template/metadata/labels/app", `"web"`},
		{container + "image", `"registry.example.org/shop/web:1.42.0"`}, {container + "env/name=MODE/value", `"production"`},
		{container + "env/name=LEVEL/value", `"info"`}, {container + "ports/8080%2FTCP/containerPort", "8080"},
		{container + "resources/requests/cpu", `"100m"`}, {container + "resources/requests/memory", `"128Mi"`},
		{container + "resources/limits/memory", `"256Mi"`}, {container + "readinessProbe/httpGet/path", `"/ready"`},
		{container + "readinessProbe/httpGet/port", "8080"},
	} {
		changes = append(changes, crdt.Change{Path: crdt.Path(field[0]), Value: []byte(field[1])})
	}
	return changes
}

// After any number of cycles of creating and deleting at most 1.3 times as many bytes are kept as by a fresh set, and so it is with
// fields where floors come between the writes. Where writes come in haste an operation names all that were writing, and carries
// deletions that no floor covers yet, until the next write to that object: one operation beside the creation, never more.
func TestCyclesLeaveLittle(t *testing.T) {
	const cycles, objects, most, mostInHaste, mostNames = 60, 4, 1.3, 1.6, 2
	web := func(i int) crdt.Key {
		return crdt.Key{Kind: "Deployment", Namespace: "shop", Name: fmt.Sprintf("web-%d", i)}
	}
	set := func(path string, value int) crdt.Change {
		return crdt.Change{Path: crdt.Path(path), Value: fmt.Appendf(nil, `"%d"`, value)}
	}
	unset := func(path string) crdt.Change { return crdt.Change{Path: crdt.Path(path)} }
	env := func(n int) string { return fmt.Sprintf(container+"env/name=V%d/value", n) }
	for _, c := range []struct {
		name    string
		inHaste float64 // most bytes when five cycles go by between floors
		cycle   func(k *keepers, n int, key crdt.Key)
	}{
		{"objects of new names", most, func(k *keepers, n int, key crdt.Key) {
			job := crdt.Key{Kind: "Job", Namespace: "shop", Name: fmt.Sprintf("%s-%d", key.Name, n)}
			k.write(t, n, crdt.Create, job, deployment()...)
			k.write(t, n+1, crdt.Delete, job)
		}},
		{"objects of one name", most, func(k *keepers, n int, key crdt.Key) {
			k.write(t, n, crdt.Delete, key)
			k.write(t, n+1, crdt.Create, key, deployment()...)
		}},
		{"a field that was not there", most, func(k *keepers, n int, key crdt.Key) {
			k.write(t, n, crdt.Update, key, set("spec/paused", n))
			k.write(t, n+1, crdt.Update, key, unset("spec/paused"))
		}},
		{"a field that the creation set, gone at the end", mostInHaste, func(k *keepers, n int, key crdt.Key) {
			k.write(t, n, crdt.Update, key, set("spec/replicas", n))
			k.write(t, n+1, crdt.Update, key, unset("spec/replicas"))
		}},
		{"a field that the creation set, there at the end", mostInHaste, func(k *keepers, n int, key crdt.Key) {
			k.write(t, n, crdt.Update, key, unset("spec/replicas"))
			k.write(t, n+1, crdt.Update, key, set("spec/replicas", n))
		}},
		{"always another variable in place of the last", mostInHaste, func(k *keepers, n int, key crdt.Key) {
			k.write(t, n, crdt.Update, key, unset(env(n-1)), set(env(n), 1))
		}},
	} {
		for _, pace := range []struct {
			name   string
			cycles int // between floors
			most   float64
		}{{"slowly", 1, most}, {"in haste", 5, c.inHaste}} {
			t.Run(c.name+"/"+pace.name, func(t *testing.T) {
				k := newKeepers(3)
				for i := range objects {
					k.write(t, i, crdt.Create, web(i), deployment()...)
				}
				for n := range cycles {
					for i := range objects {
						c.cycle(k, n, web(i))
					}
					if n%pace.cycles == pace.cycles-1 {
						k.agree()
						k.agree()
					}
				}
				bytes, names := k.ratio()
				t.Logf("%.2f times the bytes, %.2f times the names", bytes, names)
				if bytes > pace.most || names > mostNames {
					t.Errorf("%.2f times the bytes of a fresh set, %.2f times the names", bytes, names)
				}
			})
		}
	}
}
