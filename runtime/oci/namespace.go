//go:build linux && cgo

package oci

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"

	"golang.org/x/sys/unix"

	"shoal/runtime"
)

// kinds are the namespaces that can be kept alive by a bind mount.
var kinds = map[string]int{"net": unix.CLONE_NEWNET, "ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS}

// shareNamespaces makes the ipc and uts namespaces and the shared memory of an instance with several containers. A single container
// just has its own.
func (r *Runtime) shareNamespaces(in *instance) error {
	if len(in.Spec.Containers) == 1 {
		return nil
	}
	id := in.Spec.Instance
	if _, err := r.keepNamespace(id, "ipc", nil); err != nil {
		return err
	}
	_, err := r.keepNamespace(id, "uts", func() error {
		if in.Spec.Hostname == "" {
			return nil
		}
		return unix.Sethostname([]byte(in.Spec.Hostname))
	})
	if err != nil {
		return err
	}
	return keepSharedMemory(r.namespacePath(id, "shm"))
}

// keepSharedMemory mounts what the containers of an instance share as /dev/shm.
func keepSharedMemory(path string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err == nil && fs.Type == unix.TMPFS_MAGIC {
		return nil
	}
	if err := os.Mkdir(path, 0o711); err != nil && !os.IsExist(err) {
		return err
	}
	return unix.Mount("shm", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, shmOptions)
}

func (r *Runtime) namespacePath(id runtime.InstanceID, kind string) string {
	return filepath.Join(r.instanceDir(id), "ns", kind)
}

// keepNamespace makes a namespace and keeps it alive by a bind mount, and returns its path. set runs inside it. One
// that is there already is left as it is.
func (r *Runtime) keepNamespace(id runtime.InstanceID, kind string, set func() error) (string, error) {
	path := r.namespacePath(id, kind)
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err == nil && fs.Type == unix.NSFS_MAGIC {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return "", err
	}
	if err := os.WriteFile(path, nil, 0o400); err != nil {
		return "", err
	}
	failed := make(chan error)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread is in another namespace now and ends with the goroutine
		failed <- func() error {
			if err := unix.Unshare(kinds[kind]); err != nil {
				return fmt.Errorf("making a %s namespace: %w", kind, err)
			}
			if kind == "net" {
				if err := loopbackUp(); err != nil {
					return err
				}
			}
			if set != nil {
				if err := set(); err != nil {
					return err
				}
			}
			// The bind mount is the last step, so that what is there is whole.
			return unix.Mount("/proc/thread-self/ns/"+kind, path, "", unix.MS_BIND, "")
		}()
	}()
	return path, <-failed
}

// loopbackUp switches on lo in the calling thread's network namespace.
func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFFLAGS, request); err != nil {
		return err
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}
