package testnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Left looks for what this testnet could leave behind after Down, and names all of it.
func (n *Net) Left() error { return Left(n.Dir(), n.Name()) }

// Left looks for what a testnet of that directory and name could leave behind: the directory, cgroups, mounts, and processes
// that have the directory among their arguments, as the keeper and the machines do.
func Left(dir, name string) error {
	var left []error
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		left = append(left, fmt.Errorf("the directory %s is left", dir))
	}
	groups, err := cgroupOf(name).Paths()
	left = append(left, err)
	for _, group := range groups {
		left = append(left, fmt.Errorf("the cgroup %s is left", group))
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if left = append(left, err); strings.Contains(string(mounts), dir) {
		left = append(left, fmt.Errorf("a mount below %s is left", dir))
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	left = append(left, err)
	for _, line := range lines {
		// A process that ends while it is read is not left.
		if text, err := os.ReadFile(line); err == nil && strings.Contains(string(text), dir) {
			left = append(left, fmt.Errorf("process %s is left: %s", filepath.Base(filepath.Dir(line)), strings.ReplaceAll(string(text), "\x00", " ")))
		}
	}
	return errors.Join(left...)
}
