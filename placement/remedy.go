package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// change is one thing that somebody could do. Its text is an order to a person: "free 250m CPU on p3".
type change struct {
	ease ease
	size int64 // of those that are equally easy, the smaller is the better
	text string
}

// ease orders the sorts of change by how little it takes to make them.
type ease int

const (
	easeUncordon ease = iota
	easeTaint
	easeLabel
	easePort
	easeRoom
	easeReturn
	easeLower
	easeNewPeer
	easeMove
	easeSkew
	easeStart
	easeNever // no one change is enough
)

func (c change) before(d change) bool {
	return cmp.Or(cmp.Compare(c.ease, d.ease), cmp.Compare(c.size, d.size)) < 0
}

// Remedy returns the smallest single change after which a pending replica would fit on some peer, as an order to a person: "free
// 250m CPU on p3", "label p2 disk=ssd", "uncordon p4". It is empty for a replica that is not pending under plan, which must be
// v.Plan(), and where no one change is enough.
func (v View) Remedy(plan Plan, replica ReplicaID) string {
	e := v.explanation(plan, replica)
	if e == nil || e.chosenAt != nowhere {
		return ""
	}
	best := e.newPeer()
	for _, i := range e.orderFor(e.at) {
		faults := e.faults(i)
		if len(faults) == 0 {
			return ""
		}
		if len(faults) == 1 && faults[0].change.text != "" && faults[0].change.before(best) {
			best = faults[0].change
		}
	}
	return best.text
}

// nameField is the one field of a peer that affinity may ask for beside labels.
const nameField = "metadata.name"

// allMissing returns the requirements of a term that a peer does not meet.
func (t *PeerTerm) allMissing(p *Peer) []Requirement {
	var missing []Requirement
	for _, r := range t.Labels {
		if !r.holds(p.Labels) {
			missing = append(missing, r)
		}
	}
	for _, r := range t.Names {
		if !r.holdsFor(p.Name, true) {
			r.Key = nameField
			missing = append(missing, r)
		}
	}
	return missing
}

// relabel is the change of a peer's labels that meets requirements; zero where there is none.
func (e *explanation) relabel(i int32, missing []Requirement) change {
	labels := map[string]string{}
	for key, value := range e.peers[i].Labels {
		labels[key] = value
	}
	var parts []string
	for _, r := range missing {
		value, labelled, possible := r.met()
		if r.Key == nameField || !possible {
			return change{}
		}
		part := r.Key + "=" + value
		if labelled {
			labels[r.Key] = value
		} else {
			delete(labels, r.Key)
			part = r.Key + "-"
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 || !allHold(missing, labels) {
		return change{}
	}
	return change{easeLabel, int64(len(parts)), "label " + e.nameOf(i) + " " + strings.Join(parts, " ")}
}

// met returns a value with which a label meets a requirement, or that there must be no such label.
func (r *Requirement) met() (value string, labelled, possible bool) {
	bound, given := r.bound()
	switch {
	case r.Operator == In && len(r.Values) > 0:
		return slices.Min(r.Values), true, true
	case r.Operator == Exists:
		return "true", true, true
	case r.Operator == NotIn || r.Operator == DoesNotExist:
		return "", false, true
	case r.Operator == Gt && given:
		return strconv.FormatInt(bound+1, 10), true, true
	case r.Operator == Lt && given:
		return strconv.FormatInt(bound-1, 10), true, true
	}
	return "", false, false
}

// newPeer is the change that is left where little helps on the peers that there are.
func (e *explanation) newPeer() change {
	rules := e.w.rules()
	if e.w.Only != "" || len(rules.Near) > 0 || e.spreadsOrApart() {
		return change{ease: easeNever}
	}
	var asks, labels []string
	r := e.w.Request
	for _, part := range []struct {
		amount int64
		text   string
	}{{r.CPUMillis, cpuText(r.CPUMillis) + " CPU"}, {r.MemoryBytes, memoryText(r.MemoryBytes) + " memory"},
		{r.StorageBytes, memoryText(r.StorageBytes) + " storage"}, {r.Pids, countText(r.Pids) + " pids"}} {
		if part.amount > 0 {
			asks = append(asks, part.text)
		}
	}
	for _, d := range e.w.Devices {
		asks = append(asks, fmt.Sprintf("%d %s", d.Count, d.Name))
	}
	blank := &Peer{Labels: map[string]string{}}
	if len(e.w.NodeSelector) > 0 {
		labels = append(labels, selectorText(e.w.NodeSelector))
	}
	if len(rules.Peers) > 0 {
		for _, missing := range rules.Peers[0].allMissing(blank) {
			labels = append(labels, missing.text())
		}
	}
	text := "add a peer"
	if len(asks) > 0 {
		text += " with room for " + strings.Join(asks, ", ")
	}
	if len(labels) > 0 {
		text += " and the labels " + strings.Join(labels, ",")
	}
	return change{ease: easeNewPeer, text: text}
}

// spreadsOrApart says whether it depends on more than its room and labels whether a new peer would do: on what else is in its zone.
func (e *explanation) spreadsOrApart() bool {
	beyond := func(t *tally) bool { return t.key != hostKey }
	return len(e.terms.even) > 0 || slices.ContainsFunc(e.terms.barredBy, beyond) ||
		slices.ContainsFunc(e.terms.apartFrom, func(a asked) bool { return beyond(a.tally) })
}
