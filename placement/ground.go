package placement

// ground is what replicas that ask the same of the peers themselves, beside room, find: labels, taints, cordon and the like.
type ground struct {
	open  []bool  // by peer: may be given them
	stays []bool  // by peer: may keep them
	peers []int32 // the open ones, in order
	cost  []int32 // by peer: what is preferred, lower first; nil: nothing is
}

// groundOf returns the ground of a wanted replica. Replicas that ask the same share one.
func (b *board) groundOf(i int32) *ground {
	w := &b.wanted[i]
	key := selectorText(w.NodeSelector)
	if w.Only != "" {
		key = "only " + key
	}
	if g, known := b.grounds[key]; known {
		return g
	}
	g := &ground{open: make([]bool, len(b.peers)), stays: make([]bool, len(b.peers))}
	for n := range b.peers {
		p := &b.peers[n]
		g.stays[n] = p.open(w.NodeSelector)
		g.open[n] = g.stays[n] && !p.Cordoned
		if g.open[n] {
			g.peers = append(g.peers, int32(n))
		}
	}
	if b.grounds == nil {
		b.grounds = map[string]*ground{}
	}
	b.grounds[key] = g
	return g
}
