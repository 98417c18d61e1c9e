package api

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
)

// RollbackRequest asks for an object to become again what it was.
type RollbackRequest struct {
	To string `json:"to"` // as it was after this entry of its history: its number, or the beginning of its stamp; when empty, the one before the newest that changed what is in force
}

// Rollback is what a rollback changed, or would change.
type Rollback struct {
	Object  string        `json:"object"`
	To      Past          `json:"to"`
	Result  string        `json:"result"` // "rolled back", "unchanged", or "created" where the object did not exist any more
	Changes []FieldChange `json:"changes"`
}

// serveRollback restores an object's fields by walking its history back. It is a new write: nothing is taken out of the history.
func (s *Server) serveRollback(w http.ResponseWriter, r *http.Request) error {
	res, key, err := objectNamed(r.PathValue("object"))
	if err != nil {
		return err
	}
	var asked RollbackRequest
	if err := decodeBody(r, &asked); err != nil {
		return err
	}
	acks, err := parseAcks(r)
	if err != nil {
		return err
	}
	by := manifest.Owner{Manager: fieldManager(r), User: User(r.Context())}
	c := change{key: key, manager: by.Manager, dryRun: isDryRun(r), acks: acks.peers}
	for range maxRetries {
		held, entries, err := s.readPast(r, res, key)
		if err != nil {
			return err
		}
		plan, err := held.plan(entries, asked.To, by)
		if err != nil {
			return err
		}
		done, err := held.rollback(r, c, plan)
		if errors.Is(err, control.ErrStale) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.await(r.Context(), w, held.view, acks, done.ops); err != nil {
			return err
		}
		held.view.sign(w)
		writeJSON(w, http.StatusOK, plan.answer)
		return nil
	}
	return res.writeStatus(key.Name, control.ErrStale)
}

// rollbackPlan is the write that a rollback makes.
type rollbackPlan struct {
	changes []crdt.Change
	answer  Rollback
}

// readPast reads an object and its history, which belong together: nothing has come between the two.
func (s *Server) readPast(r *http.Request, res *resource, key crdt.Key) (*reading, []control.HistoryEntry, error) {
	for range maxRetries {
		before, err := s.backend.History(r.Context(), key)
		if err != nil {
			return nil, nil, unavailable(err)
		}
		held, err := s.readOne(r.Context(), res, key)
		if err != nil {
			return nil, nil, err
		}
		entries, err := s.backend.History(r.Context(), key)
		if err != nil {
			return nil, nil, unavailable(err)
		}
		if len(entries) == 0 {
			return nil, nil, res.unremembered(key)
		}
		if len(before) > 0 && before[0].Stamp == entries[0].Stamp {
			return held, entries, nil
		}
	}
	return nil, nil, res.writeStatus(key.Name, control.ErrStale)
}

// plan works a rollback out.
func (r *reading) plan(entries []control.HistoryEntry, to string, by manifest.Owner) (*rollbackPlan, error) {
	key := r.current.Key
	at, err := numbered(entries, to)
	if err != nil {
		return nil, err
	}
	target := rewind(r.current.Fields, entries, at)
	if len(target) == 0 {
		return nil, conflict(fmt.Sprintf("%s did not exist then: to have it so, delete it", key))
	}
	p := &rollbackPlan{answer: Rollback{Object: key.String(), To: r.view.past(at+1, entries[at]), Result: "rolled back", Changes: []FieldChange{}}}
	p.compare(r.current.Fields, target, entries[at:], by)
	switch {
	case len(p.changes) == 0:
		p.answer.Result = "unchanged"
	case !r.current.Live:
		p.answer.Result = "created"
	}
	return p, nil
}

// compare fills a plan with what differs between the fields in force and those wanted. A field that comes back belongs
// again to who had set it, so that a later apply finds everything as it was.
func (p *rollbackPlan) compare(current []crdt.Field, target map[crdt.Path][]byte, past []control.HistoryEntry, by manifest.Owner) {
	for _, f := range current {
		if _, stays := target[f.Path]; !stays && !manifest.Hidden(f.Path) {
			p.changes = append(p.changes, manifest.Disown(current, []crdt.Change{{Path: f.Path}})...)
			p.answer.Changes = append(p.answer.Changes, FieldChange{Path: string(f.Path), Old: rawValue(f.Value), New: rawValue(nil)})
		}
	}
	for _, set := range settings(target) {
		at := slices.IndexFunc(current, func(f crdt.Field) bool { return f.Path == set.Path })
		var old []byte
		if at >= 0 {
			old = current[at].Value
		}
		if bytes.Equal(old, set.Value) {
			continue
		}
		owner, known := restorer(past, set.Path, set.Value)
		if !known {
			owner = by
		}
		p.changes = append(p.changes, manifest.Grant(current, set, by, []manifest.Owner{owner})...)
		p.answer.Changes = append(p.answer.Changes, FieldChange{Path: string(set.Path), Old: rawValue(old), New: rawValue(set.Value)})
	}
	slices.SortFunc(p.changes, func(a, b crdt.Change) int { return strings.Compare(string(a.Path), string(b.Path)) })
	slices.SortFunc(p.answer.Changes, func(a, b FieldChange) int { return strings.Compare(a.Path, b.Path) })
}

// rollback carries a plan out.
func (r *reading) rollback(request *http.Request, c change, p *rollbackPlan) (outcome, error) {
	switch {
	case len(p.changes) == 0:
		return r.unchanged(request.Context(), c)
	case c.dryRun:
		return r.preview(c, p.changes)
	}
	return r.write(request.Context(), c, verbFor(r.current.Live), p.changes)
}
