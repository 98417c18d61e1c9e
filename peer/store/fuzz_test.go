package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/crdt"
)

// FuzzChanges reads the content of frames: what can be read is written again as it was.
func FuzzChanges(f *testing.F) {
	f.Add(appendChanges([]byte{frameForm}, []change{{putRecord, opsBucket, []byte("key"), []byte("content")}, {dropRecord, bookBucket, []byte("p"), nil}}))
	f.Add([]byte{frameForm})
	f.Add([]byte{frameForm, byte(putRecord), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, content []byte) {
		changes, err := decodeChanges(content)
		if err != nil {
			return
		}
		again, err := decodeChanges(appendChanges([]byte{frameForm}, changes))
		if diff := cmp.Diff(changes, again, cmp.AllowUnexported(change{}), cmp.Transformer("text", func(b []byte) string { return string(b) })); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
	})
}

// FuzzSegment reads a segment of two frames of which a part was overwritten: nothing comes out that was not written.
func FuzzSegment(f *testing.F) {
	f.Add([]byte("first"), bytes.Repeat([]byte("second"), 300), uint16(1100), []byte{1, 2, 3})
	f.Add([]byte{}, []byte{}, uint16(2047), []byte{0})
	f.Fuzz(func(t *testing.T, first, second []byte, at uint16, over []byte) {
		id := storeID{1, 2, 3}
		written := map[uint64][]byte{7: first, 8: second}
		data := appendFrame(appendFrame(make([]byte, segmentHeaderBytes), id, 7, first), id, 8, second)
		copy(data[min(int(at), len(data)):], over)
		for at := segmentHeaderBytes; at+sectorBytes <= len(data); at += sectorBytes {
			content, sector, ok := readFrame(id.seed(), data[at:])
			if ok && !bytes.Equal(content, written[sector.sequence]) {
				t.Fatalf("frame %d is read as %x", sector.sequence, content)
			}
		}
		if s := scanFrames(id, 0, data); len(s.frames) > 2 || s.highest > 8 {
			t.Fatalf("%d frames, up to %d", len(s.frames), s.highest)
		}
	})
}

// FuzzRecords reads every kind of record.
func FuzzRecords(f *testing.F) {
	entry, err := encodeEntry(entry("a", 1, crdt.Create, 1))
	if err != nil {
		f.Fatal(err)
	}
	_, record := encodeRecord("name", []byte("content"))
	for _, seed := range [][]byte{entry, record, tallies{opsBucket: {1, 2}}.encode(), []byte(`{"name":"p1","stream":"10.0.0.1:1"}`), number(7), []byte("null"), {}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if counts, err := decodeTallies(content); err == nil {
			if again, err := decodeTallies(counts.encode()); err != nil || !cmp.Equal(counts, again, cmp.AllowUnexported(tally{})) {
				t.Fatalf("%v is read again as %v: %v", counts, again, err)
			}
		}
		if name, value, err := decodeRecord(content); err == nil {
			if _, again := encodeRecord(name, value); !bytes.HasSuffix(again, value) {
				t.Fatalf("record %q", name)
			}
		}
		if e, err := decodeEntry(content); err == nil {
			if text, err := encodeEntry(e); err == nil {
				if again, err := decodeEntry(text); err != nil || !cmp.Equal(e.Diffs, again.Diffs) || e.Key != again.Key || e.Stamp != again.Stamp {
					t.Fatalf("%+v is read again as %+v: %v", e, again, err)
				}
			}
		}
		decodeMember("id", content)
		decodeTotals(content)
		decodeID(content)
		decodeUint64(content)
		loadDamage(content)
		unseal(opsBucket, []byte("key"), content)
	})
}

// FuzzFile opens a store of which a part was overwritten: it opens and is whole in itself, whatever it lost, or says why not.
func FuzzFile(f *testing.F) {
	dir := f.TempDir()
	s, err := Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Commit(sizedBatch(0, 40)); err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(4096), []byte{0xff, 0xff})
	f.Add(uint32(0), bytes.Repeat([]byte{0}, 8192))
	f.Add(uint32(3*4096+10), []byte{2})
	f.Fuzz(func(t *testing.T, at uint32, over []byte) {
		data := bytes.Clone(whole)
		copy(data[int(at)%len(data):], over)
		path := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var faults DamageError
		count := 0
		err := verify(path, &faults, func(string, []byte, []byte) { count++ })
		if err == nil && len(faults.Faults) == 0 && count == 0 {
			t.Fatal("it is said to be whole, and holds nothing")
		}
		if err := orphans(path, func(key, value []byte) {}); err != nil && !os.IsNotExist(err) {
			t.Logf("orphans: %v", err)
		}
	})
}
