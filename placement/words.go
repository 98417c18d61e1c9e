package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// hostKey is the label by which each peer is a domain of its own.
const hostKey = "kubernetes.io/hostname"

// termFaults are the faults of what depends on other replicas, and of ports.
func (e *explanation) termFaults(i int32) []fault {
	t := e.terms
	var all []fault
	for _, port := range e.w.Ports {
		if t.taken(i, port) > 0 {
			all = append(all, e.portFault(i, port))
		}
	}
	for n := range t.nearTo {
		if !t.isNearTo(&t.nearTo[n], i) {
			all = append(all, e.nearFault(i, &t.nearTo[n]))
		}
	}
	for n := range t.apartFrom {
		if a := &t.apartFrom[n]; t.besides(a.tally, i, a.self) > 0 {
			all = append(all, e.apartFault(i, a.tally, e.selectedIn, "must be apart from %s %s"))
		}
	}
	for _, tally := range t.barredBy {
		if t.barring(tally, i) > 0 && !t.isApartBy(tally, i) {
			all = append(all, e.apartFault(i, tally, e.barringIn, "%s %s must be apart from it"))
		}
	}
	for _, even := range t.even {
		if even.domain[i] == noDomain || even.excess(i) > 0 {
			all = append(all, e.skewFault(i, even))
		}
	}
	return all
}

// isApartBy says whether the replica's own term already speaks against a peer: mostly both sides ask the same.
func (t *terms) isApartBy(tally *tally, peer int32) bool {
	return slices.ContainsFunc(t.apartFrom, func(a asked) bool { return a.tally == tally && t.besides(tally, peer, a.self) > 0 })
}

func (e *explanation) portFault(i int32, port Port) fault {
	var holders []ReplicaID
	for at := range e.incumbents {
		held := &e.incumbents[at]
		if e.heldBy[at] == i && clashing(held.Ports, port) > 0 && (e.w.Only == "" || e.heldFor[at] != e.at) {
			holders = append(holders, held.Replica)
		}
	}
	for n := range e.wanted {
		if e.place[n] == i && clashing(e.wanted[n].Ports, port) > 0 {
			holders = append(holders, e.wanted[n].Replica)
		}
	}
	holders = unique(holders)
	f := fault{rule: PortTaken, detail: fmt.Sprintf("port %s is taken by %s", port.text(), namesText(holders))}
	if len(holders) == 1 {
		f.change = change{ease: easePort, size: 1, text: fmt.Sprintf("free port %s on %s, which %s has", port.text(), e.nameOf(i), holders[0])}
	}
	return f
}

func (p Port) text() string {
	text := fmt.Sprintf("%d/%s", p.Number, p.Protocol)
	if !p.everywhere() {
		text = p.IP + ":" + text
	}
	return text
}

func unique(replicas []ReplicaID) []ReplicaID {
	slices.Sort(replicas)
	return slices.Compact(replicas)
}

// what names the replicas that a selector selects.
func (s *selector) what() string {
	if len(s.labels) == 0 {
		return "any replica"
	}
	return requirementsText(s.labels)
}

func (e *explanation) nearFault(i int32, a *asked) fault {
	domain := a.domain[i]
	if domain == noDomain {
		return fault{rule: Near, detail: "has no label " + a.key + ", by which it must be near " + a.what()}
	}
	f := fault{rule: Near, detail: fmt.Sprintf("must be near %s, of which %s=%s has none", a.what(), a.key, a.values[domain])}
	f.change = change{ease: easeStart, size: 0, text: fmt.Sprintf("run a replica with %s in %s=%s", a.what(), a.key, a.values[domain])}
	return f
}

// apartFault names those that are too near. The text takes their names and the domain.
func (e *explanation) apartFault(i int32, t *tally, who func(*tally, int32) []ReplicaID, text string) fault {
	domain := t.domain[i]
	where, out := "in "+t.key+"="+t.values[domain], "out of "+t.key+"="+t.values[domain]
	if t.key == hostKey {
		where, out = "on "+e.nameOf(i), "off "+e.nameOf(i)
	}
	names := who(t, domain)
	f := fault{rule: Apart, detail: fmt.Sprintf(text, namesText(names), where)}
	if len(names) == 1 {
		f.change = change{ease: easeMove, size: 1, text: fmt.Sprintf("move %s %s", names[0], out)}
	}
	return f
}

// selectedIn returns the other replicas in a domain that a tally counts.
func (e *explanation) selectedIn(t *tally, domain int32) []ReplicaID {
	return e.presentIn(inDomain{t, domain, false}, func(k *kind) bool { return t.selects(k.rules) })
}

// barringIn returns the other replicas in a domain that must be apart from what a tally counts.
func (e *explanation) barringIn(t *tally, domain int32) []ReplicaID {
	return e.presentIn(inDomain{t, domain, true}, func(k *kind) bool {
		return slices.ContainsFunc(k.apartFrom, func(a asked) bool { return a.tally == t })
	})
}

// inDomain is what presentIn has looked for: all peers of a domain get the same answer.
type inDomain struct {
	*tally
	in      int32 // the domain
	barring bool
}

func (e *explanation) presentIn(where inDomain, counts func(*kind) bool) []ReplicaID {
	if found, known := e.found[where]; known {
		return found
	}
	var found []ReplicaID
	add := func(n, peer int32) {
		if n >= 0 && n != e.at && peer != nowhere && where.domain[peer] == where.in && counts(e.kindOf(n)) {
			found = append(found, e.wanted[n].Replica)
		}
	}
	for n := range e.wanted {
		add(int32(n), e.place[n])
	}
	for at := range e.incumbents {
		if peer := e.heldBy[at]; peer != nowhere && e.peers[peer].Live && e.book.held[at] {
			add(e.heldFor[at], peer)
		}
	}
	e.found[where] = unique(found)
	return e.found[where]
}

func (e *explanation) skewFault(i int32, even *evenness) fault {
	key, domain := even.spread.TopologyKey, even.domain[i]
	if domain == noDomain {
		return fault{rule: Skew, detail: "has no label " + key + ", over which it is spread"}
	}
	has := even.count.of(domain)
	text := fmt.Sprintf("%s=%s has %d of %s", key, even.values[domain], has, even.what())
	if even.eligible.number < even.spread.MinDomains {
		text += fmt.Sprintf(", and there are %d of at least %d domains", even.eligible.number, even.spread.MinDomains)
	} else if name := even.leastDomain(); name != "" {
		text += fmt.Sprintf(", %s=%s has %d", key, name, even.least)
	}
	skew := has + even.self - even.minimum()
	f := fault{rule: Skew, detail: text + fmt.Sprintf(": the skew would be %d, %d is allowed", skew, even.spread.MaxSkew)}
	f.change = change{ease: easeSkew, size: skew, text: fmt.Sprintf("allow a maxSkew of %d for %s", skew, key)}
	return f
}

// leastDomain returns the first domain by name that has the fewest.
func (e *evenness) leastDomain() string {
	var names []string
	for domain, name := range e.values {
		if e.eligible.domains[domain] && e.count.of(int32(domain)) == e.least {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

// preferences says what is preferred and a peer does not have, or has and is not preferred.
func (e *explanation) preferences(i int32) string {
	p, r, t := &e.peers[i], e.w.rules(), e.terms
	against := map[string]bool{}
	for n := range p.Taints {
		if p.Taints[n].Effect == PreferNoSchedule && p.Taints[n].outlasts(r.Tolerations) {
			against["has the taint "+p.Taints[n].text()] = true
		}
	}
	for n := range r.PreferPeers {
		if term := &r.PreferPeers[n]; !term.holds(p) && term.holds(&e.peers[e.chosenAt]) {
			against["lacks "+requirementsText(append(slices.Clone(term.Labels), term.Names...))+", which is preferred"] = true
		}
	}
	for n := range t.preferred {
		w := &t.preferred[n]
		if here, there := t.preferring(w, i), t.preferring(w, e.chosenAt); here*w.weight < there*w.weight {
			against[fmt.Sprintf("has %d of %s by %s, %s has %d", here, w.what(), w.key, e.nameOf(e.chosenAt), there)] = true
		}
	}
	for _, even := range t.uneven {
		if here, there := even.unevenness(i), even.unevenness(e.chosenAt); here > there {
			against[fmt.Sprintf("spreads %s less evenly by %s", even.what(), even.spread.TopologyKey)] = true
		}
	}
	for _, tally := range t.pulledBy {
		if pullAt(tally, i) < pullAt(tally, e.chosenAt) {
			against["others prefer it where "+e.nameOf(e.chosenAt)+" is"] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(against)), "; ")
}

func pullAt(t *tally, peer int32) int64 {
	if t.domain[peer] == noDomain {
		return 0
	}
	return t.pull.of(t.domain[peer])
}

// leftFor returns the room that a peer has for the replica. What a pinned one's own instances hold there is room too: they go before it
// comes.
func (e *explanation) leftFor(i int32) Resources {
	left := e.sites[i].left
	if e.w.Only == "" {
		return left
	}
	for _, at := range e.terms.own {
		if e.heldBy[at] == i {
			left = left.more(e.incumbents[at].Request)
		}
	}
	return left
}
