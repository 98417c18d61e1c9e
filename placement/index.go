package placement

import (
	"maps"
	"slices"
)

// selectKinds finds for each kind the terms of all that select it.
func (b *board) selectKinds(kinds []*kind) {
	index := newSelectorIndex(b.book)
	for _, k := range kinds {
		k.counted, k.evened = index.of(k.rules)
	}
	barring, pulling := map[*tally]bool{}, map[*tally]bool{}
	for _, k := range kinds {
		for _, a := range k.apartFrom {
			barring[a.tally] = true
		}
		for _, w := range k.pulls {
			pulling[w.tally] = true
		}
	}
	for _, k := range kinds {
		for _, t := range k.counted {
			if barring[t] {
				k.barredBy = append(k.barredBy, t)
			}
			if pulling[t] {
				k.pulledBy = append(k.pulledBy, t)
			}
		}
	}
}

// selectorIndex finds the terms that select a replica without a look at all of them: each is filed under one label that it asks
// for, or under its namespace alone if it asks for none.
type selectorIndex struct {
	tallies    map[anchor][]*tally
	evennesses map[anchor][]*evenness
}

type anchor struct{ namespace, key, value string }

func newSelectorIndex(book *ruleBook) *selectorIndex {
	x := &selectorIndex{tallies: map[anchor][]*tally{}, evennesses: map[anchor][]*evenness{}}
	for _, key := range slices.Sorted(maps.Keys(book.tallies)) {
		t := book.tallies[key]
		for _, a := range t.anchors() {
			x.tallies[a] = append(x.tallies[a], t)
		}
	}
	for _, e := range book.evennesses {
		for _, a := range e.anchors() {
			x.evennesses[a] = append(x.evennesses[a], e)
		}
	}
	return x
}

// anchors are the labels of which a replica that is selected has exactly one.
func (s *selector) anchors() []anchor {
	at := slices.IndexFunc(s.labels, func(r Requirement) bool { return r.Operator == In })
	var all []anchor
	for _, namespace := range s.namespaces {
		if at < 0 {
			all = append(all, anchor{namespace: namespace})
			continue
		}
		values := slices.Clone(s.labels[at].Values)
		slices.Sort(values)
		for _, value := range slices.Compact(values) {
			all = append(all, anchor{namespace, s.labels[at].Key, value})
		}
	}
	return all
}

func (x *selectorIndex) of(r *Rules) (tallies []*tally, evennesses []*evenness) {
	at := []anchor{{namespace: r.Namespace}}
	for _, key := range slices.Sorted(maps.Keys(r.Labels)) {
		at = append(at, anchor{r.Namespace, key, r.Labels[key]})
	}
	for _, a := range at {
		for _, t := range x.tallies[a] {
			if t.selects(r) {
				tallies = append(tallies, t)
			}
		}
		for _, e := range x.evennesses[a] {
			if e.selects(r) {
				evennesses = append(evennesses, e)
			}
		}
	}
	return tallies, evennesses
}
