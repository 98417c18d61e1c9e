package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ruleBook is what the rules of all wanted replicas come to on one board. What is asked is kept over plans; what it comes to on the
// peers that there are is found when something asks for it.
type ruleBook struct {
	kinds  []*kind
	kindAt []int32 // of wanted
	known  map[kindKey]int32
	ruled  bool // some kind has terms about other replicas

	tainted  bool // some peer has a taint or is cordoned
	undamped bool // some live peer is not damped

	linked     bool // what follows holds, and the tallies of the kinds
	topologies map[string]*topology
	eligibles  map[string]*eligible
	tallies    map[string]*tally
	evennesses []*evenness

	counting bool       // what follows, and the counts of the tallies, hold
	ports    [][]Port   // by peer: what is taken
	devices  [][]Amount // by peer: the same
	held     []bool     // of incumbents: counted
}

// kind is what all replicas with the same rules and node selector ask, in the form in which it is looked up.
type kind struct {
	rules    *Rules
	selector map[string]string
	pinned   bool
	ground   *ground // nil until something asks for it
	links
}

// links are the tallies that a kind has to do with.
type links struct {
	nearTo    []asked // all must hold
	apartFrom []asked // none may hold
	preferred []weighed
	even      []*evenness // required
	uneven    []*evenness // preferred

	counted  []*tally    // whose terms select these replicas
	evened   []*evenness // the same
	barredBy []*tally    // of counted: those from which some must be apart
	pulledBy []*tally    // of counted: those that some prefer
	pulls    []weighed   // what these replicas add to pull
}

// asked is a term that must hold, or must not.
type asked struct {
	*tally
	self bool // it selects the replica itself
}

// weighed is a term that is preferred; the weight is below 0 for one that should not hold.
type weighed struct {
	*tally
	weight int64
	self   bool // it selects the replica itself
}

// kindKey tells kinds apart. Rules are told apart by identity, because all replicas of a workload share them.
type kindKey struct {
	rules    *Rules
	selector string
	pinned   bool
}

var noRules = &Rules{}

// indexRules starts a plan: nothing is counted until something asks.
func (b *board) indexRules() {
	if b.book != nil {
		b.book.counting = false
	}
}

// rules returns what the rules of all wanted replicas come to. It is made anew after b.book was set to nil; what in it is about the
// peers, after b.grounds was.
func (b *board) rules() *ruleBook {
	if b.book != nil && b.grounds != nil {
		return b.book
	}
	if b.book == nil {
		b.book = &ruleBook{known: map[kindKey]int32{}, kindAt: make([]int32, len(b.wanted))}
		for i := range b.wanted {
			if i > 0 && sameKind(&b.wanted[i-1], &b.wanted[i]) {
				b.book.kindAt[i] = b.book.kindAt[i-1]
			} else {
				b.book.kindAt[i] = b.kindFor(int32(i))
			}
		}
	}
	if b.grounds == nil {
		b.grounds = map[string]*ground{}
	}
	b.book.forgetPeers(b.peers)
	return b.book
}

// forgetPeers forgets what was found on peers that have changed.
func (book *ruleBook) forgetPeers(peers []Peer) {
	book.tainted, book.undamped, book.linked, book.counting = false, false, false, false
	for i := range peers {
		p := &peers[i]
		book.tainted = book.tainted || len(p.Taints) > 0 || p.Cordoned
		book.undamped = book.undamped || p.Live && !p.Damped
	}
	for _, k := range book.kinds {
		k.ground = nil
	}
}

// rekind says that another replica is wanted in place i, or none.
func (b *board) rekind(i int32) {
	book := b.book
	if book == nil {
		return
	}
	for len(book.kindAt) <= int(i) {
		book.kindAt = append(book.kindAt, b.kindFor(int32(len(book.kindAt))))
	}
	before := book.kindAt[i]
	book.kindAt[i] = b.kindFor(i)
	if book.kindAt[i] != before && book.ruled {
		book.linked, book.counting = false, false
	}
	if len(book.kinds) > 2*len(b.wanted)+firstChoices { // most of them are nobody's any more
		b.book = nil
	}
}

func (b *board) kindOf(i int32) *kind {
	book := b.rules()
	return book.kinds[book.kindAt[i]]
}

// sameKind says whether two wanted replicas are of one kind, where that is plain to see.
func sameKind(x, y *Wanted) bool {
	return x.Rules == y.Rules && len(x.NodeSelector)+len(y.NodeSelector) == 0 && (x.Only == "") == (y.Only == "")
}

// kindFor returns the kind of a wanted replica.
func (b *board) kindFor(i int32) int32 {
	w, book := &b.wanted[i], b.book
	key := kindKey{rules: w.Rules, pinned: w.Only != ""}
	if len(w.NodeSelector) > 0 {
		key.selector = fmt.Sprintf("%q", w.NodeSelector)
	}
	at, found := book.known[key]
	if !found {
		at = int32(len(book.kinds))
		book.known[key] = at
		book.kinds = append(book.kinds, &kind{rules: w.rules(), selector: w.NodeSelector, pinned: key.pinned})
		book.ruled = book.ruled || w.rules().aboutOthers()
	}
	return at
}

// aboutOthers says whether rules ask anything about other replicas.
func (r *Rules) aboutOthers() bool {
	return len(r.Near)+len(r.Apart)+len(r.PreferNear)+len(r.PreferApart)+len(r.Spread) > 0
}

// linkRules finds the tallies of all kinds that somebody is of.
func (b *board) linkRules() {
	book := b.rules()
	if book.linked {
		return
	}
	book.linked, book.counting = true, false
	book.topologies, book.eligibles, book.tallies, book.evennesses = map[string]*topology{}, map[string]*eligible{}, map[string]*tally{}, nil
	for _, k := range book.kinds {
		k.links = links{}
	}
	if !book.ruled {
		return
	}
	used, linked := []*kind{}, make([]bool, len(book.kinds))
	for i := range b.wanted {
		if at := book.kindAt[i]; !linked[at] {
			linked[at] = true
			used = append(used, book.kinds[at])
			b.compile(book.kinds[at])
		}
	}
	b.selectKinds(used)
}

// reset forgets all counts.
func (book *ruleBook) reset(incumbents int) {
	for _, t := range book.tallies {
		t.reset()
	}
	for _, e := range book.evennesses {
		e.reset()
	}
	book.ports, book.devices, book.held = nil, nil, make([]bool, incumbents)
	book.counting = true
}

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
