package trust

import "time"

// PeerID names a peer by its key: the lower-case hex form of its Ed25519 public key.
type PeerID string

// Capability is something that a certificate allows.
type Capability string

const (
	MayWrite Capability = "write" // sign operations of intent
	MayAdmit Capability = "admit" // sign certificates for other peers, with at most its own capabilities
)

// Certificate binds a peer's key to a name and capabilities. The cluster's root key, or a peer that may
// admit, signs it; checking needs no clock and no network.
type Certificate struct {
	Subject      PeerID
	Name         string
	Capabilities []Capability
	Issuer       PeerID // hex of the root key, or the peer that admitted
	Issued       time.Time
	Signed       []byte
	Signature    []byte
}

// Ticket lets a new peer join. Its text form is one line without spaces that people can paste.
type Ticket struct {
	Cluster PeerID   // hex of the root key: what the joining peer will trust
	Seeds   []string // HOST:PORT of streams
	ID      string
	Secret  []byte // 16 random bytes; peers keep only its SHA-256
	Expires time.Time
}
