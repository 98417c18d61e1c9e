package store

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// recorder is a disk that passes everything on to the real one and writes down, in order, what changes files.
type recorder struct {
	mu       sync.Mutex
	steps    []step
	skipSync bool // a planted fault: fdatasync of files does nothing
}

// step is one operation on a disk, or a mark of the test.
type step struct {
	kind stepKind
	name string // of the file, or of the source of a rename
	to   string
	at   int64
	data []byte
	mark int
}

type stepKind uint8

const (
	stepCreate stepKind = iota
	stepWrite
	stepTruncate
	stepSync
	stepRename
	stepRemove
	stepSyncDir
	stepMark
)

func (r *recorder) note(s step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.name, s.to = filepath.Base(s.name), filepath.Base(s.to)
	s.data = slices.Clone(s.data)
	r.steps = append(r.steps, s)
}

type recordedFile struct {
	file
	r    *recorder
	name string
}

func (r *recorder) create(path string) (file, error) {
	f, err := realDisk{}.create(path)
	r.note(step{kind: stepCreate, name: path})
	return &recordedFile{f, r, path}, err
}

func (r *recorder) open(path string) (file, error) {
	f, err := realDisk{}.open(path)
	return &recordedFile{f, r, path}, err
}

// openSynced gives a file that is not: each write and each sync is a step of its own, so that a crash can fall between them.
func (r *recorder) openSynced(path string) (file, error) { return r.open(path) }

func (r *recorder) rename(from, to string) error {
	r.note(step{kind: stepRename, name: from, to: to})
	return realDisk{}.rename(from, to)
}

func (r *recorder) remove(path string) error {
	if _, err := os.Stat(path); err == nil {
		r.note(step{kind: stepRemove, name: path})
	}
	return realDisk{}.remove(path)
}

func (r *recorder) syncDir(string) error {
	r.note(step{kind: stepSyncDir})
	return nil
}

func (f *recordedFile) WriteAt(data []byte, at int64) (int, error) {
	f.r.note(step{kind: stepWrite, name: f.name, at: at, data: data})
	return f.file.WriteAt(data, at)
}

func (f *recordedFile) Truncate(size int64) error {
	f.r.note(step{kind: stepTruncate, name: f.name, at: size})
	return f.file.Truncate(size)
}

func (f *recordedFile) Sync() error {
	if !f.r.skipSync {
		f.r.note(step{kind: stepSync, name: f.name})
	}
	return nil
}

// transact finds out what bbolt wrote by comparing the file, and puts that into the order in which bbolt writes: length, sync;
// pages, sync; header, sync. A file that is only being built it does not sync.
func (r *recorder) transact(path string, synced bool, write func() error) error {
	before, existed := readOrNil(path)
	err := write()
	after, exists := readOrNil(path)
	if !exists || bytes.Equal(before, after) {
		return err
	}
	if !existed {
		r.note(step{kind: stepCreate, name: path})
	}
	if len(before) != len(after) {
		r.note(step{kind: stepTruncate, name: path, at: int64(len(after))})
		if synced {
			r.note(step{kind: stepSync, name: path})
		}
	}
	before = append(before, make([]byte, max(0, len(after)-len(before)))...)
	for _, headers := range []bool{false, true} {
		for at := 0; at+4096 <= len(after); at += 4096 {
			if (at < 8192) == headers && !bytes.Equal(before[at:at+4096], after[at:at+4096]) {
				r.note(step{kind: stepWrite, name: path, at: int64(at), data: after[at : at+4096]})
			}
		}
		if synced {
			r.note(step{kind: stepSync, name: path})
		}
	}
	return err
}

func readOrNil(path string) ([]byte, bool) {
	data, err := os.ReadFile(path)
	return data, err == nil
}

// content is one file: what is certainly on disk, and what has been asked for since.
type content struct {
	durable []byte
	pending []step
}

// platter is a disk at one moment.
type platter struct {
	files   map[string]*content // by name, as the running system sees it
	durable map[string]*content // by name, as the directory certainly is
	pending []map[string]*content
}

func newPlatter(start image) *platter {
	p := &platter{files: map[string]*content{}}
	for name, data := range start {
		p.files[name] = &content{durable: data}
	}
	p.durable = maps.Clone(p.files)
	return p
}

// do carries out one step.
func (p *platter) do(s step) {
	switch s.kind {
	case stepCreate:
		p.files[s.name] = &content{}
	case stepRename:
		p.files[s.to] = p.files[s.name]
		delete(p.files, s.name)
	case stepRemove:
		delete(p.files, s.name)
	case stepSyncDir:
		p.durable, p.pending = maps.Clone(p.files), nil
		return
	case stepWrite, stepTruncate:
		p.files[s.name].pending = append(p.files[s.name].pending, s)
		return
	case stepSync:
		f := p.files[s.name]
		for _, done := range f.pending {
			f.durable = done.apply(f.durable)
		}
		f.pending = nil
		return
	default:
		return
	}
	p.pending = append(p.pending, maps.Clone(p.files))
}

// apply returns the content after a write or truncation.
func (s step) apply(data []byte) []byte {
	end := s.at + int64(len(s.data))
	if int64(len(data)) < end {
		data = append(slices.Clone(data), make([]byte, end-int64(len(data)))...)
	} else {
		data = slices.Clone(data)
	}
	if s.kind == stepTruncate {
		return data[:s.at]
	}
	copy(data[s.at:], s.data)
	return data
}

// crashMode says what becomes of what was not synced.
type crashMode uint8

const (
	lost    crashMode = iota
	kept              // all of it
	torn              // in order up to somewhere, the last write cut at any byte
	sectors           // of each write each sector or not
	zeroed            // of each write each sector, or not, or zeros
	crashModes
)

func (m crashMode) String() string {
	return []string{"lost", "kept", "torn", "sectors", "zeroed"}[m]
}

// crash returns what a machine finds when it starts again.
func (p *platter) crash(mode crashMode, random *rand.Rand) image {
	names := p.durable
	if done := random.IntN(len(p.pending) + 1); done > 0 && mode != lost {
		names = p.pending[done-1]
	}
	if mode == kept {
		names = p.files
	}
	found := image{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		found[name] = names[name].crash(mode, random)
	}
	return found
}

func (c *content) crash(mode crashMode, random *rand.Rand) []byte {
	data := slices.Clone(c.durable)
	pending := c.pending
	if mode == lost {
		return data
	}
	if mode == torn {
		pending = pending[:random.IntN(len(pending)+1)]
	}
	for i, s := range pending {
		switch {
		case mode == torn && i == len(pending)-1 && s.kind == stepWrite:
			s.data = s.data[:random.IntN(len(s.data)+1)]
			data = s.apply(data)
		case s.kind == stepTruncate && mode >= sectors && random.IntN(2) == 0:
		case s.kind == stepWrite && mode >= sectors:
			data = s.scatter(data, mode, random)
		default:
			data = s.apply(data)
		}
	}
	return data
}

// scatter applies some sectors of a write.
func (s step) scatter(data []byte, mode crashMode, random *rand.Rand) []byte {
	for at := 0; at < len(s.data); at += sectorBytes {
		part := s.data[at:min(len(s.data), at+sectorBytes)]
		switch choice := random.IntN(3); {
		case choice == 0:
			continue
		case choice == 1 && mode == zeroed:
			part = make([]byte, len(part))
		}
		data = step{kind: stepWrite, at: s.at + int64(at), data: part}.apply(data)
	}
	return data
}
