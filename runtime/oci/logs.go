//go:build linux && cgo

package oci

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shoal/runtime"
)

const (
	logMost  = 16 << 20 // a file that occupies more than this on disk
	logKept  = 8 << 20  // loses all but so much of its end
	logEach  = 5 * time.Second
	pollEach = 50 * time.Millisecond
)

func (r *Runtime) logDir(id runtime.InstanceID, name string) string {
	return filepath.Join(r.config.Dir, "logs", string(id), name)
}

func (r *Runtime) logPath(id runtime.InstanceID, name string, generation uint64) string {
	return filepath.Join(r.logDir(id, name), strconv.FormatUint(generation, 10)+".log")
}

// openLog makes the file that a new generation writes to, and deletes those of all but the generation before.
func (r *Runtime) openLog(c *container, generation uint64) (*os.File, error) {
	id, name := c.Status.Instance, c.Status.Container
	if err := os.MkdirAll(r.logDir(id, name), 0o711); err != nil {
		return nil, err
	}
	kept := r.logged(id, name)
	for i := 0; i < len(kept)-1; i++ {
		if err := os.Remove(r.logPath(id, name, kept[i])); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return os.OpenFile(r.logPath(id, name, generation), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// logged returns the generations of which there is output, rising.
func (r *Runtime) logged(id runtime.InstanceID, name string) []uint64 {
	entries, _ := os.ReadDir(r.logDir(id, name))
	var all []uint64
	for _, entry := range entries {
		if number, ok := strings.CutSuffix(entry.Name(), ".log"); ok {
			if generation, err := strconv.ParseUint(number, 10, 64); err == nil {
				all = append(all, generation)
			}
		}
	}
	slices.Sort(all)
	return all
}

// shortenAll shortens the output of what runs where it has grown too long.
func (r *Runtime) shortenAll() {
	r.mu.Lock()
	var running []string
	for _, in := range r.instances {
		for _, c := range in.containers {
			if c.Status.Phase == runtime.Running {
				running = append(running, r.logPath(c.Status.Instance, c.Status.Container, c.Status.Generation))
			}
		}
	}
	r.mu.Unlock()
	for _, path := range running {
		_ = shorten(path, logMost, logKept)
	}
}

// shorten frees the head of a file that occupies more than most bytes and leaves about kept at its end. Positions do
// not change, so who writes or reads it goes on where it was.
func shorten(path string, most, kept int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil || stat.Blocks*512 <= most {
		return err
	}
	const page = 64 << 10
	head := (stat.Size - kept) / page * page
	if head <= 0 {
		return nil
	}
	err = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, head)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return file.Truncate(0)
	}
	return err
}

// Logs implements runtime.Runtime. With Follow it goes on over the following generations.
func (r *Runtime) Logs(ctx context.Context, id runtime.InstanceID, name string, options runtime.LogOptions) (io.ReadCloser, error) {
	subject := string(id) + "/" + name
	in, _, err := r.find(id, name)
	if err != nil {
		return nil, wrap("logs", subject, err)
	}
	kept := r.logged(id, name)
	if options.Previous && len(kept) > 0 {
		kept = kept[:len(kept)-1]
	}
	follow := options.Follow && !options.Previous
	reader := &logReader{runtime: r, in: in, id: id, name: name, follow: follow}
	reader.ctx, reader.cancel = context.WithCancel(ctx)
	if len(kept) > 0 {
		reader.generation = kept[len(kept)-1]
		if err := reader.open(options); err != nil {
			reader.Close()
			return nil, wrap("logs", subject, err)
		}
	}
	return reader, nil
}

// logReader reads one generation's file after the other. One goroutine reads; any may Close.
type logReader struct {
	ctx        context.Context
	cancel     context.CancelFunc
	runtime    *Runtime
	in         *instance
	id         runtime.InstanceID
	name       string
	follow     bool
	generation uint64 // of file; 0 before there is any
	file       *os.File
}

// open goes to where options want the first file to be read from.
func (l *logReader) open(options runtime.LogOptions) error {
	file, err := os.Open(l.runtime.logPath(l.id, l.name, l.generation))
	if errors.Is(err, os.ErrNotExist) { // deleted by a start in between
		return nil
	}
	if err != nil {
		return err
	}
	l.file = file
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !options.Since.IsZero() && info.ModTime().Before(options.Since) {
		_, err = file.Seek(0, io.SeekEnd)
		return err
	}
	if options.TailLines < 0 {
		return skipHole(file)
	}
	return seekTail(file, info.Size(), options.TailLines)
}

// skipHole moves a file's position out of the head that was freed, to the next whole line.
func skipHole(file *os.File) error {
	at, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	start, err := dataFrom(file, at)
	if err != nil || start == at {
		return err
	}
	line, err := bufio.NewReader(io.NewSectionReader(file, start, logMost)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, err = file.Seek(start+int64(len(line)), io.SeekStart)
	return err
}

// dataFrom returns the first position from at on that was not freed. The file's own position stays.
func dataFrom(file *os.File, at int64) (int64, error) {
	start, err := unix.Seek(int(file.Fd()), at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.EINVAL): // nothing after at; no holes in this file system
		start = at
	case err != nil:
		return 0, err
	}
	_, err = file.Seek(at, io.SeekStart)
	return start, err
}

// seekTail goes to the beginning of the last lines, reading backwards. A line not yet ended counts.
func seekTail(file *os.File, size int64, lines int) error {
	first, err := dataFrom(file, 0)
	if err != nil {
		return err
	}
	at := size
	if lines > 0 {
		at, err = tailFrom(file, first, size, lines)
	}
	if err != nil {
		return err
	}
	if _, err := file.Seek(at, io.SeekStart); err != nil || at > 0 {
		return err
	}
	return skipHole(file)
}

// tailFrom looks for the last lines between first and size.
func tailFrom(file io.ReaderAt, first, size int64, lines int) (int64, error) {
	const step = 32 << 10
	buffer := make([]byte, step)
	for end := size; end > first; {
		begin := max(first, end-step)
		chunk := buffer[:end-begin]
		if _, err := file.ReadAt(chunk, begin); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := len(chunk) - 1; i >= 0; i-- {
			if chunk[i] != '\n' || begin+int64(i) == size-1 {
				continue
			}
			if lines--; lines == 0 {
				return begin + int64(i) + 1, nil
			}
		}
		end = begin
	}
	return 0, nil
}

// Read implements io.Reader. At the end of a file it waits, when following, for more or for the next generation.
func (l *logReader) Read(p []byte) (int, error) {
	for {
		// Looked at before the read: what was written before the end of a generation is then read before the next.
		next, removed := l.next()
		if l.file != nil {
			if err := skipHole(l.file); err != nil { // the head may have been freed meanwhile
				return 0, err
			}
			n, err := l.file.Read(p)
			if n > 0 || (err != nil && !errors.Is(err, io.EOF)) {
				return n, err
			}
			if err == nil {
				continue
			}
		}
		if !l.follow || removed || l.ctx.Err() != nil {
			return 0, io.EOF
		}
		if next > l.generation {
			l.turn(next)
			continue
		}
		select {
		case <-time.After(pollEach):
		case <-l.in.removed:
		case <-l.ctx.Done():
		}
	}
}

// next returns the newest generation that has begun, and whether the instance is gone.
func (l *logReader) next() (uint64, bool) {
	l.runtime.mu.Lock()
	defer l.runtime.mu.Unlock()
	select {
	case <-l.in.removed:
		return 0, true
	default:
		return l.in.containers[l.name].Status.Generation, false
	}
}

// turn opens the file of a later generation.
func (l *logReader) turn(generation uint64) {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
	l.generation = generation
	if file, err := os.Open(l.runtime.logPath(l.id, l.name, generation)); err == nil {
		l.file = file
	}
}

// Close implements io.Closer. A Read under way ends at its next look.
func (l *logReader) Close() error {
	l.cancel()
	return nil
}
