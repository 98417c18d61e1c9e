package placement

import "slices"

// topology divides the peers into domains: those with one value of a label.
type topology struct {
	domain     []int32   // by peer; -1 without the label
	values     []string  // by domain
	members    [][]int32 // by domain: its peers, in order
	unlabelled bool      // some peer has no such label
}

const noDomain = -1

func newTopology(peers []Peer, key string) *topology {
	t := &topology{domain: make([]int32, len(peers))}
	at := map[string]int32{}
	for i := range peers {
		value, labelled := peers[i].Labels[key]
		if !labelled {
			t.domain[i], t.unlabelled = noDomain, true
			continue
		}
		domain, known := at[value]
		if !known {
			domain = int32(len(t.values))
			at[value] = domain
			t.values, t.members = append(t.values, value), append(t.members, nil)
		}
		t.domain[i] = domain
		t.members[domain] = append(t.members[domain], int32(i))
	}
	return t
}

// counts are numbers by domain, of which most stay 0: they are kept in pages that are made when needed.
type counts struct{ pages []*[countsPage]int64 }

const countsPage = 64

func (c *counts) of(domain int32) int64 {
	if page := int(domain) / countsPage; page < len(c.pages) && c.pages[page] != nil {
		return c.pages[page][domain%countsPage]
	}
	return 0
}

// add returns the number after it.
func (c *counts) add(domain int32, amount int64) int64 {
	page := int(domain) / countsPage
	if page >= len(c.pages) {
		c.pages = append(c.pages, make([]*[countsPage]int64, page+1-len(c.pages))...)
	}
	if c.pages[page] == nil {
		c.pages[page] = new([countsPage]int64)
	}
	c.pages[page][domain%countsPage] += amount
	return c.pages[page][domain%countsPage]
}

// tally counts for all terms that select the same replicas by the same topology key. What is assigned counts for what wants to
// be near; for what must be apart, also every instance that is still there.
type tally struct {
	selector
	*topology
	key string // the topology key

	assigned      counts // selected replicas that the plan has there
	assignedTotal int64
	present       counts // selected replicas there, with each instance of them
	barred        counts // replicas there that must be apart from the selected ones
	pull          counts // sum of the weights of replicas there that prefer to be near the selected ones
}

// selector selects replicas.
type selector struct {
	namespaces []string
	labels     []Requirement
}

func (s *selector) selects(r *Rules) bool {
	return slices.Contains(s.namespaces, r.Namespace) && allHold(s.labels, r.Labels)
}

// evenness counts for one spread constraint.
type evenness struct {
	selector
	*topology
	spread   *Spread
	eligible *eligible
	count    counts
	tiers    []int32 // by count: how many of the eligible domains have it
	least    int64
	self     int64 // 1 if a replica counts itself
}

// eligible are the peers and domains that count for a spread constraint.
type eligible struct {
	peers   []bool
	domains []bool
	number  int32 // of domains
}

// reset forgets all counts.
func (t *tally) reset() {
	t.assigned, t.present, t.barred, t.pull, t.assignedTotal = counts{}, counts{}, counts{}, counts{}, 0
}

// reset forgets all counts.
func (e *evenness) reset() {
	e.count, e.tiers, e.least = counts{}, []int32{e.eligible.number}, 0
}

func (e *evenness) add(peer int32, amount int64) {
	domain := e.domain[peer]
	if domain == noDomain || !e.eligible.peers[peer] {
		return
	}
	after := e.count.add(domain, amount)
	if !e.eligible.domains[domain] {
		return
	}
	e.tiers[after-amount]--
	if int(after) == len(e.tiers) {
		e.tiers = append(e.tiers, 0)
	}
	e.tiers[after]++
	switch {
	case after < e.least:
		e.least = after
	case e.tiers[e.least] == 0:
		e.least++
	}
}

// minimum is what a domain's count is compared with: the least of all, or 0 while there are fewer domains than asked for.
func (e *evenness) minimum() int64 {
	if e.eligible.number < e.spread.MinDomains {
		return 0
	}
	return e.least
}

// excess is by how much one more replica on a peer, which has the label, would go beyond the skew that is allowed.
func (e *evenness) excess(peer int32) int64 {
	return e.count.of(e.domain[peer]) + e.self - e.minimum() - int64(e.spread.MaxSkew)
}

// unevenness is what a spread constraint that is only preferred says against a peer: by how much one more replica there would go
// beyond the skew. A peer without the label is worse than the fullest domain.
func (e *evenness) unevenness(peer int32) int64 {
	if e.domain[peer] == noDomain {
		most := len(e.tiers) - 1
		for most > 0 && e.tiers[most] == 0 {
			most--
		}
		return int64(most) + 1 + e.self - e.minimum()
	}
	return max(e.excess(peer), 0)
}
