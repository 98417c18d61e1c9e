package store

import (
	"errors"
	"fmt"
)

// journal is where commits become durable. Frames go to the active segment; the other one is being applied to bbolt, or empty.
type journal struct {
	id       storeID
	segments [2]*segment
	active   int
	next     uint64 // sequence of the next frame
	note     file
	buf      []byte
}

// resume opens the segments and stands where the last run stopped.
func (s *Store) resume(id storeID, found *recovered, reads *[2]segmentRead) error {
	j := &s.journal
	j.id = id
	for i := range j.segments {
		f, err := s.disk.openSynced(segmentPath(s.dir, i))
		if err != nil {
			return err
		}
		j.segments[i] = &segment{file: f, bytes: reads[i].bytes, offset: segmentHeaderBytes}
	}
	var err error
	if j.note, err = s.openNote(); err != nil {
		return err
	}
	j.next = found.highest + 1
	if n := len(found.frames); n > 0 {
		last := found.frames[n-1]
		j.active, j.next = last.segment, last.sequence+1
		j.segments[last.segment].offset = int64(last.at + last.bytes)
	}
	for _, f := range found.frames {
		if f.segment == j.active {
			s.active = append(s.active, f.frame)
		} else {
			s.applying = append(s.applying, f.frame)
		}
	}
	s.highest = found.highest
	return nil
}

func (s *Store) openNote() (file, error) {
	f, err := s.disk.open(notePath(s.dir))
	if err != nil {
		f, err = s.disk.create(notePath(s.dir))
	}
	return f, err
}

// room says whether a frame of so much content fits into an empty segment, and into what is left of the active one.
func (j *journal) room(contentBytes int) (ever, now bool) {
	active, bytes := j.segments[j.active], sectorsFor(contentBytes)*sectorBytes
	return segmentHeaderBytes+int64(bytes) <= active.bytes, active.fits(bytes)
}

// turn makes the other segment the active one. What it held must have been applied.
func (j *journal) turn() {
	j.active = 1 - j.active
	j.segments[j.active].rewind()
}

// errDoubt says that a frame may or may not be on disk.
var errDoubt = errors.New("a write is in doubt")

// append writes one frame and returns when it is on disk. After any error but errDoubt it is certainly not.
func (j *journal) append(content []byte) error {
	active := j.segments[j.active]
	j.buf = appendFrame(j.buf[:0], j.id, j.next, content)
	_, err := active.file.WriteAt(j.buf, active.offset)
	if err == nil {
		err = active.file.Sync()
	}
	if err != nil {
		return j.undo(active, err)
	}
	active.offset += int64(len(j.buf))
	j.acknowledge(j.next)
	j.next++
	return nil
}

// undo wipes out a frame of which it is not known whether it reached the disk, where that was for want of room. Even a write that
// was cut short may have left a whole frame: what is missing may be the zeros that were there before.
func (j *journal) undo(active *segment, cause error) error {
	if !errors.Is(asFull(cause), ErrFull) {
		return fmt.Errorf("%w: %w", errDoubt, cause)
	}
	_, err := active.file.WriteAt(zeroSector[:], active.offset)
	if err == nil {
		err = active.file.Sync()
	}
	if err != nil && j.whole(active) {
		return fmt.Errorf("%w: %w, and then %w", errDoubt, cause, err)
	}
	return asFull(cause)
}

// whole says whether what was last written can be read back as a frame. Where it cannot even from memory, the disk has none.
func (j *journal) whole(active *segment) bool {
	back := make([]byte, len(j.buf))
	if _, err := active.file.ReadAt(back, active.offset); err != nil {
		return true
	}
	_, _, ok := readFrame(j.id.seed(), back)
	return ok
}

// acknowledge writes the note. It only helps to notice damage, so its own failure harms nothing.
func (j *journal) acknowledge(sequence uint64) {
	var sector [sectorBytes]byte
	_, _ = j.note.WriteAt(appendFrame(sector[:0], j.id, sequence, nil), 0)
}

func (j *journal) close() error {
	var err error
	for _, f := range j.files() {
		err = errors.Join(err, f.Close())
	}
	return err
}

func (j *journal) files() (files []file) {
	for _, segment := range j.segments {
		if segment != nil {
			files = append(files, segment.file)
		}
	}
	if j.note != nil {
		files = append(files, j.note)
	}
	return files
}
