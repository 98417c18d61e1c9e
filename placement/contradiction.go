package placement

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Contradiction says why no peer whatever could be given what has these rules: "no peer can have disk=ssd and disk!=ssd". It is empty
// where that is not certain.
func (r *Rules) Contradiction() string { return (&Wanted{Rules: r}).Contradiction() }

// Contradiction says why no peer whatever could be given the replica, its node selector and ports included. It is empty where that
// is not certain.
func (w *Wanted) Contradiction() string {
	for n, port := range w.Ports {
		if clashing(w.Ports[:n], port) > 0 {
			return fmt.Sprintf("it asks for port %s twice", port.text())
		}
	}
	r := w.rules()
	for i := range r.Near {
		if text := Clash(r.Near[i].Labels); text != "" {
			return "it must be near replicas with " + text + ", which none can have"
		}
		if text := r.nearAndApart(&r.Near[i]); text != "" {
			return text
		}
	}
	return w.peerContradiction()
}

// nearAndApart says whether all that a replica must be near by a term it must also be apart from. A term that selects the replica
// itself is met by the first one alone.
func (r *Rules) nearAndApart(near *ReplicaTerm) string {
	own := []string{r.Namespace}
	if slices.Contains(orElse(near.Namespaces, own), r.Namespace) && allHold(near.Labels, r.Labels) {
		return ""
	}
	for i := range r.Apart {
		apart := &r.Apart[i]
		if apart.TopologyKey == near.TopologyKey && contain(near.Labels, apart.Labels) &&
			allIn(orElse(near.Namespaces, own), orElse(apart.Namespaces, own)) {
			what := (&selector{labels: near.Labels}).what()
			return fmt.Sprintf("it must be near %s and apart from it, both by %s", what, near.TopologyKey)
		}
	}
	return ""
}

func orElse(namespaces, own []string) []string {
	if len(namespaces) == 0 {
		return own
	}
	return namespaces
}

func allIn(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// contain says whether requirements contain all of others, so that they select no more.
func contain(requirements, others []Requirement) bool {
	return !slices.ContainsFunc(others, func(o Requirement) bool {
		return !slices.ContainsFunc(requirements, func(r Requirement) bool {
			return requirementsKey([]Requirement{r}) == requirementsKey([]Requirement{o})
		})
	})
}

// peerContradiction says why no labels of a peer could meet what is asked of it.
func (w *Wanted) peerContradiction() string {
	var always []Requirement
	for _, key := range slices.Sorted(maps.Keys(w.NodeSelector)) {
		always = append(always, Requirement{Key: key, Operator: In, Values: []string{w.NodeSelector[key]}})
	}
	r := w.rules()
	for i := range r.Near {
		always = append(always, Requirement{Key: r.Near[i].TopologyKey, Operator: Exists})
	}
	for i := range r.Spread {
		if r.Spread[i].Required {
			always = append(always, Requirement{Key: r.Spread[i].TopologyKey, Operator: Exists})
		}
	}
	if text := Clash(always); text != "" {
		return "no peer can have " + text
	}
	var reasons []string
	for i := range r.Peers {
		text := r.Peers[i].contradiction(always)
		if text == "" {
			return ""
		}
		reasons = append(reasons, text)
	}
	slices.Sort(reasons)
	return strings.Join(slices.Compact(reasons), "; and ")
}

func (t *PeerTerm) contradiction(always []Requirement) string {
	if len(t.Labels)+len(t.Names) == 0 {
		return "an empty affinity term holds for no peer"
	}
	if text := Clash(slices.Concat(always, t.Labels)); text != "" {
		return "no peer can have " + text
	}
	names := slices.Clone(t.Names)
	for i := range names {
		names[i].Key = nameField
	}
	if text := Clash(names); text != "" {
		return "no peer can have " + text
	}
	return ""
}

// Clash names requirements on one label that no value can meet, nor the want of one; empty where all may be met.
func Clash(requirements []Requirement) string {
	byKey := map[string][]Requirement{}
	for _, r := range requirements {
		byKey[r.Key] = append(byKey[r.Key], r)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		all := byKey[key]
		if possible(all) {
			continue
		}
		var texts []string
		for _, r := range all {
			texts = append(texts, r.text())
		}
		slices.Sort(texts)
		return strings.Join(slices.Compact(texts), " and ")
	}
	return ""
}

// possible says whether some value of a label, or its absence, meets all requirements, which are on that label alone.
func possible(all []Requirement) bool {
	meets := func(value string, labelled bool) bool {
		return !slices.ContainsFunc(all, func(r Requirement) bool { return !r.holdsFor(value, labelled) })
	}
	if meets("", false) {
		return true
	}
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	values, free := 0, true
	for i := range all {
		r := &all[i]
		values += len(r.Values)
		bound, _ := r.bound()
		switch r.Operator {
		case In:
			return slices.ContainsFunc(r.Values, func(v string) bool { return meets(v, true) })
		case Gt:
			low, free = max(low, bound), false
		case Lt:
			high, free = min(high, bound), false
		}
	}
	if free { // any value will do that nobody names
		return meets("any value that nobody names", true)
	}
	for n := range int64(values) + 1 { // one of as many numbers as values are named and one more is not named
		up, down := low, high
		if low <= math.MaxInt64-n-1 {
			up = low + n + 1
		}
		if high >= math.MinInt64+n+1 {
			down = high - n - 1
		}
		if meets(fmt.Sprint(up), true) || meets(fmt.Sprint(down), true) {
			return true
		}
	}
	return false
}
