package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
)

// Past is one change of an object, as this peer took it in.
type Past struct {
	Number  int           `json:"number"` // 1 is the newest
	Stamp   string        `json:"stamp"`
	Verb    string        `json:"verb"`  // "create", "update" or "delete"
	At      time.Time     `json:"at"`    // written, by its writer's clock
	Taken   time.Time     `json:"taken"` // when this peer took it in
	Writer  string        `json:"writer"`
	User    string        `json:"user,omitempty"`
	Manager string        `json:"manager,omitempty"`
	Changes []FieldChange `json:"changes"`          // of what is in force; none when it lost against a concurrent write
	Shared  int           `json:"shared,omitempty"` // in how many fields it only joined or left their owners
}

// FieldChange is a field before and after.
type FieldChange struct {
	Path string          `json:"path"`
	Old  json.RawMessage `json:"old"` // null: not set
	New  json.RawMessage `json:"new"`
}

var verbNames = map[crdt.Verb]string{crdt.Create: "create", crdt.Update: "update", crdt.Delete: "delete"}

// objectNamed reads "Deployment/default/web".
func objectNamed(text string) (*resource, crdt.Key, error) {
	parts := strings.Split(text, "/")
	for _, res := range writables() {
		if res.kind != parts[0] {
			continue
		}
		if res.namespaced && len(parts) == 3 {
			return res, crdt.Key{Kind: res.kind, Namespace: parts[1], Name: parts[2]}, nil
		}
		if !res.namespaced && len(parts) == 2 {
			return res, crdt.Key{Kind: res.kind, Name: parts[1]}, nil
		}
	}
	return nil, crdt.Key{}, badRequest("%q is not the name of an object: write it like Deployment/default/web or Namespace/shop", text)
}

func (s *Server) serveHistory(w http.ResponseWriter, r *http.Request) error {
	res, key, err := objectNamed(r.PathValue("object"))
	if err != nil {
		return err
	}
	v, err := s.look(r.Context(), needs{})
	if err != nil {
		return err
	}
	entries, err := s.backend.History(r.Context(), key)
	if err != nil {
		return unavailable(err)
	}
	if len(entries) == 0 {
		return res.unremembered(key)
	}
	var list []Past
	for i, e := range entries {
		list = append(list, v.past(i+1, e))
	}
	return answer(w, v, list)
}

func (v *view) past(number int, e control.HistoryEntry) Past {
	p := Past{Number: number, Stamp: stampText(e.Stamp), Verb: verbNames[e.Verb], At: wallTime(e.Stamp.Time).UTC(), Taken: e.At.UTC(),
		Writer: v.name(e.Stamp.Writer), User: e.User, Manager: e.Manager, Changes: []FieldChange{}}
	for _, d := range e.Diffs {
		if manifest.Hidden(d.Path) {
			p.Shared++
			continue
		}
		p.Changes = append(p.Changes, FieldChange{Path: string(d.Path), Old: rawValue(d.Old), New: rawValue(d.New)})
	}
	return p
}

// numbered finds the entry that a number or the beginning of a stamp names; without either, that before the newest change.
func numbered(entries []control.HistoryEntry, to string) (int, error) {
	if to == "" {
		return beforeNewest(entries)
	}
	if n, err := strconv.Atoi(to); err == nil && len(to) < 8 {
		if n < 1 || n > len(entries) {
			return 0, notFound(fmt.Sprintf("there is no number %d in the history: it goes from 1, the newest, to %d%s", n, len(entries), older(entries)))
		}
		return n - 1, nil
	}
	found := -1
	for i, e := range entries {
		if len(to) < 8 || !strings.HasPrefix(stampText(e.Stamp), to) {
			continue
		}
		if found >= 0 {
			return 0, badRequest("%q is the beginning of several stamps in the history: give more of it", to)
		}
		found = i
	}
	if found < 0 {
		return 0, notFound(fmt.Sprintf("%q is neither a number nor a stamp in the history of this object, as this peer knows it%s", to, older(entries)))
	}
	return found, nil
}

// older says that there was something before a history's oldest entry; empty where that is the beginning.
func older(entries []control.HistoryEntry) string {
	if entries[len(entries)-1].Verb == crdt.Create {
		return ""
	}
	return "; what was before is not known here any more"
}

// unremembered is the answer where nothing is left of an object, not even its deletion.
func (r *resource) unremembered(key crdt.Key) error {
	s := notFound(fmt.Sprintf("nothing is known here of %s, nor of its past: of objects that were deleted, the last 1,024 are remembered", key))
	s.Details = &Details{Name: key.Name, Group: r.group, Kind: r.plural}
	return s
}

// beforeNewest finds the entry before the newest one that changed what is in force.
func beforeNewest(entries []control.HistoryEntry) (int, error) {
	for i, e := range entries {
		if i+1 < len(entries) && slices.ContainsFunc(e.Diffs, func(d control.Diff) bool { return !manifest.Hidden(d.Path) }) {
			return i + 1, nil
		}
	}
	return 0, notFound("the history of this object, as this peer knows it, has nothing that could be taken back")
}

// rewind walks the changes back from what is now, to what was in force after entry at.
func rewind(current []crdt.Field, entries []control.HistoryEntry, at int) map[crdt.Path][]byte {
	state := map[crdt.Path][]byte{}
	for _, f := range current {
		state[f.Path] = f.Value
	}
	for _, e := range entries[:at] {
		for _, d := range e.Diffs {
			if d.Old == nil {
				delete(state, d.Path)
			} else {
				state[d.Path] = d.Old
			}
		}
	}
	maps.DeleteFunc(state, func(path crdt.Path, _ []byte) bool { return manifest.Hidden(path) })
	return state
}

// before is what a dead object was before it was deleted; nil when that is not known any more.
func before(entries []control.HistoryEntry) map[crdt.Path][]byte {
	for i, e := range entries {
		if e.Verb == crdt.Delete {
			if state := rewind(nil, entries, i+1); len(state) > 0 {
				return state
			}
			return nil
		}
	}
	return nil
}

// settings are the changes that set fields, sorted by path.
func settings(fields map[crdt.Path][]byte) []crdt.Change {
	var changes []crdt.Change
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		if fields[path] != nil {
			changes = append(changes, crdt.Change{Path: path, Value: fields[path]})
		}
	}
	return changes
}

// restorer is who had set a value before an entry, as far as the history tells.
func restorer(entries []control.HistoryEntry, path crdt.Path, value []byte) (manifest.Owner, bool) {
	for _, e := range entries {
		for _, d := range e.Diffs {
			if d.Path == path {
				return manifest.Owner{Manager: e.Manager, User: e.User}, bytes.Equal(d.New, value)
			}
		}
	}
	return manifest.Owner{}, false
}
