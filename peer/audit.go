package peer

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
)

// The reasons that the peer itself gives in an audit. Those of the control core and of replication ("forgotten",
// "contradicts", "invalid", "gap", "oversize", …) stand beside them.
const (
	AuditForged       = "forged"       // a signature that does not hold
	AuditWithoutRight = "withoutRight" // a good peer's doing that its certificates do not allow, or a stranger's
	AuditUnreadable   = "unreadable"   // bytes that are no message
	AuditOversize     = "oversize"     // a message that is larger than allowed
	AuditSetAside     = "setAside"     // made the code fail, and was left out (P13)
	AuditDamage       = "damage"       // the store had lost something
	AuditFull         = "full"         // the disk has no room for what must be written
	AuditSilent       = "silent"       // a live peer does not answer reconciliation
	AuditStuck        = "stuck"        // the peer's own loop does not turn
)

const (
	auditEntries = 256  // kept, the newest
	auditEach    = 32   // of these for one reason and peer, so that one culprit cannot hide the others
	auditPeers   = 1024 // with counters of their own; those of further peers go to the peer ""
	auditReasons = 64   // likewise; further reasons become "other"
	auditText    = 512  // bytes of what came from outside, in one entry
)

// AuditCount is how often something happened, since the peer's program started.
type AuditCount struct {
	Reason string
	Peer   crdt.PeerID // who sent it; empty where that is nobody in particular
	Count  uint64
	Last   time.Time
}

// AuditReport is what was dropped, refused or set aside on this peer, and how its replication does.
type AuditReport struct {
	Since   time.Time            // when this program started
	Counts  []AuditCount         // by reason, then peer
	Entries []control.AuditEntry // the newest first, at most 256
	Sync    SyncStatus
}

// audit is the memory of what went wrong with what came from outside. It may be used from any goroutine.
type audit struct {
	now   func() time.Time
	since time.Time

	mu      sync.Mutex
	counts  map[auditKey]*AuditCount
	peers   map[crdt.PeerID]struct{}
	reasons map[string]struct{}
	entries []control.AuditEntry // oldest first
}

type auditKey struct {
	reason string
	peer   crdt.PeerID
}

func newAudit(now func() time.Time) *audit {
	return &audit{now: now, since: now(), counts: map[auditKey]*AuditCount{},
		peers: map[crdt.PeerID]struct{}{}, reasons: map[string]struct{}{}}
}

// add counts and keeps an entry. It is logged the first time for its reason and peer, and then at every doubling, so that
// a flood of them fills no disk.
func (a *audit) add(e control.AuditEntry) {
	if e.At.IsZero() {
		e.At = a.now()
	}
	e.Text, e.Subject = e.Text[:min(len(e.Text), auditText)], e.Subject[:min(len(e.Subject), auditText)]
	a.mu.Lock()
	count := a.count(&e)
	a.keep(e)
	a.mu.Unlock()
	if count&(count-1) == 0 {
		slog.LogAttrs(context.Background(), slog.LevelWarn, "audit: "+e.Text, slog.String("reason", e.Reason), slog.String("subject", e.Subject),
			slog.String("object", e.Key.String()), slog.String("writer", string(e.Writer)), slog.String("from", string(e.From)), slog.Uint64("times", count))
	}
}

// count raises the counter that e belongs to and returns it. a.mu is held.
func (a *audit) count(e *control.AuditEntry) uint64 {
	if !admit(a.reasons, e.Reason, auditReasons) {
		e.Reason = "other"
	}
	key := auditKey{e.Reason, e.From}
	if !admit(a.peers, e.From, auditPeers) {
		key.peer = ""
	}
	c := a.counts[key]
	if c == nil {
		c = &AuditCount{Reason: key.reason, Peer: key.peer}
		a.counts[key] = c
	}
	c.Count++
	c.Last = e.At
	return c.Count
}

// admit puts a name into a bounded set; false if it is full.
func admit[K comparable](set map[K]struct{}, name K, atMost int) bool {
	if _, known := set[name]; known {
		return true
	}
	if len(set) >= atMost {
		return false
	}
	set[name] = struct{}{}
	return true
}

// keep adds an entry and drops the oldest where there are too many, of the same kind or of all. a.mu is held.
func (a *audit) keep(e control.AuditEntry) {
	alike, oldest := 0, -1
	for i := range a.entries {
		if a.entries[i].Reason == e.Reason && a.entries[i].From == e.From {
			if alike++; oldest < 0 {
				oldest = i
			}
		}
	}
	switch {
	case alike >= auditEach:
		a.entries = slices.Delete(a.entries, oldest, oldest+1)
	case len(a.entries) >= auditEntries:
		a.entries = slices.Delete(a.entries, 0, 1)
	}
	a.entries = append(a.entries, e)
}

// report copies everything.
func (a *audit) report() AuditReport {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := AuditReport{Since: a.since, Entries: slices.Clone(a.entries)}
	slices.Reverse(r.Entries)
	for _, c := range a.counts {
		r.Counts = append(r.Counts, *c)
	}
	slices.SortFunc(r.Counts, func(x, y AuditCount) int {
		return cmp.Or(cmp.Compare(x.Reason, y.Reason), cmp.Compare(x.Peer, y.Peer))
	})
	return r
}
