package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"shoal/crdt"
	"shoal/peer/manifest"
)

// scaler names the program that owns the number of replicas once it has scaled. It is another than the same program that
// applies, as in Kubernetes: a later apply leaves the number, or is refused.
func scaler(r *http.Request) string {
	name := fieldManager(r)
	if r.URL.Query().Get("fieldManager") == "" {
		name = strings.TrimPrefix(name+"-scale", "-")
	}
	return name
}

// scaleOf is a Deployment in the form autoscaling/v1 Scale.
func scaleOf(tree object) object {
	wanted := wantedNumber(tree)
	selector := ""
	labels, _ := dig(tree, "spec", "selector", "matchLabels").(object)
	for _, key := range sortedNames(labels) {
		selector += fmt.Sprintf(",%s=%v", key, labels[key])
	}
	meta := object{}
	for _, key := range []string{"name", "namespace", "uid", "resourceVersion", "creationTimestamp"} {
		meta[key] = dig(tree, "metadata", key)
	}
	if selector != "" {
		selector = selector[1:]
	}
	return object{"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": object{"replicas": wanted},
		"status": object{"replicas": dig(tree, "status", "replicas"), "selector": selector}}
}

func (s *Server) serveScale(w http.ResponseWriter, r *http.Request, t target) error {
	switch r.Method {
	case http.MethodGet:
		held, err := s.readOne(r.Context(), t.resource, t.key())
		if err != nil {
			return err
		}
		if !held.exists() {
			return t.missing(t.name)
		}
		held.view.sign(w)
		writeJSON(w, http.StatusOK, scaleOf(held.form()))
		return nil
	case http.MethodPut, http.MethodPatch:
	default:
		return notAllowed("a scale is read, put or patched")
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	acks, err := parseAcks(r)
	if err != nil {
		return err
	}
	c := change{key: t.key(), manager: scaler(r), dryRun: isDryRun(r), acks: acks.peers}
	c.compute = func(held *reading) ([]crdt.Change, error) {
		return t.rescale(r, body, held)
	}
	done, v, err := s.change(r.Context(), t.resource, c)
	if err == nil {
		err = s.await(r.Context(), w, v, acks, done.ops)
	}
	if err != nil {
		return err
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, scaleOf(done.object))
	return nil
}

// rescale computes the change that a new or patched Scale asks for.
func (t target) rescale(r *http.Request, body []byte, held *reading) ([]crdt.Change, error) {
	if !held.exists() {
		return nil, t.missing(t.name)
	}
	tree := held.form()
	var asked any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&asked); err != nil {
		return nil, badRequest("the body is not JSON: %v", err)
	}
	scale, isMap := asked.(object)
	if r.Method == http.MethodPatch {
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		steps, isList := asked.([]any)
		switch {
		case kind == "application/json-patch+json" && isList:
			patched, err := manifest.JSONPatch(scaleOf(tree), steps)
			if err != nil {
				return nil, badRequest("the patch does not fit: %v", err)
			}
			scale, isMap = patched, true
		case isMap:
			scale = manifest.MergePatch(scaleOf(tree), scale)
		}
	}
	if !isMap {
		return nil, badRequest("this is not a Scale")
	}
	if version := dig(scale, "metadata", "resourceVersion"); version != nil && version != "" && version != dig(tree, "metadata", "resourceVersion") {
		return nil, conflict(fmt.Sprintf("%s %q has been changed since it was read", t.qualified(), t.name))
	}
	replicas, err := strconv.Atoi(fmt.Sprint(orEmpty(dig(scale, "spec", "replicas"))))
	if err != nil || replicas < 0 || replicas > manifest.MaxReplicas {
		return nil, t.invalid(t.name, manifest.Faults{{Path: "spec.replicas", Text: fmt.Sprintf("must be a whole number from 0 to %d", manifest.MaxReplicas)}})
	}
	const path = "spec/replicas"
	for _, f := range held.current.Fields {
		if f.Path == path && string(f.Value) == strconv.Itoa(replicas) && len(f.Conflicts) == 0 {
			return nil, nil
		}
	}
	return manifest.Disown(held.current.Fields, []crdt.Change{{Path: path, Value: []byte(strconv.Itoa(replicas))}}), nil
}
