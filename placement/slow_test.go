package placement

import (
	"maps"
	"slices"
	"strconv"
)

// slow is the rules of Kubernetes' scheduler as its documents say them, word by word, with no thought of speed.
type slow struct {
	view View
	at   map[ReplicaID]PeerID // where the plan has what it has placed
}

func (s slow) peer(id PeerID) *Peer {
	i := slices.IndexFunc(s.view.Peers, func(p Peer) bool { return p.ID == id })
	return &s.view.Peers[i]
}

// allows says whether a peer may be given a replica that is not placed, room aside.
func (s slow) allows(w *Wanted, p *Peer) bool {
	return s.static(w, p) && s.unrefused(w, p) && s.near(w, p) && s.apart(w, p) && s.even(w, p) && s.ports(w, p) && s.devices(w, p)
}

func (s slow) static(w *Wanted, p *Peer) bool {
	if !p.Live || w.Only != "" && w.Only != p.ID {
		return false
	}
	if w.Only == "" && (p.Draining || s.cordoned(w, p) || p.Damped && s.fewDamped()) {
		return false
	}
	return s.affinity(w, p) && s.taintsTolerated(w, p)
}

func (s slow) cordoned(w *Wanted, p *Peer) bool {
	return p.Cordoned && !s.tolerated(w, Taint{Key: "node.kubernetes.io/unschedulable", Effect: NoSchedule})
}

func (s slow) fewDamped() bool {
	undamped := 0
	for _, p := range s.view.Peers {
		if p.Live && p.Damped {
			undamped--
		} else if p.Live {
			undamped++
		}
	}
	return undamped >= 0
}

func (s slow) affinity(w *Wanted, p *Peer) bool {
	for key, value := range w.NodeSelector {
		if got, has := p.Labels[key]; !has || got != value {
			return false
		}
	}
	if len(w.Rules.Peers) == 0 {
		return true
	}
	return slices.ContainsFunc(w.Rules.Peers, func(term PeerTerm) bool {
		named := map[string]string{"metadata.name": p.Name}
		return len(term.Labels)+len(term.Names) > 0 && s.selects(term.Labels, p.Labels) && s.selects(term.Names, named)
	})
}

func (slow) selects(requirements []Requirement, labels map[string]string) bool {
	for _, r := range requirements {
		value, has := labels[r.Key]
		met := false
		switch r.Operator {
		case In:
			met = has && slices.Contains(r.Values, value)
		case NotIn:
			met = !has || !slices.Contains(r.Values, value)
		case Exists:
			met = has
		case DoesNotExist:
			met = !has
		case Gt, Lt:
			left, err := strconv.Atoi(value)
			right, err2 := strconv.Atoi(r.Values[0])
			met = has && err == nil && err2 == nil && (r.Operator == Gt && left > right || r.Operator == Lt && left < right)
		}
		if !met {
			return false
		}
	}
	return true
}

func (s slow) taintsTolerated(w *Wanted, p *Peer) bool {
	return !slices.ContainsFunc(p.Taints, func(t Taint) bool { return t.Effect != PreferNoSchedule && !s.tolerated(w, t) })
}

func (slow) tolerated(w *Wanted, taint Taint) bool {
	for _, t := range w.Rules.Tolerations {
		key := t.Key == "" && t.Exists || t.Key == taint.Key
		value := t.Exists || t.Value == taint.Value
		effect := t.Effect == "" || t.Effect == taint.Effect
		if key && value && effect {
			return taint.Effect != NoExecute || t.For == Forever || t.For > taint.For
		}
	}
	return false
}

func (s slow) unrefused(w *Wanted, p *Peer) bool {
	return !slices.ContainsFunc(s.view.Refusals, func(r Refusal) bool {
		return r.Replica == w.Replica && r.Peer == p.ID && r.Revision == w.Revision && !r.Soft && s.view.Now.Before(r.Until)
	})
}

// selected says whether a term of an owner selects a replica.
func (s slow) selected(owner *Wanted, namespaces []string, labels []Requirement, x *Wanted) bool {
	if len(namespaces) == 0 {
		namespaces = []string{owner.Rules.Namespace}
	}
	return slices.Contains(namespaces, x.Rules.Namespace) && s.selects(labels, x.Rules.Labels)
}

func sameDomain(key string, p, q *Peer) bool {
	x, has := p.Labels[key]
	y, hasToo := q.Labels[key]
	return has && hasToo && x == y
}

func (s slow) near(w *Wanted, p *Peer) bool {
	for _, term := range w.Rules.Near {
		if _, has := p.Labels[term.TopologyKey]; !has {
			return false
		}
		found, anywhere := false, false
		for i := range s.view.Wanted {
			x := &s.view.Wanted[i]
			if id, placed := s.at[x.Replica]; placed && s.selected(w, term.Namespaces, term.Labels, x) {
				_, has := s.peer(id).Labels[term.TopologyKey]
				anywhere = anywhere || has
				found = found || sameDomain(term.TopologyKey, p, s.peer(id))
			}
		}
		if !found && (anywhere || !s.selected(w, term.Namespaces, term.Labels, w)) {
			return false
		}
	}
	return true
}

// instances are the live peers on which something of a replica is or will be.
func (s slow) instances(x *Wanted) []*Peer {
	var peers []*Peer
	if id, placed := s.at[x.Replica]; placed {
		peers = append(peers, s.peer(id))
	}
	for _, held := range s.view.Incumbents {
		if held.Replica == x.Replica && s.peer(held.Peer).Live {
			peers = append(peers, s.peer(held.Peer))
		}
	}
	return peers
}

func (s slow) apart(w *Wanted, p *Peer) bool {
	for i := range s.view.Wanted {
		x := &s.view.Wanted[i]
		if x.Replica == w.Replica {
			continue
		}
		for _, there := range s.instances(x) {
			if s.mustBeApart(w, x, p, there) || s.mustBeApart(x, w, there, p) {
				return false
			}
		}
	}
	return true
}

func (s slow) mustBeApart(owner, other *Wanted, p, q *Peer) bool {
	return slices.ContainsFunc(owner.Rules.Apart, func(term ReplicaTerm) bool {
		return s.selected(owner, term.Namespaces, term.Labels, other) && sameDomain(term.TopologyKey, p, q)
	})
}

func (s slow) even(w *Wanted, p *Peer) bool {
	return !slices.ContainsFunc(w.Rules.Spread, func(c Spread) bool {
		_, has := p.Labels[c.TopologyKey]
		return c.Required && (!has || s.excess(w, c, p) > 0)
	})
}

// excess is by how much one more replica on a peer would go beyond the skew that is allowed. For one without the label it is counted
// as one more than the fullest domain has, and as if no skew were allowed.
func (s slow) excess(w *Wanted, c Spread, p *Peer) int32 {
	count := map[string]int32{}
	for i := range s.view.Peers {
		if q := &s.view.Peers[i]; q.Live && s.eligible(w, &c, q) {
			count[q.Labels[c.TopologyKey]] += 0
		}
	}
	domains := slices.Collect(maps.Keys(count))
	for i := range s.view.Wanted {
		x := &s.view.Wanted[i]
		id, placed := s.at[x.Replica]
		if placed && s.selected(w, nil, c.Labels, x) && s.eligible(w, &c, s.peer(id)) {
			count[s.peer(id).Labels[c.TopologyKey]]++
		}
	}
	least, most := int32(0), int32(0)
	for n, domain := range domains {
		most = max(most, count[domain])
		if n == 0 || count[domain] < least {
			least = count[domain]
		}
	}
	if len(domains) < int(c.MinDomains) {
		least = 0
	}
	self := int32(0)
	if s.selected(w, nil, c.Labels, w) {
		self = 1
	}
	if value, has := p.Labels[c.TopologyKey]; has {
		return count[value] + self - least - c.MaxSkew
	}
	return most + 1 + self - least
}

// cost is what is preferred, as Kubernetes' documents weigh it: the sum of the weights, twice, and more for what is to be avoided.
func (s slow) cost(w *Wanted, p *Peer) int64 {
	cost := int64(0)
	for _, t := range p.Taints {
		if t.Effect == PreferNoSchedule && !s.tolerated(w, t) {
			cost += 300
		}
	}
	for _, term := range w.Rules.PreferPeers {
		if len(term.Labels)+len(term.Names) > 0 && s.selects(term.Labels, p.Labels) && s.selects(term.Names, map[string]string{"metadata.name": p.Name}) {
			cost -= 2 * int64(term.Weight)
		}
	}
	for _, c := range w.Rules.Spread {
		if !c.Required {
			cost += 200 * int64(max(0, s.excess(w, c, p)))
		}
	}
	for i := range s.view.Wanted {
		if x := &s.view.Wanted[i]; x.Replica != w.Replica {
			cost -= 2 * s.attraction(w, x, p)
		}
	}
	if slices.ContainsFunc(s.view.Refusals, func(r Refusal) bool {
		return r.Replica == w.Replica && r.Peer == p.ID && r.Revision == w.Revision && r.Soft
	}) {
		cost += softCost
	}
	return cost
}

// attraction is how much a replica wants to be on a peer because of another one, and the other way round.
func (s slow) attraction(w, x *Wanted, p *Peer) int64 {
	sum := int64(0)
	if id, placed := s.at[x.Replica]; placed {
		q := s.peer(id)
		for _, term := range w.Rules.PreferNear {
			sum += int64(term.Weight) * s.meets(w, x, term, p, q)
		}
		for _, term := range x.Rules.PreferNear {
			sum += int64(term.Weight) * s.meets(x, w, term, q, p)
		}
		for _, term := range x.Rules.PreferApart {
			sum -= int64(term.Weight) * s.meets(x, w, term, q, p)
		}
		for _, term := range x.Rules.Near {
			sum += s.meets(x, w, term, q, p)
		}
	}
	seen := map[PeerID]bool{}
	for _, held := range s.view.Incumbents {
		if q := s.peer(held.Peer); held.Replica == x.Replica && q.Live {
			seen[q.ID] = true
			sum -= s.repulsion(w, x, p, q)
		}
	}
	if id, placed := s.at[x.Replica]; placed && !seen[id] {
		sum -= s.repulsion(w, x, p, s.peer(id))
	}
	return sum
}

func (s slow) repulsion(w, x *Wanted, p, q *Peer) int64 {
	sum := int64(0)
	for _, term := range w.Rules.PreferApart {
		sum += int64(term.Weight) * s.meets(w, x, term, p, q)
	}
	return sum
}

func (s slow) meets(owner, other *Wanted, term ReplicaTerm, p, q *Peer) int64 {
	if s.selected(owner, term.Namespaces, term.Labels, other) && sameDomain(term.TopologyKey, p, q) {
		return 1
	}
	return 0
}

func (s slow) eligible(w *Wanted, c *Spread, p *Peer) bool {
	for _, other := range w.Rules.Spread {
		if _, has := p.Labels[other.TopologyKey]; other.Required == c.Required && !has {
			return false
		}
	}
	if !c.IgnoreAffinity && !s.affinity(w, p) {
		return false
	}
	return !c.HonorTaints || p.Live && !p.Draining && !s.cordoned(w, p) && s.taintsTolerated(w, p)
}

func (s slow) ports(w *Wanted, p *Peer) bool {
	taken := s.uses(w, p, func(held *Incumbent) []Port { return held.Ports }, func(x *Wanted) []Port { return x.Ports })
	all := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	for _, asks := range w.Ports {
		if slices.ContainsFunc(taken, func(q Port) bool {
			return q.Number == asks.Number && q.Protocol == asks.Protocol && (q.IP == asks.IP || all(q.IP) || all(asks.IP))
		}) {
			return false
		}
	}
	return true
}

func (s slow) devices(w *Wanted, p *Peer) bool {
	left := map[string]int64{}
	for _, has := range p.Devices {
		left[has.Name] += has.Count
	}
	for _, used := range s.devicesTaken(w, p) {
		left[used.Name] -= used.Count
	}
	return !slices.ContainsFunc(w.Devices, func(asks Amount) bool { return asks.Count > 0 && left[asks.Name] < asks.Count })
}

func (s slow) devicesTaken(w *Wanted, p *Peer) []Amount {
	return s.amounts(w, p, func(held *Incumbent) []Amount { return held.Devices }, func(x *Wanted) []Amount { return x.Devices })
}

func (s slow) uses(w *Wanted, p *Peer, of func(*Incumbent) []Port, will func(*Wanted) []Port) []Port {
	return usesOn(s, w, p, of, will)
}

func (s slow) amounts(w *Wanted, p *Peer, of func(*Incumbent) []Amount, will func(*Wanted) []Amount) []Amount {
	return usesOn(s, w, p, of, will)
}

// usesOn lists what all instances on a peer have of something, and what those will have that are placed there and not there yet.
func usesOn[T any](s slow, w *Wanted, p *Peer, of func(*Incumbent) []T, will func(*Wanted) []T) []T {
	var all []T
	for i := range s.view.Incumbents {
		held := &s.view.Incumbents[i]
		if held.Peer == p.ID && (w.Only == "" || held.Replica != w.Replica) {
			all = append(all, of(held)...)
		}
	}
	for i := range s.view.Wanted {
		x := &s.view.Wanted[i]
		there := slices.ContainsFunc(s.view.Incumbents, func(held Incumbent) bool {
			return held.Peer == p.ID && held.Replica == x.Replica && held.Revision == x.Revision && !held.Stopping
		})
		if s.at[x.Replica] == p.ID && !there {
			all = append(all, will(x)...)
		}
	}
	return all
}
