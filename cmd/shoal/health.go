package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"shoal/gossip"
)

// signs measures this machine: how full the disk is that holds dir, and how long its tasks waited for what they need in the last
// minute (pressure stall information in the directory pressure; Linux 4.20 and later, where it is on).
func signs(dir, pressure string) gossip.Signs {
	read := func(resource, kind string) float64 {
		data, err := os.ReadFile(filepath.Join(pressure, resource))
		if err != nil {
			return 0
		}
		return stalled(string(data), kind)
	}
	return gossip.Signs{
		DiskUsed:    diskUsed(dir),
		MemoryStall: read("memory", "full"),
		IOStall:     read("io", "full"),
		CPUStall:    read("cpu", "some"), // of the machine as a whole, "full" is not defined
	}
}

// diskUsed is the share of a disk that is used, counting what only root may use.
func diskUsed(dir string) float64 {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil || stat.Blocks == 0 {
		return 0
	}
	return 1 - float64(stat.Bavail)/float64(stat.Blocks)
}

// stalled reads avg60 of one line of "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", in percent.
func stalled(pressure, kind string) float64 {
	for line := range strings.Lines(pressure) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != kind {
			continue
		}
		if text, ok := strings.CutPrefix(fields[2], "avg60="); ok {
			share, _ := strconv.ParseFloat(text, 64)
			return share
		}
	}
	return 0
}
