package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// recovered is what the journal holds beyond what bbolt has applied.
type recovered struct {
	id       storeID
	frames   []found // in order, each sequence once
	highest  uint64  // sequence of any sector found, or what is applied
	faults   []string
	lost     uint64 // frames that are known to have been written and are not there; at least
	doubtful bool   // a last frame may have been there
	unknown  bool   // it is not known what is applied: all that hangs together was taken
}

// recoverJournal reads both segments. After a crash of a sound disk there are no faults: the last frame is there or is not, and
// what is left of it are whole sectors. A frame that was followed by another had been acknowledged, so a gap is a loss; and a
// sector at the end that is neither old, nor new, nor blank was damaged after it was written.
func recoverJournal(dir string, id storeID, applied uint64, known bool) (recovered, [2]segmentRead, error) {
	var reads [2]segmentRead
	r := recovered{id: id, highest: applied, unknown: !known}
	for i := range reads {
		var err error
		if reads[i], err = readSegment(segmentPath(dir, i)); err != nil {
			return r, reads, err
		}
		if reads[i].newer > 0 {
			return r, reads, &VersionError{Path: segmentPath(dir, i), Found: uint64(reads[i].newer)}
		}
		r.take(i, &reads[i], applied)
	}
	slices.SortStableFunc(r.frames, func(a, b found) int { return cmp.Compare(a.sequence, b.sequence) })
	r.frames = slices.CompactFunc(r.frames, func(a, b found) bool { return a.sequence == b.sequence })
	for _, f := range r.frames {
		if errors.Is(f.fault, errNewerFrame) {
			return r, reads, &VersionError{Path: segmentPath(dir, f.segment), Found: frameForm + 1}
		}
	}
	r.count(applied, readNote(dir, id))
	return r, reads, nil
}

// take adds what one segment holds.
func (r *recovered) take(i int, read *segmentRead, applied uint64) {
	name := fmt.Sprintf("journal %d", i)
	switch {
	case read.missing:
		r.faults = append(r.faults, name+" is missing")
		r.doubtful = true
		return
	case read.fault != "":
		r.faults = append(r.faults, name+": "+read.fault)
		r.doubtful = true
	case read.id != r.id:
		r.faults = append(r.faults, name+" is that of another store")
		r.doubtful = true
		return
	}
	found := scanFrames(r.id, i, read.data)
	r.highest = max(r.highest, found.highest)
	end := segmentHeaderBytes
	for _, f := range found.frames {
		if f.sequence > applied {
			r.frames = append(r.frames, f)
			end = max(end, f.at+f.bytes)
		}
	}
	if r.damagedAfter(read.data, end, applied) {
		r.faults = append(r.faults, fmt.Sprintf("%s: what follows the last whole write is damaged", name))
		r.doubtful = true
	}
}

// damagedAfter looks at the sectors from end on that can belong to a frame that is not whole: up to the first that is
// blank or of a frame applied long ago.
func (r *recovered) damagedAfter(data []byte, end int, applied uint64) bool {
	for at := end; at+sectorBytes <= len(data); at += sectorBytes {
		s, state := readSector(r.id.seed(), data[at:])
		switch {
		case state == garbled:
			return true
		case state == blank, s.sequence <= applied:
			return false
		}
	}
	return false
}

// count compares the frames found with those that must have been written: all up to the one noted, and all before the
// highest of which anything is there.
func (r *recovered) count(applied, noted uint64) {
	next := applied + 1
	if r.unknown {
		r.keepLastRun()
		if len(r.frames) > 0 {
			next = r.frames[0].sequence
		}
	}
	sound := r.frames[:0]
	for _, f := range r.frames {
		r.lost += f.sequence - next
		next = f.sequence + 1
		if f.fault != nil {
			r.faults = append(r.faults, fmt.Sprintf("journal %d: %v", f.segment, f.fault))
			r.lost++
			continue
		}
		sound = append(sound, f)
	}
	r.frames = sound
	if end := max(r.highest, noted+1); end > next {
		r.lost += end - next
	}
	if r.lost > 0 {
		r.faults = append(r.faults, fmt.Sprintf("journal: %d writes are missing", r.lost))
	}
}

// keepLastRun drops what lies before the last gap: older frames, long applied and partly overwritten, which must
// not be applied again without those that followed them.
func (r *recovered) keepLastRun() {
	start := 0
	for i := 1; i < len(r.frames); i++ {
		if r.frames[i].sequence != r.frames[i-1].sequence+1 {
			start = i
		}
	}
	r.frames = r.frames[start:]
}
