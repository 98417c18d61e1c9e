package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What follows holds as in Kubernetes (LabelSelectorRequirement, NodeSelectorRequirement): the requirements of one term must all
// hold; NotIn holds also where there is no such label; Gt and Lt compare whole numbers, and hold for nothing else.

// holds says whether labels meet a requirement.
func (r *Requirement) holds(labels map[string]string) bool {
	value, labelled := labels[r.Key]
	return r.holdsFor(value, labelled)
}

func (r *Requirement) holdsFor(value string, labelled bool) bool {
	switch r.Operator {
	case In:
		return labelled && slices.Contains(r.Values, value)
	case NotIn:
		return !labelled || !slices.Contains(r.Values, value)
	case Exists:
		return labelled
	case DoesNotExist:
		return !labelled
	case Gt, Lt:
		bound, given := r.bound()
		number, err := strconv.ParseInt(value, 10, 64)
		if !labelled || !given || err != nil {
			return false
		}
		return r.Operator == Gt && number > bound || r.Operator == Lt && number < bound
	}
	return false
}

// bound is what Gt and Lt compare with.
func (r *Requirement) bound() (int64, bool) {
	if len(r.Values) != 1 {
		return 0, false
	}
	number, err := strconv.ParseInt(r.Values[0], 10, 64)
	return number, err == nil
}

func allHold(requirements []Requirement, labels map[string]string) bool {
	for i := range requirements {
		if !requirements[i].holds(labels) {
			return false
		}
	}
	return true
}

// holds says whether a peer meets a term.
func (t *PeerTerm) holds(p *Peer) bool {
	return len(t.Labels)+len(t.Names) > 0 && t.missing(p) == nil
}

// missing returns the first requirement of a term that a peer does not meet.
func (t *PeerTerm) missing(p *Peer) *Requirement {
	for i := range t.Labels {
		if !t.Labels[i].holds(p.Labels) {
			return &t.Labels[i]
		}
	}
	for i := range t.Names {
		if !t.Names[i].holdsFor(p.Name, true) {
			return &t.Names[i]
		}
	}
	return nil
}

// affinityAllows says whether one of the terms that are required holds for a peer.
func (r *Rules) affinityAllows(p *Peer) bool {
	for i := range r.Peers {
		if r.Peers[i].holds(p) {
			return true
		}
	}
	return len(r.Peers) == 0
}

func (r Requirement) text() string {
	switch {
	case r.Operator == In && len(r.Values) == 1:
		return r.Key + "=" + r.Values[0]
	case r.Operator == NotIn && len(r.Values) == 1:
		return r.Key + "!=" + r.Values[0]
	case r.Operator == In:
		return r.Key + " in (" + strings.Join(slices.Sorted(slices.Values(r.Values)), ",") + ")"
	case r.Operator == NotIn:
		return r.Key + " not in (" + strings.Join(slices.Sorted(slices.Values(r.Values)), ",") + ")"
	case r.Operator == Exists:
		return r.Key
	case r.Operator == DoesNotExist:
		return "!" + r.Key
	case r.Operator == Gt:
		return r.Key + ">" + strings.Join(r.Values, ",")
	}
	return r.Key + "<" + strings.Join(r.Values, ",")
}

// requirementsText is a selector as kubectl writes it; the same for the same requirements in any order.
func requirementsText(requirements []Requirement) string {
	parts := make([]string, len(requirements))
	for i, r := range requirements {
		parts[i] = r.text()
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// key tells terms apart that ask different things.
func (t *PeerTerm) key() string {
	return fmt.Sprintf("%q %q %d", requirementsKey(t.Labels), requirementsKey(t.Names), t.Weight)
}

// requirementsKey is equal only for equal requirements, whatever is in their values.
func requirementsKey(requirements []Requirement) string {
	sorted := slices.SortedFunc(slices.Values(requirements), func(x, y Requirement) int {
		return cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.Operator, y.Operator), slices.Compare(x.Values, y.Values))
	})
	var text strings.Builder
	for _, r := range sorted {
		fmt.Fprintf(&text, "%q %s %q;", r.Key, r.Operator, r.Values)
	}
	return text.String()
}
