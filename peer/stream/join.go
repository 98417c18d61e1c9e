package stream

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/multiformats/go-multistream"

	"shoal/peer/trust"
)

// JoinConfig says who asks to join, and where.
type JoinConfig struct {
	PrivateKey ed25519.PrivateKey
	Addr       string  // HOST:PORT of a member's streams
	Network    Network // TCP when nil
}

// Join connects to an address without knowing who is there, and sends one request, made once the other end's key is
// known. Whether that key belongs to the right cluster is for the caller to check.
func Join(ctx context.Context, config JoinConfig, request func(remote trust.PeerID) []byte) (trust.PeerID, []byte, error) {
	if config.Network == nil {
		config.Network = tcp{}
	}
	raw, err := dialName(ctx, config)
	if err != nil {
		return "", nil, fmt.Errorf("nobody answers at %s: %w: check the address and that an agent runs there", config.Addr, err)
	}
	defer raw.Close()
	if until, ok := ctx.Deadline(); ok {
		_ = raw.SetDeadline(until)
	}
	remote, reply, err := ask(ctx, config, raw, request)
	if err != nil {
		return "", nil, fmt.Errorf("no answer to the request to join at %s: %w: check that it is the port of an agent's streams", config.Addr, err)
	}
	return remote, reply, nil
}

func dialName(ctx context.Context, config JoinConfig) (net.Conn, error) {
	host, port, err := net.SplitHostPort(config.Addr)
	if err != nil {
		return nil, err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		var conn net.Conn
		if conn, err = config.Network.Dial(ctx, netip.AddrPortFrom(addr.Unmap(), uint16(number))); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// ask does by hand what the swarm does with a known peer: agree on Noise, on yamux, and on the protocol.
func ask(ctx context.Context, config JoinConfig, raw net.Conn, request func(trust.PeerID) []byte) (trust.PeerID, []byte, error) {
	secure, err := secureTo(ctx, config.PrivateKey, raw)
	if err != nil {
		return "", nil, err
	}
	remote, err := fromKey(secure.RemotePublicKey())
	if err != nil {
		return "", nil, err
	}
	if err := multistream.SelectProtoOrFail(protocol.ID(yamux.ID), secure); err != nil {
		return "", nil, err
	}
	session, err := muxer().NewConn(secure, false, &network.NullScope{})
	if err != nil {
		return "", nil, err
	}
	defer session.Close()
	stream, err := session.OpenStream(ctx)
	if err != nil {
		return "", nil, err
	}
	defer stream.Close()
	_ = stream.SetDeadline(time.Now().Add(joinTimeout))
	reply, err := exchange(stream, request(remote))
	return remote, reply, err
}

// secureTo takes whoever answers, and offers no early choice of muxer, so that one is agreed on in the open.
func secureTo(ctx context.Context, key ed25519.PrivateKey, raw net.Conn) (sec.SecureConn, error) {
	private, _, err := identityOf(key)
	if err != nil {
		return nil, err
	}
	plain, err := noise.New(noise.ID, private, nil)
	if err != nil {
		return nil, err
	}
	security, err := plain.WithSessionOptions(noise.DisablePeerIDCheck())
	if err != nil {
		return nil, err
	}
	if err := multistream.SelectProtoOrFail(protocol.ID(noise.ID), raw); err != nil {
		return nil, err
	}
	return security.SecureOutbound(ctx, raw, "")
}

func exchange(stream io.ReadWriteCloser, request []byte) ([]byte, error) {
	if err := multistream.SelectProtoOrFail(protocolJoin, stream); err != nil {
		return nil, err
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(request)))
	if _, err := stream.Write(append(frame, request...)); err != nil {
		return nil, err
	}
	return readFrame(stream, maxJoin)
}
