package store

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"shoal/crdt"
	"shoal/peer"
	"shoal/peer/control"
)

var update = flag.Bool("update", false, "write the golden files of the present version anew, before its release only")

// goldenFiles are those of version 2; the note is a hint and has no form of its own.
var goldenFiles = []string{FileName, "store.journal.0", "store.journal.1"}

// TestVersion1IsReadForEver opens a store that version 1 wrote: no journal, and other keys of operations. Opening makes it
// one of this version.
func TestVersion1IsReadForEver(t *testing.T) {
	dir := t.TempDir()
	image{FileName: unzip(t, filepath.Join("testdata", "v1.db.gz"))}.write(t, dir)
	want := everyKind()
	stored := peer.Stored{Ops: want.Put[10:], Certificates: want.Certificates, Book: want.Book}
	for range 2 {
		s := open(t, dir)
		got := load(t, s)
		if got.Boot <= 1 || got.Damage != nil || text(t, plain(got)) != text(t, stored) {
			t.Errorf("loaded %s\nwant %s", text(t, got), text(t, stored))
		}
		// Dropping finds the operation under its new key.
		commit(t, s, peer.Batch{Persist: control.Persist{Drop: stored.Ops[:1]}})
		stored.Ops = stored.Ops[1:]
		s.Close()
	}
	if c, err := check(filepath.Join(dir, FileName)); err != nil || !c.sound() || c.version != version {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestVersion2IsReadForEver opens a store that was cut off with commits in both segments of its journal.
func TestVersion2IsReadForEver(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	files := image{}
	for _, name := range goldenFiles {
		files[name] = unzip(t, filepath.Join("testdata", "v2."+name+".gz"))
	}
	dir := t.TempDir()
	files.write(t, dir)
	c, err := check(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	id, _ := c.id()
	applied, _ := c.applied()
	journal, _, err := recoverJournal(dir, id, applied, true)
	if err != nil || len(journal.frames) < 10 || len(journal.faults) > 0 || journal.frames[0].segment == journal.frames[len(journal.frames)-1].segment {
		t.Fatalf("the golden journal holds %d frames, faults %v: %v", len(journal.frames), journal.faults, err)
	}
	s := open(t, dir)
	got := load(t, s)
	want := everyKind()
	stored := peer.Stored{Ops: puts(10, 90).Put, Certificates: want.Certificates, Book: want.Book, Records: map[string][]byte{"mark": []byte("second")}}
	if got.Boot <= 1 || got.Damage != nil || text(t, plain(got)) != text(t, stored) {
		t.Errorf("loaded %s\nwant %s", text(t, got), text(t, stored))
	}
	if got := history(t, s, "a"); fmt.Sprint(got) != "[2 1 0]" {
		t.Errorf("history %v", got)
	}
}

func writeGolden(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	s := openSmall(t, dir)
	load(t, s)
	batch := everyKind()
	batch.Records = map[string][]byte{"mark": []byte("first"), "gone": []byte("soon")}
	batch.History = []control.HistoryEntry{entry("a", 0, crdt.Create, 5)}
	commit(t, s, batch)
	s.Close()
	s = openSmall(t, dir)
	commit(t, s, peer.Batch{Persist: control.Persist{
		Drop: batch.Put[:10], Records: map[string][]byte{"mark": []byte("second"), "gone": nil},
		History: []control.HistoryEntry{entry("a", 1, crdt.Update, 5), entry("a", 2, crdt.Delete, 5)},
	}})
	// Nothing is applied from here on, so that both segments stay in use.
	s.checkpointMu.Lock()
	for n := 40; n < 90; n++ {
		_, room := s.journal.room(700)
		if !room {
			s.applying, s.active = s.active, nil
			s.journal.turn()
		}
		commit(t, s, puts(n, n+1))
	}
	files := readImage(t, dir)
	s.checkpointMu.Unlock()
	abandon(s)
	for name, data := range files {
		if name == noteName {
			continue
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		z.Write(data)
		z.Close()
		if err := os.WriteFile(filepath.Join("testdata", "v2."+name+".gz"), packed.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func unzip(t *testing.T, path string) []byte {
	t.Helper()
	packed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
