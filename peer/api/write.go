package api

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/peer/manifest"
)

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
	acks, err := parseAcks(r)
	if err != nil {
		return err
	}
	c := change{manager: fieldManager(r), dryRun: isDryRun(r), acks: acks.peers}
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
	if err := s.await(r.Context(), w, v, acks, done.ops); err != nil {
		return err
	}
	for _, text := range append(c.warnings, v.doubts(c.key, done.object)...) {
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
	c.key, c.warnings = d.Key, d.Warnings
	c.compute = func(r *reading) ([]crdt.Change, error) {
		if r.current.Live || t.resource == nodes && r.exists() {
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
	c.key, c.warnings = t.key(), d.Warnings
	version, _ := dig(d.Tree, "metadata", "resourceVersion").(string)
	c.compute = func(r *reading) ([]crdt.Change, error) {
		if !r.exists() {
			return nil, t.missing(t.name)
		}
		if version != "" && version != dig(r.form(), "metadata", "resourceVersion") {
			return nil, conflict(fmt.Sprintf("%s %q has been changed since it was read: read it again and make the change anew", t.qualified(), t.name))
		}
		kept, err := r.intended(fields)
		if err != nil {
			return nil, err
		}
		return manifest.Replace(r.current.Fields, kept), nil
	}
	return nil
}
