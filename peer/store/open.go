package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// setup is what the tests replace.
type setup struct {
	disk         disk
	now          func() time.Time
	segmentBytes int64
	maxFileBytes int
	freeBytes    int64 // free space below which no compaction pays
}

// Open locks the data directory, makes it and the store where they do not exist, and checks every page and record. A store
// that is damaged is set aside, and a fresh one is made of what can be read of it; Load then says what was lost. Errors:
// *InUseError, *VersionError, ErrFull where there is no room to save a damaged store, or that of a system call.
func Open(dir string) (*Store, error) {
	return openWith(dir, setup{disk: realDisk{}, now: time.Now, segmentBytes: defaultSegment, maxFileBytes: maxFileBytes, freeBytes: freeFloorBytes})
}

func openWith(dir string, with setup) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{setup: with, dir: dir, path: filepath.Join(dir, FileName), lock: lock}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	s.start()
	return s, nil
}

// lockDir holds the directory until the file that it returns is closed or the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	lock, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return lock, nil
	}
	lock.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, &InUseError{Dir: dir}
	}
	return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
}

// open finds or makes a sound store, and takes up its journal.
func (s *Store) open() error {
	c, err := s.find()
	if err != nil {
		return err
	}
	id, _ := c.id()
	applied, _ := c.applied()
	journal, reads, err := recoverJournal(s.dir, id, applied, true)
	if err != nil {
		return err
	}
	err = s.guard("open", func() (err error) {
		s.db, err = s.openBolt(s.path)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.resume(id, &journal, &reads); err != nil {
		return err
	}
	s.boot, _ = decodeUint64(c.meta[bootKey])
	for _, f := range journal.frames {
		for _, change := range f.changes {
			if change.bucket == metaBucket && string(change.key) == bootKey {
				s.boot, _ = decodeUint64(change.content)
			}
		}
	}
	if err := s.checkpointAll(); err != nil && !errors.Is(err, ErrFull) {
		return err
	}
	return nil
}

// find returns what was found of a store that is sound, version and journal included, after making it so where it was not.
func (s *Store) find() (*checked, error) {
	const rounds = 3 // one to make or mend it, one to see it sound
	for range rounds {
		c, sound, err := s.look()
		if err != nil || sound {
			return c, err
		}
	}
	return nil, &DamageError{Path: s.path, Faults: []string{"what was just written reads differently; the disk or the memory is faulty"}}
}

// look examines the files, and does the one next thing that they need to be a sound store.
func (s *Store) look() (c *checked, sound bool, err error) {
	if err := s.disk.remove(s.path + compactSuffix); err != nil {
		return nil, false, err
	}
	if _, err := os.Stat(s.path); errors.Is(err, os.ErrNotExist) {
		return nil, false, s.begin()
	} else if err != nil {
		return nil, false, fmt.Errorf("open store: %w", err)
	}
	if c, err = check(s.path); err != nil {
		return nil, false, err
	}
	switch {
	case !c.sound():
		return c, false, s.salvage(c)
	case c.version < 2:
		held, err := s.journalHolds()
		switch {
		case err != nil:
			return nil, false, err
		case held:
			return c, false, s.salvage(c)
		}
		return c, false, s.upgrade()
	}
	id, _ := c.id()
	applied, _ := c.applied()
	journal, _, err := recoverJournal(s.dir, id, applied, true)
	if err != nil {
		return nil, false, err
	}
	if len(journal.faults) > 0 {
		return c, false, s.salvage(c)
	}
	return c, true, nil
}

// begin makes a store where there is no file of one: it completes what a crash interrupted, saves what a journal without
// a store holds, or starts from nothing.
func (s *Store) begin() error {
	if c, err := check(s.path + ".new"); err == nil && c.sound() && c.version == version {
		id, _ := c.id()
		stamp, err := s.asideStamp()
		if err != nil {
			return err
		}
		return s.install(id, stamp)
	}
	if held, err := s.journalHolds(); err != nil {
		return err
	} else if held {
		return s.salvage(nil)
	}
	id := s.newID()
	if err := s.build(s.path+".new", func(b *builder) error { return b.describe(id, 0) }); err != nil {
		return fmt.Errorf("create store %s: %w", s.path, err)
	}
	return s.install(id, "")
}

// journalHolds says whether there is a journal, of whatever store, with anything in it.
func (s *Store) journalHolds() (bool, error) {
	for i := range 2 {
		read, err := readSegment(segmentPath(s.dir, i))
		if err != nil {
			return false, err
		}
		if read.newer > 0 {
			return false, &VersionError{Path: segmentPath(s.dir, i), Found: uint64(read.newer)}
		}
		if len(scanFrames(read.id, i, read.data).frames) > 0 {
			return true, nil
		}
	}
	return false, nil
}

func (s *Store) newID() (id storeID) {
	rand.Read(id[:])
	return id
}

// install moves a store that was made beside its place to it, with an empty journal of its own. What is in its place is set
// aside under its name and stamp. After a crash in between, begin calls it again.
func (s *Store) install(id storeID, stamp string) error {
	if _, err := os.Stat(s.path); err == nil {
		if err := s.disk.rename(s.path, s.path+stamp); err != nil {
			return err
		}
	}
	for i := range 2 {
		if err := s.installSegment(i, id, stamp); err != nil {
			return err
		}
	}
	if err := s.disk.syncDir(s.dir); err != nil {
		return err
	}
	if err := s.disk.rename(s.path+".new", s.path); err != nil {
		return err
	}
	return s.disk.syncDir(s.dir)
}

func (s *Store) installSegment(i int, id storeID, stamp string) error {
	path := segmentPath(s.dir, i)
	read, err := readSegment(path)
	if err != nil {
		return err
	}
	switch {
	case !read.missing && read.fault == "" && read.id == id:
		return nil
	case !read.missing && stamp != "":
		if err := s.disk.rename(path, path+stamp); err != nil {
			return err
		}
	}
	if err := createSegment(s.disk, path, id, s.segmentBytes); err != nil {
		return fmt.Errorf("create journal %s: %w", path, asFull(err))
	}
	return nil
}

// upgrade writes a store of version 1 anew in this version. It had no journal; if there is one it is another store's.
func (s *Store) upgrade() error {
	id := s.newID()
	for i := range 2 {
		if err := createSegment(s.disk, segmentPath(s.dir, i), id, s.segmentBytes); err != nil {
			return fmt.Errorf("create journal: %w", asFull(err))
		}
	}
	if err := s.disk.syncDir(s.dir); err != nil {
		return err
	}
	old := s.path
	err := s.build(s.path+compactSuffix, func(b *builder) error {
		boot := uint64(0)
		var failed error
		err := verify(old, &DamageError{}, func(bucket string, key, value []byte) {
			content, err := unseal(bucket, key, value)
			switch {
			case err != nil || failed != nil:
				failed = errors.Join(failed, err)
				return
			case bucket == metaBucket:
				if string(key) == bootKey {
					boot, _ = decodeUint64(content)
				}
				return
			case bucket == opsBucket:
				key, value = placeOp(key, content)
			}
			failed = b.put(bucket, key, value)
		})
		return errors.Join(err, failed, b.describe(id, boot))
	})
	if err != nil {
		return fmt.Errorf("upgrade store %s: %w", s.path, err)
	}
	if err := s.disk.rename(s.path+compactSuffix, s.path); err != nil {
		return err
	}
	return s.disk.syncDir(s.dir)
}
