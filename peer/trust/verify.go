package trust

import (
	"crypto/sha3"
	"encoding/binary"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// Signed is a signature to be checked: By is said to have signed Message.
type Signed struct {
	By        PeerID
	Message   []byte
	Signature []byte
}

// rules are those of ZIP 215 (https://zips.z.cash/zip-0215), by which a signature holds together with others just where
// it holds alone.
var rules = &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215}

// Verify checks one signature by a peer.
func Verify(id PeerID, message, signature []byte) bool {
	key := publicKey(id)
	return key != nil && ed25519.VerifyWithOptions(key, message, signature, rules)
}

// VerifyAll says of each signature whether it holds, as Verify would, with a chance of 2^-125 to say so of one that does
// not. Many that hold are checked as one sum (Bernstein et al., "High-speed high-security signatures", 2012, section 5),
// each for less than half of what one Verify costs. Where one does not hold, all are checked one by one after that.
func VerifyAll(list []Signed) []bool {
	if len(list) == 0 {
		return nil
	}
	sum := ed25519.NewBatchVerifierWithCapacity(len(list))
	keys := map[PeerID]*ed25519.ExpandedPublicKey{}
	factors := sha3.NewSHAKE128()
	for _, s := range list {
		key, known := keys[s.By]
		if !known {
			key, _ = ed25519.NewExpandedPublicKey(publicKey(s.By)) // nil where it is no key: then nothing by it holds
			keys[s.By] = key
		}
		sum.AddExpandedWithOptions(key, s.Message, s.Signature, rules)
		learn(factors, s)
	}
	_, good := sum.Verify(factors)
	return good
}

// learn makes the factors of the sum depend on every bit that is checked, so that they need not be drawn: whoever changes
// a signature to suit them gets others. All lengths are fixed but the message's, or the sum is not tried.
func learn(factors *sha3.SHAKE, s Signed) {
	factors.Write([]byte(s.By))
	factors.Write(s.Signature)
	factors.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s.Message))))
	factors.Write(s.Message)
}
