package peer

import (
	"context"
	"fmt"
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

// Receive reads a message and queues it to be checked; while its sender has too much waiting, the sender waits.
func (h handler) Receive(from trust.PeerID, _ Lane, data []byte) {
	inspection, err := h.read(from, data)
	if err != nil {
		h.trust.unreadable(from, err)
		return
	}
	if inspection != nil {
		h.intake.put(laneOf(inspection.message), inspection)
	}
}

// read decodes a message; nil if that makes the code fail (P13).
func (h handler) read(from trust.PeerID, data []byte) (in *inspection, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			h.trust.setAside(from, "reading it", fmt.Errorf("panic: %v", fault))
			in, err = nil, nil
		}
	}()
	body, err := h.trust.open(data)
	if err != nil {
		return nil, err
	}
	message, err := replication.Decode(body)
	if err != nil {
		return nil, err
	}
	if message.Skipped > 0 {
		h.trust.unreadable(from, fmt.Errorf("%d parts of a message could not be read: a newer version may have written them", message.Skipped))
	}
	return h.trust.inspect(from, message, len(data)), nil
}

// deliver hands a checked message to the loop: intent waits until there is room, observations never do.
func (p *Peer) deliver(lane Lane, in *inspection) {
	if lane == Observation {
		p.rows.put(in.from, in.result)
		return
	}
	select {
	case p.received <- received{control.Received{From: crdt.PeerID(in.from), Message: in.result}, len(in.verdict)}:
	case <-p.stopped:
	}
}

// Admit answers a peer that asks to join.
func (h handler) Admit(ctx context.Context, id trust.PeerID, request []byte) ([]byte, error) {
	return h.admit(ctx, id, request)
}

// ServeAPI passes the stream to the API's server.
func (h handler) ServeAPI(_ trust.PeerID, conn net.Conn) { h.remote.offer(conn) }
