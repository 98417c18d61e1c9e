package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// A segment is one of the journal's two files. It is written whole when it is made, and never changes its length, so that the
// sync of a frame has nothing but the frame to write.
//
//	sector 0 and 1   header, twice: magic(8) form(4) store's identity(16) length of the file(8) CRC-32C of all before(4)
//	sector 2 …       frames, and beyond the last one what is left of older frames, or zeros
const (
	segmentMagic       = "shoaljrn"
	segmentForm        = 1
	segmentHeaderBytes = 2 * sectorBytes
	defaultSegment     = 4 << 20
)

type segment struct {
	file   file
	bytes  int64
	offset int64 // where the next frame goes
}

func segmentPath(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("store.journal.%d", i))
}

func (s *segment) fits(bytes int) bool { return s.offset+int64(bytes) <= s.bytes }
func (s *segment) rewind()             { s.offset = segmentHeaderBytes }

func segmentHeader(id storeID, bytes int64) []byte {
	header := append([]byte(segmentMagic), 0, 0, 0, segmentForm)
	header = append(header, id[:]...)
	header = binary.BigEndian.AppendUint64(header, uint64(bytes))
	header = binary.BigEndian.AppendUint32(header, crc32.Checksum(header, castagnoli))
	return append(header, zeroSector[len(header):]...)
}

// createSegment makes a segment beside its place and moves it there whole.
func createSegment(d disk, path string, id storeID, bytes int64) error {
	f, err := d.create(path + ".new")
	if err != nil {
		return err
	}
	err = fillSegment(f, id, bytes)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, d.remove(path+".new"))
	}
	return d.rename(path+".new", path)
}

func fillSegment(f file, id storeID, bytes int64) error {
	header := segmentHeader(id, bytes)
	if _, err := f.WriteAt(append(header, header...), 0); err != nil {
		return err
	}
	zeros := make([]byte, min(bytes, 1<<20))
	for at := int64(segmentHeaderBytes); at < bytes; {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), bytes-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return f.Sync()
}

// segmentRead is a segment as it was found.
type segmentRead struct {
	missing bool
	fault   string // what is wrong with its header or its length
	newer   uint32 // its form, when that is newer than this program's
	id      storeID
	bytes   int64 // what the header says
	data    []byte
}

// readSegment reads the file whole. Parts that the disk cannot give count as garbled.
func readSegment(path string) (segmentRead, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return segmentRead{missing: true}, nil
	}
	if err != nil {
		return segmentRead{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return segmentRead{}, err
	}
	r := segmentRead{data: make([]byte, min(info.Size(), maxSegmentBytes)/sectorBytes*sectorBytes)}
	for at := 0; at < len(r.data); at += sectorBytes {
		end := min(len(r.data), at+1<<20)
		if _, err := f.ReadAt(r.data[at:end], int64(at)); err == nil {
			at = end - sectorBytes
		} else if _, err := f.ReadAt(r.data[at:at+sectorBytes], int64(at)); err != nil && !errors.Is(err, io.EOF) {
			copy(r.data[at:], unreadable)
		}
	}
	r.readHeader(info.Size())
	return r, nil
}

// maxSegmentBytes bounds what is read of a file that calls itself a segment.
const maxSegmentBytes = 64 << 20

const unreadable = "the disk could not read this sector"

func (r *segmentRead) readHeader(size int64) {
	r.fault = "its header is gone"
	for at := 0; at+sectorBytes <= min(len(r.data), segmentHeaderBytes); at += sectorBytes {
		h := r.data[at : at+sectorBytes]
		if string(h[:8]) != segmentMagic || binary.BigEndian.Uint32(h[36:]) != crc32.Checksum(h[:36], castagnoli) {
			continue
		}
		if form := binary.BigEndian.Uint32(h[8:]); form > segmentForm {
			r.newer = form
		}
		r.id, r.bytes, r.fault = storeID(h[12:28]), int64(binary.BigEndian.Uint64(h[28:])), ""
		break
	}
	if r.fault == "" && r.bytes != size {
		r.fault = fmt.Sprintf("it has %d bytes instead of %d", size, r.bytes)
	}
}

// found is a whole frame in a segment.
type found struct {
	frame
	segment, at, bytes int
	fault              error // why its content cannot be used
}

// scan is what the sectors of one segment say.
type scan struct {
	frames  []found
	highest uint64 // sequence of any whole sector
}

// scanFrames looks at each sector once, so that a broken frame hides none behind it.
func scanFrames(id storeID, index int, data []byte) scan {
	result, seed := scan{}, id.seed()
	for at := segmentHeaderBytes; at+sectorBytes <= len(data); {
		content, first, ok := readFrame(seed, data[at:])
		if ok {
			changes, err := decodeChanges(content)
			result.frames = append(result.frames, found{frame{first.sequence, changes}, index, at, int(first.count) * sectorBytes, err})
			result.highest = max(result.highest, first.sequence)
			at += int(first.count) * sectorBytes
			continue
		}
		if s, state := readSector(seed, data[at:]); state == whole {
			result.highest = max(result.highest, s.sequence)
		}
		at += sectorBytes
	}
	return result
}
