package main

import (
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
)

// machineLine says what the figures are measured on, and how busy it was before: what other programs take is missing in
// every time that is measured.
func machineLine() (string, error) {
	var text [4]string
	for i, path := range []string{"/proc/cpuinfo", "/proc/meminfo", "/proc/sys/kernel/osrelease", "/proc/loadavg"} {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		text[i] = string(data)
	}
	return describe(text[0], text[1], text[2], text[3])
}

// describe puts together what the kernel tells (proc(5)).
func describe(cpuinfo, meminfo, release, loadavg string) (string, error) {
	memory, err := strconv.Atoi(strings.TrimSuffix(valueOf(meminfo, "MemTotal"), " kB"))
	if err != nil {
		return "", fmt.Errorf("/proc/meminfo: %w", err)
	}
	load, _, found := strings.Cut(loadavg, " ")
	if !found {
		return "", fmt.Errorf("/proc/loadavg: %q", loadavg)
	}
	model := valueOf(cpuinfo, "model name") // arm64 has none
	if model == "" {
		model = goruntime.GOARCH
	}
	return fmt.Sprintf("Measured on %s, %d processors, %.0f GiB, Linux %s, %s; load of the minute before: %s.",
		model, goruntime.NumCPU(), float64(memory)/(1<<20), strings.TrimSpace(release), goruntime.Version(), load), nil
}

// valueOf finds the first line "name: value".
func valueOf(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
