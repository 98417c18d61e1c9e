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

// leastLog is a lower bound of negLog2 that costs less: -ln(h) >= 1-h, and 1.375 < 1/ln(2). It holds to the last
// bit because negLog2 errs upwards only.
func leastLog(h uint64) uint64 {
	x := ^h >> (64 - logBits)
	return x + x>>2 + x>>3
}

// seedOf spreads an identifier over 64 bits.
func seedOf(id string) uint64 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:8])
}

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
