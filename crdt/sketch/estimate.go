package sketch

import "math/bits"

const (
	estimateCells = 256
	fewSymbols    = 16
	maxEstimate   = 1 << 40
)

// Estimate returns about how many differences there are, from the counts of the first symbols: after 32
// of them mostly within a quarter, after 256 within a tenth; zero before the first symbol. What the
// other side claims decides it.
//
// Each difference adds 1 or -1 to symbol i with the probability p of the walk, and always to symbol 0. So
// (count i - p count 0)^2 is on average the number of differences times p(1-p).
func (d *Decoder) Estimate() int {
	if len(d.counts) == 0 {
		return 0
	}
	least := magnitude(d.counts[0])
	var sum uint64
	for i := 1; i < len(d.counts); i++ {
		hits, of := hitRate(i)
		off := magnitude(d.counts[i]*of - hits*d.counts[0])
		high, low := bits.Mul64(off, off)
		by := uint64(hits * (of - hits))
		square, _ := bits.Div64(min(high, by-1), low, by)
		sum += min(square, maxEstimate)
	}
	if n := uint64(len(d.counts) - 1); n > 0 {
		least = max(least, sum/n)
	}
	return int(min(least, maxEstimate))
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// Want returns how many more symbols are worth asking for, at least 1 and no more than MaxSymbols
// allows; 0 when Done, or when the difference is too large for one list of symbols: then use
// Parts(Estimate()).
func (d *Decoder) Want() int {
	if d.done {
		return 0
	}
	goal := fewSymbols
	if len(d.cells) > 0 {
		goal = needed(d.Estimate())
		if goal > MaxSymbols && len(d.counts) >= 2*fewSymbols {
			return 0
		}
	}
	most := 4*len(d.cells) + 2*fewSymbols // the estimate is rough at first
	least := len(d.cells)/8 + fewSymbols/2
	return min(MaxSymbols-len(d.cells), most, max(least, goal-len(d.cells)))
}

// needed is how many symbols mostly suffice for so many differences.
func needed(differences int) int { return differences + differences*3/8 + fewSymbols/2 }

// First returns how many symbols to send unasked, when all that is known is the number of elements
// on both sides: the difference is not below that of the numbers.
func First(countHere, countThere int) int {
	return min(needed(int(magnitude(int64(countHere)-int64(countThere))))+fewSymbols, MaxSymbols/4)
}

// Parts returns how many Bits of a Part make each of its parts small enough for one Decoder.
func Parts(differences int) (bits int) {
	for bits = 0; bits < MaxBits && needed(differences>>bits)*3/2 > MaxSymbols; bits++ {
	}
	return bits
}
