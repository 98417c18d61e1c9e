package control

import (
	"strings"

	"shoal/placement"
)

// progress is how far one replica is on its way to its newest revision.
type progress struct {
	ready bool                 // an instance of the newest revision is ready
	begun bool                 // there is one, not on its way out
	old   *placement.Incumbent // the one of an older revision to keep up
	any   *placement.Incumbent // the one to keep if nothing may change
}

// count takes one instance of the replica into account. An older revision is kept only where it can
// stay: on a peer that is not draining and that the replica still selects. Elsewhere nobody could start it
// again, because only its holders know what it was.
func (p *progress) count(newest *placement.Wanted, in *placement.Incumbent, peer *placement.Peer) {
	if !in.Stopping && (p.any == nil || keptBefore(in, p.any)) {
		p.any = in
	}
	switch {
	case in.Stopping:
	case in.Revision == newest.Revision:
		p.begun = true
		p.ready = p.ready || in.Ready
	case in.Ready && !peer.Draining && selects(newest.NodeSelector, peer.Labels):
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

func selects(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// pace decides which replicas of one workload already want their newest revision: in the order of
// their ordinals, at most surge at a time that still have an older one ready and whose newest is
// not ready. Those that have begun go first, so that nobody starts what is then given up. A replica without a
// ready older instance has nothing to keep up, and does not wait: a broken revision cannot block its own repair.
func pace(wanted []placement.Wanted, state []progress, surge int) {
	open := max(surge, 1)
	for i := range state {
		if s := &state[i]; s.old != nil && !s.ready && s.begun {
			open--
		}
	}
	for i := range state {
		s := &state[i]
		if s.old == nil || s.ready || s.begun {
			continue
		}
		if open > 0 {
			open--
			continue
		}
		wanted[i].Revision, wanted[i].Request = s.old.Revision, s.old.Request
	}
}

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
			w.Revision, w.Request = in.Revision, in.Request
		} else if !running[w.Revision] {
			continue
		}
		kept = append(kept, w)
	}
	return kept
}
