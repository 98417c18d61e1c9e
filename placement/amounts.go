package placement

import (
	"fmt"
	"math"
	"math/bits"
)

// less takes an amount away; the result stops at the lowest number instead of wrapping, so that
// absurd requests cannot make room.
func less(left, amount int64) int64 {
	if amount <= 0 {
		return left
	}
	if left < math.MinInt64+amount {
		return math.MinInt64
	}
	return left - amount
}

func (r Resources) less(amount Resources) Resources {
	return Resources{less(r.CPUMillis, amount.CPUMillis), less(r.MemoryBytes, amount.MemoryBytes),
		less(r.StorageBytes, amount.StorageBytes), less(r.Pids, amount.Pids)}
}

// need is the least that must be left for a request: one of nothing fits always, also on an
// overdrawn peer.
func need(amount int64) int64 {
	if amount <= 0 {
		return math.MinInt64
	}
	return amount
}

func (r Resources) fits(left Resources) bool {
	return need(r.CPUMillis) <= left.CPUMillis && need(r.MemoryBytes) <= left.MemoryBytes
}

const whole = 1_000_000

// share is part of all in millionths, at most whole. Of nothing, everything is the whole.
func share(part, all int64) int64 {
	switch {
	case part <= 0:
		return 0
	case part >= all:
		return whole
	}
	high, low := bits.Mul64(uint64(part), whole)
	quotient, _ := bits.Div64(high, low, uint64(all))
	return int64(quotient)
}

// largest is the larger of a request's two shares of all.
func (r Resources) largest(all Resources) int64 {
	return max(share(r.CPUMillis, all.CPUMillis), share(r.MemoryBytes, all.MemoryBytes))
}

func cpuText(millis int64) string { return fmt.Sprintf("%dm", millis) }

// memoryText rounds down to the largest unit that leaves at least four digits, or takes one that is exact.
func memoryText(bytes int64) string {
	sign := ""
	if bytes < 0 {
		sign, bytes = "-", -max(bytes, -math.MaxInt64)
	}
	units := []string{"", "Ki", "Mi", "Gi", "Ti"}
	unit := 0
	for unit < len(units)-1 && bytes >= 1024 && (bytes%1024 == 0 || bytes >= 1024*1024) {
		bytes /= 1024
		unit++
	}
	return fmt.Sprintf("%s%d%s", sign, bytes, units[unit])
}
