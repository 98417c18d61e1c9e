package manifest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"shoal/crdt"
)

// Apply computes the changes by which an owner's new manifest replaces its old one, as Kubernetes' server-side apply
// does (kubernetes.io/docs/reference/using-api/server-side-apply): fields set that differ, and fields deleted that
// this owner alone owns in current and that desired leaves out. A field that others own too stays, and is theirs. A field that
// already has the desired value is owned together with those who set it. A field that is in conflict is set also
// where it does not differ: that settles the conflict. Whether the owner may take fields over from others is for Disputes.
func Apply(current []crdt.Field, by Owner, desired map[crdt.Path]json.RawMessage) []crdt.Change {
	h, above := hold(current), ancestors(desired)
	var out []crdt.Change
	for _, f := range current {
		if _, wanted := desired[f.Path]; wanted || Hidden(f.Path) {
			continue
		}
		owners := h.owners(f)
		switch {
		case !slices.Contains(owners, by):
		case len(owners) > 1:
			out = append(out, h.share(f, Owner{f.Manager, f.User}, lacking(owners, by))...)
		case !above[f.Path]:
			out = append(append(out, crdt.Change{Path: f.Path}), h.forget(f.Path)...)
		}
	}
	for path, value := range desired {
		out = append(out, h.claim(by, path, value)...)
	}
	return inOrder(out)
}

// claim makes an owner's wish for one field come true.
func (h holding) claim(by Owner, path crdt.Path, value json.RawMessage) []crdt.Change {
	f, ok := h[path]
	switch {
	case !ok && isEmpty(value) && h.othersBelow(by, path):
		return nil // it is there, and others have filled it
	case !ok || !bytes.Equal(f.Value, value):
		return append(h.forget(path), crdt.Change{Path: path, Value: value})
	case len(f.Conflicts) > 0:
		return append(h.share(f, by, with(h.owners(f), by)), crdt.Change{Path: path, Value: value})
	}
	if owners := h.owners(f); !slices.Contains(owners, by) {
		return h.share(f, Owner{f.Manager, f.User}, with(owners, by))
	}
	return nil
}

// isEmpty says whether a value is an empty map or list.
func isEmpty(value json.RawMessage) bool { return string(value) == "{}" || string(value) == "[]" }

// othersBelow says whether anyone but by owns a field below path.
func (h holding) othersBelow(by Owner, path crdt.Path) bool {
	for _, f := range h {
		if path != f.Path && path.Above(f.Path) && len(lacking(h.owners(f), by)) > 0 {
			return true
		}
	}
	return false
}

// Replace computes the changes that make an object's fields those desired, whoever owns them.
func Replace(current []crdt.Field, desired map[crdt.Path]json.RawMessage) []crdt.Change {
	h, above := hold(current), ancestors(desired)
	var out []crdt.Change
	for _, f := range current {
		if _, wanted := desired[f.Path]; !wanted && !Hidden(f.Path) && !above[f.Path] {
			out = append(append(out, crdt.Change{Path: f.Path}), h.forget(f.Path)...)
		}
	}
	for path, value := range desired {
		f, ok := h[path]
		if !ok || len(f.Conflicts) > 0 || !bytes.Equal(f.Value, value) {
			out = append(append(out, crdt.Change{Path: path, Value: value}), h.forget(path)...)
		}
	}
	return inOrder(out)
}

// ancestors are all paths above those desired. A value that stands at one, an empty map or list, does
// not show any more, and deleting it could take what is below with it.
func ancestors(desired map[crdt.Path]json.RawMessage) map[crdt.Path]bool {
	all := map[crdt.Path]bool{}
	for path := range desired {
		for {
			i := strings.LastIndexByte(string(path), '/')
			if i < 0 || all[path[:i]] {
				break
			}
			path = path[:i]
			all[path] = true
		}
	}
	return all
}
