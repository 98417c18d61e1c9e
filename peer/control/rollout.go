package control

import (
	"slices"
	"strings"

	"shoal/peer/manifest"
	"shoal/placement"
)

// progress is how far one replica is on its way to its newest revision.
type progress struct {
	ready bool                 // an instance of the newest revision is ready
	begun bool                 // there is one, not on its way out
	gone  bool                 // an older one is on its way out
	old   *placement.Incumbent // the one of an older revision to keep up
	any   *placement.Incumbent // the one to keep if nothing may change
	lost  *placement.Incumbent // the one on a peer that is lost and waited for
}

// pacing decides which revision each replica of a view wants. Its slices are used again by the next view.
type pacing struct {
	progress []progress
	ranges   [][2]int // of each span in the view's Wanted
	budgets  []*budget
}

// fill puts what is wanted into a view that holds everything else.
func (c *pacing) fill(spans []span, list *wantedList, v *placement.View) {
	c.ranges, v.Wanted = c.ranges[:0], v.Wanted[:0]
	c.count(list, v)
	for _, s := range spans {
		from := len(v.Wanted)
		for _, w := range list.base[s.from:s.to] {
			v.Wanted = append(v.Wanted, *w)
		}
		wanted, state := v.Wanted[from:], c.progress[s.from:s.to]
		if s.object.frozen {
			v.Wanted = v.Wanted[:from+len(freeze(wanted, state))]
		} else {
			pace(wanted, state, s.object.workload)
		}
		c.ranges = append(c.ranges, [2]int{from, len(v.Wanted)})
	}
	hold(c.budgets, list, v)
}

// count works out what all instances mean for the rollouts of their workloads.
func (c *pacing) count(list *wantedList, v *placement.View) {
	c.progress = slices.Grow(c.progress[:0], len(list.base))[:len(list.base)]
	clear(c.progress)
	byID := make(map[placement.PeerID]*placement.Peer, len(v.Peers))
	for i := range v.Peers {
		byID[v.Peers[i].ID] = &v.Peers[i]
	}
	var peer *placement.Peer
	for i := range v.Incumbents {
		in := &v.Incumbents[i]
		if peer == nil || in.Peer != peer.ID { // those of one peer come together
			peer = byID[in.Peer]
		}
		if slot, ok := list.index[in.Replica]; ok && peer != nil {
			c.progress[slot].count(list.base[slot], in, peer)
		}
	}
}

// count takes one instance of the replica into account. An older revision is kept only where it can stay. Elsewhere nobody could start it
// again, because only its holders know what it was.
func (p *progress) count(newest *placement.Wanted, in *placement.Incumbent, peer *placement.Peer) {
	if !peer.Live {
		if !in.Stopping && newest.LostWait > peer.LostFor && (p.lost == nil || keptBefore(in, p.lost)) {
			p.lost = in
		}
		return
	}
	if !in.Stopping && (p.any == nil || keptBefore(in, p.any)) {
		p.any = in
	}
	switch {
	case in.Stopping:
		p.gone = p.gone || in.Revision != newest.Revision
	case in.Revision == newest.Revision:
		p.begun = true
		p.ready = p.ready || in.Ready
	case in.Ready && newest.MayStay(peer):
		if p.old == nil || younger(in, p.old) {
			p.old = in
		}
	}
}

// younger orders ready instances of older revisions: the latest admitted is the one to keep.
func younger(a, b *placement.Incumbent) bool {
	if !a.Since.Equal(b.Since) {
		return a.Since.After(b.Since)
	}
	if a.Revision != b.Revision {
		return a.Revision > b.Revision
	}
	return strings.Compare(string(a.Peer), string(b.Peer)) < 0
}

// keptBefore orders instances of one replica: ready ones first, then the latest admitted.
func keptBefore(a, b *placement.Incumbent) bool {
	if a.Ready != b.Ready {
		return a.Ready
	}
	return younger(a, b)
}

// pace decides which replicas of one workload already want their newest revision: in the order of
// their ordinals, at most as many at a time as room says. Those that have begun go first, so that nobody starts what is then given up. A
// replica without a ready older instance has nothing to keep up, and does not wait: a broken revision cannot block its own repair.
func pace(wanted []placement.Wanted, state []progress, w *manifest.Workload) {
	open := room(state, w)
	for i := range state {
		s := &state[i]
		if s.waits() {
			wants(&wanted[i], s.lost)
			continue
		}
		if s.old == nil || s.ready || s.begun {
			continue
		}
		if open > 0 {
			open--
			continue
		}
		wants(&wanted[i], s.old)
	}
}

// room is how many more replicas may begin with their newest revision: as many as the surge says, less those that still have an older one
// ready and whose newest is not ready. Without a surge the older one of each goes first, and it is as many as may be missing, less those
// that are.
func room(state []progress, w *manifest.Workload) int {
	open := surge(w, len(state))
	if w.MaxSurge == 0 {
		open = w.MaxUnavailable
	}
	for i := range state {
		s := &state[i]
		if !s.ready && (s.old != nil && s.begun || s.old == nil && w.MaxSurge == 0 && !s.waits()) {
			open--
		}
	}
	return open
}

// surge is how many replicas of a workload, of so many in all, are replaced at once.
func surge(w *manifest.Workload, replicas int) int {
	return max(w.MaxSurge, (replicas*w.SurgePercent+99)/100, 1)
}

// wants makes a replica want what it already is.
func wants(w *placement.Wanted, in *placement.Incumbent) {
	w.Revision, w.Request, w.Devices, w.Ports = in.Revision, in.Request, in.Devices, in.Ports
}

// waits says whether nothing is known of a replica but that it may run on a peer that is lost and waited for. Then it wants just
// that: another revision would be another copy, and nobody may start one.
func (p *progress) waits() bool { return p.lost != nil && p.any == nil }

// freeze is pace for a workload whose object is not valid as merged: every replica that somebody
// runs wants just the revision that it has. One that nobody runs is wanted only if the form left is one that others
// of the workload still run, and so no older than what was in force. It returns those wanted.
func freeze(wanted []placement.Wanted, state []progress) []placement.Wanted {
	running := map[placement.Revision]bool{}
	for i := range state {
		if in := state[i].any; in != nil {
			running[in.Revision] = true
		}
	}
	kept := wanted[:0]
	for i, w := range wanted {
		if in := state[i].any; in != nil {
			wants(&w, in)
		} else if state[i].waits() {
			wants(&w, state[i].lost)
		} else if !running[w.Revision] {
			continue
		}
		kept = append(kept, w)
	}
	return kept
}
