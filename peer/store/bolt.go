package store

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// maxFileBytes bounds bbolt's file. 1,000,000 operations of 400 bytes take about 0.7 GiB, and each may be some times as large
// or as many before a fault is likelier than a large cluster; what would reach this must not fill the machine's disk.
const maxFileBytes = 4 << 30

// growFraction is by what part of itself the file grows, within minGrowBytes and maxGrowBytes.
const (
	growFraction = 16
	minGrowBytes = 64 << 10
	maxGrowBytes = 16 << 20
)

// boltOptions open a file. The list of free pages is not written: it is one page less per transaction
// and one less to be damaged, for a walk over the tree at start (which check has just done on cold pages).
func (s *Store) boltOptions(noSync bool) *bbolt.Options {
	return &bbolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, MaxSize: s.maxFileBytes, NoSync: noSync}
}

func (s *Store) openBolt(path string) (*bbolt.DB, error) {
	var db *bbolt.DB
	err := s.disk.transact(path, true, func() (err error) {
		db, err = bbolt.Open(path, 0o600, s.boltOptions(false))
		return err
	})
	return db, err
}

// damage marks an error as found in the content of the file.
type damage struct{ fault string }

func (d damage) Error() string { return d.fault }

func putMeta(tx *bbolt.Tx, key string, content []byte) error {
	return tx.Bucket([]byte(metaBucket)).Put([]byte(key), seal(metaBucket, []byte(key), content))
}

func putMetaNumber(tx *bbolt.Tx, key string, n uint64) error {
	return putMeta(tx, key, number(n))
}

func getMeta[T any](tx *bbolt.Tx, key string, decode func([]byte) (T, error)) (T, error) {
	var none T
	content, err := unseal(metaBucket, []byte(key), tx.Bucket([]byte(metaBucket)).Get([]byte(key)))
	if err == nil {
		none, err = decode(content)
	}
	if err != nil {
		return none, damage{fmt.Sprintf("record meta/%s: %v", key, err)}
	}
	return none, nil
}

// update runs one write transaction and decides what its failure means for the next ones. What fails
// before the header is written leaves nothing in doubt: the journal still has it all.
func (s *Store) update(what string, change func(*bbolt.Tx) error) error {
	if err := s.usable(what); err != nil {
		return err
	}
	writing, before := false, uint64(0)
	err := s.guard(what, func() error {
		s.db.AllocSize = int(min(max(s.fileBytes()/growFraction, minGrowBytes), maxGrowBytes))
		return s.disk.transact(s.path, true, func() error {
			return s.db.Update(func(tx *bbolt.Tx) error {
				before = uint64(tx.ID()) - 1
				err := change(tx)
				writing = err == nil
				return err
			})
		})
	})
	if err != nil && writing && !(errors.Is(err, ErrFull) && newestTransaction(s.path) == before) {
		s.breakWith(err)
	}
	return err
}

// guard runs what uses bbolt, one at a time, and turns whatever that does about damage into an error. bbolt reads the file through
// a memory map, where a page that the disk cannot give is a fault of the processor. Such a panic may leave bbolt's own locks held,
// so nothing uses that handle any more; nor is it closed, which would wait for them.
func (s *Store) guard(what string, call func() error) (err error) {
	s.boltMu.Lock()
	defer s.boltMu.Unlock()
	if s.poisoned != nil {
		return s.poisoned
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			s.poisoned = &DamageError{Path: s.path, Faults: []string{fmt.Sprintf("%s: %v", what, r)}}
			s.breakWith(s.poisoned)
			err = s.poisoned
		}
	}()
	err = call()
	var found damage
	switch {
	case err == nil:
		return nil
	case errors.As(err, &found):
		return &DamageError{Path: s.path, Faults: []string{found.fault}}
	case errors.Is(err, bolterrors.ErrTimeout):
		return &InUseError{Dir: s.dir}
	}
	return fmt.Errorf("%s to store %s: %w", what, s.path, asFull(err))
}

// asFull makes ErrFull of all that says that there is no room. bbolt gives some of it as text only.
func asFull(err error) error {
	if errors.Is(err, bolterrors.ErrMaxSizeReached) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		strings.Contains(err.Error(), syscall.ENOSPC.Error()) || strings.Contains(err.Error(), syscall.EDQUOT.Error()) {
		return fmt.Errorf("%w (%w)", ErrFull, err)
	}
	return err
}
