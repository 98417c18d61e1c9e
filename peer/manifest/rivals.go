package manifest

import (
	"encoding/json"
	"slices"

	"shoal/crdt"
)

var (
	witnessesPath = crdt.Path("metadata/annotations/" + escape.Replace(WitnessesAnnotation))
	homePath      = crdt.Path("metadata/annotations/" + escape.Replace(HomeAnnotation))
)

// RivalWitnesses are the lists of witnesses, each sorted, that lost to others whose writers had not seen them, and that nobody has
// settled yet.
func RivalWitnesses(o *crdt.Object) (all [][]string) {
	for _, f := range slices.Concat(o.Fields, o.Deleted) {
		if f.Path != witnessesPath && f.Path != homePath {
			continue
		}
		for _, rival := range f.Conflicts {
			var text string
			if rival.Path != f.Path || json.Unmarshal(rival.Value, &text) != nil {
				continue // a deletion, or one of all annotations: it names no witness
			}
			for _, list := range lists(text) {
				slices.Sort(list)
				all = append(all, list)
			}
		}
	}
	return all
}
