package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"shoal/peer"
)

// FileName is the store's file within the data directory.
const FileName = "store.db"

// Store is a peer.Store in one data directory. Its methods may be called from any goroutine.
type Store struct {
	setup
	dir, path string
	lock      *os.File

	queueMu sync.Mutex
	queue   []*waiter // commits that wait for the next frame

	writeMu sync.Mutex // held while a frame is written; guards journal and boot
	journal journal
	boot    uint64

	stateMu  sync.Mutex
	applying []frame // in the segment that is not active: written, not yet in bbolt
	active   []frame // in the active segment
	highest  uint64  // sequence of anything found in the journal at the start
	broken   error   // what left the disk in doubt
	closed   bool

	checkpointMu sync.Mutex // one checkpoint or compaction at a time
	owed         compaction

	boltMu   sync.Mutex // held by guard
	db       *bbolt.DB
	poisoned error // a panic of bbolt

	kick    chan struct{}
	stopped chan struct{}
	done    sync.WaitGroup
}

var _ peer.Store = (*Store)(nil)

// waiter is a Commit that waits for its frame. All but its changes is guarded by writeMu.
type waiter struct {
	changes []change
	content []byte
	done    bool
	err     error
}

// groupBytes bounds what goes into one frame together.
const groupBytes = 1 << 20

// Commit writes the batch and returns when it is on disk. Dropping what is not there, and putting
// what is there already, is no error. Commits that come while another one is being written share the next write. See the
// package doc for what an error means.
func (s *Store) Commit(batch peer.Batch) error {
	changes, err := changesOf(batch)
	if err != nil {
		return fmt.Errorf("commit to store %s: %w", s.path, err)
	}
	return s.commit(changes)
}

func (s *Store) commit(changes []change) error {
	w := &waiter{changes: changes, content: appendChanges(nil, changes)}
	s.queueMu.Lock()
	s.queue = append(s.queue, w)
	s.queueMu.Unlock()
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	for !w.done {
		group := s.takeGroup()
		err := s.write(group)
		for _, w := range group {
			w.done, w.err = true, err
		}
	}
	return w.err
}

// takeGroup takes the first commits of the queue: one, and what fits beside it.
func (s *Store) takeGroup() []*waiter {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	n, bytes := 0, 0
	for n < len(s.queue) && (n == 0 || bytes+len(s.queue[n].content) <= groupBytes) {
		bytes += len(s.queue[n].content)
		n++
	}
	group := slices.Clone(s.queue[:n])
	s.queue = slices.Delete(s.queue, 0, n)
	return group
}

// write makes one frame of the group durable.
func (s *Store) write(group []*waiter) error {
	if err := s.usable("commit"); err != nil {
		return err
	}
	content := []byte{frameForm}
	var changes []change
	for _, w := range group {
		content = append(content, w.content...)
		changes = append(changes, w.changes...)
	}
	if len(changes) == 0 {
		return nil
	}
	f := frame{s.journal.next, changes}
	ever, now := s.journal.room(len(content))
	if !ever {
		return s.writeThrough(f)
	}
	if !now {
		if err := s.turn(); err != nil {
			return err
		}
	}
	if err := s.journal.append(content); err != nil {
		if errors.Is(err, errDoubt) {
			s.breakWith(err)
		}
		return fmt.Errorf("commit to store %s: %w", s.path, err)
	}
	s.stateMu.Lock()
	s.active = append(s.active, f)
	s.stateMu.Unlock()
	return nil
}

// usable refuses what comes after Close or after a write that is in doubt.
func (s *Store) usable(what string) error {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("%s to store %s: %w", what, s.path, os.ErrClosed)
	case s.broken != nil:
		return fmt.Errorf("%s to store %s: %w (%w)", what, s.path, ErrBroken, s.broken)
	}
	return nil
}

func (s *Store) breakWith(err error) {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	if s.broken == nil {
		s.broken = err
	}
}

// view runs look in a reading transaction, with what the journal holds beyond it.
func (s *Store) view(what string, look func(tx *bbolt.Tx, pending []frame, applied uint64) error) error {
	s.stateMu.Lock()
	closed, pending := s.closed, slices.Concat(s.applying, s.active)
	s.stateMu.Unlock()
	if closed {
		return fmt.Errorf("%s from store %s: %w", what, s.path, os.ErrClosed)
	}
	return s.guard(what, func() error {
		if s.db == nil {
			return os.ErrClosed
		}
		return s.db.View(func(tx *bbolt.Tx) error {
			applied, err := getMeta(tx, appliedKey, decodeUint64)
			if err != nil {
				return err
			}
			return look(tx, pending, applied)
		})
	})
}

// Close applies the journal, and releases the files and the data directory. It may be called more than once.
func (s *Store) Close() error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	s.stateMu.Lock()
	closed, broken := s.closed, s.broken
	s.stateMu.Unlock()
	if closed {
		return nil
	}
	close(s.stopped)
	s.done.Wait()
	var err error
	if broken == nil {
		err = s.tidy()
	}
	s.stateMu.Lock()
	s.closed = true
	s.stateMu.Unlock()
	return errors.Join(err, s.release())
}

// release closes what is open.
func (s *Store) release() error {
	err := s.guard("close", func() error {
		if s.db == nil {
			return nil
		}
		db := s.db
		s.db = nil
		return db.Close()
	})
	return errors.Join(err, s.journal.close(), s.lock.Close())
}
