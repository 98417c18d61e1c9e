package api

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
)

// Audit is what a peer dropped, refused or set aside of what came to it, and how it keeps up with the others.
type Audit struct {
	Since   time.Time    `json:"since"`   // when this peer's program started; nothing older is counted
	Counts  []AuditCount `json:"counts"`  // by reason, then peer
	Entries []AuditEntry `json:"entries"` // the newest first
	Aside   []Aside      `json:"aside"`   // what this peer leaves alone now, because it made its code fail
	Sync    Sync         `json:"sync"`
}

// AuditCount is how often something happened.
type AuditCount struct {
	Reason string    `json:"reason"`
	Peer   string    `json:"peer,omitempty"` // who sent it
	Count  uint64    `json:"count"`
	Last   time.Time `json:"last"`
}

// AuditEntry is one thing that happened.
type AuditEntry struct {
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	Subject string    `json:"subject,omitempty"`
	Object  string    `json:"object,omitempty"`
	Writer  string    `json:"writer,omitempty"` // who made it
	From    string    `json:"from,omitempty"`   // who sent it
	Text    string    `json:"text"`
}

// Aside is something that made this peer's code fail, and that it leaves alone until it changes.
type Aside struct {
	At      time.Time `json:"at"`
	Site    string    `json:"site"`    // "decode", "merge", "read", "plan" or "act"
	Subject string    `json:"subject"` // an object, the row of a peer, or a replica
	Object  string    `json:"object,omitempty"`
	Text    string    `json:"text"`
}

// Sync is how a peer keeps up with the others.
type Sync struct {
	LivePeers   int       `json:"livePeers"`
	Answered    time.Time `json:"answered"` // when another last answered a comparison; zero for never
	Silent      []Silent  `json:"silent,omitempty"`
	StuckMillis int64     `json:"stuckMillis,omitempty"` // for how long the peer's own loop has not turned
	RowsDropped uint64    `json:"rowsDropped,omitempty"` // observations for which there was no room
}

// Silent is a live peer that does not answer comparisons.
type Silent struct {
	Peer   string `json:"peer"`
	Millis int64  `json:"millis"`
}

func (s *Server) serveAudit(w http.ResponseWriter, r *http.Request) error {
	report, err := s.backend.Audit(r.Context())
	if err != nil {
		return unavailable(err)
	}
	v, err := s.look(r.Context(), needs{})
	if err != nil {
		return err
	}
	out := Audit{Since: report.Since.UTC(), Counts: []AuditCount{}, Entries: []AuditEntry{}, Aside: v.asides(),
		Sync: Sync{LivePeers: report.Sync.LivePeers, Answered: report.Sync.Answered.UTC(),
			StuckMillis: report.Sync.Stuck.Milliseconds(), RowsDropped: report.Sync.RowsDropped}}
	for _, c := range report.Counts {
		out.Counts = append(out.Counts, AuditCount{Reason: c.Reason, Peer: v.name(c.Peer), Count: c.Count, Last: c.Last.UTC()})
	}
	for _, e := range report.Entries {
		out.Entries = append(out.Entries, v.auditEntry(e))
	}
	for peer, span := range report.Sync.Silent {
		out.Sync.Silent = append(out.Sync.Silent, Silent{Peer: v.name(peer), Millis: span.Milliseconds()})
	}
	slices.SortFunc(out.Sync.Silent, func(a, b Silent) int { return cmp.Compare(a.Peer, b.Peer) })
	v.sign(w)
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (v *view) auditEntry(e control.AuditEntry) AuditEntry {
	return AuditEntry{At: e.At.UTC(), Reason: e.Reason, Subject: e.Subject, Object: keyText(e.Key),
		Writer: v.name(e.Writer), From: v.name(e.From), Text: e.Text}
}

func (v *view) asides() []Aside {
	list := []Aside{}
	for _, a := range v.aside {
		list = append(list, Aside{At: a.At.UTC(), Site: a.Site, Subject: a.Subject, Object: keyText(a.Key), Text: a.Text})
	}
	return list
}

// keyText is a key as people write it; empty for none.
func keyText(key crdt.Key) string {
	if key == (crdt.Key{}) {
		return ""
	}
	return key.String()
}

// Floor is how far the cluster is with forgetting deletions.
type Floor struct {
	Registered  []string    `json:"registered"`          // peers whose word is needed
	Forgotten   []string    `json:"forgotten,omitempty"` // peers lost for so long that nobody waits for them
	Forgettable int         `json:"forgettable"`         // deletions kept only until all others have them
	Retained    int         `json:"retained"`            // operations kept, deletions included
	Pending     bool        `json:"pending"`             // the peers are being asked now
	Waiting     []FloorWait `json:"waiting,omitempty"`   // for whom
	Closed      *time.Time  `json:"closed,omitempty"`    // when deletions were last forgotten
	ClosedBy    string      `json:"closedBy,omitempty"`
	Applied     bool        `json:"applied"`  // here too
	Doubtful    bool        `json:"doubtful"` // this peer was away, and compares itself with another before it forgets anything
}

// FloorWait is a peer that is waited for.
type FloorWait struct {
	Peer string `json:"peer"`
	Why  string `json:"why"`
}

func (s *Server) serveFloor(w http.ResponseWriter, r *http.Request) error {
	v, err := s.look(r.Context(), needs{floor: true})
	if err != nil {
		return err
	}
	f := v.floor
	out := Floor{Registered: v.namesOf(f.Registered), Forgotten: v.namesOf(f.Forgotten), Forgettable: f.Forgettable, Retained: f.Retained,
		Pending: f.Pending, Applied: f.Applied, Doubtful: f.Doubtful}
	for _, wait := range f.Waiting {
		out.Waiting = append(out.Waiting, FloorWait{Peer: v.name(wait.Peer), Why: wait.Why})
	}
	if f.Closed.Time != 0 {
		at := wallTime(f.Closed.Time).UTC()
		out.Closed, out.ClosedBy = &at, v.name(f.Closed.Writer)
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (v *view) namesOf(ids []crdt.PeerID) []string {
	names := []string{}
	for _, id := range ids {
		names = append(names, v.name(id))
	}
	slices.Sort(names)
	return names
}
