package peer

import (
	"crypto/sha256"
	"errors"
	"sync"

	"shoal/crdt"
	"shoal/peer/replication"
	"shoal/peer/trust"
	"shoal/peer/wire"
)

// guard decides what may come in. It may be used from any goroutine.
type guard struct {
	audit    *audit
	mu       sync.Mutex
	book     *trust.Book
	known    map[[32]byte]struct{} // the coded certificates in book, by SHA-256: nearly every message brings some
	fresh    [][]byte              // certificates not yet in the store
	verified verified
}

func newGuard(root trust.PeerID, audit *audit) *guard {
	return &guard{book: trust.NewBook(root), known: map[[32]byte]struct{}{}, audit: audit}
}

// load takes certificates in any order: an issuer's may come after those that it signed, which costs a further pass, at
// most one for each link that a chain may have.
func (g *guard) load(certificates [][]byte) {
	taken := true
	for pass := 0; taken && pass <= trust.ChainAtMost; pass++ {
		taken = false
		var left [][]byte
		for _, data := range certificates {
			if g.learn(data) == nil {
				taken = true
			} else {
				left = append(left, data)
			}
		}
		certificates = left
	}
}

var errKnown = errors.New("the certificate is known already")

// learn takes one certificate; errKnown if it was here, another error if it cannot be trusted.
func (g *guard) learn(data []byte) error {
	name := sha256.Sum256(data)
	if g.knows(name) {
		return errKnown
	}
	certificate, err := trust.DecodeCertificate(data)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	added, err := g.book.Add(certificate)
	if err != nil {
		return err
	}
	if !added {
		return errKnown
	}
	g.known[name] = struct{}{}
	g.fresh = append(g.fresh, data)
	return nil
}

// allows says why learn would refuse a certificate that this peer signs; nil where it would not.
func (g *guard) allows(certificate trust.Certificate) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.book.Allows(certificate)
}

func (g *guard) knows(certificate [32]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, known := g.known[certificate]
	return known
}

// takeNew returns what the store does not hold yet.
func (g *guard) takeNew() [][]byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	fresh := g.fresh
	g.fresh = nil
	return fresh
}

// may says whether a peer holds a capability, or, for the empty one, any certificate.
func (g *guard) may(id trust.PeerID, capability trust.Capability) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if capability == "" {
		return g.holds(id)
	}
	return g.book.May(id, capability)
}

// holds says whether a peer has any certificate. g.mu is held.
func (g *guard) holds(id trust.PeerID) bool { return g.book.Has(id) }

// vouches says whether a row is signed by its peer, and that one has a certificate.
func (g *guard) vouches(row replication.Row) bool {
	by := trust.PeerID(row.Peer)
	return g.may(by, "") && trust.VerifyAll([]trust.Signed{{By: by, Message: row.Signed, Signature: row.Signature}})[0]
}

// chain returns the coded certificates that prove a peer, root's end first.
func (g *guard) chain(id trust.PeerID) [][]byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	var coded [][]byte
	for _, certificate := range g.book.Chain(id) {
		coded = append(coded, trust.EncodeCertificate(certificate))
	}
	return coded
}

// seal adds the certificates that the receiver needs to check a message.
func (g *guard) seal(body []byte, message replication.Message) []byte {
	envelope := wire.Envelope{Message: body}
	sent := map[string]bool{}
	for _, id := range signers(message) {
		for _, certificate := range g.chain(trust.PeerID(id)) {
			if !sent[string(certificate)] {
				sent[string(certificate)] = true
				envelope.Certificates = append(envelope.Certificates, certificate)
			}
		}
	}
	return wire.EncodeEnvelope(envelope)
}

// open takes the certificates out of an envelope and returns the message in it.
func (g *guard) open(data []byte) ([]byte, error) {
	envelope, err := wire.DecodeEnvelope(data)
	if err != nil {
		return nil, err
	}
	g.load(envelope.Certificates)
	return envelope.Message, nil
}

func signers(message replication.Message) []crdt.PeerID {
	var ids []crdt.PeerID
	seen := map[crdt.PeerID]bool{}
	add := func(id crdt.PeerID) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	message.Sift(func(op crdt.Op) bool { add(op.Stamp.Writer); return true },
		func(row replication.Row) bool { add(row.Peer); return true })
	return ids
}
