package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"

	"golang.org/x/sys/unix"
)

// ownNamespace is the network namespace of the calling thread.
const ownNamespace = "/proc/thread-self/ns/net"

// nsfsMagic is what statfs says of a file that a namespace is mounted on.
const nsfsMagic = 0x6e736673

// CreateNamespace makes a network namespace and keeps it alive by mounting it on the file at path, which is made
// where it does not exist. A namespace that is mounted there already is kept.
func CreateNamespace(path string) error {
	if HasNamespace(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY|unix.O_CLOEXEC, 0o444)
	if err != nil {
		return err
	}
	file.Close()
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if err := unix.Mount(ownNamespace, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount a network namespace on %s: %w", path, err)
		}
		return nil
	})
}

// DeleteNamespace undoes CreateNamespace. The namespace itself lives on while a process is in it. A path
// where nothing is, is no error.
func DeleteNamespace(path string) error {
	for HasNamespace(path) {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount the network namespace %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// HasNamespace says whether a namespace is mounted on the file at path.
func HasNamespace(path string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(path, &stat) == nil && int64(stat.Type) == nsfsMagic
}

// InNamespace runs f on a thread of its own inside the network namespace at path: one made by
// CreateNamespace, or /proc/PID/ns/net. Processes that f starts are in it too. f must not start goroutines that need it.
func InNamespace(path string, f func() error) error {
	namespace, err := openNamespace(path)
	if err != nil {
		return err
	}
	defer unix.Close(namespace)
	return onThread(func() error {
		if err := unix.Setns(namespace, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace %s: %w", path, err)
		}
		return f()
	})
}

func openNamespace(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open network namespace", Path: path, Err: err}
	}
	return fd, nil
}

// onThread runs f on a locked thread, which then returns to the namespace from which it came. Where that
// fails the thread ends with its goroutine, so that no other goroutine ever runs in a foreign namespace.
func onThread(f func() error) error {
	done := make(chan error, 1)
	origin, err := openNamespace(ownNamespace)
	if err != nil {
		return err
	}
	go func() {
		defer unix.Close(origin)
		goruntime.LockOSThread()
		before, err := openNamespace(ownNamespace)
		if err != nil {
			done <- err
			return
		}
		defer unix.Close(before)
		if err = unix.Setns(origin, unix.CLONE_NEWNET); err == nil {
			err = f()
		}
		if unix.Setns(before, unix.CLONE_NEWNET) == nil {
			goruntime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
