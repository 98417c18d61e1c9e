package manifest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// MergePatch applies an RFC 7386 merge patch; neither argument is changed.
func MergePatch(tree, patch map[string]any) map[string]any {
	merged := maps.Clone(tree)
	if merged == nil {
		merged = map[string]any{}
	}
	for name, value := range patch {
		below, isMap := value.(map[string]any)
		switch {
		case value == nil:
			delete(merged, name)
		case isMap:
			held, _ := merged[name].(map[string]any)
			merged[name] = MergePatch(held, below)
		default:
			merged[name] = value
		}
	}
	return merged
}

// StrategicPatch applies Kubernetes' strategic merge patch: a merge patch in which lists that have a merge
// key are merged by entry. Understood are the directives $patch (delete, replace, merge), $retainKeys and
// $setElementOrder; the last changes nothing, because such lists are kept in the order of their keys.
func StrategicPatch(kind string, tree, patch map[string]any) (map[string]any, error) {
	k, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("there is no kind %q", clip(kind))
	}
	return strategic(&field{of: k.shape}, tree, patch)
}

func strategic(f *field, tree, patch map[string]any) (map[string]any, error) {
	switch patch["$patch"] {
	case "replace":
		return without(patch, "$patch"), nil
	case "delete":
		return map[string]any{}, nil
	}
	merged := maps.Clone(tree)
	if merged == nil {
		merged = map[string]any{}
	}
	retain(merged, patch["$retainKeys"])
	for _, name := range sortedKeys(patch) {
		if strings.HasPrefix(name, "$deleteFromPrimitiveList/") {
			return nil, fmt.Errorf("%s is not supported: give the whole list", name)
		}
		if strings.HasPrefix(name, "$") {
			continue
		}
		var below *field
		if s := shapeOf(f); s != nil {
			below = s.byName[name]
		}
		value, err := strategicValue(below, merged[name], patch[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if value == nil {
			delete(merged, name)
			continue
		}
		merged[name] = value
	}
	return merged, nil
}

func retain(tree map[string]any, keys any) {
	list, ok := keys.([]any)
	if !ok {
		return
	}
	for name := range tree {
		if !slices.Contains(list, any(name)) {
			delete(tree, name)
		}
	}
}

func strategicValue(f *field, held, patch any) (any, error) {
	switch patch := patch.(type) {
	case map[string]any:
		before, _ := held.(map[string]any)
		return strategic(f, before, patch)
	case []any:
		if f == nil || len(f.keys) == 0 || f.replaced {
			return patch, nil
		}
		before, _ := held.([]any)
		return strategicList(f, before, patch)
	}
	return patch, nil
}

func strategicList(f *field, held, patch []any) (any, error) {
	entries := map[string]any{}
	for _, item := range held {
		if segment, ok := f.segmentOf(item); ok {
			entries[segment] = item
		}
	}
	replace := slices.ContainsFunc(patch, func(item any) bool {
		entry, _ := item.(map[string]any)
		return entry["$patch"] == "replace" && len(entry) == 1
	})
	if replace {
		entries = map[string]any{}
	}
	for _, item := range patch {
		entry, ok := item.(map[string]any)
		if ok && entry["$patch"] == "replace" && len(entry) == 1 {
			continue
		}
		segment, keyed := f.segmentOf(item)
		if !ok || !keyed {
			return nil, fmt.Errorf("an entry needs %s", strings.Join(f.keys, " and "))
		}
		if entry["$patch"] == "delete" {
			delete(entries, segment)
			continue
		}
		before, _ := entries[segment].(map[string]any)
		merged, err := strategic(&field{of: f.of.Elem()}, before, entry)
		if err != nil {
			return nil, err
		}
		entries[segment] = merged
	}
	list := []any{}
	for _, segment := range sortedKeys(entries) {
		list = append(list, entries[segment])
	}
	return list, nil
}

func (f *field) segmentOf(item any) (string, bool) {
	entry, ok := item.(map[string]any)
	if !ok {
		return "", false
	}
	return f.keySegment(func(key string) any { return entry[key] })
}

// JSONPatch applies an RFC 6902 patch: add, remove, replace, test, copy and move.
func JSONPatch(tree map[string]any, steps []any) (map[string]any, error) {
	root := any(tree)
	for i, step := range steps {
		s, _ := step.(map[string]any)
		changed, err := jsonStep(root, s)
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i, err)
		}
		root = changed
	}
	result, ok := root.(map[string]any)
	if !ok {
		return nil, errors.New("the result is not an object")
	}
	return result, nil
}

func jsonStep(root any, step map[string]any) (any, error) {
	path, ok := step["path"].(string)
	if !ok {
		return nil, errors.New("a step needs a path")
	}
	at := pointer(path)
	op, _ := step["op"].(string)
	value := step["value"]
	if op == "copy" || op == "move" {
		from, _ := step["from"].(string)
		held, found := lookup(root, pointer(from))
		if !found {
			return nil, fmt.Errorf("there is nothing at %s", clip(from))
		}
		value = held
		if op == "move" {
			var err error
			if root, err = alter(root, pointer(from), "remove", nil); err != nil {
				return nil, err
			}
		}
		op = "add"
	}
	switch op {
	case "add", "remove", "replace":
		return alter(root, at, op, value)
	case "test":
		held, _ := lookup(root, at)
		if !reflect.DeepEqual(nodeOf(held).tree(), nodeOf(value).tree()) {
			return nil, fmt.Errorf("the value at %s is another", clip(path))
		}
		return root, nil
	}
	return nil, fmt.Errorf("%q is not an operation", clip(op))
}

func pointer(path string) []string {
	if path == "" {
		return nil
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, part := range parts {
		parts[i] = unescape.Replace(part)
	}
	return parts
}

func lookup(at any, path []string) (any, bool) {
	if len(path) == 0 {
		return at, true
	}
	switch held := at.(type) {
	case map[string]any:
		below, ok := held[path[0]]
		if !ok {
			return nil, false
		}
		return lookup(below, path[1:])
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(held) {
			return nil, false
		}
		return lookup(held[i], path[1:])
	}
	return nil, false
}

// alter returns at with one value added, removed or replaced below it; at itself stays as it is.
func alter(at any, path []string, op string, value any) (any, error) {
	if len(path) == 0 {
		if op == "remove" {
			return nil, errors.New("the whole object cannot be removed")
		}
		return value, nil
	}
	switch held := at.(type) {
	case map[string]any:
		return alterMap(held, path, op, value)
	case []any:
		return alterList(held, path, op, value)
	}
	return nil, fmt.Errorf("there is no %s", clip(path[0]))
}

func alterMap(held map[string]any, path []string, op string, value any) (any, error) {
	below, there := held[path[0]]
	if !there && (len(path) > 1 || op != "add") {
		return nil, fmt.Errorf("there is no %s", clip(path[0]))
	}
	changed := maps.Clone(held)
	if len(path) == 1 && op == "remove" {
		delete(changed, path[0])
		return changed, nil
	}
	value, err := alter(below, path[1:], op, value)
	changed[path[0]] = value
	return changed, err
}

func alterList(held []any, path []string, op string, value any) (any, error) {
	i, err := strconv.Atoi(path[0])
	if path[0] == "-" && op == "add" && len(path) == 1 {
		i, err = len(held), nil
	}
	most := len(held) - 1
	if op == "add" && len(path) == 1 {
		most = len(held)
	}
	if err != nil || i < 0 || i > most {
		return nil, fmt.Errorf("there is no entry %s", clip(path[0]))
	}
	if len(path) == 1 && op != "replace" {
		if op == "remove" {
			return slices.Delete(slices.Clone(held), i, i+1), nil
		}
		return slices.Insert(slices.Clone(held), i, value), nil
	}
	changed := slices.Clone(held)
	changed[i], err = alter(held[i], path[1:], op, value)
	return changed, err
}
