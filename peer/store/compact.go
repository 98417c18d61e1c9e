package store

import (
	"errors"
	"fmt"
	"os"
)

// compactSuffix marks the file that is to take the store's place.
const compactSuffix = ".compact"

// Free pages are given back when they are more than a fifth of the file and more than freeFloorBytes, and as much has been
// written since the last time as would have to be copied; so compaction costs at most as much as the writes themselves.
// At the start and the end up to eagerBytes are copied without that condition.
const (
	freeFloorBytes = 256 << 10
	freeFraction   = 5
	eagerBytes     = 64 << 20
)

// compaction is what decides whether it is time for one. It is guarded by checkpointMu.
type compaction struct{ written int64 }

// compactIfOwed writes the file anew without its free pages, if there are enough. That there is no room for the copy is no error.
func (s *Store) compactIfOwed(eager bool) error {
	s.checkpointMu.Lock()
	defer s.checkpointMu.Unlock()
	if err := s.usable("compact"); err != nil {
		return err
	}
	stats, pageBytes := s.db.Stats(), int64(s.db.Info().PageSize)
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	size := info.Size()
	free := int64(stats.FreePageN+stats.PendingPageN) * pageBytes
	if free < s.freeBytes || free < size/freeFraction || s.owed.written < size-free && !(eager && size-free <= eagerBytes) {
		return nil
	}
	err = s.compact()
	if errors.Is(err, ErrFull) {
		return nil
	}
	return err
}

// compact puts a copy in the place of the file. Until the rename the old file is the store; after it the copy is, and both hold the same.
func (s *Store) compact() error {
	fresh := s.path + compactSuffix
	err := s.guard("compact", func() error {
		return s.build(fresh, func(b *builder) error { return b.copyFrom(s.db) })
	})
	if err != nil {
		return err
	}
	if err := s.disk.rename(fresh, s.path); err != nil {
		return fmt.Errorf("compact store %s: %w", s.path, err)
	}
	s.owed.written = 0
	if err := s.exchange(); err != nil {
		s.breakWith(err)
		return err
	}
	return nil
}

// exchange opens the file that now has the store's name.
func (s *Store) exchange() error {
	if err := s.disk.syncDir(s.dir); err != nil {
		return err
	}
	s.boltMu.Lock()
	defer s.boltMu.Unlock()
	if err := s.guard("close", s.db.Close); err != nil {
		return err
	}
	s.db = nil
	db, err := s.openBolt(s.path)
	if err != nil {
		return err
	}
	s.db = db
	return nil
}
