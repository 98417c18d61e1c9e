package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
)

// Conflict is a field about whose value writers disagree who had not seen each other. Of an object that is not live
// it is a write by someone who had not seen the deletion: then the value in force is null, and the winner whoever deleted it.
type Conflict struct {
	Object string  `json:"object"` // "Deployment/default/web"
	Live   bool    `json:"live"`
	Path   string  `json:"path"`
	Winner Claim   `json:"winner"`
	Rivals []Claim `json:"rivals"` // numbered from 1 in this order
}

// Claim is one of the values written.
type Claim struct {
	Value   json.RawMessage `json:"value"`          // null: a deletion
	Path    string          `json:"path,omitempty"` // where it is not the conflict's own, but one above or below it
	Stamp   string          `json:"stamp"`          // of the operation
	Writer  string          `json:"writer"`         // the peer that took the command
	User    string          `json:"user,omitempty"`
	Manager string          `json:"manager,omitempty"`
	At      time.Time       `json:"at"` // by the writer's clock
}

// stampText is a stamp as people copy it: sixteen digits of its time and the beginning of its writer.
func stampText(s crdt.Stamp) string {
	if s.Time == 0 {
		return ""
	}
	return fmt.Sprintf("%016x-%s", uint64(s.Time), short(s.Writer))
}

// rawValue is a field's value as JSON; what is none is shown as text.
func rawValue(value []byte) json.RawMessage {
	switch {
	case value == nil:
		return json.RawMessage("null")
	case !json.Valid(value):
		text, _ := json.Marshal(string(value))
		return text
	}
	return value
}

func (v *view) claim(value []byte, stamp crdt.Stamp, manager, user string) Claim {
	c := Claim{Value: rawValue(value), Stamp: stampText(stamp), Writer: v.name(stamp.Writer), User: user, Manager: manager}
	if stamp.Time != 0 {
		c.At = wallTime(stamp.Time).UTC()
	}
	return c
}

func (v *view) rival(r crdt.Rival, path crdt.Path) Claim {
	c := v.claim(r.Value, r.Writer, r.Manager, r.User)
	if r.Path != path && r.Path != "" {
		c.Path = string(r.Path)
	}
	return c
}

func (v *view) rivals(f crdt.Field) []Claim {
	list := []Claim{}
	for _, r := range f.Conflicts {
		list = append(list, v.rival(r, f.Path))
	}
	return list
}

// conflictsOf lists an object's conflicts, by path.
func (v *view) conflictsOf(c control.Conflicted) []Conflict {
	var list []Conflict
	for _, f := range c.Fields {
		if len(f.Conflicts) > 0 && !manifest.Hidden(f.Path) {
			list = append(list, Conflict{Object: c.Key.String(), Live: true, Path: string(f.Path),
				Winner: v.claim(f.Value, f.Writer, f.Manager, f.User), Rivals: v.rivals(f)})
		}
	}
	for _, f := range c.Orphans {
		if manifest.Hidden(f.Path) {
			continue
		}
		own := v.claim(f.Value, f.Writer, f.Manager, f.User)
		list = append(list, Conflict{Object: c.Key.String(), Path: string(f.Path),
			Winner: v.claim(nil, c.Deleted.Stamp, c.Deleted.Manager, c.Deleted.User), Rivals: append([]Claim{own}, v.rivals(f)...)})
	}
	return list
}

// users says whether an object is one of those that people write, not one that peers keep for themselves.
func users(key crdt.Key) bool {
	_, known := manifest.KindOf(key.Kind)
	return known
}

// serveConflicts lists what is in conflict, live or dead; ?object=Deployment/default/web narrows it to one object.
func (s *Server) serveConflicts(w http.ResponseWriter, r *http.Request) error {
	v, err := s.look(r.Context(), needs{conflicts: true})
	if err != nil {
		return err
	}
	only := r.URL.Query().Get("object")
	var list []Conflict
	for _, c := range v.conflicted {
		if users(c.Key) && (only == "" || only == c.Key.String()) {
			list = append(list, v.conflictsOf(c)...)
		}
	}
	return answer(w, v, list)
}

// conflictText says which fields of an object are in conflict; empty when none is.
func conflictText(o crdt.Object) string {
	var paths []string
	for _, f := range slices.Concat(o.Fields, o.Deleted) {
		if len(f.Conflicts) > 0 && !manifest.Hidden(f.Path) {
			paths = append(paths, string(f.Path))
		}
	}
	if len(paths) == 0 {
		return ""
	}
	slices.Sort(paths)
	const most = 5
	more := ""
	if len(paths) > most {
		more = fmt.Sprintf(" and %d more", len(paths)-most)
		paths = paths[:most]
	}
	return fmt.Sprintf("written in several places at the same time: %s%s; 'shoal conflicts' shows the values", strings.Join(paths, ", "), more)
}
