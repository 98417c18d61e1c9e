package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fullDisk has no room while full is set, in one of the ways in which a disk says so.
type fullDisk struct {
	realDisk
	full atomic.Bool
	way  fullWay
}

type fullWay uint8

const (
	shortWrite fullWay = iota // a write ends in the middle
	lateSync                  // writes are taken, and the sync fails; afterwards there is room to write over what is there
	deadSync                  // the sync fails, and the one after it too
	transactions
	fullWays
)

type fullFile struct {
	file
	disk  *fullDisk
	syncs int
}

func (d *fullDisk) wrap(f file, err error) (file, error) { return &fullFile{file: f, disk: d}, err }
func (d *fullDisk) create(path string) (file, error)     { return d.wrap(d.realDisk.create(path)) }
func (d *fullDisk) open(path string) (file, error)       { return d.wrap(d.realDisk.open(path)) }
func (d *fullDisk) openSynced(path string) (file, error) { return d.wrap(d.realDisk.openSynced(path)) }

func (d *fullDisk) transact(path string, _ bool, write func() error) error {
	if d.full.Load() && d.way == transactions {
		return fmt.Errorf("write: %w", syscall.ENOSPC)
	}
	return write()
}

func (f *fullFile) WriteAt(data []byte, at int64) (int, error) {
	if f.disk.full.Load() && f.disk.way == shortWrite {
		n, err := f.file.WriteAt(data[:len(data)-1], at)
		return n, errors.Join(err, syscall.ENOSPC)
	}
	return f.file.WriteAt(data, at)
}

func (f *fullFile) Sync() error {
	if f.disk.full.Load() && (f.disk.way == deadSync || f.disk.way == lateSync && f.syncs%2 == 0) {
		f.syncs++
		return syscall.ENOSPC
	}
	f.syncs++
	return f.file.Sync()
}

// TestNoRoom commits, runs out of room, and commits again when there is some.
func TestNoRoom(t *testing.T) {
	for way := range fullWays {
		t.Run(fmt.Sprint(way), func(t *testing.T) {
			dir, d := t.TempDir(), &fullDisk{way: way}
			with := setup{d, func() time.Time { return time.Unix(1e9, 0) }, 16 << 10, maxFileBytes, freeFloorBytes}
			s, err := openWith(dir, with)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			commit(t, s, puts(0, 3))
			d.full.Store(true)
			acknowledged, refused := 3, 0
			for range 100 {
				switch err := s.Commit(puts(acknowledged, acknowledged+1)); {
				case err == nil:
					acknowledged++
				case errors.Is(err, ErrFull) || way == deadSync && errors.Is(err, ErrBroken) || way == deadSync && errors.Is(err, errDoubt):
					refused++
				default:
					t.Fatal(err)
				}
			}
			if refused == 0 || way == shortWrite && refused != 100 {
				t.Fatalf("%d refused", refused)
			}
			crashed := t.TempDir()
			readImage(t, dir).write(t, crashed)
			if stored, err := s.Load(); way != deadSync && (err != nil || len(stored.Ops) != acknowledged) {
				t.Fatalf("%d operations while there is no room, acknowledged %d: %v", len(stored.Ops), acknowledged, err)
			}
			// A crash then found what was acknowledged, and no more.
			if stored := load(t, openSmall(t, crashed)); len(stored.Ops) < acknowledged || len(stored.Ops) > acknowledged && way != deadSync || stored.Damage != nil {
				t.Fatalf("%d operations after a crash, acknowledged %d, damage %+v", len(stored.Ops), acknowledged, stored.Damage)
			}
			d.full.Store(false)
			if way == deadSync {
				s.Close()
				return // in doubt until the program starts again
			}
			commit(t, s, puts(acknowledged, acknowledged+50))
			s.Close()
			if stored := load(t, openSmall(t, dir)); len(stored.Ops) != acknowledged+50 || stored.Damage != nil {
				t.Errorf("%d operations in the end, want %d, damage %+v", len(stored.Ops), acknowledged+50, stored.Damage)
			}
		})
	}
}

// tmpfsVariable makes the test binary a child in a mount namespace of its own.
const tmpfsVariable = "SHOAL_STORE_TMPFS"

// TestFullFileSystem fills a real file system, of 12 MiB, mounted in a namespace that ends with the child.
func TestFullFileSystem(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), tmpfsVariable+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// fillFileSystem is the child. It returns what went wrong.
func fillFileSystem(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=12m"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	acknowledged, err := commitUntilFull(s, 0)
	if err != nil {
		return err
	}
	// It stays full across a restart: the store opens, reads and refuses.
	filler := filepath.Join(dir, "filler")
	fill(filler)
	abandon(s)
	if s, err = Open(dir); err != nil {
		return fmt.Errorf("open on a full disk: %w", err)
	}
	if err := holds(s, acknowledged); err != nil {
		return fmt.Errorf("on a full disk: %w", err)
	}
	if acknowledged, err = commitUntilFull(s, acknowledged); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		return fmt.Errorf("remount: %w", err)
	}
	for range 50 {
		if err := s.Commit(puts(acknowledged, acknowledged+20)); err != nil {
			return fmt.Errorf("commit with room again: %w", err)
		}
		acknowledged += 20
	}
	if err := errors.Join(holds(s, acknowledged), s.Close()); err != nil {
		return err
	}
	if s, err = Open(dir); err != nil {
		return err
	}
	return errors.Join(holds(s, acknowledged), s.Close())
}

func commitUntilFull(s *Store, from int) (int, error) {
	for {
		err := s.Commit(puts(from, from+20))
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			return from, fmt.Errorf("commit while the disk fills: %w", err)
		}
		from += 20
	}
	for range 20 {
		if err := s.Commit(puts(from, from+20)); !errors.Is(err, ErrFull) {
			return from, fmt.Errorf("commit on a full disk: %v", err)
		}
	}
	return from, nil
}

// fill takes all room that is left.
func fill(path string) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
}

func holds(s *Store, want int) error {
	stored, err := s.Load()
	if err == nil && (len(stored.Ops) != want || stored.Damage != nil) {
		err = fmt.Errorf("%d operations instead of %d, damage %+v", len(stored.Ops), want, stored.Damage)
	}
	return err
}
