package peer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/trust"
)

const (
	watchEach = 2 * time.Second
	// silentAfter is how long a live peer may leave a request to reconcile unanswered before the streams to it are begun
	// anew: ten rounds, so that slowness and a lost message or two are no reason.
	silentAfter = 20 * time.Second
	// unsyncedAfter is how long no live peer at all may have answered before that is said.
	unsyncedAfter = 30 * time.Second
	// stuckAfter is how long one turn of the loop may take before that is said.
	stuckAfter = 10 * time.Second
)

// SyncStatus says how this peer's replication does.
type SyncStatus struct {
	LivePeers int
	// Answered is when a live peer last answered a request to reconcile; zero for never.
	Answered time.Time
	// Silent are the live peers that have left one unanswered for longer than 20 s, and for how long.
	Silent map[crdt.PeerID]time.Duration
	// Stuck is for how long the loop has been in its present turn, where that is longer than 10 s.
	Stuck time.Duration
	// RowsDropped counts observations that found no room while they waited for the loop.
	RowsDropped uint64
}

// watch is the watchdog on the loop and on reconciliation. The loop tells it what it does; a goroutine of its own looks
// whether that goes on.
type watch struct {
	now   Ticker
	audit *audit
	reset func(trust.PeerID) // begins the streams of a silent peer anew

	mu       sync.Mutex
	live     map[crdt.PeerID]bool
	asked    map[crdt.PeerID]time.Duration // the oldest request that each live peer has not answered
	reminded map[crdt.PeerID]time.Duration // when its streams were last begun anew
	answered time.Duration                 // when anybody last answered, or first could have
	wall     time.Time                     // the same; zero until somebody did
	turn     time.Duration                 // when the present turn of the loop began
	turning  bool
	said     struct{ stuck, unsynced bool }
}

func newWatch(now Ticker, audit *audit, reset func(trust.PeerID)) *watch {
	return &watch{now: now, audit: audit, reset: reset, live: map[crdt.PeerID]bool{},
		asked: map[crdt.PeerID]time.Duration{}, reminded: map[crdt.PeerID]time.Duration{}}
}

// begin and end enclose a turn of the loop.
func (w *watch) begin() {
	now := w.now().Elapsed
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn, w.turning = now, true
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turning, w.said.stuck = false, false
}

// member notes whether a peer is live.
func (w *watch) member(id crdt.PeerID, live bool) {
	now := w.now().Elapsed
	w.mu.Lock()
	defer w.mu.Unlock()
	if !live {
		delete(w.live, id)
		delete(w.asked, id)
		delete(w.reminded, id)
		return
	}
	if len(w.live) == 0 {
		w.answered = now
	}
	w.live[id] = true
}

// sent notes a request that a live peer has to answer.
func (w *watch) sent(to crdt.PeerID, now time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, waits := w.asked[to]; !waits && w.live[to] {
		w.asked[to] = now
	}
}

// heard notes that a peer has answered.
func (w *watch) heard(from crdt.PeerID) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.asked, from)
	delete(w.reminded, from)
	w.answered, w.wall, w.said.unsynced = now.Elapsed, now.Wall, false
}

func (w *watch) run(ctx context.Context) {
	ticker := time.NewTicker(watchEach)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look()
		}
	}
}

// look says what does not go on, once, and begins anew with who is silent, again and again.
func (w *watch) look() {
	now := w.now().Elapsed
	w.mu.Lock()
	var entries []control.AuditEntry
	if stuck := now - w.turn; w.turning && stuck >= stuckAfter && !w.said.stuck {
		w.said.stuck = true
		entries = append(entries, control.AuditEntry{Reason: AuditStuck, Subject: "loop",
			Text: fmt.Sprintf("the loop has been busy with one turn for %v", stuck.Round(time.Second))})
	}
	if quiet := now - w.answered; len(w.live) > 0 && len(w.asked) > 0 && quiet >= unsyncedAfter && !w.said.unsynced {
		w.said.unsynced = true
		entries = append(entries, control.AuditEntry{Reason: AuditSilent, Subject: "reconciliation",
			Text: fmt.Sprintf("none of %d live peers has answered for %v", len(w.live), quiet.Round(time.Second))})
	}
	silent := w.silent(now)
	w.mu.Unlock()
	for _, id := range silent {
		entries = append(entries, control.AuditEntry{Reason: AuditSilent, Subject: "reconciliation", From: id,
			Text: fmt.Sprintf("the peer is alive and has not answered for %v: its streams are begun anew", silentAfter)})
		w.reset(trust.PeerID(id))
	}
	for _, e := range entries {
		w.audit.add(e)
	}
}

// silent returns the peers whose streams are to be begun anew now. w.mu is held.
func (w *watch) silent(now time.Duration) []crdt.PeerID {
	var ids []crdt.PeerID
	for id, asked := range w.asked {
		if now-max(asked, w.reminded[id]) >= silentAfter {
			ids = append(ids, id)
			w.reminded[id] = now
		}
	}
	slices.Sort(ids)
	return ids
}

func (w *watch) status() SyncStatus {
	now := w.now().Elapsed
	w.mu.Lock()
	defer w.mu.Unlock()
	s := SyncStatus{LivePeers: len(w.live), Answered: w.wall, Silent: map[crdt.PeerID]time.Duration{}}
	for id, asked := range w.asked {
		if now-asked >= silentAfter {
			s.Silent[id] = now - asked
		}
	}
	if w.turning && now-w.turn >= stuckAfter {
		s.Stuck = now - w.turn
	}
	return s
}

// guarded runs what touches the world outside, and survives it if it panics (P13).
func (p *Peer) guarded(during string, subject string, do func()) {
	defer func() {
		if fault := recover(); fault != nil {
			text := fmt.Sprintf("%s failed: panic: %v", during, fault)
			p.audit.add(control.AuditEntry{Reason: AuditSetAside, Subject: subject, Text: text})
			slog.Error(text, "subject", subject)
		}
	}()
	do()
}
