package api

import (
	"fmt"
	"slices"
	"strings"
)

// selection is what a list or watch is narrowed to.
type selection struct {
	namespace string
	name      string
	labels    []requirement
	fields    []requirement
}

// requirement is one term of a selector. Without values it asks whether the key is there.
type requirement struct {
	key    string
	values []string
	not    bool
}

func (q requirement) holds(value string, there bool) bool {
	if q.values == nil {
		return there != q.not
	}
	return (there && slices.Contains(q.values, value)) != q.not
}

func (s selection) matches(o object) bool {
	meta, _ := o["metadata"].(object)
	if s.namespace != "" && meta["namespace"] != s.namespace || s.name != "" && meta["name"] != s.name {
		return false
	}
	for _, q := range s.labels {
		value, there := labelsOf(o)[q.key]
		if !q.holds(value, there) {
			return false
		}
	}
	for _, q := range s.fields {
		if !q.holds(fmt.Sprint(orEmpty(dig(o, strings.Split(q.key, ".")...))), true) {
			return false
		}
	}
	return true
}

func orEmpty(value any) any {
	if value == nil {
		return ""
	}
	return value
}

// labelsOf returns an object's labels.
func labelsOf(o object) map[string]string {
	labels := map[string]string{}
	switch from := dig(o, "metadata", "labels").(type) {
	case map[string]string:
		return from
	case map[string]any:
		for key, value := range from {
			labels[key], _ = value.(string)
		}
	}
	return labels
}

// dig returns the value at a path of an object; nil if there is none.
func dig(o object, path ...string) any {
	var at any = o
	for _, name := range path {
		m, ok := at.(object)
		if !ok {
			return nil
		}
		at = m[name]
	}
	return at
}

// parseLabels reads a labelSelector: "a=b,c!=d,e in (f,g),h notin (i),j,!k".
func parseLabels(text string) ([]requirement, error) {
	var out []requirement
	for _, term := range splitTerms(text) {
		q, err := parseLabel(strings.TrimSpace(term))
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// splitTerms splits at the commas outside brackets.
func splitTerms(text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var terms []string
	depth, start := 0, 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				terms, start = append(terms, text[start:i]), i+1
			}
		}
	}
	return append(terms, text[start:])
}

func parseLabel(term string) (requirement, error) {
	if words := strings.Fields(strings.Replace(term, "(", " (", 1)); len(words) >= 3 && (words[1] == "in" || words[1] == "notin") {
		list := strings.Join(words[2:], "")
		if !strings.HasPrefix(list, "(") || !strings.HasSuffix(list, ")") {
			return requirement{}, badRequest("selector %q: write it like \"key in (a,b)\"", term)
		}
		return requirement{key: words[0], values: strings.Split(list[1:len(list)-1], ","), not: words[1] == "notin"}, nil
	}
	if key, value, ok := strings.Cut(term, "!="); ok {
		return equals(term, key, value, true)
	}
	if key, value, ok := strings.Cut(term, "="); ok {
		return equals(term, key, strings.TrimPrefix(value, "="), false)
	}
	key := strings.TrimPrefix(term, "!")
	if key == "" || strings.ContainsAny(key, " ()") {
		return requirement{}, badRequest("selector %q is not understood", term)
	}
	return requirement{key: key, not: key != term}, nil
}

func equals(term, key, value string, not bool) (requirement, error) {
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if key == "" || strings.ContainsAny(key+value, " ()=!") {
		return requirement{}, badRequest("selector %q is not understood", term)
	}
	return requirement{key: key, values: []string{value}, not: not}, nil
}

// parseFields reads a fieldSelector over the fields that a resource allows.
func (r *resource) parseFields(text string) ([]requirement, error) {
	out, err := parseLabels(text)
	if err != nil {
		return nil, err
	}
	for _, q := range out {
		if q.values == nil || q.key != "metadata.name" && q.key != "metadata.namespace" && !slices.Contains(r.fields, q.key) {
			return nil, badRequest("field selector %q is not supported for %s: use metadata.name, metadata.namespace%s",
				q.key, r.plural, strings.Join(append([]string{""}, r.fields...), ", "))
		}
	}
	return out, nil
}
