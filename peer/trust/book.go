package trust

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Limits of a Book. What would go beyond them is refused.
const (
	ChainAtMost   = 16     // certificates from the root to a peer
	PerPeerAtMost = 8      // certificates of one peer
	PeersAtMost   = 65_536 // peers
)

// Reasons why a Book refuses a certificate; errors.Is finds them.
var (
	ErrNoIssuer = errors.New("its issuer is not known")
	ErrMayNot   = errors.New("its issuer may not give that")
	ErrTooLong  = errors.New("its chain is too long")
	ErrTooMany  = errors.New("there are too many")
	ErrNeedless = errors.New("the root needs none")
)

// Book holds the certificates of one cluster. Not safe for concurrent use.
type Book struct {
	root  PeerID
	peers map[PeerID][]*held // those with most capabilities first
}

// held is a certificate that counts.
type held struct {
	Certificate
	issuer *held // nil where the root signed
	depth  int   // certificates from the root to here, this one included
}

// NewBook returns a book that trusts root alone.
func NewBook(root PeerID) *Book { return &Book{root: root, peers: map[PeerID][]*held{}} }

// Add takes a certificate whose chain to the root is complete and at most 16 long. Added is
// false for one that is known already.
func (b *Book) Add(c Certificate) (added bool, err error) {
	for _, h := range b.peers[c.Subject] {
		if bytes.Equal(h.Signed, c.Signed) {
			return false, nil
		}
	}
	c, err = DecodeCertificate(EncodeCertificate(c)) // what was signed counts, whatever the caller filled in
	if err != nil {
		return false, err
	}
	h, err := b.judge(c)
	if err != nil {
		return false, refuse(c, err)
	}
	b.peers[c.Subject] = append(b.peers[c.Subject], h)
	slices.SortFunc(b.peers[c.Subject], better)
	return true, nil
}

// Allows returns why Add would refuse a certificate; nil where it would take it. The signature is not looked at.
func (b *Book) Allows(c Certificate) error {
	if _, err := b.judge(c); err != nil {
		return refuse(c, err)
	}
	return nil
}

func refuse(c Certificate, why error) error {
	return fmt.Errorf("certificate of %q (%s): %w", c.Name, c.Subject, why)
}

// judge says by which of its issuer's certificates c counts.
func (b *Book) judge(c Certificate) (*held, error) {
	known := len(b.peers[c.Subject])
	switch {
	case c.Subject == b.root:
		return nil, ErrNeedless
	case known >= PerPeerAtMost || known == 0 && len(b.peers) >= PeersAtMost:
		return nil, ErrTooMany
	case c.Issuer == b.root:
		return &held{Certificate: c, depth: 1}, nil
	case len(b.peers[c.Issuer]) == 0:
		return nil, ErrNoIssuer
	case c.Issuer == c.Subject:
		return nil, ErrMayNot
	}
	why := ErrMayNot
	for _, issuer := range b.peers[c.Issuer] {
		if !issuer.holds(MayAdmit) || !issuer.holds(c.Capabilities...) {
			continue
		}
		if issuer.depth < ChainAtMost {
			return &held{Certificate: c, issuer: issuer, depth: issuer.depth + 1}, nil
		}
		why = ErrTooLong
	}
	return nil, why
}

func (h *held) holds(capabilities ...Capability) bool {
	for _, capability := range capabilities {
		if !slices.Contains(h.Capabilities, capability) {
			return false
		}
	}
	return true
}

func better(a, b *held) int {
	return cmp.Or(cmp.Compare(len(b.Capabilities), len(a.Capabilities)), cmp.Compare(a.depth, b.depth),
		a.Issued.Compare(b.Issued), bytes.Compare(a.Signed, b.Signed))
}

// Chain returns the certificate of a peer and those of its issuers, root's end first; nil if unknown,
// empty for the root itself. Where a peer has several certificates, those are there too that give it
// something more: whoever adds them in this order comes to the same May.
func (b *Book) Chain(id PeerID) []Certificate {
	if id == b.root {
		return []Certificate{}
	}
	var chain []Certificate
	included := map[*held]bool{}
	given := map[Capability]bool{}
	for i, h := range b.peers[id] {
		if i > 0 && !slices.ContainsFunc(h.Capabilities, func(c Capability) bool { return !given[c] }) {
			continue
		}
		for _, capability := range h.Capabilities {
			given[capability] = true
		}
		chain = append(chain, h.line(included)...)
	}
	return chain
}

// line returns h and its issuers, root's end first, without those in included, and includes them.
func (h *held) line(included map[*held]bool) []Certificate {
	var line []Certificate
	for ; h != nil && !included[h]; h = h.issuer {
		included[h] = true
		line = append(line, h.Certificate)
	}
	slices.Reverse(line)
	return line
}

// May says whether a peer holds a capability. The root holds all.
func (b *Book) May(id PeerID, capability Capability) bool {
	return id == b.root || slices.ContainsFunc(b.peers[id], func(h *held) bool { return h.holds(capability) })
}

// Has says whether a peer has a certificate that counts.
func (b *Book) Has(id PeerID) bool { return len(b.peers[id]) > 0 }

// Peers returns all peers with a certificate, sorted.
func (b *Book) Peers() []PeerID { return slices.Sorted(maps.Keys(b.peers)) }
