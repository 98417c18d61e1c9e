package stream

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"

	"shoal/peer"
	"shoal/peer/trust"
)

const (
	maxJoin     = 64 << 10
	maxProof    = 64 << 10
	joinTimeout = 10 * time.Second
	joinsAtOnce = 4 // requests beyond these wait, within their time
)

var errStranger = errors.New("stream: the other end could not show that it belongs to this cluster")

// accept serves one stream that another peer opened; the swarm calls it on a goroutine of its own.
func (s *Streams) accept(stream network.Stream) {
	from, err := fromKey(stream.Conn().RemotePublicKey())
	if err != nil {
		_ = stream.Reset()
		return
	}
	chosen, err := s.agree(from, stream)
	if err != nil {
		_ = stream.Reset()
		return
	}
	switch chosen {
	case protocolJoin:
		s.serveJoin(from, stream)
	case protocolMessage:
		s.serveMessages(line{from, peer.Intent}, stream)
	case protocolRow:
		s.serveMessages(line{from, peer.Observation}, stream)
	case protocolAPI:
		s.handler.ServeAPI(from, conn{stream})
	}
}

// agree finds out what a stream is for. One other than to join begins with the opener's proof.
func (s *Streams) agree(from trust.PeerID, stream network.Stream) (protocol.ID, error) {
	_ = stream.SetDeadline(time.Now().Add(negotiateTimeout))
	chosen, err := answer(stream, []protocol.ID{protocolMessage, protocolRow, protocolAPI, protocolJoin})
	if err != nil || chosen == protocolJoin {
		return chosen, err
	}
	proof, err := readFrame(stream, maxProof)
	if err != nil {
		return "", err
	}
	if !s.handler.Known(from, proof) {
		return "", errStranger
	}
	return chosen, stream.SetDeadline(time.Time{})
}

func answer(stream network.Stream, protocols []protocol.ID) (protocol.ID, error) {
	choices := multistream.NewMultistreamMuxer[protocol.ID]()
	for _, p := range protocols {
		choices.AddHandler(p, nil)
	}
	chosen, _, err := choices.Negotiate(stream)
	return chosen, err
}

func (s *Streams) serveMessages(from line, stream network.Stream) {
	release := s.take(from, stream)
	defer release()
	defer func() { _ = stream.Reset() }()
	in := bufio.NewReaderSize(stream, 4<<10)
	for {
		message, err := readFrame(in, MaxMessage)
		if err != nil {
			return
		}
		s.handler.Receive(from.peer, from.lane, message)
	}
}

func (s *Streams) serveJoin(from trust.PeerID, stream network.Stream) {
	defer stream.Close()
	ctx, cancel := context.WithTimeout(s.ctx, joinTimeout)
	defer cancel()
	_ = stream.SetDeadline(time.Now().Add(joinTimeout))
	if !s.rates.allow(stream.Conn().RemoteMultiaddr(), time.Now()) {
		_ = stream.Reset()
		return
	}
	select {
	case s.joins <- struct{}{}:
		defer func() { <-s.joins }()
	case <-ctx.Done():
		_ = stream.Reset()
		return
	}
	request, err := readFrame(stream, maxJoin)
	if err != nil {
		_ = stream.Reset()
		return
	}
	reply, err := s.handler.Admit(ctx, from, request)
	if err != nil {
		_ = stream.Reset()
		return
	}
	_, _ = stream.Write(binary.BigEndian.AppendUint32(nil, uint32(len(reply))))
	_, _ = stream.Write(reply)
}
