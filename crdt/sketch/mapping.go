package sketch

import (
	"encoding/binary"
	"math/bits"
)

// walk goes through the symbols that one element falls into.
type walk struct {
	a, b  uint64 // state of xoroshiro128++ (Blackman, Vigna, 2019), begun with the element
	index uint64
}

func walkOf(id ID) walk {
	return walk{a: binary.LittleEndian.Uint64(id[:8]), b: binary.LittleEndian.Uint64(id[8:])}
}

// hitRate is the probability, hits in of, that an element falls into symbol i, which is not 0: 1 less
// the square of (i+0.5)/(i+1.5), close to 2/(2+i).
func hitRate(i int) (hits, of int64) { return 8 * int64(i+1), int64(2*i+3) * int64(2*i+3) }

// next moves on. An element in symbol i falls into none of i+1 ... j with probability
// (i+1)(i+2)/((j+1)(j+2)), close to ((i+1.5)/(j+1.5))^2: so the next j is where (i+1.5)/(j+1.5)
// falls below the square root of a uniform number, and that root is distributed as the
// larger of two uniform numbers. Hence no root is taken and nothing depends on floating point.
func (w *walk) next() {
	r := bits.RotateLeft64(w.a+w.b, 17) + w.a
	x := w.a ^ w.b
	w.a = bits.RotateLeft64(w.a, 49) ^ x ^ x<<21
	w.b = bits.RotateLeft64(x, 28)

	root := max(r>>32, r&(1<<32-1)) + 1 // of 2^32
	at := ((2*w.index+3)<<32 + root - 1) / root
	w.index = max(w.index+1, (at-2)/2)
}
