package store

import (
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// start begins to apply in the background what each turn of the journal leaves.
func (s *Store) start() {
	s.kick, s.stopped = make(chan struct{}, 1), make(chan struct{})
	s.done.Go(func() {
		quiet := time.NewTimer(0)
		defer quiet.Stop()
		for {
			eager := false
			select {
			case <-s.stopped:
				return
			case <-s.kick:
			case <-quiet.C:
				eager = true
			}
			// An error stays with the frames: the next Commit that needs their segment tries again and returns it.
			if s.checkpoint() != nil {
				continue
			}
			if owed, _ := s.compactIfOwed(eager); owed {
				quiet.Reset(quietSpan)
			}
		}
	})
}

// quietSpan is how long the journal must not turn before a compaction that the writes do not pay for yet is made anyway.
const quietSpan = 10 * time.Second

// turn makes room in the journal: the segment that is full is applied in the background while the other takes frames.
func (s *Store) turn() error {
	if err := s.checkpoint(); err != nil {
		return err
	}
	s.stateMu.Lock()
	s.applying, s.active = s.active, nil
	s.stateMu.Unlock()
	s.journal.turn()
	select {
	case s.kick <- struct{}{}:
	default:
	}
	return nil
}

// checkpoint applies the frames of the segment that is not active, if there are any.
func (s *Store) checkpoint() error {
	s.checkpointMu.Lock()
	defer s.checkpointMu.Unlock()
	s.stateMu.Lock()
	frames := s.applying
	s.stateMu.Unlock()
	if len(frames) == 0 {
		return nil
	}
	if err := s.applyFrames(frames, frames[len(frames)-1].sequence); err != nil {
		return err
	}
	s.stateMu.Lock()
	s.applying = nil
	s.stateMu.Unlock()
	return nil
}

// applyFrames makes the frames part of bbolt, which from then on has all up to the one numbered upTo.
func (s *Store) applyFrames(frames []frame, upTo uint64) error {
	for _, f := range frames {
		for _, c := range f.changes {
			s.owed.written += int64(len(c.key) + len(c.content))
		}
	}
	return s.update("checkpoint", func(tx *bbolt.Tx) error {
		a, err := newApplier(tx)
		if err != nil {
			return err
		}
		applied, err := getMeta(tx, appliedKey, decodeUint64)
		if err != nil {
			return err
		}
		if err := a.apply(frames, applied); err != nil {
			return err
		}
		return a.finish(max(applied, upTo))
	})
}

// writeThrough takes a frame that no segment can hold, together with all before it. The caller holds writeMu.
func (s *Store) writeThrough(f frame) error {
	if err := s.checkpoint(); err != nil {
		return err
	}
	s.checkpointMu.Lock()
	defer s.checkpointMu.Unlock()
	s.stateMu.Lock()
	frames := append(s.active[:len(s.active):len(s.active)], f)
	s.stateMu.Unlock()
	if err := s.applyFrames(frames, f.sequence); err != nil {
		return err
	}
	s.journal.next++
	s.emptyJournal()
	return nil
}

// emptyJournal starts the active segment anew, when all that it holds is applied.
func (s *Store) emptyJournal() {
	s.stateMu.Lock()
	s.active = nil
	s.stateMu.Unlock()
	s.journal.segments[s.journal.active].rewind()
}

// checkpointAll applies the whole journal, so that it is empty. The caller holds writeMu, or is Open.
func (s *Store) checkpointAll() error {
	if err := s.checkpoint(); err != nil {
		return err
	}
	s.checkpointMu.Lock()
	defer s.checkpointMu.Unlock()
	s.stateMu.Lock()
	frames := s.active
	s.stateMu.Unlock()
	upTo := max(s.highest, s.journal.next-1)
	if len(frames) == 0 && upTo < s.journal.next {
		return nil
	}
	if err := s.applyFrames(frames, upTo); err != nil {
		return err
	}
	s.journal.next = upTo + 1
	s.emptyJournal()
	return nil
}

// tidy leaves an empty journal and a file without much free space.
func (s *Store) tidy() error {
	if err := s.checkpointAll(); err != nil {
		if errors.Is(err, ErrFull) {
			return nil // the journal keeps it
		}
		return err
	}
	_, err := s.compactIfOwed(true)
	return err
}
