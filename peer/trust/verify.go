package trust

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"

	"filippo.io/edwards25519"
	"github.com/hdevalence/ed25519consensus"
)

// Signed is a signature to be checked: By is said to have signed Message.
type Signed struct {
	By        PeerID
	Message   []byte
	Signature []byte
}

// Verify checks one signature by a peer, by the rules of ZIP 215 (https://zips.z.cash/zip-0215).
func Verify(id PeerID, message, signature []byte) bool {
	key := publicKey(id)
	return key != nil && ed25519consensus.Verify(key, message, signature)
}

// alone is how many signatures are no more checked together: fewer than these gain nothing by it.
const alone = 4

// VerifyAll says of each signature whether it holds, as Verify would. Many that hold cost a quarter of one Verify each
// where few peers signed them, half where each is by another. Where some do not hold, the list is halved until they are
// found: each of them costs about log2(len) times 20 us more.
func VerifyAll(list []Signed) []bool {
	good := make([]bool, len(list))
	verifyInto(list, good)
	return good
}

func verifyInto(list []Signed, good []bool) {
	switch {
	case len(list) < alone:
		for i, s := range list {
			good[i] = Verify(s.By, s.Message, s.Signature)
		}
	case verifyTogether(list):
		for i := range good {
			good[i] = true
		}
	default:
		half := len(list) / 2
		verifyInto(list[:half], good[:half])
		verifyInto(list[half:], good[half:])
	}
}

// verifyTogether says whether all signatures hold, with a chance of 2^-128 to say so of one that does not. It checks
//
//	8 ( sum(z_i s_i) B - sum(z_i R_i) - sum over keys A of (sum(z_i k_i) A) ) = 0
//
// as in section 5 of Bernstein et al., "High-speed high-security signatures" (2012), with the factor of 8 and the lenient
// encodings of ZIP 215, and with the terms of one key put together. The factors z_i are not drawn but derived
// from all that is checked, which nobody can choose after the factors.
func verifyTogether(list []Signed) bool {
	sum := newSum(list)
	if sum == nil {
		return false
	}
	seed := sum.seed()
	var z, s, k edwards25519.Scalar
	for i, signed := range list {
		if _, err := s.SetCanonicalBytes(signed.Signature[32:]); err != nil {
			return false
		}
		if _, err := k.SetUniformBytes(sum.hashes[i][:]); err != nil {
			return false
		}
		if _, err := z.SetCanonicalBytes(factor(seed, i)); err != nil {
			return false
		}
		if _, err := sum.points[1+i].SetBytes(signed.Signature[:32]); err != nil {
			return false
		}
		sum.scalars[1+i].Negate(&z)
		sum.scalars[0].MultiplyAdd(&z, &s, sum.scalars[0])
		key := sum.scalars[1+len(list)+sum.keyOf[i]]
		key.Subtract(key, z.Multiply(&z, &k))
	}
	total := new(edwards25519.Point).VarTimeMultiScalarMult(sum.scalars, sum.points)
	return total.MultByCofactor(total).Equal(edwards25519.NewIdentityPoint()) == 1
}

// sum holds the terms of the equation: the base point, then an R of each signature, then each key.
type sum struct {
	scalars []*edwards25519.Scalar
	points  []*edwards25519.Point
	keyOf   []int      // of each signature, counted from the first key
	hashes  [][64]byte // SHA-512 of R, key and message of each signature
	list    []Signed
}

// newSum sorts the signatures by key; nil if a key or a signature has no such form at all.
func newSum(list []Signed) *sum {
	s := &sum{keyOf: make([]int, len(list)), hashes: make([][64]byte, len(list)), list: list}
	numbers := map[PeerID]int{}
	var keys []ed25519.PublicKey
	for i, signed := range list {
		number, known := numbers[signed.By]
		if !known {
			key := publicKey(signed.By)
			if key == nil {
				return nil
			}
			number = len(keys)
			keys = append(keys, key)
			numbers[signed.By] = number
		}
		if len(signed.Signature) != ed25519.SignatureSize {
			return nil
		}
		s.keyOf[i] = number
		h := sha512.New()
		h.Write(signed.Signature[:32])
		h.Write(keys[number])
		h.Write(signed.Message)
		h.Sum(s.hashes[i][:0])
	}
	return s.allot(keys)
}

func (s *sum) allot(keys []ed25519.PublicKey) *sum {
	terms := 1 + len(s.list) + len(keys)
	scalars, points := make([]edwards25519.Scalar, terms), make([]edwards25519.Point, terms)
	s.scalars, s.points = make([]*edwards25519.Scalar, terms), make([]*edwards25519.Point, terms)
	for i := range terms {
		s.scalars[i], s.points[i] = &scalars[i], &points[i]
	}
	s.points[0].Set(edwards25519.NewGeneratorPoint())
	for i, key := range keys {
		if _, err := s.points[1+len(s.list)+i].SetBytes(key); err != nil {
			return nil
		}
	}
	return s
}

// seed depends on every bit of every signature, key and message.
func (s *sum) seed() []byte {
	h := sha512.New()
	for i, signed := range s.list {
		h.Write(s.hashes[i][:])
		h.Write(signed.Signature)
	}
	return h.Sum(nil)
}

// factor is a number of 128 bits, as 32 bytes.
func factor(seed []byte, i int) []byte {
	h := sha512.New()
	h.Write(seed)
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(i)))
	z := h.Sum(nil)[:32]
	clear(z[16:])
	return z
}
