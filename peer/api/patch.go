package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/peer/manifest"
)

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
	whole := bytes.Contains(body, []byte("resourceVersion")) || bytes.Contains(body, []byte("status"))
	owners := bytes.Contains(body, []byte("managedFields"))
	c.compute = func(r *reading) ([]crdt.Change, error) {
		if !r.exists() {
			return nil, t.missing(t.name)
		}
		tree := r.plain()
		if whole {
			tree = r.form()
		}
		if owners {
			tree["metadata"].(object)["managedFields"] = managedFields(t.resource, &r.current)
		}
		patched, err := transform(tree)
		if err != nil {
			return nil, badRequest("the patch does not fit: %v", err)
		}
		if held := dig(tree, "metadata", "resourceVersion"); held != nil && dig(patched, "metadata", "resourceVersion") != held {
			return nil, conflict(fmt.Sprintf("%s %q has been changed since it was read", t.qualified(), t.name))
		}
		fields, err := manifest.Flatten(t.kind, patched)
		if err != nil || !t.same(patched) {
			return nil, t.faulty(patched)
		}
		if fields, err = r.intended(fields); err != nil {
			return nil, err
		}
		changes := manifest.Replace(r.current.Fields, fields)
		if slices.ContainsFunc(changes, mayWarn) {
			c.warnings = manifest.Warnings(patched)
		}
		return changes, nil
	}
	return nil
}

// mayWarn says whether a change is of a part of an object in which some fields are accepted without effect. Looking for
// them costs as much as all the rest of a small patch.
func mayWarn(c crdt.Change) bool {
	return c.Path != "spec/replicas" && !strings.HasPrefix(string(c.Path), "metadata/")
}

// same says whether a patch has left an object what it is. The rest is checked by the peer, when it takes the change.
func (t target) same(patched object) bool {
	namespace, _ := dig(patched, "metadata", "namespace").(string)
	return patched["kind"] == t.kind && patched["apiVersion"] == t.apiVersion() && dig(patched, "metadata", "name") == t.name && namespace == t.namespace
}

// faulty is the answer to a patch of which something else than an object comes out.
func (t target) faulty(patched object) error {
	if faults := manifest.Validate(t.key(), patched); faults != nil {
		return t.invalid(t.name, faults)
	}
	return badRequest("the patched object is not a %s %s", t.singular, t.name)
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
	c.warnings = manifest.Warnings(d.Tree) // also those of fields that belong together, which are not looked at in a part
	force, by := r.URL.Query().Get("force") == "true", manifest.Owner{Manager: c.manager, User: User(r.Context())}
	c.compute = func(r *reading) ([]crdt.Change, error) {
		changes := manifest.Apply(r.current.Fields, by, fields)
		if disputes := manifest.Disputes(r.current.Fields, by, changes); len(disputes) > 0 && !force {
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
