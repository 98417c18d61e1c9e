package wire

import (
	"encoding/hex"
	"errors"
	"strings"
)

const keyBytes = 32

// Peer names a peer: the lower-case hex form of its public key. On the wire it is the 32 bytes
// of the key. Any other string (tests, simulations) is sent as text.
type Peer string

// MarshalCBOR writes a byte string of 32 bytes, or text.
func (p Peer) MarshalCBOR() ([]byte, error) {
	if key, ok := p.key(); ok {
		return encoding.Marshal(key)
	}
	return encoding.Marshal(string(p))
}

// UnmarshalCBOR reads what MarshalCBOR wrote, and nothing else.
func (p *Peer) UnmarshalCBOR(data []byte) error {
	var key []byte
	if err := decoding.Unmarshal(data, &key); err == nil {
		if len(key) != keyBytes {
			return errors.New("a peer's key that is not 32 bytes long")
		}
		*p = Peer(hex.EncodeToString(key))
		return nil
	}
	var text string
	if err := decoding.Unmarshal(data, &text); err != nil {
		return errors.New("a peer that is neither a key nor text")
	}
	if _, ok := Peer(text).key(); ok || len(text) > 2*keyBytes {
		return errors.New("a peer's key written as text")
	}
	*p = Peer(text)
	return nil
}

func (p Peer) key() ([]byte, bool) {
	if len(p) != 2*keyBytes || strings.ToLower(string(p)) != string(p) {
		return nil, false
	}
	key, err := hex.DecodeString(string(p))
	return key, err == nil
}

// Sum is a SHA-256, 32 bytes on the wire.
type Sum [32]byte

// UnmarshalCBOR reads a byte string of 32 bytes, and nothing else.
func (s *Sum) UnmarshalCBOR(data []byte) error {
	var sum []byte
	if err := decoding.Unmarshal(data, &sum); err != nil || len(sum) != len(s) {
		return errors.New("a digest that is not 32 bytes long")
	}
	copy(s[:], sum)
	return nil
}

// Short is the first 8 bytes of a SHA-256.
type Short [8]byte

// UnmarshalCBOR reads a byte string of 8 bytes, and nothing else.
func (s *Short) UnmarshalCBOR(data []byte) error {
	var short []byte
	if err := decoding.Unmarshal(data, &short); err != nil || len(short) != len(s) {
		return errors.New("a short digest that is not 8 bytes long")
	}
	copy(s[:], short)
	return nil
}

// Sealed is a signed form with its signature. Who signed it stands in the form.
//
//	{1: signed, 2: signature}
type Sealed struct {
	Signed    []byte `cbor:"1,keyasint"`
	Signature []byte `cbor:"2,keyasint"`
}

// EncodeSealed gives the form in which something signed is stored.
func EncodeSealed(s Sealed) []byte { return formSealed.encode(s) }

// DecodeSealed reads what EncodeSealed gave; it does not look into what was signed.
func DecodeSealed(data []byte) (Sealed, error) {
	var s Sealed
	err := formSealed.decode(data, &s)
	return s, err
}
