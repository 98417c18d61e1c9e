package gossip

import (
	"context"
	"net/netip"
)

// PeerID names a peer: the lower-case hex form of its Ed25519 public key.
type PeerID string

// State is what the membership layer holds of a member.
type State uint8

const (
	Alive State = iota
	Suspect
	Failed // did not answer, and was confirmed not to
	Left   // said goodbye
)

// Health is a peer's own slow judgement of itself; it weighs placement.
type Health uint8

const (
	Good Health = iota
	Fair
	Poor
)

// String is the class in one word.
func (h Health) String() string {
	switch h {
	case Good:
		return "good"
	case Fair:
		return "fair"
	}
	return "poor"
}

// Room is what a peer has to give to containers: its machine less a reserve.
type Room struct {
	CPUMillis   int64
	MemoryBytes int64
}

// Self is what a peer tells all others of itself through its tags. Coded, it must
// stay within 512 bytes; Name is at most 63.
type Self struct {
	ID     PeerID
	Name   string         // unique by convention, shown to people; a DNS label
	Stream netip.AddrPort // where its streams listen
	Room   Room
	Health Health
}

// Member is a peer as the membership layer knows it.
type Member struct {
	Self
	Addr  netip.AddrPort // where it gossips
	State State
}

// Cluster is the membership of one cluster, seen from one peer.
//
// Changes are handed to the function given at construction, one Member at a time in
// the order seen; that function must not block. Every method may be called from any goroutine.
type Cluster interface {
	// Join contacts the given gossip addresses and returns how many answered; an error only if none did.
	Join(ctx context.Context, seeds []netip.AddrPort) (int, error)
	// Members lists all that are known, this peer included, sorted by ID.
	Members() []Member
	// Awareness is how this peer itself does as a member: 0 where its questions are answered and nobody takes it for dead, and
	// the more the worse, at most 7 (Lifeguard's local health multiplier less 1; Dadgar, Phillips, Currey 2018).
	Awareness() int
	// Update spreads a new description of this peer.
	Update(self Self) error
	// Leave says goodbye and waits until it has spread or ctx ends.
	Leave(ctx context.Context) error
	// Close stops without a goodbye. It may be called more than once.
	Close() error
}
