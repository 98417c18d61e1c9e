package heap

import (
	"fmt"
	"strings"

	"shoal/placement"
)

// watchWhy asks a peer now and then why one of the replicas that it sees wanted is where it is, and tells the watch the answer
// (P14). Which one it is goes round with the flushes.
func (w *World) watchWhy(p *Peer) {
	if len(w.peers) > smallWorld {
		return
	}
	replicas := p.core.Replicas()
	if len(replicas) > 0 {
		w.explain(p, replicas[w.flushes/whyEach%len(replicas)].ID)
	}
}

// whyEach is after how many flushes somebody is asked why.
const whyEach = 32

// explainAll asks every peer that lives about every replica.
func (w *World) explainAll() {
	for _, p := range w.peers {
		if !p.alive {
			continue
		}
		for _, r := range p.core.Replicas() {
			if r.Wanted {
				w.explain(p, r.ID)
			}
		}
	}
}

func (w *World) explain(p *Peer, replica placement.ReplicaID) {
	if !p.core.Wants(replica) {
		return
	}
	e, known := p.core.Explain(replica)
	text := ""
	if known && (e.Assignment.Peer != "" && e.Assignment.Rule != "" || e.Pending != "") && len(e.Verdicts) > 0 {
		text = fmt.Sprintf("%+v", e)
	}
	if w.plants.explained != nil {
		text = w.plants.explained(p, text)
	}
	w.found(w.watch.Explain(p.Name, e.View.String(), string(replica), text))
}

// saying is an explanation as people read it: for whom, and what speaks for and against each peer.
func (p *Peer) saying(replica placement.ReplicaID) []string {
	e, _ := p.core.Explain(replica)
	name := func(id placement.PeerID) string {
		for _, q := range p.world.peers {
			if placement.PeerID(q.self.ID) == id {
				return q.Name
			}
		}
		return string(id)
	}
	lines := []string{strings.TrimSpace(fmt.Sprintf("%s %s %s", name(e.Assignment.Peer), e.Assignment.Rule, e.Pending))}
	if e.Assignment.By != "" {
		lines = append(lines, "displaced by "+string(e.Assignment.By))
	}
	if e.Remedy != "" {
		lines = append(lines, "would fit if: "+e.Remedy)
	}
	for _, v := range e.Verdicts {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("  %s %s %s", name(v.Peer), v.Rule, v.Detail)))
	}
	return lines
}
