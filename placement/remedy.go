package placement

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// change is one thing that somebody could do. Its text is an order to a person: "free 250m CPU on p3".
type change struct {
	ease ease
	size int64 // of those that are equally easy, the smaller is the better
	text string

	alter func(*Peer) // what becomes of the peer by it; nil where no peer changes but in its room
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
	candidates := []change{e.newPeer()}
	at := []int32{nowhere}
	for _, i := range e.orderFor(e.at) {
		faults := e.faults(i)
		if len(faults) == 0 {
			return ""
		}
		if len(faults) == 1 && faults[0].change.text != "" {
			candidates, at = append(candidates, faults[0].change), append(at, i)
		}
	}
	for range min(len(candidates), mostTried) {
		best := 0
		for n := range candidates {
			if candidates[n].before(candidates[best]) {
				best = n
			}
		}
		if v.helps(plan, e, at[best], candidates[best]) {
			return candidates[best].text
		}
		candidates[best].ease = easeNever
	}
	return ""
}

// mostTried is how many changes are tried, the smallest first.
const mostTried = 16

// helps says whether a replica would fit after a change. One of a peer changes also what others of its domain are to each other, so that it
// has to be tried.
func (v View) helps(plan Plan, e *explanation, peer int32, c change) bool {
	if c.alter == nil {
		return c.ease != easeNever
	}
	v.Peers = slices.Clone(v.Peers)
	for i := range v.Peers {
		if v.Peers[i].ID == e.peers[peer].ID {
			c.alter(&v.Peers[i])
		}
	}
	after := v.explanation(plan, e.w.Replica)
	return len(after.faults(peer)) == 0
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

// relabel is the change of a peer's labels after which it meets the selector and the affinity of the replica, by one term of it; zero
// where there is none.
func (e *explanation) relabel(i int32, term []Requirement) change {
	p := &e.peers[i]
	labels, parts, possible := relabelled(p.Labels, slices.Concat(e.selected(), term))
	after := &Peer{Name: p.Name, Labels: labels}
	if !possible || len(parts) == 0 || !after.matches(e.w.NodeSelector) || !e.w.rules().affinityAllows(after) {
		return change{}
	}
	for _, part := range parts {
		if key, _, _ := strings.Cut(strings.TrimSuffix(part, "-"), "="); e.isPlace(key) {
			return change{}
		}
	}
	text := "label " + e.nameOf(i) + " " + strings.Join(parts, " ")
	return change{easeLabel, int64(len(parts)), text, func(p *Peer) { p.Labels = labels }}
}

// isPlace says whether a label tells where or what a peer is, which nobody changes by another label.
func (e *explanation) isPlace(key string) bool {
	_, divides := e.book.topologies[key]
	return divides || strings.HasPrefix(key, "kubernetes.io/") || strings.HasPrefix(key, "topology.kubernetes.io/")
}

// selected is the node selector as requirements.
func (e *explanation) selected() []Requirement {
	var all []Requirement
	for _, key := range slices.Sorted(maps.Keys(e.w.NodeSelector)) {
		all = append(all, Requirement{Key: key, Operator: In, Values: []string{e.w.NodeSelector[key]}})
	}
	return all
}

// relabelled returns labels that meet requirements, and what changes them to that: key=value, or key- for one that must go.
func relabelled(labels map[string]string, requirements []Requirement) (after map[string]string, parts []string, possible bool) {
	after = map[string]string{}
	maps.Copy(after, labels)
	byKey := map[string][]Requirement{}
	for _, r := range requirements {
		byKey[r.Key] = append(byKey[r.Key], r)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		all := byKey[key]
		if allHold(all, after) {
			continue
		}
		value, labelled, possible := meeting(all)
		switch {
		case !possible:
			return nil, nil, false
		case labelled:
			after[key] = value
			parts = append(parts, key+"="+value)
		default:
			delete(after, key)
			parts = append(parts, key+"-")
		}
	}
	return after, parts, true
}

// meeting returns a value with which a label meets all requirements on it, or that there must be no such label.
func meeting(all []Requirement) (value string, labelled, possible bool) {
	meets := func(value string, labelled bool) bool {
		return !slices.ContainsFunc(all, func(r Requirement) bool { return !r.holdsFor(value, labelled) })
	}
	if meets("", false) {
		return "", false, true
	}
	candidates := []string{"true"}
	for i := range all {
		r := &all[i]
		bound, given := r.bound()
		switch {
		case r.Operator == In:
			candidates = append(candidates, slices.Sorted(slices.Values(r.Values))...)
		case r.Operator == Gt && given && bound < math.MaxInt64:
			candidates = append(candidates, strconv.FormatInt(bound+1, 10))
		case r.Operator == Lt && given && bound > math.MinInt64:
			candidates = append(candidates, strconv.FormatInt(bound-1, 10))
		}
	}
	at := slices.IndexFunc(candidates, func(c string) bool { return meets(c, true) })
	if at < 0 {
		return "", false, false
	}
	return candidates[at], true, true
}

// newPeer is the change that is left where little helps on the peers that there are.
func (e *explanation) newPeer() change {
	labels, possible := e.newLabels()
	if !possible || e.w.Only != "" || len(e.w.rules().Near) > 0 || e.spreadsOrApart() {
		return change{ease: easeNever}
	}
	var asks []string
	ask := func(amount int64, text string) {
		if amount > 0 {
			asks = append(asks, text)
		}
	}
	r := e.w.Request
	ask(r.CPUMillis, cpuText(r.CPUMillis)+" CPU")
	ask(r.MemoryBytes, memoryText(r.MemoryBytes)+" memory")
	ask(r.StorageBytes, memoryText(r.StorageBytes)+" storage")
	ask(r.Pids, countText(r.Pids)+" pids")
	for _, d := range e.w.Devices {
		ask(d.Count, countText(d.Count)+" "+d.Name)
	}
	text := "add a peer"
	if len(asks) > 0 {
		text += " with room for " + strings.Join(asks, ", ")
	}
	if len(labels) > 0 {
		text += ", labelled " + strings.Join(labels, " ")
	}
	return change{ease: easeNewPeer, text: text}
}

// newLabels are those that a new peer would need.
func (e *explanation) newLabels() (parts []string, possible bool) {
	terms := e.w.rules().Peers
	if len(terms) == 0 {
		_, parts, possible = relabelled(nil, e.selected())
		return parts, possible
	}
	for i := range terms {
		if len(terms[i].Labels) == 0 || len(terms[i].Names) > 0 {
			continue
		}
		if _, parts, possible = relabelled(nil, slices.Concat(e.selected(), terms[i].Labels)); possible {
			return parts, true
		}
	}
	return nil, false
}

// spreadsOrApart says whether it depends on more than its room and labels whether a new peer would do: on what else is in its zone.
func (e *explanation) spreadsOrApart() bool {
	beyond := func(t *tally) bool { return t.key != hostKey }
	return len(e.terms.even) > 0 || slices.ContainsFunc(e.terms.barredBy, beyond) ||
		slices.ContainsFunc(e.terms.apartFrom, func(a asked) bool { return beyond(a.tally) })
}
