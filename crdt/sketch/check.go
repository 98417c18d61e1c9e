package sketch

import (
	"encoding/binary"
	"math/bits"
)

// The key of checks: any numbers do, so long as all peers have the same ones.
const checkKey0, checkKey1 = 0x53686f616c206f66, 0x66697368206d6574

// checkOf tells a symbol of one element from a sum of several.
func checkOf(id ID) uint64 { return sipHash(checkKey0, checkKey1, id) }

// sipHash is SipHash-2-4 of 16 bytes (Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012).
func sipHash(key0, key1 uint64, id ID) uint64 {
	s := sip{key0 ^ 0x736f6d6570736575, key1 ^ 0x646f72616e646f6d, key0 ^ 0x6c7967656e657261, key1 ^ 0x7465646279746573}
	for _, m := range [...]uint64{binary.LittleEndian.Uint64(id[:8]), binary.LittleEndian.Uint64(id[8:]), 16 << 56} {
		s[3] ^= m
		s.round()
		s.round()
		s[0] ^= m
	}
	s[2] ^= 0xff
	for range 4 {
		s.round()
	}
	return s[0] ^ s[1] ^ s[2] ^ s[3]
}

type sip [4]uint64

func (s *sip) round() {
	s[0] += s[1]
	s[1] = bits.RotateLeft64(s[1], 13) ^ s[0]
	s[0] = bits.RotateLeft64(s[0], 32)
	s[2] += s[3]
	s[3] = bits.RotateLeft64(s[3], 16) ^ s[2]
	s[0] += s[3]
	s[3] = bits.RotateLeft64(s[3], 21) ^ s[0]
	s[2] += s[1]
	s[1] = bits.RotateLeft64(s[1], 17) ^ s[2]
	s[2] = bits.RotateLeft64(s[2], 32)
}
