package manifest

import (
	"bytes"
	"encoding/json"
	"sort"
	"strings"

	"shoal/crdt"
)

// Apply computes the changes by which manager's new manifest replaces its old one: fields set that differ,
// and fields deleted that the same manager owns in current and that desired leaves out. A field that is
// in conflict is set also where it does not differ: that settles the conflict.
func Apply(current []crdt.Field, manager string, desired map[crdt.Path]json.RawMessage) []crdt.Change {
	return changes(current, desired, func(f crdt.Field) bool { return f.Manager == manager })
}

// Replace computes the changes that make an object's fields those desired, whoever owns them.
func Replace(current []crdt.Field, desired map[crdt.Path]json.RawMessage) []crdt.Change {
	return changes(current, desired, func(crdt.Field) bool { return true })
}

func changes(current []crdt.Field, desired map[crdt.Path]json.RawMessage, mayDelete func(crdt.Field) bool) []crdt.Change {
	var out []crdt.Change
	above := ancestors(desired)
	held := make(map[crdt.Path]crdt.Field, len(current))
	for _, f := range current {
		held[f.Path] = f
		if _, wanted := desired[f.Path]; !wanted && mayDelete(f) && !above[f.Path] {
			out = append(out, crdt.Change{Path: f.Path})
		}
	}
	for path, value := range desired {
		f, ok := held[path]
		if !ok || len(f.Conflicts) > 0 || !bytes.Equal(f.Value, value) {
			out = append(out, crdt.Change{Path: path, Value: value})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out
}

// ancestors are all paths above those desired. A value that stands at one, an empty map or list, does
// not show any more, and deleting it could take what is below with it.
func ancestors(desired map[crdt.Path]json.RawMessage) map[crdt.Path]bool {
	all := map[crdt.Path]bool{}
	for path := range desired {
		for {
			i := strings.LastIndexByte(string(path), '/')
			if i < 0 || all[path[:i]] {
				break
			}
			path = path[:i]
			all[path] = true
		}
	}
	return all
}
