package placement

import (
	"fmt"
	"slices"
	"strings"
)

// compile finds the tallies of a kind's own terms.
func (b *board) compile(k *kind) {
	r := k.rules
	for i := range r.Near {
		t := b.tallyOf(r, &r.Near[i])
		k.nearTo = append(k.nearTo, asked{t, t.selects(r)})
		k.pulls = append(k.pulls, weighed{t, 1, false}) // as in Kubernetes, what must be near is preferred a little by the other side
	}
	for i := range r.Apart {
		t := b.tallyOf(r, &r.Apart[i])
		k.apartFrom = append(k.apartFrom, asked{t, t.selects(r)})
	}
	for i := range r.PreferNear {
		t := b.tallyOf(r, &r.PreferNear[i])
		k.preferred = append(k.preferred, weighed{t, int64(r.PreferNear[i].Weight), t.selects(r)})
	}
	for i := range r.PreferApart {
		t := b.tallyOf(r, &r.PreferApart[i])
		k.preferred = append(k.preferred, weighed{t, -int64(r.PreferApart[i].Weight), t.selects(r)})
	}
	k.pulls = append(k.pulls, k.preferred...)
	for i := range r.Spread {
		e := b.evennessOf(r, &r.Spread[i], k.selector)
		if r.Spread[i].Required {
			k.even = append(k.even, e)
		} else {
			k.uneven = append(k.uneven, e)
		}
	}
}

func (b *board) topologyOf(key string) *topology {
	t, known := b.book.topologies[key]
	if !known {
		t = newTopology(b.peers, key)
		b.book.topologies[key] = t
	}
	return t
}

func (b *board) tallyOf(owner *Rules, term *ReplicaTerm) *tally {
	namespaces := term.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{owner.Namespace}
	}
	namespaces = slices.Compact(slices.Sorted(slices.Values(namespaces)))
	key := fmt.Sprintf("%q %s %q", namespaces, requirementsKey(term.Labels), term.TopologyKey)
	t, known := b.book.tallies[key]
	if !known {
		t = &tally{selector: selector{namespaces, term.Labels}, topology: b.topologyOf(term.TopologyKey), key: term.TopologyKey}
		b.book.tallies[key] = t
	}
	return t
}

func (b *board) evennessOf(r *Rules, s *Spread, nodeSelector map[string]string) *evenness {
	e := &evenness{selector: selector{[]string{r.Namespace}, s.Labels}, topology: b.topologyOf(s.TopologyKey), spread: s,
		eligible: b.eligibleFor(r, s, nodeSelector)}
	if e.selects(r) {
		e.self = 1
	}
	e.reset()
	b.book.evennesses = append(b.book.evennesses, e)
	return e
}

// eligibleFor returns the peers and domains that count for a spread constraint: those that have the labels of all constraints of
// its sort, and are left by what it says of affinity and taints. The domains of lost peers do not count, or the loss of a zone would
// keep what ran there from being started elsewhere.
func (b *board) eligibleFor(r *Rules, s *Spread, nodeSelector map[string]string) *eligible {
	var keys []string
	for _, other := range r.Spread {
		if other.Required == s.Required {
			keys = append(keys, other.TopologyKey)
		}
	}
	key := eligibleKey(r, s, nodeSelector, keys)
	if e, known := b.book.eligibles[key]; known {
		return e
	}
	t := b.topologyOf(s.TopologyKey)
	e := &eligible{peers: make([]bool, len(b.peers)), domains: make([]bool, len(t.values))}
	for i := range b.peers {
		p := &b.peers[i]
		e.peers[i] = p.labelled(keys) && (s.IgnoreAffinity || p.matches(nodeSelector) && r.affinityAllows(p)) && (!s.HonorTaints || p.welcomes(r))
		if e.peers[i] && p.Live && !e.domains[t.domain[i]] {
			e.domains[t.domain[i]] = true
			e.number++
		}
	}
	b.book.eligibles[key] = e
	return e
}

func eligibleKey(r *Rules, s *Spread, nodeSelector map[string]string, keys []string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%q %q", s.TopologyKey, keys)
	if !s.IgnoreAffinity {
		fmt.Fprintf(&text, " %q", nodeSelector)
		for i := range r.Peers {
			fmt.Fprintf(&text, " one of %s", r.Peers[i].key())
		}
	}
	if s.HonorTaints {
		fmt.Fprintf(&text, " tolerates %s", tolerationsKey(r.Tolerations))
	}
	return text.String()
}

func (p *Peer) labelled(keys []string) bool {
	for _, key := range keys {
		if _, labelled := p.Labels[key]; !labelled {
			return false
		}
	}
	return true
}

// welcomes says whether no taint, nor what Kubernetes shows as one, keeps replicas with these rules away.
func (p *Peer) welcomes(r *Rules) bool {
	return p.Live && !p.Draining && p.uncordoned(r.Tolerations) && p.repelling(r.Tolerations) == nil
}
