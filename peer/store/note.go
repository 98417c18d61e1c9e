package store

import (
	"os"
	"path/filepath"
)

// noteName is a file of one sector: a frame without content whose sequence is that of the last frame acknowledged. It is
// written after each sync and never synced itself, so it may be old or gone; but what it says is true. With it a journal whose
// end was wiped out is told from one whose last frame never was.
const noteName = "store.acknowledged"

func notePath(dir string) string { return filepath.Join(dir, noteName) }

// readNote returns the sequence noted, 0 where there is none for this store.
func readNote(dir string, id storeID) uint64 {
	data, err := os.ReadFile(notePath(dir))
	if err != nil || len(data) != sectorBytes {
		return 0
	}
	s, state := readSector(id.seed(), data)
	if state != whole {
		return 0
	}
	return s.sequence
}
