package store

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// disk is every operation that changes files. The tests put a recorder in its place, which knows at each moment what a
// crash may leave. Reading, and the directory's lock, go to the system directly.
type disk interface {
	create(path string) (file, error) // new and empty, or emptied
	open(path string) (file, error)
	openSynced(path string) (file, error) // what is written to it is on disk when WriteAt returns: its Sync has nothing to do
	rename(from, to string) error
	remove(path string) error
	syncDir(dir string) error
	// transact runs a function in which bbolt writes to the file path. synced says that it syncs what it wrote.
	transact(path string, synced bool, write func() error) error
}

// file is an open file of a disk. Sync is fdatasync: content, and of the metadata what is needed to read it back.
type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// realDisk is the machine's.
type realDisk struct{}

type realFile struct{ *os.File }

func (realDisk) create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return realFile{f}, nil
}

func (realDisk) open(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return realFile{f}, nil
}

func (realDisk) rename(from, to string) error { return os.Rename(from, to) }
func (realDisk) remove(path string) error     { return os.RemoveAll(path) }

func (realDisk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (realDisk) transact(_ string, _ bool, write func() error) error { return write() }

func (f realFile) Sync() error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
