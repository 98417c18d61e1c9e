package gossip

import (
	"fmt"
	"strings"
)

// Signs are what a peer's health is judged by. The zero value of each means that there is nothing against the peer, or that
// nothing is known.
type Signs struct {
	// Awareness is what the membership layer holds of this peer's own part in it: see Cluster.
	Awareness int
	// MemoryStall, IOStall and CPUStall are percent of the last minute in which work waited: all work at once for memory and for
	// input and output, some of it for a processor (pressure stall information: the kernel's Documentation/accounting/psi.rst).
	MemoryStall, IOStall, CPUStall float64
	// DiskUsed is the share, 0 to 1, of the disk for images and containers that is used.
	DiskUsed float64
	// Workloads have a replica here that was ready or has had the time for it; Failing of them have one whose probe fails, or which
	// had to be started again lately.
	Workloads, Failing int
}

// Class judges the signs as they are now: as bad as the worst of them.
func (s Signs) Class() Health {
	return max(s.awareness(), s.memory(), s.io(), s.cpu(), s.disk(), s.failing())
}

func (s Signs) awareness() Health { return class(float64(s.Awareness), 3, 6) } // 1 and 2 come of somebody else's trouble
func (s Signs) memory() Health    { return class(s.MemoryStall, 5, 20) }
func (s Signs) io() Health        { return class(s.IOStall, 40, 80) }
func (s Signs) cpu() Health       { return class(s.CPUStall, 95, 100) } // waiting for processors is what sharing them means: never poor
func (s Signs) disk() Health      { return class(s.DiskUsed, 0.90, 0.95) }

// Words say, for people, what is against the peer; empty if nothing is.
func (s Signs) Words() string {
	var all []string
	say := func(class Health, format string, args ...any) {
		if class > Good {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	say(s.memory(), "all work waited for memory for %.0f %% of a minute", s.MemoryStall)
	say(s.io(), "all work waited for the disk for %.0f %% of a minute", s.IOStall)
	say(s.cpu(), "work waited for a processor for %.0f %% of a minute", s.CPUStall)
	say(s.disk(), "the disk is %.0f %% full", s.DiskUsed*100)
	say(s.failing(), "%d of %d workloads fail here", s.Failing, s.Workloads)
	say(s.awareness(), "it is slow to answer other peers")
	return strings.Join(all, ", ")
}

func class(value, fair, poor float64) Health {
	switch {
	case value > poor:
		return Poor
	case value > fair:
		return Fair
	}
	return Good
}

// failing takes it as the peer's fault only if most workloads fail here, and more than one: one that fails everywhere is
// at fault itself.
func (s Signs) failing() Health {
	switch {
	case s.Failing < 2 || 2*s.Failing <= s.Workloads:
		return Good
	case s.Failing == s.Workloads && s.Failing > 2:
		return Poor
	}
	return Fair
}

// Measurements in a row that must be worse than the class before it falls, and better before it rises. With one each 10 s
// it falls after 10 to 20 s and rises after a minute, so that plans do not follow every breath of a machine.
const (
	FallsAfter = 2
	RisesAfter = 6
)

// Judge keeps a health class, with hysteresis. The zero value is Good.
type Judge struct {
	class         Health
	worse, better int
	least, most   Health // of the measurements counted in worse; of those in better
}

// Take takes the next measurement and returns the class.
func (j *Judge) Take(s Signs) Health {
	measured := s.Class()
	switch {
	case measured > j.class:
		j.least = min(measured, or(j.worse, j.least, measured))
		j.worse, j.better = j.worse+1, 0
	case measured < j.class:
		j.most = max(measured, or(j.better, j.most, measured))
		j.better, j.worse = j.better+1, 0
	default:
		j.worse, j.better = 0, 0
	}
	if j.worse >= FallsAfter {
		*j = Judge{class: j.least}
	} else if j.better >= RisesAfter {
		*j = Judge{class: j.most}
	}
	return j.class
}

// or is before where there were measurements already, else now.
func or(n int, before, now Health) Health {
	if n > 0 {
		return before
	}
	return now
}

// Class is the class as it stands.
func (j *Judge) Class() Health { return j.class }
