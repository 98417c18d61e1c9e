package store

import (
	"errors"
	"fmt"
	"strings"
)

// ErrFull is the cause of a Commit that failed because the store has reached its largest size.
var ErrFull = errors.New("store has reached its largest size")

// ErrBroken is the cause of a Commit that failed because an earlier one failed and left in doubt
// what is on disk. Restarting the program decides it.
var ErrBroken = errors.New("an earlier write failed; restart to read back what is on disk")

// InUseError says that another program holds the data directory.
type InUseError struct{ Dir string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("data directory %s is in use by another agent: stop that one, or name another directory with --data", e.Dir)
}

// VersionError says that a newer program wrote the store.
type VersionError struct {
	Path  string
	Found uint64
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("store %s has version %d, and this program reads up to %d: use the newer program that wrote it", e.Path, e.Found, version)
}

// DamageError says that the store's file does not hold what was written to it. The file was not changed.
type DamageError struct {
	Path   string
	Faults []string // what is wrong, at most maxFaults of them
	More   int      // how many further ones were found
}

// maxFaults bounds what one DamageError lists.
const maxFaults = 8

func (e *DamageError) Error() string {
	more := ""
	if e.More > 0 {
		more = fmt.Sprintf("; and %d more", e.More)
	}
	return fmt.Sprintf("store %s is damaged: %s%s. Restore it from a backup, or move it away and start again: "+
		"the other peers bring the intent back, and writes that only this peer held are lost", e.Path, strings.Join(e.Faults, "; "), more)
}

func (e *DamageError) add(format string, args ...any) {
	if len(e.Faults) >= maxFaults {
		e.More++
		return
	}
	e.Faults = append(e.Faults, fmt.Sprintf(format, args...))
}
