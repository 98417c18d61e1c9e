package apitest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer"
	"shoal/peer/control"
)

// mostHistory is how much is remembered of one object.
const mostHistory = 32

// trail is what a peer remembers beside its state.
type trail struct {
	history map[crdt.Key][]control.HistoryEntry // the newest first
	entries []control.AuditEntry                // the newest first
}

// note takes up what one flush leaves to be remembered.
func (t *trail) note(out control.Output) {
	if t.history == nil {
		t.history = map[crdt.Key][]control.HistoryEntry{}
	}
	for _, e := range out.Persist.History {
		kept := t.history[e.Key]
		t.history[e.Key] = append([]control.HistoryEntry{e}, kept[:min(len(kept), mostHistory-1)]...)
	}
	for _, e := range out.Audit {
		t.entries = append([]control.AuditEntry{e}, t.entries...)
	}
}

// History implements peer.Backend.
func (b *Backend) History(_ context.Context, key crdt.Key) ([]control.HistoryEntry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.trail.history[key]), nil
}

// Blame puts an entry into the audit.
func (b *Backend) Blame(e control.AuditEntry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trail.entries = append([]control.AuditEntry{e}, b.trail.entries...)
}

// Audit implements peer.Backend.
func (b *Backend) Audit(context.Context) (peer.AuditReport, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	type cause struct {
		reason string
		from   crdt.PeerID
	}
	counts := map[cause]*peer.AuditCount{}
	for _, e := range b.trail.entries {
		c := counts[cause{e.Reason, e.From}]
		if c == nil {
			c = &peer.AuditCount{Reason: e.Reason, Peer: e.From, Last: e.At}
			counts[cause{e.Reason, e.From}] = c
		}
		c.Count++
	}
	report := peer.AuditReport{Since: time.Unix(0, 0), Entries: slices.Clone(b.trail.entries), Sync: peer.SyncStatus{LivePeers: b.alive()}}
	for _, c := range counts {
		report.Counts = append(report.Counts, *c)
	}
	slices.SortFunc(report.Counts, func(x, y peer.AuditCount) int {
		return cmp.Or(cmp.Compare(x.Reason, y.Reason), cmp.Compare(x.Peer, y.Peer))
	})
	return report, nil
}

// alive counts the living other peers.
func (b *Backend) alive() (n int) {
	for _, state := range b.others {
		if state == gossip.Alive {
			n++
		}
	}
	return n
}

// AwaitAcks implements peer.Backend: every other peer that is alive holds every write of this one at once, and no other ever does.
func (b *Backend) AwaitAcks(ctx context.Context, _ crdt.OpID, n int) ([]crdt.PeerID, error) {
	b.mu.Lock()
	var held []crdt.PeerID
	for id, state := range b.others {
		if state == gossip.Alive {
			held = append(held, id)
		}
	}
	b.mu.Unlock()
	slices.Sort(held)
	if len(held) >= n {
		return held, nil
	}
	<-ctx.Done()
	return held, ctx.Err()
}
