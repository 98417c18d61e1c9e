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

// NewCertificate signs a certificate. sign signs with the issuer's key.
func NewCertificate(subject PeerID, name string, capabilities []Capability, issuer PeerID, issued time.Time, sign func([]byte) []byte) Certificate {
	panic("unwritten")
}

// EncodeCertificate and DecodeCertificate convert to and from the form that is stored and sent.
func EncodeCertificate(c Certificate) []byte { panic("unwritten") }

// DecodeCertificate checks form and signature, not whether the issuer may.
func DecodeCertificate(data []byte) (Certificate, error) { panic("unwritten") }

// String is the ticket's text form.
func (t Ticket) String() string { panic("unwritten") }

// ParseTicket reads the text form; the error says what is wrong with it.
func ParseTicket(text string) (Ticket, error) { panic("unwritten") }

// Book holds the certificates of one cluster. Not safe for concurrent use.
type Book struct{}

// NewBook returns a book that trusts root alone.
func NewBook(root PeerID) *Book { panic("unwritten") }

// Add takes a certificate whose chain to the root is complete and at most 16 long. Added is
// false for one that is known already.
func (b *Book) Add(c Certificate) (added bool, err error) { panic("unwritten") }

// Chain returns the certificate of a peer and those of its issuers, root's end first; nil if unknown.
func (b *Book) Chain(id PeerID) []Certificate { panic("unwritten") }

// May says whether a peer holds a capability.
func (b *Book) May(id PeerID, capability Capability) bool { panic("unwritten") }

// Verify checks a signature by a peer.
func Verify(id PeerID, message, signature []byte) bool { panic("unwritten") }
