package placement

import "fmt"

// ruleBook is what the rules of all wanted replicas come to on one board. What is asked is kept over plans; what it comes to on the
// peers that there are is found when something asks for it.
type ruleBook struct {
	kinds  []*kind
	kindAt []int32 // of wanted
	known  map[kindKey]int32
	ruled  bool // some kind has terms about other replicas

	tainted  bool // some peer has a taint or is cordoned
	undamped bool // at least half of the live peers are not damped

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
	book.tainted, book.linked, book.counting = false, false, false
	live, damped := 0, 0
	for i := range peers {
		p := &peers[i]
		book.tainted = book.tainted || len(p.Taints) > 0 || p.Cordoned
		if p.Live {
			live++
		}
		if p.Live && p.Damped {
			damped++
		}
	}
	book.undamped = damped*2 <= live
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
	book.linked = true
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
