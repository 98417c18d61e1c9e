package peer

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"shoal/crdt"
	"shoal/peer/replication"
	"shoal/peer/trust"
	"shoal/peer/wire"
)

// verifiedAtMost bounds the memory of signatures found good; beyond it all are forgotten and checked anew.
const verifiedAtMost = 16384

// guard decides what may come in. It may be used from any goroutine.
type guard struct {
	mu       sync.Mutex
	book     *trust.Book
	fresh    [][]byte // certificates not yet in the store
	verified map[[32]byte]struct{}
	dropped  atomic.Uint64
}

func newGuard(root trust.PeerID) *guard {
	return &guard{book: trust.NewBook(root), verified: map[[32]byte]struct{}{}}
}

// load takes certificates in any order: an issuer's may come after those that it signed.
func (g *guard) load(certificates [][]byte) {
	for taken := true; taken; {
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
	g.fresh = append(g.fresh, data)
	return nil
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
		return len(g.book.Chain(id)) > 0
	}
	return g.book.May(id, capability)
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
	visit(message, func(op crdt.Op) bool { add(op.Stamp.Writer); return true },
		func(row replication.Row) bool { add(row.Peer); return true })
	return ids
}

// check leaves out every operation and row whose signature or right to write does not hold, and counts them.
func (g *guard) check(message replication.Message) (replication.Message, int) {
	bad := 0
	count := func(ok bool) bool {
		if !ok {
			bad++
		}
		return ok
	}
	checked := visit(message,
		func(op crdt.Op) bool { return count(g.opValid(op)) },
		func(row replication.Row) bool { return count(g.rowValid(row)) })
	g.dropped.Add(uint64(bad))
	return checked, bad
}

func (g *guard) opValid(op crdt.Op) bool {
	writer := trust.PeerID(op.Stamp.Writer)
	if !g.may(writer, trust.MayWrite) {
		return false
	}
	return g.once(op.Hash, func() bool { return trust.Verify(writer, op.Signed, op.Signature) })
}

func (g *guard) rowValid(row replication.Row) bool {
	peer := trust.PeerID(row.Peer)
	if !g.may(peer, "") {
		return false
	}
	hash := sha256.Sum256(append(append([]byte(nil), row.Signed...), row.Signature...))
	return g.once(hash, func() bool { return trust.Verify(peer, row.Signed, row.Signature) })
}

// once spares a second check of a signature that was found good: most operations arrive several times.
func (g *guard) once(hash [32]byte, verify func() bool) bool {
	g.mu.Lock()
	_, known := g.verified[hash]
	g.mu.Unlock()
	if known {
		return true
	}
	if !verify() {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.verified) >= verifiedAtMost {
		clear(g.verified)
	}
	g.verified[hash] = struct{}{}
	return true
}

// drop counts a message that could not be read.
func (g *guard) drop(from trust.PeerID, err error) {
	g.dropped.Add(1)
	slog.Warn("dropped a message that cannot be read", "from", from, "error", err)
}

// visit returns message with only the operations and rows that were kept. An object is kept whole or not at
// all: without one of its operations the rest would claim to have seen what is not there.
func visit(message replication.Message, op func(crdt.Op) bool, row func(replication.Row) bool) replication.Message {
	if push := message.Push; push != nil {
		message.Push = &replication.Push{Ops: keep(push.Ops, op), Rows: keep(push.Rows, row)}
	}
	if objects := message.Objects; objects != nil {
		kept := &replication.Objects{Rows: keep(objects.Rows, row)}
		for _, object := range objects.Objects {
			if len(keep(object.Ops, op)) == len(object.Ops) {
				kept.Objects = append(kept.Objects, object)
			}
		}
		message.Objects = kept
	}
	return message
}

func keep[T any](list []T, ok func(T) bool) []T {
	var kept []T
	for _, item := range list {
		if ok(item) {
			kept = append(kept, item)
		}
	}
	return kept
}
