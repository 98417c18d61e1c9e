package placement

import (
	"fmt"
	"math"
	"strings"
)

// What preferences cost, in the proportions of Kubernetes' defaults: node affinity and the placing beside replicas count twice, a
// taint that asks to be avoided three times a preference of weight 100.
const (
	costOfTaint  = 300
	costOfWeight = 2
	costOfSkew   = 200
)

// ground is what replicas that ask the same of the peers themselves, beside room, find: labels, taints, cordon and the like.
type ground struct {
	open  []bool  // by peer: may be given them
	stays []bool  // by peer: may keep them
	peers []int32 // the open ones, in order
	cost  []int32 // by peer: what is preferred, lower first; nil: nothing is

	leastCost int32 // of the open ones

	weight uint64 // of the open ones together
}

// groundOf returns the ground of a wanted replica. Replicas that ask the same share one.
func (b *board) groundOf(i int32) *ground {
	k := b.kindOf(i)
	if k.ground == nil {
		k.ground = b.groundFor(k.rules, k.selector, k.pinned)
	}
	return k.ground
}

// groundFor returns the ground of replicas with these rules and selector. Pinned ones belong to one peer alone, and like
// Kubernetes' DaemonSets heed no cordon; nor do they leave a peer that hands over what it has, since nobody else could take them.
func (b *board) groundFor(r *Rules, selector map[string]string, pinned bool) *ground {
	key := b.groundKey(r, selector, pinned)
	if g, known := b.grounds[key]; known {
		return g
	}
	g := &ground{open: make([]bool, len(b.peers)), stays: make([]bool, len(b.peers))}
	b.grounds[key] = g
	prefers := false
	for n := range b.peers {
		p := &b.peers[n]
		g.stays[n] = p.Live && (pinned || !p.Draining) && r.letStay(p, selector)
		g.open[n] = g.stays[n] && r.allow(p, selector) && (pinned || p.uncordoned(r.Tolerations) && !b.shuns(p))
		if g.open[n] {
			g.peers = append(g.peers, int32(n))
			g.weight += b.sites[n].weight
			prefers = prefers || len(r.PreferPeers) > 0 || p.disliked(r.Tolerations) > 0
		}
	}
	if prefers {
		g.cost = make([]int32, len(b.peers))
		g.leastCost = math.MaxInt32
		for _, n := range g.peers {
			g.cost[n] = int32(r.costOf(&b.peers[n]))
			g.leastCost = min(g.leastCost, g.cost[n])
		}
	}
	return g
}

// Allows says whether a peer's labels and taints allow the replica, as Kubernetes has it for a DaemonSet: cordon, room and
// whether the peer lives do not count.
func (w *Wanted) Allows(p *Peer) bool { return w.rules().allow(p, w.NodeSelector) }

// MayStay says whether an instance of the replica may stay on a peer that lives. Affinity does not count once it is there; a pinned
// one also stays while its peer hands over what it has.
func (w *Wanted) MayStay(p *Peer) bool {
	return (w.Only == p.ID || w.Only == "" && !p.Draining) && w.rules().letStay(p, w.NodeSelector)
}

// SentAway says what of a peer's labels and taints keeps an instance from staying there, for people and to follow the peer's name; empty if
// nothing does.
func (w *Wanted) SentAway(p *Peer) string {
	if t := p.evicting(w.rules().Tolerations); t != nil {
		return " has the taint " + t.text()
	}
	if !p.matches(w.NodeSelector) {
		return " no longer has the labels of its nodeSelector"
	}
	return ""
}

func (w *Wanted) rules() *Rules {
	if w.Rules == nil {
		return noRules
	}
	return w.Rules
}

func (r *Rules) allow(p *Peer, selector map[string]string) bool {
	return p.matches(selector) && r.affinityAllows(p) && p.repelling(r.Tolerations) == nil
}

func (r *Rules) letStay(p *Peer, selector map[string]string) bool {
	return p.matches(selector) && p.evicting(r.Tolerations) == nil
}

// shuns says whether nothing new goes to a peer because it came and went too often.
func (b *board) shuns(p *Peer) bool { return p.Damped && b.rules().undamped }

// costOf weighs what rules prefer of a peer itself.
func (r *Rules) costOf(p *Peer) int64 {
	cost := costOfTaint * p.disliked(r.Tolerations)
	for i := range r.PreferPeers {
		if r.PreferPeers[i].holds(p) {
			cost -= costOfWeight * int64(r.PreferPeers[i].Weight)
		}
	}
	return cost
}

// groundKey is equal only where grounds are. In a cluster without taints and for rules that ask nothing of peers it is empty.
func (b *board) groundKey(r *Rules, selector map[string]string, pinned bool) string {
	var text strings.Builder
	if len(selector) > 0 {
		fmt.Fprintf(&text, "%q", selector)
	}
	if pinned {
		text.WriteString(" pinned")
	}
	for i := range r.Peers {
		fmt.Fprintf(&text, " one of %s", r.Peers[i].key())
	}
	for i := range r.PreferPeers {
		fmt.Fprintf(&text, " best %s", r.PreferPeers[i].key())
	}
	if b.book.tainted && len(r.Tolerations) > 0 {
		fmt.Fprintf(&text, " tolerates %s", tolerationsKey(r.Tolerations))
	}
	return text.String()
}
