//go:build next

package main

import (
	"crypto/ed25519"
	"net/netip"
	"sync/atomic"

	"shoal/peer"
	"shoal/peer/trust"
	"shoal/peer/wire"
)

// A program built with -tags next stands for a later version of this one in tests of compatibility. All that it writes
// has keys that this version does not know (peer/wire), and after every message it sends one that this version cannot read.
func init() {
	version = versionText() + "-next"
	wrapStreams = func(streams peer.Streams, err error) (peer.Streams, error) {
		return &laterStreams{Streams: streams}, err
	}
}

// laterStreams says more than the streams below it were told to.
type laterStreams struct {
	peer.Streams
	sent atomic.Uint64
}

func (s *laterStreams) Send(to trust.PeerID, at netip.AddrPort, lane peer.Lane, message []byte) {
	s.Streams.Send(to, at, lane, message)
	later := laterMessages()
	one := later[s.sent.Add(1)%uint64(len(later))]
	s.Streams.Send(to, at, lane, wire.EncodeEnvelope(wire.Envelope{Message: one}))
}

// laterMessages are a message of an unknown kind, one of a later form, and an operation and a row of later forms.
func laterMessages() [][]byte {
	unknown := wire.EncodeMessage(wire.Message{}) // has only the key that -tags next adds
	form := append([]byte(nil), unknown...)
	form[1]++
	operation, row := wire.EncodeOp(wire.Op{}), wire.EncodeRow(wire.Row{})
	operation[1]++
	row[1]++
	signature := make([]byte, ed25519.SignatureSize)
	push := wire.EncodeMessage(wire.Message{Push: &wire.Push{Ops: []wire.Sealed{{Signed: operation, Signature: signature}}}})
	rows := wire.EncodeMessage(wire.Message{Rows: &wire.Rows{Rows: []wire.Sealed{{Signed: row, Signature: signature}}}})
	return [][]byte{unknown, form, push, rows}
}
