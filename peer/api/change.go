package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
)

// change is one change to one object, to be computed from each reading of it.
type change struct {
	key     crdt.Key
	manager string
	dryRun  bool
	acks    int                                     // how many other peers are asked at once to acknowledge it
	compute func(r *reading) ([]crdt.Change, error) // the changes to make, or why not

	warnings []string // fields of what was sent that are accepted without effect
}

// outcome is what became of a change.
type outcome struct {
	object  object
	created bool
	changed bool
	took    time.Duration // until it was signed and on disk
	ops     []crdt.OpID   // what was written; where nothing was, what the object is made of
}

// reading is one reading of one object.
type reading struct {
	server   *Server
	resource *resource
	view     *view
	current  crdt.Object // as intent; without fields when it is not live
	served   object
	formed   bool
}

// readOne reads one object.
func (s *Server) readOne(ctx context.Context, res *resource, key crdt.Key) (*reading, error) {
	return s.readWith(ctx, res, key, needs{})
}

// readWith reads one object and more of the peer's state.
func (s *Server) readWith(ctx context.Context, res *resource, key crdt.Key, more needs) (*reading, error) {
	more.objects, more.replicas, more.key = res.needs.objects, res.needs.replicas, &key
	v, err := s.look(ctx, more)
	if err != nil {
		return nil, err
	}
	r := &reading{server: s, resource: res, view: v, current: v.current}
	r.current.Key = key
	if !r.current.Live {
		r.current.Fields, r.current.Deleted = nil, nil
	}
	return r, nil
}

// form is the object as it is served, with its resourceVersion; nil if there is none. It costs the most of a request and
// is made only where it is looked at.
func (r *reading) form() object {
	if !r.formed {
		r.served, r.formed = r.server.serve(r.resource, r.current.Key, r.view), true
	}
	return r.served
}

// plain is the object as it is served, without status and resourceVersion.
func (r *reading) plain() object {
	if r.current.Live && r.resource != nodes {
		return intent(r.current)
	}
	return r.form()
}

// intended are the fields to keep of those that a whole object has as it is served and then changed.
func (r *reading) intended(fields map[crdt.Path]json.RawMessage) (map[crdt.Path]json.RawMessage, error) {
	if r.resource != nodes {
		return fields, nil
	}
	return r.view.intended(r.current, maps.Clone(fields))
}

// exists says whether the object can be read, which a namespace can that nobody has written.
func (r *reading) exists() bool { return r.current.Live || r.form() != nil }

// change makes one change durable. When the object changes meanwhile, it is computed anew.
func (s *Server) change(ctx context.Context, res *resource, c change) (outcome, *view, error) {
	for range maxRetries {
		r, err := s.readOne(ctx, res, c.key)
		if err != nil {
			return outcome{}, nil, err
		}
		changes, err := c.compute(r)
		if err != nil {
			return outcome{}, nil, err
		}
		if len(changes) == 0 && (r.current.Live || res == nodes && r.exists()) {
			done, err := r.unchanged(ctx, c)
			return done, r.view, err
		}
		if c.dryRun {
			after, err := r.preview(c, changes)
			return after, r.view, err
		}
		done, err := r.write(ctx, c, verbFor(r.current.Live), changes)
		if errors.Is(err, control.ErrStale) {
			continue
		}
		return done, r.view, err
	}
	return outcome{}, nil, res.writeStatus(c.key.Name, control.ErrStale)
}

// unchanged is the outcome of a change that changes nothing. Where others shall hold it, they are asked about what was there.
func (r *reading) unchanged(ctx context.Context, c change) (outcome, error) {
	done := outcome{object: r.form(), ops: r.view.ops}
	if c.acks == 0 || c.dryRun {
		return done, nil
	}
	_, err := r.server.backend.Write(ctx, control.Write{Key: c.key, Verb: crdt.Update, Seen: r.current.Seen, Acks: c.acks})
	if err != nil {
		return outcome{}, r.refused(c, nil, err)
	}
	return done, nil
}

// write hands a change to the peer, and returns when it is on disk.
func (r *reading) write(ctx context.Context, c change, verb crdt.Verb, changes []crdt.Change) (outcome, error) {
	w := control.Write{Key: c.key, Verb: verb, Seen: r.current.Seen, Manager: c.manager, User: User(ctx), Changes: changes, Acks: c.acks}
	began := time.Now()
	reply, err := r.server.backend.Write(ctx, w)
	done := outcome{created: verb == crdt.Create, changed: true, took: time.Since(began), ops: []crdt.OpID{reply.Op}}
	if err != nil {
		return outcome{}, r.refused(c, changes, err)
	}
	if verb != crdt.Delete {
		r.view.written(c.after(r.current, changes), reply)
		done.object = r.server.serve(r.resource, c.key, r.view)
	}
	return done, nil
}

// serve gives one object of a view as it is served; nil if there is none.
func (s *Server) serve(res *resource, key crdt.Key, v *view) object {
	found := narrow(res.objects(v), selection{namespace: key.Namespace, name: key.Name})
	s.versions.stamp(res, v.version, found, false)
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

// written brings a view up to a write that the peer has taken, without asking it again.
func (v *view) written(after crdt.Object, reply control.Reply) {
	if !after.Live {
		after.Live, after.Created = true, reply.Stamp
	}
	after.Modified = reply.Stamp
	v.objects[after.Key.Kind], v.version = []crdt.Object{after}, reply.Version
	delete(v.invalid, after.Key)
}

func verbFor(exists bool) crdt.Verb {
	if exists {
		return crdt.Update
	}
	return crdt.Create
}

// refused is the answer to a write that the peer did not take. The peer checks what it takes; only for what it
// refuses are the faults worked out again, with their fields.
func (r *reading) refused(c change, changes []crdt.Change, err error) error {
	if errors.Is(err, control.ErrStale) {
		return err
	}
	var invalid *control.InvalidError
	if errors.As(err, &invalid) {
		if _, faults := r.preview(c, changes); faults != nil {
			return faults
		}
	}
	return r.resource.writeStatus(c.key.Name, err)
}

// preview is the outcome that a change would have, or what would be wrong with it.
func (r *reading) preview(c change, changes []crdt.Change) (outcome, error) {
	after := c.after(r.current, changes)
	faults := manifest.Validate(c.key, manifest.Tree(c.key, after.Fields))
	if name := c.key.Namespace; name != "" && !r.view.home {
		faults = append(faults, manifest.Fault{Text: fmt.Sprintf(
			"namespace %q does not exist: create it first, with a manifest of kind Namespace", name)})
	}
	if faults != nil {
		return outcome{}, r.resource.invalid(c.key.Name, faults)
	}
	tree := manifest.Tree(c.key, after.Fields)
	if held := r.form(); held != nil {
		for name, value := range held["metadata"].(object) {
			if name != "labels" && name != "annotations" {
				tree["metadata"].(object)[name] = value
			}
		}
		tree["status"] = held["status"]
	}
	return outcome{object: tree, created: !r.current.Live, changed: true}, nil
}

// after is an object as it will be once a change has been made to what was read.
func (c change) after(current crdt.Object, changes []crdt.Change) crdt.Object {
	fields := make(map[crdt.Path]crdt.Field, len(current.Fields)+len(changes))
	for _, f := range current.Fields {
		fields[f.Path] = f
	}
	for _, ch := range changes {
		if ch.Value == nil {
			delete(fields, ch.Path)
			continue
		}
		fields[ch.Path] = crdt.Field{Path: ch.Path, Value: ch.Value, Manager: c.manager}
	}
	after := current
	after.Fields = nil
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		after.Fields = append(after.Fields, fields[path])
	}
	return after
}
