package store

import (
	"errors"
	"fmt"
	"strings"

	"shoal/peer"
)

// ErrFull is the cause of a Commit that failed because the disk has no room left or the store has reached its largest
// size. Nothing of it was written, and a later Commit works once there is room.
var ErrFull = peer.ErrFull

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
	return fmt.Sprintf("%s is of a newer form, %d, than this program reads: use the newer program that wrote it", e.Path, e.Found)
}

// DamageError says that the store no longer holds what was written to it, and that this was noticed while it was open.
// The next Open sets the store aside and goes on with what can be read.
type DamageError struct {
	Path   string
	Faults []string // what is wrong, at most maxFaults of them
	More   int      // how many further ones were found
}

// maxFaults bounds what one DamageError lists.
const maxFaults = 8

func (e *DamageError) Error() string {
	return fmt.Sprintf("store %s is damaged: %s. Start again: what can be read is saved, and the other peers bring the rest", e.Path, e.faults())
}

func (e *DamageError) faults() string {
	more := ""
	if e.More > 0 {
		more = fmt.Sprintf("; and %d more", e.More)
	}
	return strings.Join(e.Faults, "; ") + more
}

func (e *DamageError) add(format string, args ...any) {
	if len(e.Faults) >= maxFaults {
		e.More++
		return
	}
	e.Faults = append(e.Faults, fmt.Sprintf(format, args...))
}
