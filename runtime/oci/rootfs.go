//go:build linux && cgo

package oci

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"shoal/runtime"
)

func (r *Runtime) rootDir(id runtime.InstanceID, name string) string {
	return filepath.Join(r.containerDir(id, name), "root")
}

// freshRoot mounts the i-th container's root with an empty writable layer. What was written before goes to the trash.
func (r *Runtime) freshRoot(in *instance, i int) error {
	name := in.Spec.Containers[i].Name
	dir := r.containerDir(in.Spec.Instance, name)
	root := filepath.Join(dir, "root")
	if err := unmount(root); err != nil {
		return err
	}
	if err := r.discard(filepath.Join(dir, "layer")); err != nil {
		return err
	}
	upper, work := filepath.Join(dir, "layer", "upper"), filepath.Join(dir, "layer", "work")
	for _, path := range []string{root, filepath.Join(dir, "layer"), upper, work} {
		if err := os.Mkdir(path, 0o755); err != nil && !os.IsExist(err) {
			return err
		}
	}
	if err := mountOverlay(root, in.Images[i].Layers, upper, work); err != nil {
		return err
	}
	if err := freshDev(filepath.Join(dir, "dev")); err != nil {
		return err
	}
	return r.writeEtc(root, in)
}

// freshDev mounts what will be a container's /dev. Made here and bound into the container it costs its start a single mount.
func freshDev(path string) error {
	if err := unmount(path); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	if err := unix.Mount("dev", path, "tmpfs", unix.MS_NOSUID|unix.MS_STRICTATIME|unix.MS_NOEXEC, "mode=755,size=65536k"); err != nil {
		return fmt.Errorf("mounting a /dev: %w", err)
	}
	for _, name := range []string{"pts", "shm", "mqueue"} {
		if err := os.Mkdir(filepath.Join(path, name), 0o755); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, filepath.Join(path, name)); err != nil {
			return err
		}
	}
	for _, node := range deviceNodes {
		name := filepath.Join(path, node.name)
		if err := unix.Mknod(name, unix.S_IFCHR|0o666, int(unix.Mkdev(node.major, node.minor))); err != nil {
			return fmt.Errorf("making /dev/%s: %w", node.name, err)
		}
		if err := os.Chmod(name, 0o666); err != nil { // whatever our umask is
			return err
		}
	}
	return nil
}

// discard moves a file or directory out of the way and deletes it in the background.
func (r *Runtime) discard(path string) error {
	bin, err := os.MkdirTemp(filepath.Join(r.config.Dir, "trash"), "")
	if err != nil {
		return err
	}
	err = os.Rename(path, filepath.Join(bin, "x"))
	if errors.Is(err, os.ErrNotExist) {
		return os.Remove(bin)
	}
	r.workers.Go(func() { _ = os.RemoveAll(bin) })
	return err
}

// mountOverlay mounts layers, lowest first, with a writable layer on top. The writable layer does not outlive
// the container, so nobody needs the syncs that volatile leaves out.
func mountOverlay(root string, layers []string, upper, work string) error {
	names, release, err := nameDirs(append(slices.Clone(layers), upper, work))
	if err != nil {
		return because(runtime.ImageCorrupt, "a layer cannot be opened: %w", err)
	}
	defer release()
	n := len(layers)
	lower := names[:n]
	slices.Reverse(lower) // the kernel wants the topmost first
	data := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + names[n] + ",workdir=" + names[n+1]
	err = unix.Mount("shoal", root, "overlay", 0, data+",volatile")
	if errors.Is(err, unix.EINVAL) { // volatile needs Linux 5.10
		err = unix.Mount("shoal", root, "overlay", 0, data)
	}
	if errors.Is(err, unix.ENODEV) {
		return because(runtime.NoKernel, "the kernel has no overlay file system: %w", err)
	}
	if err != nil {
		return fmt.Errorf("mounting an overlay of %d layers at %s: %w", n, root, err)
	}
	return nil
}

// nameDirs gives directories names that can stand in mount's options, which have to fit into one page and in which ',', ':' and
// '\' mean something: the paths themselves, or names of open descriptors. The names hold until release.
func nameDirs(paths []string) (names []string, release func(), err error) {
	all := strings.Join(paths, " ")
	if len(all) < 3500 && !strings.ContainsAny(all, ",:\\") {
		return paths, func() {}, nil
	}
	var files []*os.File
	release = func() {
		for _, file := range files {
			file.Close()
		}
	}
	for _, path := range paths {
		file, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			release()
			return nil, nil, err
		}
		files = append(files, file)
		names = append(names, "/proc/self/fd/"+strconv.Itoa(int(file.Fd())))
	}
	return names, release, nil
}

// unmount removes all mounts at path; none, or no such path, is no error.
func unmount(path string) error {
	for {
		switch err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); {
		case err == nil:
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		default:
			return fmt.Errorf("unmounting %s: %w", path, err)
		}
	}
}

// writeEtc writes the files in /etc that tell a container who and where it is. It goes through a handle that symbolic links of
// the image cannot lead out of; one that tries is replaced.
func (r *Runtime) writeEtc(path string, in *instance) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	if info, err := root.Stat("etc"); err != nil || !info.IsDir() {
		if _, err := root.Lstat("etc"); err == nil {
			if err := root.Remove("etc"); err != nil {
				return err
			}
		}
		if err := root.Mkdir("etc", 0o755); err != nil {
			return err
		}
	}
	for name, text := range r.etc(in) {
		name = "etc/" + name
		if info, err := root.Lstat(name); err == nil && !info.Mode().IsRegular() {
			if err := root.RemoveAll(name); err != nil {
				return err
			}
		}
		if err := root.WriteFile(name, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// etc returns the files by name.
func (r *Runtime) etc(in *instance) map[string][]byte {
	var hosts bytes.Buffer
	hosts.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	if in.Address.IsValid() && in.Spec.Hostname != "" {
		fmt.Fprintf(&hosts, "%s\t%s\n", in.Address, in.Spec.Hostname)
	}
	return map[string][]byte{
		"hosts":       hosts.Bytes(),
		"hostname":    []byte(in.Spec.Hostname + "\n"),
		"resolv.conf": resolvConf(r.config.Nameservers),
	}
}

// resolvConf names servers, or those of the machine except what only the machine itself can reach.
func resolvConf(servers []string) []byte {
	var out bytes.Buffer
	for _, server := range servers {
		fmt.Fprintf(&out, "nameserver %s\n", server)
	}
	if len(servers) > 0 {
		return out.Bytes()
	}
	body, _ := os.ReadFile("/etc/resolv.conf")
	for line := range strings.Lines(string(body)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		address, err := netip.ParseAddr(fields[1])
		switch {
		case fields[0] == "nameserver" && err == nil && !address.IsLoopback():
		case fields[0] == "search", fields[0] == "options":
		default:
			continue
		}
		fmt.Fprintln(&out, strings.Join(fields, " "))
	}
	return out.Bytes()
}
