package store

import (
	"errors"
	"os"
	"reflect"
	"syscall"

	"golang.org/x/sys/unix"
)

// directFile is a file whose writes are on disk when they return (O_DSYNC), and go there past the page cache (O_DIRECT)
// where the file system can do that: a frame then costs one call, which waits for two answers of the disk and for nothing else. Offsets
// and lengths must be multiples of a sector. One call at a time.
type directFile struct {
	*os.File
	space []byte // where what is written or read lies as the disk wants it
}

// directAlign suits every disk.
const directAlign = 4096

func (realDisk) openSynced(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_DSYNC|syscall.O_DIRECT, 0o600)
	if errors.Is(err, syscall.EINVAL) {
		f, err = os.OpenFile(path, os.O_RDWR|syscall.O_DSYNC, 0o600)
	}
	if err != nil {
		return nil, err
	}
	return &directFile{File: f}, nil
}

func (f *directFile) WriteAt(data []byte, at int64) (int, error) {
	space := f.aligned(len(data))
	copy(space, data)
	return f.indirect(func() (int, error) { return f.File.WriteAt(space, at) })
}

func (f *directFile) ReadAt(data []byte, at int64) (int, error) {
	space := f.aligned(len(data))
	n, err := f.indirect(func() (int, error) { return f.File.ReadAt(space, at) })
	copy(data, space[:n])
	return n, err
}

// Sync has nothing to do.
func (f *directFile) Sync() error { return nil }

// indirect does something again through the page cache if the disk refuses it otherwise, as one with large sectors does. It refuses
// before it does any of it.
func (f *directFile) indirect(do func() (int, error)) (int, error) {
	n, err := do()
	if !errors.Is(err, syscall.EINVAL) {
		return n, err
	}
	flags, failed := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if failed != nil || flags&unix.O_DIRECT == 0 {
		return n, err
	}
	if _, failed := unix.FcntlInt(f.Fd(), unix.F_SETFL, flags&^unix.O_DIRECT); failed != nil {
		return n, err
	}
	return do()
}

// aligned is space for so many bytes, used again by the next call.
func (f *directFile) aligned(bytes int) []byte {
	if len(f.space) < bytes {
		space := make([]byte, bytes+directAlign)
		skip := -int(reflect.ValueOf(space).Pointer()) & (directAlign - 1)
		f.space = space[skip : skip+bytes]
	}
	return f.space[:bytes]
}
