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

// needs is the least that must be left for a request.
func (r Resources) needs() Resources {
	return Resources{need(r.CPUMillis), need(r.MemoryBytes), need(r.StorageBytes), need(r.Pids)}
}

// within says whether no more is needed than is left.
func (r *Resources) within(left *Resources) bool {
	return r.CPUMillis <= left.CPUMillis && r.MemoryBytes <= left.MemoryBytes && r.StorageBytes <= left.StorageBytes && r.Pids <= left.Pids
}

func (r Resources) fits(left Resources) bool {
	needs := r.needs()
	return needs.within(&left)
}

// more gives an amount back; the result stops at the highest number.
func more(left, amount int64) int64 {
	if amount <= 0 {
		return left
	}
	if left > math.MaxInt64-amount {
		return math.MaxInt64
	}
	return left + amount
}

func (r Resources) more(amount Resources) Resources {
	return Resources{more(r.CPUMillis, amount.CPUMillis), more(r.MemoryBytes, amount.MemoryBytes),
		more(r.StorageBytes, amount.StorageBytes), more(r.Pids, amount.Pids)}
}

// plus adds what may be negative; the result stops at the ends of the range.
func plus(x, y int64) int64 {
	switch {
	case y > 0 && x > math.MaxInt64-y:
		return math.MaxInt64
	case y < 0 && x < math.MinInt64-y:
		return math.MinInt64
	}
	return x + y
}

func (r Resources) plus(o Resources) Resources {
	return Resources{plus(r.CPUMillis, o.CPUMillis), plus(r.MemoryBytes, o.MemoryBytes),
		plus(r.StorageBytes, o.StorageBytes), plus(r.Pids, o.Pids)}
}

// minus takes away what is not more than is there.
func (r Resources) minus(o Resources) Resources {
	return Resources{r.CPUMillis - o.CPUMillis, r.MemoryBytes - o.MemoryBytes, r.StorageBytes - o.StorageBytes, r.Pids - o.Pids}
}

// least is the lesser of each.
func (r Resources) least(o Resources) Resources {
	return Resources{min(r.CPUMillis, o.CPUMillis), min(r.MemoryBytes, o.MemoryBytes),
		min(r.StorageBytes, o.StorageBytes), min(r.Pids, o.Pids)}
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
