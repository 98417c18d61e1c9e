//go:build linux

// Command stamp prints the monotonic clock as the first thing it does, in nanoseconds, and waits.
package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

func main() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	_, _ = os.Stdout.WriteString(strconv.FormatInt(now.Nano(), 10) + "\n")
	_ = unix.Pause()
}
