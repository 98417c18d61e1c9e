package placement

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Weighted rendezvous hashing (Thaler and Ravishankar 1998; with weights as by Schindelhauer
// and Schomaker 2005): the peer with the lowest -log(h)/weight comes first, where h in (0,1)
// is a hash of replica and peer. All of it is in integers, because a floating-point logarithm
// is not the same on every architecture, and one different bit would make two peers disagree.
//
// So that the first peers are found without a look at all, h is made in two levels. Each peer has one of 65,536 slots, by its own
// hash; each replica has its own permutation of the slots. A slot's place in it is the high 16 bits of h, and a hash of both the
// low 48 bits. To walk along the permutation is then to meet the peers in the order of h:
//
//	replica ──► slot 40711 ──► slot 302 ──► slot 9984 ──► …      highest h first
//	              empty          p7           p3, p12

const (
	logBits    = 32 // fraction bits of a logarithm
	tableBits  = 10
	weightMost = 1 << 25 // so that logarithm times weight stays within 64 bits

	memoryPerMilli = 2 << 20 // bytes that weigh as much as one thousandth of a CPU: 2 GiB per CPU
)

// log2Table holds log2(1+i/1024) for interpolation.
var log2Table = newLog2Table()

func newLog2Table() [1<<tableBits + 1]uint64 {
	var table [1<<tableBits + 1]uint64
	for i := range uint64(1 << tableBits) {
		table[i] = log2Fraction(1<<63 | i<<(63-tableBits))
	}
	table[1<<tableBits] = 1 << logBits
	return table
}

// log2Fraction is log2 of x/2^63, which must be in [1,2): one bit of the result per squaring.
func log2Fraction(x uint64) uint64 {
	var result uint64
	for range logBits {
		high, low := bits.Mul64(x, x)
		result <<= 1
		if high>>63 == 1 {
			result |= 1
			x = high
		} else {
			x = high<<1 | low>>63
		}
	}
	return result
}

// negLog2 is -log2(h/2^64), falling in h, off by at most 2e-7.
func negLog2(h uint64) uint64 {
	if h == 0 {
		h = 1
	}
	zeros := bits.LeadingZeros64(h)
	mantissa := h << zeros << 1
	i := mantissa >> (64 - tableBits)
	rest := mantissa << tableBits >> 32
	low := log2Table[i]
	return uint64(zeros+1)<<logBits - low - (log2Table[i+1]-low)*rest>>32
}

// seedOf spreads an identifier over 64 bits.
func seedOf(id string) uint64 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:8])
}

// seed is what a replica's hashes are made of: a permutation of the slots (two odd factors, with their inverses modulo 2^16, and a
// shift) and the whole.
type seed struct {
	whole                       uint64
	first, second, shift        uint16
	firstInverse, secondInverse uint16
}

func newSeed(id string) seed {
	whole := seedOf(id)
	s := seed{whole: whole, first: uint16(whole) | 1, second: uint16(whole>>16) | 1, shift: uint16(whole >> 32)}
	s.firstInverse, s.secondInverse = inverse(s.first), inverse(s.second)
	return s
}

// inverse of an odd number modulo 2^16, by Newton's iteration: each step doubles the bits that are right, from 3.
func inverse(odd uint16) uint16 {
	x := odd
	for range 3 {
		x *= 2 - odd*x
	}
	return x
}

// slotAt is the slot that comes at a place.
func (s *seed) slotAt(place uint16) uint16 {
	x := place*s.first + s.shift
	x = (x ^ x>>8) * s.second
	return x ^ x>>8
}

// placeOf is the place at which a slot comes: slotAt backwards.
func (s *seed) placeOf(slot uint16) uint16 {
	x := (slot ^ slot>>8) * s.secondInverse
	return ((x ^ x>>8) - s.shift) * s.firstInverse
}

const slotBits = 16

// slotOf is the slot of a peer with this seed.
func slotOf(peer uint64) uint16 { return uint16(peer >> (64 - slotBits)) }

// hash is h of a replica and of the peer with this seed.
func (s *seed) hash(peer uint64) uint64 {
	return s.hashAt(s.placeOf(slotOf(peer)), peer)
}

func (s *seed) hashAt(place uint16, peer uint64) uint64 {
	return uint64(^place)<<(64-slotBits) | mix(s.whole^peer)>>slotBits
}

// highest is the highest h that a place can give.
func highest(place uint16) uint64 { return uint64(^place)<<(64-slotBits) | 1<<(64-slotBits) - 1 }

// slots says which peers have which slot.
type slots struct {
	taken [1 << slotBits / 64]uint64 // a bit for each slot
	first [1 << slotBits]int32       // the first peer, of a slot that is taken
	next  []int32                    // of peers: the next with the same slot, or nowhere
}

func newSlots(sites []site) *slots {
	s := &slots{next: make([]int32, len(sites))}
	for i := range sites {
		slot := slotOf(sites[i].seed)
		s.next[i] = nowhere
		if s.has(slot) {
			s.next[i] = s.first[slot]
		}
		s.taken[slot/64] |= 1 << (slot % 64)
		s.first[slot] = int32(i)
	}
	return s
}

func (s *slots) has(slot uint16) bool { return s.taken[slot/64]>>(slot%64)&1 == 1 }

// mix makes every bit of its result depend on every bit of x (the finaliser of SplitMix64,
// Steele et al. 2014, with Stafford's constants).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// earlier says whether a peer with hash h and weight w comes before one with hash h2 and weight w2.
func earlier(h, w, h2, w2 uint64) bool {
	if w == w2 || (h <= h2) == (w <= w2) {
		if h != h2 {
			return h > h2
		}
		return w > w2
	}
	a, b := negLog2(h)*w2, negLog2(h2)*w
	if a != b {
		return a < b
	}
	return h > h2
}

// weightOf weighs a peer by the scarcer half of its room, and by its health: a fair peer counts
// for half, a poor one for an eighth. At least 1.
func weightOf(p Peer) uint64 {
	weight := max(min(p.Room.CPUMillis, p.Room.MemoryBytes/memoryPerMilli, weightMost), 1)
	switch {
	case p.Health == 1:
		weight /= 2
	case p.Health >= 2:
		weight /= 8
	}
	return uint64(max(weight, 1))
}
