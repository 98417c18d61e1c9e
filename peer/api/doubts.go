package api

import (
	"fmt"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/peer/manifest"
)

// doubts are warnings about an object that was written, or would be: what is valid, but names peers that are not known here. They may join
// later, and so nothing is refused.
func (v *view) doubts(key crdt.Key, written object) []string {
	known := map[string]bool{}
	for _, name := range v.names {
		known[name] = true
	}
	if key.Kind == nodes.kind {
		if known[key.Name] {
			return nil
		}
		return []string{fmt.Sprintf("no peer is called %s yet", key.Name)}
	}
	annotations, _ := dig(written, "metadata", "annotations").(object)
	if annotations[manifest.WitnessesAnnotation] == nil && annotations[manifest.HomeAnnotation] == nil {
		return nil
	}
	w, ok := manifest.WorkloadOf(key, written)
	if !ok || len(w.Split.Witnesses) == 0 {
		return nil
	}
	var texts []string
	for _, list := range append([][]string{w.Split.Witnesses}, w.Split.Also...) {
		if text := doubtful(list, known); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

// doubtful says which of a list of witnesses are not known, and whether the others are a majority.
func doubtful(witnesses []string, known map[string]bool) string {
	strangers := slices.DeleteFunc(slices.Clone(witnesses), func(name string) bool { return known[name] })
	if len(strangers) == 0 {
		return ""
	}
	text := "no peer is called " + strings.Join(strangers, " or ") + " yet"
	if most := len(witnesses)/2 + 1; len(witnesses)-len(strangers) < most {
		text += fmt.Sprintf(": nothing runs of it until %d of its %d witnesses are there", most, len(witnesses))
	}
	return text
}
