package placement

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
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
	if w.Only == "" && (p.Draining || s.cordoned(w, p) || p.Damped && s.someUndamped()) {
		return false
	}
	return s.affinity(w, p) && s.taintsTolerated(w, p)
}

func (s slow) cordoned(w *Wanted, p *Peer) bool {
	return p.Cordoned && !s.tolerated(w, Taint{Key: "node.kubernetes.io/unschedulable", Effect: NoSchedule})
}

func (s slow) someUndamped() bool {
	return slices.ContainsFunc(s.view.Peers, func(p Peer) bool { return p.Live && !p.Damped })
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
	for _, c := range w.Rules.Spread {
		if !c.Required {
			continue
		}
		value, has := p.Labels[c.TopologyKey]
		if !has {
			return false
		}
		count := map[string]int32{}
		for i := range s.view.Peers {
			if q := &s.view.Peers[i]; q.Live && s.eligible(w, &c, q) {
				count[q.Labels[c.TopologyKey]] += 0
			}
		}
		domains := len(count)
		for i := range s.view.Wanted {
			x := &s.view.Wanted[i]
			id, placed := s.at[x.Replica]
			if placed && s.selected(w, nil, c.Labels, x) && s.eligible(w, &c, s.peer(id)) {
				count[s.peer(id).Labels[c.TopologyKey]]++
			}
		}
		least := int32(1 << 30)
		for i := range s.view.Peers {
			if q := &s.view.Peers[i]; q.Live && s.eligible(w, &c, q) {
				least = min(least, count[q.Labels[c.TopologyKey]])
			}
		}
		if domains < int(c.MinDomains) || domains == 0 {
			least = 0
		}
		self := int32(0)
		if s.selected(w, nil, c.Labels, w) {
			self = 1
		}
		if count[value]+self-least > c.MaxSkew {
			return false
		}
	}
	return true
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

// TestRulesAsKubernetes checks the tables against the slow rules, on worlds that are small and full of rules, and while replicas
// are placed and taken away.
func TestRulesAsKubernetes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawView(t)
		s := slow{view: v, at: map[ReplicaID]PeerID{}}
		b := newBoard(v)
		for step := range 8 {
			i := rapid.Int32Range(0, int32(len(v.Wanted))-1).Draw(t, fmt.Sprintf("replica%d", step))
			w := &b.wanted[i]
			if b.place[i] != nowhere {
				b.take(i, b.place[i], b.holdsWanted(i, b.place[i]))
				b.place[i] = nowhere
				delete(s.at, w.Replica)
			}
			g, terms := b.groundOf(i), b.termsOf(i)
			for n := range b.peers {
				got := g.open[n] && (terms == nil || terms.allows(int32(n)))
				if want := s.allows(w, &b.peers[n]); got != want {
					t.Fatalf("step %d: %s on %s: allowed %t, Kubernetes' rules say %t\n%+v\nrules %+v\nplaced %v", step, w.Replica, b.peers[n].ID, got, want, v, *w.Rules, s.at)
				}
			}
			peer := rapid.Int32Range(0, int32(len(v.Peers))-1).Draw(t, fmt.Sprintf("peer%d", step))
			b.place[i] = peer
			b.put(i, peer, b.holdsWanted(i, peer))
			s.at[w.Replica] = b.peers[peer].ID
		}
	})
}

// drawView draws a small world in which every rule has something to bite on.
func drawView(t *rapid.T) View {
	v := View{Now: time.Unix(1000, 0)}
	for i := range rapid.IntRange(1, 6).Draw(t, "peers") {
		v.Peers = append(v.Peers, drawPeer(t, i))
	}
	replicas := 0
	for n := range rapid.IntRange(1, 4).Draw(t, "workloads") {
		rules := drawRules(t)
		w := Wanted{Workload: WorkloadID(fmt.Sprint("w", n)), Revision: "a", Rules: rules, NodeSelector: drawSelector(t),
			Ports: drawPorts(t), Devices: drawDevices(t)}
		if rapid.IntRange(0, 9).Draw(t, "pinned") == 0 {
			w.Only = v.Peers[0].ID
		}
		for range rapid.IntRange(1, 3).Draw(t, "replicas") {
			w.Replica = ReplicaID(fmt.Sprintf("w%d-%d", n, replicas))
			v.Wanted = append(v.Wanted, w)
			replicas++
		}
	}
	for range rapid.IntRange(0, 4).Draw(t, "incumbents") {
		v.Incumbents = append(v.Incumbents, drawIncumbent(t, v))
	}
	if rapid.Bool().Draw(t, "refuses") {
		v.Refusals = []Refusal{{Replica: rapid.SampledFrom(v.Wanted).Draw(t, "refused").Replica, Revision: "a", Peer: v.Peers[0].ID,
			Soft: rapid.Bool().Draw(t, "soft"), Until: v.Now.Add(time.Second)}}
	}
	return v
}

func drawPeer(t *rapid.T, i int) Peer {
	p := Peer{ID: PeerID(fmt.Sprint("p", i)), Name: fmt.Sprint("p", i), Labels: map[string]string{}, Live: rapid.IntRange(0, 5).Draw(t, "live") > 0}
	for _, key := range []string{"zone", "disk", "cores"} {
		if value := rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(t, key); value != "" {
			p.Labels[key] = value
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "host") > 0 {
		p.Labels["host"] = p.Name
	}
	bits := rapid.IntRange(0, 15).Draw(t, "bits")
	p.Draining, p.Cordoned, p.Damped = bits == 0, bits == 1, bits == 2
	for range rapid.IntRange(0, 1).Draw(t, "taints") {
		p.Taints = append(p.Taints, Taint{Key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "taint"), Value: rapid.SampledFrom([]string{"", "x"}).Draw(t, "value"),
			Effect: rapid.SampledFrom([]Effect{NoSchedule, PreferNoSchedule, NoExecute}).Draw(t, "effect"), For: time.Duration(rapid.IntRange(0, 2).Draw(t, "for")) * time.Minute})
	}
	if rapid.Bool().Draw(t, "gpu") {
		p.Devices = []Amount{{"gpu", int64(rapid.IntRange(1, 3).Draw(t, "gpus"))}}
	}
	return p
}

func drawIncumbent(t *rapid.T, v View) Incumbent {
	w := rapid.SampledFrom(v.Wanted).Draw(t, "held")
	held := Incumbent{Replica: w.Replica, Revision: rapid.SampledFrom([]Revision{"a", "old"}).Draw(t, "revision"), Ports: w.Ports, Devices: w.Devices,
		Peer: rapid.SampledFrom(v.Peers).Draw(t, "holder").ID, Ready: true, Stopping: rapid.Bool().Draw(t, "stopping")}
	if rapid.IntRange(0, 3).Draw(t, "unwanted") == 0 {
		held.Replica = "gone-0"
	}
	return held
}

func drawSelector(t *rapid.T) map[string]string {
	if rapid.IntRange(0, 3).Draw(t, "selector") > 0 {
		return nil
	}
	return map[string]string{"disk": rapid.SampledFrom([]string{"1", "2"}).Draw(t, "disk")}
}

func drawPorts(t *rapid.T) []Port {
	if rapid.IntRange(0, 2).Draw(t, "port") > 0 {
		return nil
	}
	return []Port{{IP: rapid.SampledFrom([]string{"", "0.0.0.0", "10.0.0.1", "10.0.0.2"}).Draw(t, "ip"), Number: uint16(rapid.IntRange(80, 81).Draw(t, "number")),
		Protocol: rapid.SampledFrom([]string{"TCP", "UDP"}).Draw(t, "protocol")}}
}

func drawDevices(t *rapid.T) []Amount {
	if rapid.IntRange(0, 2).Draw(t, "device") > 0 {
		return nil
	}
	return []Amount{{rapid.SampledFrom([]string{"gpu", "tpu"}).Draw(t, "name"), int64(rapid.IntRange(0, 2).Draw(t, "count"))}}
}

func drawRules(t *rapid.T) *Rules {
	r := &Rules{Namespace: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "namespace"),
		Labels: map[string]string{"app": rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "app")}}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "affinity") {
		r.Peers = append(r.Peers, drawPeerTerm(t))
	}
	r.Near, r.Apart = drawTerms(t, "near"), drawTerms(t, "apart")
	r.PreferNear, r.PreferApart = drawTerms(t, "prefernear"), drawTerms(t, "preferapart")
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "spread") {
		r.Spread = append(r.Spread, Spread{TopologyKey: drawKey(t), Labels: drawRequirements(t, "app"), MaxSkew: int32(rapid.IntRange(1, 2).Draw(t, "skew")),
			MinDomains: int32(rapid.IntRange(0, 3).Draw(t, "domains")), Required: rapid.IntRange(0, 3).Draw(t, "required") > 0,
			IgnoreAffinity: rapid.Bool().Draw(t, "ignore"), HonorTaints: rapid.Bool().Draw(t, "honor")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "tolerations") {
		r.Tolerations = append(r.Tolerations, Toleration{Key: rapid.SampledFrom([]string{"a", "b", "node.kubernetes.io/unschedulable"}).Draw(t, "key"),
			Exists: rapid.Bool().Draw(t, "exists"), Value: rapid.SampledFrom([]string{"", "x"}).Draw(t, "value"),
			Effect: rapid.SampledFrom([]Effect{"", NoSchedule, NoExecute}).Draw(t, "effect"), For: rapid.SampledFrom([]time.Duration{0, time.Minute, Forever}).Draw(t, "for")})
	}
	return r
}

func drawKey(t *rapid.T) string {
	return rapid.SampledFrom([]string{"zone", "host"}).Draw(t, "topology")
}

func drawTerms(t *rapid.T, name string) []ReplicaTerm {
	var terms []ReplicaTerm
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, name) {
		terms = append(terms, ReplicaTerm{Namespaces: rapid.SampledFrom([][]string{nil, {"x"}, {"x", "y"}}).Draw(t, "namespaces"),
			Labels: drawRequirements(t, "app"), TopologyKey: drawKey(t), Weight: int32(rapid.IntRange(1, 100).Draw(t, "weight"))})
	}
	return terms
}

func drawPeerTerm(t *rapid.T) PeerTerm {
	term := PeerTerm{Labels: drawRequirements(t, "cores")}
	if rapid.IntRange(0, 4).Draw(t, "names") == 0 {
		term.Names = []Requirement{{Key: "metadata.name", Operator: rapid.SampledFrom([]Operator{In, NotIn}).Draw(t, "in"), Values: []string{"p0"}}}
	}
	return term
}

func drawRequirements(t *rapid.T, key string) []Requirement {
	var all []Requirement
	for range rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(t, "requirements") {
		r := Requirement{Key: key, Operator: rapid.SampledFrom([]Operator{In, In, In, NotIn, Exists, DoesNotExist, Gt, Lt}).Draw(t, "operator")}
		switch r.Operator {
		case In, NotIn:
			r.Values = rapid.SampledFrom([][]string{{"1"}, {"2"}, {"1", "2"}, {"3", "3"}}).Draw(t, "values")
		case Gt, Lt:
			r.Values = []string{rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "bound")}
		}
		all = append(all, r)
	}
	return all
}
