package crdt

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"
)

const counterBits = 16

// Wall returns the wall-clock part of t, in UTC: what people read as the time of a write.
func (t Time) Wall() time.Time { return time.UnixMilli(int64(t >> counterBits)).UTC() }

// Compare orders stamps by time, then by writer.
func (s Stamp) Compare(other Stamp) int {
	return cmp.Or(cmp.Compare(s.Time, other.Time), cmp.Compare(s.Writer, other.Writer))
}

// Has says whether the operation named by stamp has been seen.
func (s Seen) Has(stamp Stamp) bool { return stamp.Time <= s[stamp.Writer] }

// Covers says whether everything in other has been seen.
func (s Seen) Covers(other Seen) bool {
	for writer, at := range other {
		if at > s[writer] {
			return false
		}
	}
	return true
}

// Latest returns the highest time in s; zero when s is empty.
func (s Seen) Latest() Time {
	var latest Time
	for _, at := range s {
		latest = max(latest, at)
	}
	return latest
}

// Clone returns a copy, never nil.
func (s Seen) Clone() Seen {
	if s == nil {
		return Seen{}
	}
	return maps.Clone(s)
}

func (s Seen) raise(writer PeerID, at Time) {
	if at > s[writer] {
		s[writer] = at
	}
}

// add makes s cover op and everything that op had seen.
func (s Seen) add(op *Op) {
	for writer, at := range op.Seen {
		s.raise(writer, at)
	}
	s.raise(op.Stamp.Writer, op.Stamp.Time)
}

// Next returns the time for a new operation: after last (the writer's own latest), after
// everything in seen, and not before wall where wall is within what a Time can hold. At the end
// of all time, the year 10889, it stays there, and Check refuses the operation.
func Next(last Time, seen Seen, wall time.Time) Time {
	floor := max(last, seen.Latest())
	if millis := wall.UnixMilli(); millis > 0 && millis < 1<<(64-counterBits) {
		if now := Time(millis) << counterBits; now > floor {
			return now
		}
	}
	if floor == math.MaxUint64 {
		return floor
	}
	return floor + 1
}

// Check returns why no peer can take op: it lacks a key, a stamp or any effect, or its stamp is
// not after what it had seen. It does not look at hash or signature.
func Check(op Op) error {
	switch {
	case op.Key.Kind == "" || op.Key.Name == "":
		return errors.New("an operation without kind or name")
	case op.Stamp.Writer == "" || op.Stamp.Time == 0:
		return fmt.Errorf("an operation on %s without a stamp", op.Key)
	case op.Verb > Delete:
		return fmt.Errorf("an operation on %s with the unknown verb %d", op.Key, op.Verb)
	case op.Verb == Update && len(op.Changes) == 0:
		return fmt.Errorf("an update of %s that changes nothing", op.Key)
	case op.Seen.Latest() >= op.Stamp.Time:
		return fmt.Errorf("an operation on %s stamped %d that had seen %d", op.Key, op.Stamp.Time, op.Seen.Latest())
	}
	return nil
}
