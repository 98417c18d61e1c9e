package control

import (
	"time"

	"shoal/crdt"
)

// Ack says that another peer holds an operation on disk.
type Ack struct {
	Op crdt.OpID
	By crdt.PeerID
}

// AuditEntry is something from outside that was dropped, refused or set aside.
type AuditEntry struct {
	At      time.Time
	Reason  string // one word of a closed set
	Subject string // what it was: "operation …", "row", "message"
	Key     crdt.Key
	Writer  crdt.PeerID // who made it
	From    crdt.PeerID // who sent it
	Text    string
}

// HistoryEntry is one change of an object, as this peer took it in.
type HistoryEntry struct {
	Key     crdt.Key
	Stamp   crdt.Stamp
	Verb    crdt.Verb
	Manager string
	User    string
	At      time.Time // when this peer took it in
	Diffs   []Diff
}

// Diff is a change of the winning value of a field; nil means that it was or is not set.
type Diff struct {
	Path crdt.Path
	Old  []byte
	New  []byte
}
