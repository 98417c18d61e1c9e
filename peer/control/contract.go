package control

import (
	"time"

	"shoal/crdt"
)

// Ack says that another peer holds one of this peer's writes on disk.
type Ack struct {
	Op crdt.OpID
	By crdt.PeerID
}

// AuditEntry names something from outside that was dropped, refused or set aside.
type AuditEntry struct {
	At      time.Time
	Reason  string // "forgotten", "contradicts", "invalid", "gap", "oversize", "panic", "rewritten"
	Subject string // what it is about, for people: "operation 3f…", "the row of p7"
	Key     crdt.Key
	Writer  crdt.PeerID // who made it
	From    crdt.PeerID // who passed it on
	Text    string
}

// HistoryEntry is one operation as this peer took it in. It outlives the operation, which is
// dropped when it is overwritten.
type HistoryEntry struct {
	Key     crdt.Key
	Stamp   crdt.Stamp
	Verb    crdt.Verb
	Manager string
	User    string
	At      time.Time // when this peer took it in, by its own clock
	Diffs   []Diff    // sorted by path
}

// Diff is how the winning value of one field changed when this peer merged an operation. Old and New
// are JSON; nil means not set.
type Diff struct {
	Path crdt.Path
	Old  []byte
	New  []byte
}
