package placement

import (
	"fmt"
	"strings"
	"time"
)

// unschedulable is the taint as which Kubernetes shows a cordoned node, for those that tolerate it.
var unschedulable = Taint{Key: "node.kubernetes.io/unschedulable", Effect: NoSchedule}

// tolerates says whether a toleration is one for a taint, as in Kubernetes: an empty key with Exists means all keys, an empty
// effect all effects.
func (t *Toleration) tolerates(taint *Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
		return false
	}
	return t.Exists || t.Key != "" && t.Value == taint.Value
}

// tolerated returns for how long tolerations let a replica be where a taint is: that of the first that fits. It is 0 for the
// effects that ask for no time where none fits.
func tolerated(taint *Taint, by []Toleration) time.Duration {
	for i := range by {
		if !by[i].tolerates(taint) {
			continue
		}
		if taint.Effect != NoExecute {
			return Forever
		}
		return by[i].For
	}
	return 0
}

// evicts says whether a taint sends away what has these tolerations.
func (t *Taint) evicts(tolerations []Toleration) bool {
	return t.Effect == NoExecute && t.outlasts(tolerations)
}

// repels says whether a taint keeps away what has these tolerations. One that would send it away again repels it too, which
// spares it a way there and back.
func (t *Taint) repels(tolerations []Toleration) bool {
	return t.Effect != PreferNoSchedule && t.outlasts(tolerations)
}

func (t *Taint) outlasts(tolerations []Toleration) bool {
	span := tolerated(t, tolerations)
	return span <= 0 || span != Forever && t.For >= span
}

// repelling returns the first taint of a peer that keeps away what has these tolerations.
func (p *Peer) repelling(tolerations []Toleration) *Taint {
	for i := range p.Taints {
		if p.Taints[i].repels(tolerations) {
			return &p.Taints[i]
		}
	}
	return nil
}

// evicting returns the first taint of a peer that sends away what has these tolerations.
func (p *Peer) evicting(tolerations []Toleration) *Taint {
	for i := range p.Taints {
		if p.Taints[i].evicts(tolerations) {
			return &p.Taints[i]
		}
	}
	return nil
}

// disliked counts the taints that only ask to be avoided.
func (p *Peer) disliked(tolerations []Toleration) int64 {
	count := int64(0)
	for i := range p.Taints {
		if p.Taints[i].Effect == PreferNoSchedule && p.Taints[i].outlasts(tolerations) {
			count++
		}
	}
	return count
}

// uncordoned says whether a peer takes new replicas with these tolerations, as far as its operator goes.
func (p *Peer) uncordoned(tolerations []Toleration) bool {
	return !p.Cordoned || tolerated(&unschedulable, tolerations) != 0
}

// text is a taint as kubectl writes it: key=value:effect.
func (t *Taint) text() string {
	if t.Value == "" {
		return t.Key + ":" + string(t.Effect)
	}
	return t.Key + "=" + t.Value + ":" + string(t.Effect)
}

// tolerationsKey is equal only for equal tolerations.
func tolerationsKey(tolerations []Toleration) string {
	var text strings.Builder
	for _, t := range tolerations {
		fmt.Fprintf(&text, "%q %t %q %s %d;", t.Key, t.Exists, t.Value, t.Effect, t.For)
	}
	return text.String()
}
