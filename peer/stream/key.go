package stream

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"

	libp2p "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"shoal/peer/trust"
)

// identityOf turns a peer's key into libp2p's form.
func identityOf(key ed25519.PrivateKey) (libp2p.PrivKey, peer.ID, error) {
	private, err := libp2p.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, "", fmt.Errorf("stream: the peer's key cannot be used: %w", err)
	}
	id, err := peer.IDFromPrivateKey(private)
	return private, id, err
}

// toLibp2p and fromLibp2p convert between the two names of one key.
func toLibp2p(id trust.PeerID) (peer.ID, error) {
	raw, err := hex.DecodeString(string(id))
	if err != nil {
		return "", fmt.Errorf("stream: %q is no peer: %w", id, err)
	}
	public, err := libp2p.UnmarshalEd25519PublicKey(raw)
	if err != nil {
		return "", fmt.Errorf("stream: %q is no peer: %w", id, err)
	}
	return peer.IDFromPublicKey(public)
}

func fromLibp2p(id peer.ID) (trust.PeerID, error) {
	public, err := id.ExtractPublicKey()
	if err != nil {
		return "", err
	}
	return fromKey(public)
}

func fromKey(public libp2p.PubKey) (trust.PeerID, error) {
	if public.Type() != libp2p.Ed25519 {
		return "", fmt.Errorf("stream: the other end's key is not Ed25519")
	}
	raw, err := public.Raw()
	if err != nil {
		return "", err
	}
	return trust.PeerID(hex.EncodeToString(raw)), nil
}
