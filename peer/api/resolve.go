package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
)

// ResolveRequest says which of the values in conflict shall hold.
type ResolveRequest struct {
	Object string          `json:"object"`          // "Deployment/default/web"
	Path   string          `json:"path,omitempty"`  // of one conflict; empty: all of the object
	Take   string          `json:"take,omitempty"`  // "winner", or the number of a rival from 1
	Value  json.RawMessage `json:"value,omitempty"` // instead of Take: this value; null: none
	Seen   []string        `json:"seen,omitempty"`  // stamps of the values that the caller knows of; when another has come in it is refused (409)
}

// Resolved is one conflict that was settled.
type Resolved struct {
	Object string          `json:"object"`
	Path   string          `json:"path"` // empty: the object stays deleted
	Value  json.RawMessage `json:"value"`
}

// serveResolve settles conflicts of one object, in one write.
func (s *Server) serveResolve(w http.ResponseWriter, r *http.Request) error {
	var asked ResolveRequest
	if err := decodeBody(r, &asked); err != nil {
		return err
	}
	if (asked.Take == "") == (asked.Value == nil) {
		return badRequest("say which value to take: take, or value")
	}
	res, key, err := objectNamed(asked.Object)
	if err != nil {
		return err
	}
	acks, err := parseAcks(r)
	if err != nil {
		return err
	}
	change := change{key: key, manager: fieldManager(r), dryRun: isDryRun(r), acks: acks.peers}
	for range maxRetries {
		held, err := s.readWith(r.Context(), res, key, needs{conflicts: true})
		if err != nil {
			return err
		}
		plan, err := s.settlement(r, held, asked)
		if err != nil {
			return err
		}
		var done outcome
		if !change.dryRun {
			if done, err = held.write(r.Context(), change, plan.verb, plan.changes); errors.Is(err, control.ErrStale) {
				continue
			}
		}
		if err != nil {
			return err
		}
		if err := s.await(r.Context(), w, held.view, acks, done.ops); err != nil {
			return err
		}
		return answer(w, held.view, plan.resolved)
	}
	return res.writeStatus(key.Name, control.ErrStale)
}

// settlement is the write that settles conflicts.
type settlement struct {
	verb     crdt.Verb
	changes  []crdt.Change
	resolved []Resolved
}

func (s *Server) settlement(r *http.Request, held *reading, asked ResolveRequest) (settlement, error) {
	at := slices.IndexFunc(held.view.conflicted, func(c control.Conflicted) bool { return c.Key == held.current.Key })
	if at < 0 {
		return settlement{}, notFound(asked.Object + " is not in conflict")
	}
	c := held.view.conflicted[at]
	var chosen []Conflict
	for _, one := range held.view.conflictsOf(c) {
		if asked.Path == "" || asked.Path == one.Path {
			chosen = append(chosen, one)
		}
	}
	if len(chosen) == 0 {
		return settlement{}, notFound(fmt.Sprintf("%s of %s is not in conflict", asked.Path, asked.Object))
	}
	if len(chosen) > 1 && asked.Take != "winner" {
		return settlement{}, badRequest("%d fields of %s are in conflict: name one, or take the winner of all", len(chosen), asked.Object)
	}
	if err := unseen(chosen, asked.Seen); err != nil {
		return settlement{}, err
	}
	if !c.Live {
		return s.settleDead(r, held, c, chosen, asked)
	}
	plan := settlement{verb: crdt.Update}
	by := manifest.Owner{Manager: fieldManager(r), User: User(r.Context())}
	for _, one := range chosen {
		change, owners, err := held.take(c, one, asked, by)
		if err != nil {
			return settlement{}, err
		}
		plan.changes = append(plan.changes, manifest.Grant(held.current.Fields, change, by, owners)...)
		plan.resolved = append(plan.resolved, Resolved{Object: asked.Object, Path: string(change.Path), Value: rawValue(change.Value)})
	}
	return plan, nil
}

// unseen refuses to settle a conflict of which the caller does not know all values.
func unseen(chosen []Conflict, seen []string) error {
	if seen == nil {
		return nil
	}
	for _, one := range chosen {
		for _, claim := range append([]Claim{one.Winner}, one.Rivals...) {
			if claim.Stamp != "" && !slices.Contains(seen, claim.Stamp) {
				return conflict(fmt.Sprintf("another value of %s has come in since it was looked at, from %s: look again, and then choose", one.Path, claim.Writer))
			}
		}
	}
	return nil
}

// take is the change of one field by which the asked value comes into force, and who owns it then: who wrote that value.
func (r *reading) take(c control.Conflicted, one Conflict, asked ResolveRequest, by manifest.Owner) (crdt.Change, []manifest.Owner, error) {
	at := slices.IndexFunc(c.Fields, func(f crdt.Field) bool { return string(f.Path) == one.Path })
	f := c.Fields[at]
	switch {
	case asked.Value != nil:
		return crdt.Change{Path: f.Path, Value: valueOf(asked.Value)}, []manifest.Owner{by}, nil
	case asked.Take == "winner":
		owners := manifest.Owners(r.current.Fields)[f.Path]
		if owners == nil {
			owners = []manifest.Owner{{Manager: f.Manager, User: f.User}}
		}
		return crdt.Change{Path: f.Path, Value: f.Value}, owners, nil
	}
	n, err := rivalNumber(asked.Take, one)
	if err != nil {
		return crdt.Change{}, nil, err
	}
	rival := f.Conflicts[n]
	path := rival.Path
	if path == "" {
		path = f.Path
	}
	return crdt.Change{Path: path, Value: rival.Value}, []manifest.Owner{{Manager: rival.Manager, User: rival.User}}, nil
}

// valueOf is a value as fields hold it; nil for null.
func valueOf(value json.RawMessage) []byte {
	if string(value) == "null" {
		return nil
	}
	return value
}

// rivalNumber is the index of a rival that is named by its number.
func rivalNumber(text string, one Conflict) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > len(one.Rivals) {
		return 0, badRequest("%q is not \"winner\", and not the number of a losing value of %s: there are 1 to %d", text, one.Path, len(one.Rivals))
	}
	return n - 1, nil
}

// settleDead settles what was written to an object by who had not seen that it was deleted: it stays deleted, or it is
// created again as it was before, with the losing value in place.
func (s *Server) settleDead(r *http.Request, held *reading, c control.Conflicted, chosen []Conflict, asked ResolveRequest) (settlement, error) {
	if asked.Take == "winner" {
		if asked.Path != "" && len(c.Orphans) > 1 {
			return settlement{}, badRequest("%s was deleted, and to leave it so settles all of its conflicts: do not name a field", asked.Object)
		}
		return settlement{verb: crdt.Delete, resolved: []Resolved{{Object: asked.Object, Value: json.RawMessage("null")}}}, nil
	}
	entries, err := s.backend.History(r.Context(), c.Key)
	if err != nil {
		return settlement{}, unavailable(err)
	}
	fields := before(entries)
	if fields == nil {
		return settlement{}, conflict(asked.Object + " was deleted, and this peer does not know any more what it was before: apply its manifest to bring it back, or take the winner to leave it deleted")
	}
	path, value := crdt.Path(chosen[0].Path), valueOf(asked.Value)
	if asked.Value == nil {
		n, err := rivalNumber(asked.Take, chosen[0])
		if err != nil {
			return settlement{}, err
		}
		value = valueOf(chosen[0].Rivals[n].Value)
		if other := chosen[0].Rivals[n].Path; other != "" {
			path = crdt.Path(other)
		}
	}
	fields[path] = value
	return settlement{verb: crdt.Create, changes: settings(fields), resolved: []Resolved{{Object: asked.Object, Path: string(path), Value: rawValue(value)}}}, nil
}
