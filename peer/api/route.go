package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
)

// target is what a request is about.
type target struct {
	*resource
	namespace   string
	name        string
	subresource string
}

// parseTarget reads a path below a group:
//
//	RESOURCE[/NAME[/SUBRESOURCE]]
//	namespaces/NAMESPACE/RESOURCE[/NAME[/SUBRESOURCE]]
func parseTarget(group, path string) (target, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var t target
	if parts[0] == "namespaces" && len(parts) >= 3 && find(group, parts[2]) != nil {
		t.namespace, parts = parts[1], parts[2:]
	}
	t.resource = find(group, parts[0])
	if t.resource == nil || len(parts) > 3 || t.namespace != "" && !t.namespaced {
		return t, notFound("the server does not have " + path)
	}
	if len(parts) > 1 {
		t.name = parts[1]
	}
	if len(parts) > 2 {
		t.subresource = parts[2]
	}
	if t.name != "" && t.namespaced && t.namespace == "" {
		return t, notFound(fmt.Sprintf("%s are in namespaces: name one", t.plural))
	}
	return t, nil
}

// serveResource serves everything below /api/v1 and below the groups of /apis.
func (s *Server) serveResource(w http.ResponseWriter, r *http.Request) {
	group, path := "", strings.TrimPrefix(r.URL.Path, "/api/v1")
	if below, ok := strings.CutPrefix(r.URL.Path, "/apis/"); ok {
		var rest string
		group, rest, _ = strings.Cut(below, "/")
		if path = strings.TrimPrefix(rest, "v1"); rest != "" && path == rest {
			writeError(w, notFound("there is nothing at "+r.URL.Path))
			return
		}
	}
	if strings.Trim(path, "/") == "" {
		serveResources(w, group)
		return
	}
	t, err := parseTarget(group, path)
	if err == nil {
		err = s.serveTarget(w, r, t)
	}
	if err != nil {
		writeError(w, err)
	}
}

func (s *Server) serveTarget(w http.ResponseWriter, r *http.Request, t target) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	switch {
	case t.subresource == "scale" && t.resource == deployments:
		return s.serveScale(w, r, t)
	case t.subresource == "log" && t.resource == pods && r.Method == http.MethodGet:
		return s.serveLog(w, r, t)
	case t.subresource == "eviction" && t.resource == pods && r.Method == http.MethodPost:
		return s.serveEviction(w, r, t)
	case t.subresource == "status" && r.Method == http.MethodGet:
	case t.subresource != "":
		return notFound(fmt.Sprintf("%s have no %s here", t.plural, t.subresource))
	}
	switch r.Method {
	case http.MethodGet:
		return s.serveRead(w, r, t)
	case http.MethodDelete:
		return s.serveDelete(w, r, t)
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return s.serveWrite(w, r, t)
	}
	return notAllowed("%s is not understood", r.Method)
}

// selection reads what a list or watch is narrowed to.
func (t target) selection(r *http.Request) (selection, error) {
	query := r.URL.Query()
	sel := selection{namespace: t.namespace, name: t.name}
	var err error
	if sel.labels, err = parseLabels(query.Get("labelSelector")); err != nil {
		return sel, err
	}
	sel.fields, err = t.parseFields(query.Get("fieldSelector"))
	return sel, err
}

// read returns the objects of a resource that match, with their versions.
func (s *Server) read(r *http.Request, res *resource, sel selection) ([]object, *view, error) {
	n := res.needs
	if res.alone && sel.name != "" && sel.namespace != "" {
		n.key = &crdt.Key{Kind: res.kind, Namespace: sel.namespace, Name: sel.name}
	}
	v, err := s.look(r.Context(), n)
	if err != nil {
		return nil, nil, err
	}
	objects := res.objects(v)
	if sel.name != "" {
		objects = narrow(objects, sel)
		s.versions.stamp(res, v.version, objects, false)
	} else {
		s.versions.stamp(res, v.version, objects, true)
		objects = narrow(objects, sel)
	}
	v.showOwners(r, res, objects)
	return objects, v, nil
}

func narrow(objects []object, sel selection) []object {
	kept := []object{}
	for _, o := range objects {
		if sel.matches(o) {
			kept = append(kept, o)
		}
	}
	return kept
}

func (s *Server) serveRead(w http.ResponseWriter, r *http.Request, t target) error {
	sel, err := t.selection(r)
	if err != nil {
		return err
	}
	if watch := r.URL.Query().Get("watch"); watch == "true" || watch == "1" {
		return s.serveWatch(w, r, t.resource, sel)
	}
	objects, v, err := s.read(r, t.resource, sel)
	if err != nil {
		return err
	}
	if t.name != "" && len(objects) == 0 {
		return t.missing(t.name)
	}
	if version := r.URL.Query().Get("resourceVersion"); version != "" {
		if asked, err := strconv.ParseUint(version, 10, 64); err != nil || asked > v.version {
			return gone("resourceVersion %s is not of this peer", version)
		}
	}
	v.sign(w)
	switch {
	case wantsTable(r):
		writeJSON(w, http.StatusOK, t.table(objects, v.version))
	case t.name != "":
		writeJSON(w, http.StatusOK, objects[0])
	default:
		writeJSON(w, http.StatusOK, object{"kind": t.kind + "List", "apiVersion": t.apiVersion(), "items": objects,
			"metadata": object{"resourceVersion": strconv.FormatUint(v.version, 10)}})
	}
	return nil
}

// wantsTable says whether a client prefers a table.
func wantsTable(r *http.Request) bool {
	first, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
	return strings.Contains(first, "as=Table")
}

// table is a list as kubectl prints it.
func (r *resource) table(objects []object, version uint64) object {
	columns := []object{}
	for i, c := range r.columns {
		format := ""
		if i == 0 {
			format = "name"
		}
		columns = append(columns, object{"name": c.name, "type": c.kind, "format": format, "description": "", "priority": c.priority})
	}
	rows := []object{}
	for _, o := range objects {
		rows = append(rows, object{"cells": r.row(o), "object": object{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": o["metadata"]}})
	}
	return object{"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": columns, "rows": rows,
		"metadata": object{"resourceVersion": strconv.FormatUint(version, 10)}}
}

// seconds reads a duration of whole seconds from the query.
func seconds(r *http.Request, name string, fallback time.Duration) time.Duration {
	n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 32)
	if err != nil || n <= 0 {
		return fallback
	}
	return time.Duration(n) * time.Second
}
