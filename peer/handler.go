package peer

import (
	"context"
	"log/slog"
	"net"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
	"shoal/peer/wire"
)

// handler is what the streams adapter calls.
type handler struct{ *Peer }

// Proof is this peer's own chain of certificates.
func (h handler) Proof() []byte {
	return wire.EncodeEnvelope(wire.Envelope{Certificates: h.trust.chain(h.id)})
}

// Known lets in whoever holds a certificate of this cluster, which may have been made where this peer did not hear of it.
func (h handler) Known(id trust.PeerID, proof []byte) bool {
	if _, err := h.trust.open(proof); err != nil {
		return false
	}
	return h.trust.may(id, "")
}

// Receive checks a message and queues it; while the queue is full the sender waits.
func (h handler) Receive(from trust.PeerID, _ Lane, data []byte) {
	body, err := h.trust.open(data)
	if err != nil {
		h.trust.drop(from, err)
		return
	}
	message, err := replication.Decode(body)
	if err != nil {
		h.trust.drop(from, err)
		return
	}
	message, bad := h.trust.check(message)
	if bad > 0 {
		slog.Warn("dropped operations or rows without a valid signature", "from", from, "count", bad)
	}
	select {
	case h.received <- control.Received{From: crdt.PeerID(from), Message: message}:
	case <-h.stopped:
	}
}

// Admit answers a peer that asks to join.
func (h handler) Admit(ctx context.Context, id trust.PeerID, request []byte) ([]byte, error) {
	return h.admit(ctx, id, request)
}

// ServeAPI passes the stream to the API's server.
func (h handler) ServeAPI(_ trust.PeerID, conn net.Conn) { h.remote.offer(conn) }
