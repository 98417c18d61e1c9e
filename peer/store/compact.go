package store

import (
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// compactSuffix marks the file that is to take the store's place.
const compactSuffix = ".compact"

// Free space is given back when it is more than a fifth of the file and more than freeFloorBytes, and as much has been
// written since the last time as would have to be copied: so compaction costs at most as much as the writes themselves.
// When the store is quiet, and at the end, up to eagerBytes are copied without that condition.
const (
	freeFloorBytes = 256 << 10
	freeFraction   = 5
	eagerBytes     = 64 << 20
)

// compaction is what decides whether it is time for one. It is guarded by checkpointMu.
type compaction struct{ written int64 }

// compactIfOwed writes the file anew without its free space, if there is enough and the time has come; owed says that there is enough
// and that it has not. That there is no room for the copy is no error.
func (s *Store) compactIfOwed(eager bool) (owed bool, err error) {
	s.checkpointMu.Lock()
	defer s.checkpointMu.Unlock()
	if err := s.usable("compact"); err != nil {
		return false, err
	}
	size := s.fileBytes()
	used, err := s.usedBytes()
	if err != nil {
		return false, err
	}
	if free := size - used; free < s.freeBytes || free < size/freeFraction {
		return false, nil
	}
	if s.owed.written < used && !(eager && used <= eagerBytes) {
		return used <= eagerBytes, nil
	}
	if err = s.compact(); errors.Is(err, ErrFull) {
		return false, nil
	}
	return false, err
}

// fileBytes is the length of bbolt's file; 0 when it cannot be found out.
func (s *Store) fileBytes() int64 {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// usedBytes is how much of the file holds something.
func (s *Store) usedBytes() (used int64, err error) {
	err = s.guard("measure", func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			stats := s.db.Stats()
			used = tx.Size() - int64(stats.FreePageN+stats.PendingPageN)*int64(s.db.Info().PageSize)
			return nil
		})
	})
	return used, err
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
	return s.guard("exchange", func() error {
		old := s.db
		s.db = nil
		if err := old.Close(); err != nil {
			return err
		}
		db, err := s.openBolt(s.path)
		s.db = db
		return err
	})
}
