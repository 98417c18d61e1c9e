//go:build linux && cgo

package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"shoal/runtime"
)

const (
	measureEach  = 10 * time.Second // as the kubelet does
	measureShare = 50               // an instance that takes long to measure is measured so much more seldom
	oursBytes    = 64 << 10         // at most this much of a writable layer is what we put there: /etc and its directories

	// storageExceeded is the Reason of who ends because of it.
	storageExceeded = "StorageExceeded"
)

// measure ends instances that wrote more than they may. It looks once at all with limits whose turn it is.
func (r *Runtime) measure(now time.Time) {
	for _, w := range r.writers(now) {
		began := time.Now()
		over := r.excess(w)
		r.mu.Lock()
		w.in.measureAt = now.Add(measureShare * time.Since(began))
		r.mu.Unlock()
		if over != "" {
			r.evict(w.in, over)
		}
	}
}

// writer is an instance of which something runs and that may not write as much as it likes.
type writer struct {
	in   *instance
	spec runtime.Spec
	logs []string // of each container: the output of its generation
	most int64    // the sum of its containers' limits; 0 where none has one
}

func (r *Runtime) writers(now time.Time) (all []writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.instances {
		w := writer{in: in, spec: in.Spec}
		running, limited := false, false
		for _, spec := range in.Spec.Containers {
			status := in.containers[spec.Name].Status
			running = running || status.Phase == runtime.Running
			w.logs = append(w.logs, r.logPath(in.Spec.Instance, spec.Name, status.Generation))
			w.most += spec.Limits.StorageBytes
			for _, m := range spec.Mounts {
				limited = limited || m.VolumeBytes > 0
			}
		}
		if running && (limited || w.most > 0) && !now.Before(in.measureAt) {
			all = append(all, w)
		}
	}
	return all
}

// excess says, for people, which limit an instance is over; empty if none. Once that is known it looks no further.
func (r *Runtime) excess(w writer) string {
	left := w.most + oursBytes*int64(len(w.spec.Containers))
	if w.most > 0 {
		for i, c := range w.spec.Containers {
			used, over := r.containerUse(w, i, left)
			if over {
				return fmt.Sprintf("container %s wrote more than its limit of ephemeral-storage, %s", c.Name, bytesText(c.Limits.StorageBytes))
			}
			left -= used
		}
	}
	for _, m := range w.volumes() {
		bound := left
		if m.VolumeBytes > 0 && (w.most == 0 || m.VolumeBytes < left) {
			bound = m.VolumeBytes
		}
		used := diskUse(filepath.Join(r.instanceDir(w.spec.Instance), "volumes", m.Volume), bound)
		if m.VolumeBytes > 0 && used > m.VolumeBytes {
			return fmt.Sprintf("volume %s holds more than its sizeLimit, %s", m.Volume, bytesText(m.VolumeBytes))
		}
		left -= used
	}
	if w.most > 0 && left < 0 {
		return fmt.Sprintf("its containers and volumes together hold more than the limits of ephemeral-storage allow, %s", bytesText(w.most))
	}
	return ""
}

// containerUse is what the i-th container occupies, and whether that is more than it may. It looks no further than left.
func (r *Runtime) containerUse(w writer, i int, left int64) (used int64, over bool) {
	c := w.spec.Containers[i]
	most, bound := c.Limits.StorageBytes, left
	if most > 0 {
		bound = min(bound, most+oursBytes)
	}
	used = diskUse(filepath.Join(r.containerDir(w.spec.Instance, c.Name), "layer", "upper"), bound)
	used += diskUse(w.logs[i], bound-used)
	return used, most > 0 && used > most+oursBytes
}

// volumes are those to be measured, each once.
func (w *writer) volumes() (all []runtime.Mount) {
	seen := map[string]bool{}
	for _, c := range w.spec.Containers {
		for _, m := range c.Mounts {
			if !seen[m.Volume] && (m.VolumeBytes > 0 || w.most > 0) {
				all = append(all, m)
			}
			seen[m.Volume] = true
		}
	}
	return all
}

// evict kills all that runs of an instance. What it wrote to its volumes goes once nothing runs, see lastEnded; writable layers are
// fresh at each start anyway. While a call is making something of the instance it is left for the next time.
func (r *Runtime) evict(in *instance, over string) {
	r.mu.Lock()
	var running []state
	if in.busy == 0 {
		for _, c := range in.containers {
			if c.Status.Phase == runtime.Running {
				running = append(running, c.state)
			}
		}
	}
	if len(running) > 0 {
		in.over = over
	}
	r.mu.Unlock()
	for _, c := range running { // what cannot be killed now is tried again when it is measured next
		_ = signalProcess(c.Status.PID, c.StartTime, unix.SIGKILL)
	}
}

// overEnded marks the end of a container whose instance is over its limits.
func (in *instance) overEnded(status *runtime.Status) {
	if in.over != "" && status.ExitCode == 128+int(unix.SIGKILL) {
		status.Reason, status.Detail = storageExceeded, in.over
	}
}

// lastEnded empties the volumes of an instance that is over its limits, when nothing of it runs any more. It says whether the exits may be
// told: who hears of them may start the containers at once. The lock is held.
func (r *Runtime) lastEnded(in *instance) bool {
	if in.over == "" {
		return true
	}
	for _, c := range in.containers {
		if c.Status.Phase == runtime.Running {
			return false
		}
	}
	// If it cannot be, the next measure finds it again.
	_ = r.discard(filepath.Join(r.instanceDir(in.Spec.Instance), "volumes"))
	in.over, in.furnished = "", false
	return true
}

// work notes that a call makes something of an instance, until done. It fails while the instance is brought down.
func (r *Runtime) work(in *instance) (done func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.over != "" {
		return nil, because(runtime.Failed, "it is being stopped: %s", in.over)
	}
	in.busy++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		in.busy--
	}, nil
}

const (
	deepest  = 200     // directories in one another: each takes a descriptor while it is read
	leastUse = 512     // of an empty file, too: what describes it is on disk, and measuring must come to an end
	mostTwin = 1 << 16 // files of several names that are told apart; more of them count as often as they are found
)

// diskUse measures what a file or directory occupies on disk, without following links and in bounded memory. It stops when that is more
// than most. Directories too deep to be read count as more than anybody may have, or a limit could be evaded in them.
func diskUse(path string, most int64) int64 {
	m := &meter{left: most, twins: map[uint64]bool{}}
	m.entry(unix.AT_FDCWD, path, 0)
	return most - m.left
}

// meter is one measurement.
type meter struct {
	left  int64
	twins map[uint64]bool // files of several names, by inode
}

func (m *meter) entry(dir int, name string, depth int) {
	var stat unix.Stat_t
	if err := unix.Fstatat(dir, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return // it went away meanwhile
	}
	isDir := stat.Mode&unix.S_IFMT == unix.S_IFDIR
	if stat.Nlink > 1 && !isDir {
		if m.twins[stat.Ino] {
			return
		}
		if len(m.twins) < mostTwin {
			m.twins[stat.Ino] = true
		}
	}
	m.left -= max(stat.Blocks*512, leastUse)
	if isDir && m.left >= 0 {
		m.directory(dir, name, depth+1)
	}
}

func (m *meter) directory(dir int, name string, depth int) {
	if depth > deepest {
		m.left = -1
		return
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOATIME, 0)
	if err != nil {
		return
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	for m.left >= 0 {
		names, err := file.Readdirnames(256)
		for _, name := range names {
			if m.entry(fd, name, depth); m.left < 0 {
				return
			}
		}
		if err != nil { // the end, or it cannot be read
			return
		}
	}
}

// bytesText is a number of bytes as manifests write them.
func bytesText(n int64) string {
	units := []string{"", "Ki", "Mi", "Gi", "Ti"}
	i := 0
	for n >= 1024 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return fmt.Sprintf("%d%s", n, units[i])
}
