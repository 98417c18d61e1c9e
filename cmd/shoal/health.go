package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"shoal/gossip"
)

// health judges this machine by slow signs: room on the disk that holds dir, and how long all its tasks together
// waited for memory in the last minute (pressure stall information, Linux 4.20 and later, where it is on).
func health(dir string) gossip.Health {
	return max(diskHealth(dir), pressureHealth("/proc/pressure/memory"))
}

// Shares of the disk that are free below which a peer is fair and poor.
const fairFree, poorFree = 0.10, 0.05

func diskHealth(dir string) gossip.Health {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil || stat.Blocks == 0 {
		return gossip.Good
	}
	return freeHealth(float64(stat.Bavail) / float64(stat.Blocks))
}

func freeHealth(share float64) gossip.Health {
	switch {
	case share < poorFree:
		return gossip.Poor
	case share < fairFree:
		return gossip.Fair
	}
	return gossip.Good
}

// Percent of a minute in which everything waited for memory, above which a peer is fair and poor.
const fairStall, poorStall = 5, 20

func pressureHealth(path string) gossip.Health {
	data, err := os.ReadFile(path)
	if err != nil {
		return gossip.Good
	}
	stall := stalled(string(data))
	switch {
	case stall > poorStall:
		return gossip.Poor
	case stall > fairStall:
		return gossip.Fair
	}
	return gossip.Good
}

// stalled reads avg60 of the line "full avg10=0.00 avg60=0.00 avg300=0.00 total=0".
func stalled(pressure string) float64 {
	for line := range strings.Lines(pressure) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "full" {
			continue
		}
		if text, ok := strings.CutPrefix(fields[2], "avg60="); ok {
			share, _ := strconv.ParseFloat(text, 64)
			return share
		}
	}
	return 0
}
