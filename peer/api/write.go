package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
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
	// compute returns the changes to make, or why not. tree is the object as it is served, with its
	// resourceVersion, and nil if there is none.
	compute func(current crdt.Object, tree object) ([]crdt.Change, error)
}

// outcome is what became of a change.
type outcome struct {
	object  object
	created bool
	changed bool
	took    time.Duration // until it was signed and on disk
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// readBody reads a bounded body.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, failure(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("larger than %d MiB", tooLarge.Limit>>20))
	}
	if err != nil {
		return nil, badRequest("the body cannot be read: %v", err)
	}
	return body, nil
}

// fieldManager names the program that owns what a request sets.
func fieldManager(r *http.Request) string {
	if name := r.URL.Query().Get("fieldManager"); name != "" {
		return name[:min(len(name), 128)]
	}
	agent, _, _ := strings.Cut(r.UserAgent(), "/")
	return agent[:min(len(agent), 128)]
}

func isDryRun(r *http.Request) bool { return r.URL.Query().Get("dryRun") != "" }

// serveWrite creates, replaces, patches or applies one object.
func (s *Server) serveWrite(w http.ResponseWriter, r *http.Request, t target) error {
	if !t.writable {
		return notAllowed("%s cannot be written: they are what peers observe%s", t.plural, map[bool]string{true: "; create a Deployment instead"}[t.resource == pods])
	}
	if strings.Contains(r.Header.Get("Content-Type"), "protobuf") {
		return failure(http.StatusUnsupportedMediaType, "UnsupportedMediaType",
			"objects are taken as JSON or YAML, not as protobuf: with kubectl create, add --dry-run=client -o yaml and pipe it into kubectl apply -f -")
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	c := change{manager: fieldManager(r), dryRun: isDryRun(r)}
	switch r.Method {
	case http.MethodPost:
		err = c.create(t, body)
	case http.MethodPut:
		err = c.replace(t, body)
	default:
		err = c.patch(t, r, body)
	}
	if err != nil {
		return err
	}
	done, v, err := s.change(r.Context(), t.resource, c)
	if err != nil {
		return err
	}
	for _, text := range manifest.Warnings(done.object) {
		w.Header().Add("Warning", fmt.Sprintf("299 - %q", text))
	}
	v.sign(w)
	code, result := http.StatusOK, "unchanged"
	if done.changed {
		result = "configured"
	}
	if done.created {
		code, result = http.StatusCreated, "created"
	}
	w.Header().Set(HeaderResult, result)
	if done.changed {
		w.Header().Set(HeaderTiming, fmt.Sprintf("write;dur=%.3f", done.took.Seconds()*1000))
	}
	writeJSON(w, code, done.object)
	return nil
}

// document decodes a whole object out of a body.
func (t target) document(body []byte) (manifest.Document, error) {
	documents, err := manifest.Decode("", body)
	if err == nil && len(documents) != 1 {
		return manifest.Document{}, badRequest("one object is needed, not %d", len(documents))
	}
	if err != nil {
		return t.fit(manifest.Document{}, err)
	}
	return t.fit(documents[0], nil)
}

// fit holds a decoded object against the URL.
func (t target) fit(d manifest.Document, err error) (manifest.Document, error) {
	var faults manifest.Faults
	if errors.As(err, &faults) {
		return d, t.invalid(t.name, faults)
	}
	if d.Key.Kind != t.kind {
		return d, badRequest("this is a %s, not a %s", d.Key.Kind, t.kind)
	}
	if given, _ := dig(d.Tree, "metadata", "namespace").(string); given != "" && given != t.namespace {
		return d, badRequest("the object's namespace is %q, the request's is %q", given, t.namespace)
	}
	if t.name != "" && d.Key.Name != t.name {
		return d, badRequest("the object's name is %q, the request's is %q", d.Key.Name, t.name)
	}
	d.Key.Namespace = t.namespace
	return d, nil
}

func (t target) key() crdt.Key {
	return crdt.Key{Kind: t.kind, Namespace: t.namespace, Name: t.name}
}

func (c *change) create(t target, body []byte) error {
	if t.name != "" || t.namespaced && t.namespace == "" {
		return notAllowed("create by POST to the list of a namespace")
	}
	d, err := t.document(body)
	if err != nil {
		return err
	}
	fields, err := manifest.Flatten(t.kind, d.Tree)
	if err != nil {
		return badRequest("%v", err)
	}
	c.key = d.Key
	c.compute = func(current crdt.Object, tree object) ([]crdt.Change, error) {
		if current.Live {
			return nil, failure(http.StatusConflict, "AlreadyExists", fmt.Sprintf("%s %q already exists", t.qualified(), d.Key.Name))
		}
		return manifest.Replace(nil, fields), nil
	}
	return nil
}

func (c *change) replace(t target, body []byte) error {
	if t.name == "" {
		return notAllowed("name the object to replace")
	}
	d, err := t.document(body)
	if err != nil {
		return err
	}
	fields, err := manifest.Flatten(t.kind, d.Tree)
	if err != nil {
		return badRequest("%v", err)
	}
	c.key = t.key()
	version, _ := dig(d.Tree, "metadata", "resourceVersion").(string)
	c.compute = func(current crdt.Object, tree object) ([]crdt.Change, error) {
		if tree == nil {
			return nil, t.missing(t.name)
		}
		if version != "" && version != dig(tree, "metadata", "resourceVersion") {
			return nil, conflict(fmt.Sprintf("%s %q has been changed since it was read: read it again and make the change anew", t.qualified(), t.name))
		}
		return manifest.Replace(current.Fields, fields), nil
	}
	return nil
}

func (c *change) patch(t target, r *http.Request, body []byte) error {
	if t.name == "" {
		return notAllowed("name the object to patch")
	}
	c.key = t.key()
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return failure(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "a patch needs a Content-Type")
	}
	if kind == "application/apply-patch+yaml" || kind == "application/apply-patch+json" {
		return c.apply(t, r, body)
	}
	transform, err := patcher(t.resource, kind, body)
	if err != nil {
		return err
	}
	c.compute = func(current crdt.Object, tree object) ([]crdt.Change, error) {
		if tree == nil {
			return nil, t.missing(t.name)
		}
		patched, err := transform(tree)
		if err != nil {
			return nil, badRequest("the patch does not fit: %v", err)
		}
		if held := dig(tree, "metadata", "resourceVersion"); held != nil && dig(patched, "metadata", "resourceVersion") != held {
			return nil, conflict(fmt.Sprintf("%s %q has been changed since it was read", t.qualified(), t.name))
		}
		if faults := manifest.Validate(c.key, patched); faults != nil {
			return nil, t.invalid(t.name, faults)
		}
		fields, err := manifest.Flatten(t.kind, patched)
		if err != nil {
			return nil, badRequest("%v", err)
		}
		return manifest.Replace(current.Fields, fields), nil
	}
	return nil
}

// patcher reads a patch of one of the three kinds that change a whole tree.
func patcher(res *resource, kind string, body []byte) (func(object) (object, error), error) {
	var patch any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&patch); err != nil {
		return nil, badRequest("the patch is not JSON: %v", err)
	}
	tree, isMap := patch.(object)
	steps, isList := patch.([]any)
	switch {
	case kind == "application/merge-patch+json" && isMap:
		return func(o object) (object, error) { return manifest.MergePatch(o, tree), nil }, nil
	case kind == "application/strategic-merge-patch+json" && isMap:
		return func(o object) (object, error) { return manifest.StrategicPatch(res.kind, o, tree) }, nil
	case kind == "application/json-patch+json" && isList:
		return func(o object) (object, error) { return manifest.JSONPatch(o, steps) }, nil
	}
	return nil, failure(http.StatusUnsupportedMediaType, "UnsupportedMediaType", fmt.Sprintf(
		"%q is not a patch that is understood: use a merge patch, a strategic merge patch, a JSON patch, or apply", kind))
}

// apply is server-side apply: the owner's new manifest replaces its old one.
func (c *change) apply(t target, r *http.Request, body []byte) error {
	if c.manager == "" {
		return badRequest("apply needs a fieldManager")
	}
	d, err := t.fit(manifest.DecodePart(body))
	if err != nil {
		return err
	}
	fields, err := manifest.Flatten(t.kind, d.Tree)
	if err != nil {
		return badRequest("%v", err)
	}
	force, by := r.URL.Query().Get("force") == "true", manifest.Owner{Manager: c.manager, User: User(r.Context())}
	c.compute = func(current crdt.Object, tree object) ([]crdt.Change, error) {
		changes := manifest.Apply(current.Fields, by, fields)
		if disputes := manifest.Disputes(current.Fields, by, changes); len(disputes) > 0 && !force {
			return nil, t.disputed(disputes)
		}
		return changes, nil
	}
	return nil
}

// disputed is the answer to an apply that would take fields away from others, in the words of Kubernetes' server-side apply.
func (t target) disputed(disputes []manifest.Dispute) error {
	s := failure(http.StatusConflict, "Conflict", "")
	s.Details = &Details{Name: t.name, Group: t.group, Kind: t.plural}
	for _, d := range disputes {
		for _, owner := range d.Owners {
			s.Details.Causes = append(s.Details.Causes, Cause{Reason: "FieldManagerConflict",
				Field: manifest.FieldPath(d.Path), Message: fmt.Sprintf("conflict with %s", owner)})
		}
	}
	noun := map[bool]string{true: "conflict", false: "conflicts"}[len(s.Details.Causes) == 1]
	var lines []string
	for _, cause := range s.Details.Causes {
		lines = append(lines, cause.Message+": "+cause.Field)
	}
	s.Message = fmt.Sprintf("Apply failed with %d %s: %s", len(s.Details.Causes), noun, strings.Join(lines, "; "))
	return s
}

// change makes one change durable. When the object changes meanwhile, it is computed anew.
func (s *Server) change(ctx context.Context, res *resource, c change) (outcome, *view, error) {
	for range maxRetries {
		current, tree, v, err := s.current(ctx, res, c.key)
		if err != nil {
			return outcome{}, nil, err
		}
		changes, err := c.compute(current, tree)
		if err != nil {
			return outcome{}, nil, err
		}
		exists := tree != nil && current.Live
		if exists && len(changes) == 0 {
			return outcome{object: tree}, v, nil
		}
		if c.dryRun {
			after, err := res.preview(c, current, changes)
			return after, v, err
		}
		w := control.Write{Key: c.key, Verb: verbFor(exists), Seen: current.Seen, Manager: c.manager, User: User(ctx), Changes: changes}
		began := time.Now()
		reply, err := s.backend.Write(ctx, w)
		took := time.Since(began)
		if errors.Is(err, control.ErrStale) {
			continue
		}
		if err != nil {
			return outcome{}, nil, res.refused(c, current, changes, err)
		}
		v.written(c.after(current, changes), reply)
		return outcome{object: s.serve(res, c.key, v), created: !exists, changed: true, took: took}, v, nil
	}
	return outcome{}, nil, res.writeStatus(c.key.Name, control.ErrStale)
}

// current reads one object: as intent, live or not, and as it is served, nil when it does not exist.
func (s *Server) current(ctx context.Context, res *resource, key crdt.Key) (crdt.Object, object, *view, error) {
	n := res.needs
	n.key = &key
	v, err := s.look(ctx, n)
	if err != nil {
		return crdt.Object{}, nil, nil, err
	}
	current := v.current
	current.Key = key
	if !current.Live {
		current.Fields = nil
	}
	return current, s.serve(res, key, v), v, nil
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
func (r *resource) refused(c change, current crdt.Object, changes []crdt.Change, err error) error {
	var invalid *control.InvalidError
	if errors.As(err, &invalid) {
		if _, faults := r.preview(c, current, changes); faults != nil {
			return faults
		}
	}
	return r.writeStatus(c.key.Name, err)
}

// preview is the outcome that a change would have, or what would be wrong with it.
func (r *resource) preview(c change, current crdt.Object, changes []crdt.Change) (outcome, error) {
	tree := manifest.Tree(c.key, c.after(current, changes).Fields)
	if faults := manifest.Validate(c.key, tree); faults != nil {
		return outcome{}, r.invalid(c.key.Name, faults)
	}
	return outcome{object: tree, created: !current.Live, changed: true}, nil
}

// after is an object as it will be once a change has been made to what was read.
func (c change) after(current crdt.Object, changes []crdt.Change) crdt.Object {
	fields := map[crdt.Path]crdt.Field{}
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
