package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/crdt"
	"shoal/peer"
	"shoal/peer/control"
)

// onDisk is what all files of the data directory take.
func onDisk(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	for _, data := range readImage(t, dir) {
		bytes += int64(len(data))
	}
	return bytes
}

// live commits the objects that both stores hold in the end, in the order in which a cluster would write them.
func live(t *testing.T, s *Store, count int) {
	t.Helper()
	for n := 0; n < count; n += 64 {
		commit(t, s, sizedBatch(n, min(64, count-n)))
	}
}

// sizeFloor is what a store may take beyond 1.3 times a fresh one, whatever it holds: free space that it does not pay to give back.
const sizeFloor = 2 * freeFloorBytes

// TestSizeFollowsLiveState creates and deletes ten times as many objects as live, and compares with a store that never did: while
// it runs and has been quiet for a while, and when it is closed. The clock is the bubble's.
func TestSizeFollowsLiveState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const objects, cycles = 1500, 10
		freshOpen, freshClosed := measure(t, objects, 0)
		open, closed := measure(t, objects, cycles)
		t.Logf("fresh %d bytes open, %d closed; after %d cycles %d open, %d closed", freshOpen, freshClosed, cycles, open, closed)
		if open > freshOpen*13/10+sizeFloor || closed > freshClosed*13/10+sizeFloor {
			t.Errorf("%d and %d bytes after %d cycles, a fresh store has %d and %d", open, closed, cycles, freshOpen, freshClosed)
		}
	})
}

// measure fills a store, lets it go through the cycles, and returns its size while it is open and after it is closed.
func measure(t *testing.T, objects, cycles int) (open, closed int64) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	live(t, s, objects)
	for cycle := range cycles {
		from := (cycle + 1) * 1_000_000
		for n := 0; n < objects; n += 64 {
			commit(t, s, sizedBatch(from+n, 64))
		}
		for n := 0; n < objects; n += 64 {
			commit(t, s, peer.Batch{Persist: control.Persist{Drop: sizedBatch(from+n, 64).Put}})
		}
	}
	time.Sleep(2 * quietSpan)
	synctest.Wait()
	open = onDisk(t, dir)
	s.Close()
	closed = onDisk(t, dir)
	s = openSmall(t, dir)
	if stored := load(t, s); len(stored.Ops) != objects || stored.Damage != nil {
		t.Errorf("%d operations, damage %+v", len(stored.Ops), stored.Damage)
	}
	s.Close()
	return open, closed
}

func entry(object string, n int, verb crdt.Verb, value int) control.HistoryEntry {
	return control.HistoryEntry{
		Key: crdt.Key{Kind: "ConfigMap", Namespace: "default", Name: object}, Stamp: crdt.Stamp{Time: crdt.Time(n + 1), Writer: writer},
		Verb: verb, Manager: "shoal", User: fmt.Sprint("user ", n), At: time.Unix(int64(n), 0).UTC(),
		Diffs: []control.Diff{{Path: "data/value", New: []byte(strings.Repeat("v", value))}, {Path: "data/gone", Old: []byte{}}},
	}
}

func history(t *testing.T, s *Store, object string) (numbers []int) {
	t.Helper()
	entries, err := s.History(entry(object, 0, 0, 0).Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		numbers = append(numbers, int(e.Stamp.Time)-1)
	}
	return numbers
}

func remember(t *testing.T, s *Store, entries ...control.HistoryEntry) {
	t.Helper()
	commit(t, s, peer.Batch{Persist: control.Persist{History: entries}})
}

func TestHistoryIsNewestFirstAndWhole(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	want := entry("a", 2, crdt.Update, 10)
	remember(t, s, entry("a", 0, crdt.Create, 10), entry("b", 1, crdt.Create, 10))
	s.Close()
	s = openSmall(t, dir)
	remember(t, s, want)
	for _, state := range []string{"in the journal", "in bbolt"} {
		if got := history(t, s, "a"); fmt.Sprint(got) != "[2 0]" {
			t.Errorf("%s: %v", state, got)
		}
		entries, _ := s.History(want.Key)
		if got := fmt.Sprintf("%#v", entries[0]); got != fmt.Sprintf("%#v", want) {
			t.Errorf("%s: %s\nwant %#v", state, got, want)
		}
		if got := history(t, s, "nobody"); len(got) != 0 {
			t.Errorf("%s: an unknown object has %v", state, got)
		}
		s.Close()
		s = openSmall(t, dir)
	}
}

func TestHistoryIsBoundedPerObject(t *testing.T) {
	s := openSmall(t, t.TempDir())
	for n := range 100 {
		remember(t, s, entry("many", n, crdt.Update, 10))
	}
	got := history(t, s, "many")
	if len(got) != historyEntries || got[0] != 99 || got[31] != 68 {
		t.Errorf("kept %v", got)
	}
	for n := range 5 {
		remember(t, s, entry("large", n, crdt.Update, 400<<10))
	}
	s.Close()
	s = openSmall(t, filepath.Dir(s.path))
	// An entry of 400 KiB takes 4/3 of that in base64: one fits within the bound, and a second does not.
	if got := history(t, s, "large"); fmt.Sprint(got) != "[4]" {
		t.Errorf("kept %v of the large ones", got)
	}
}

func TestHistoryOfEndedObjectsIsBounded(t *testing.T) {
	s := openSmall(t, t.TempDir())
	remember(t, s, entry("alive", 0, crdt.Create, 10), entry("revived", 1, crdt.Create, 10), entry("revived", 2, crdt.Delete, 10))
	remember(t, s, entry("revived", 3, crdt.Create, 10))
	const ended = endedObjects + 50
	var batch []control.HistoryEntry
	for n := range ended {
		batch = append(batch, entry(fmt.Sprint("ended-", n), 2*n, crdt.Create, 10), entry(fmt.Sprint("ended-", n), 2*n+1, crdt.Delete, 10))
	}
	remember(t, s, batch...)
	s.Close()
	s = openSmall(t, filepath.Dir(s.path))
	for object, want := range map[string]int{"alive": 1, "revived": 3, "ended-0": 0, "ended-49": 0, "ended-50": 2, fmt.Sprint("ended-", ended-1): 2} {
		if got := history(t, s, object); len(got) != want {
			t.Errorf("%s has %v, want %d entries", object, got, want)
		}
	}
	for n := range 12 {
		remember(t, s, entry(fmt.Sprint("large-", n), n, crdt.Delete, 700<<10))
	}
	s.Close()
	c, err := check(s.path)
	if err != nil || !c.sound() {
		t.Fatal(err, c.faults.Faults)
	}
	info, _ := os.Stat(s.path)
	if c.counts[endedBucket].count > 4 || info.Size() > 8<<20 {
		t.Errorf("%d ended objects are kept in %d bytes", c.counts[endedBucket].count, info.Size())
	}
}

// TestSavedHistoryGoesOn damages one head and one entry, and writes on.
func TestSavedHistoryGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	for n := range 6 {
		remember(t, s, entry("a", n, crdt.Update, 10), entry("b", n, crdt.Update, 10))
	}
	remember(t, s, entry("b", 6, crdt.Delete, 10))
	s.Close()
	data := readImage(t, dir)
	broken := data[FileName]
	damaged := 0
	for _, part := range []string{`"first":0,"next":6`, `"user":"user 2"`} {
		if at := indexOf(broken, part); at >= 0 {
			broken[at+len(part)-2] ^= 1
			damaged++
		}
	}
	data.write(t, dir)
	s = openSmall(t, dir)
	if damage := load(t, s).Damage; damaged != 2 || damage == nil || !strings.Contains(damage.Lost, "2 of 15 records of history could not be read") {
		t.Fatalf("damaged %d, reported %+v", damaged, damage)
	}
	remember(t, s, entry("a", 7, crdt.Update, 10), entry("b", 8, crdt.Create, 10))
	s.Close()
	s = openSmall(t, dir)
	a, b := history(t, s, "a"), history(t, s, "b")
	if len(a)+len(b) != 14 || a[0] != 7 || b[0] != 8 {
		t.Errorf("histories %v and %v", a, b)
	}
}

// TestWhatANewerProgramWroteIsKept is a downgrade: buckets, records, keys of meta and fields that this program does not know
// stay, also through compaction and through the saving of a damaged store.
func TestWhatANewerProgramWroteIsKept(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	commit(t, s, everyKind())
	strange := []change{
		{putRecord, "strange", []byte("key"), []byte("unknown to us")},
		{putRecord, opsBucket, []byte("an operation of a later form 0000000000000"), []byte("cannot be decoded")},
		{putRecord, bookBucket, []byte("cc"), []byte(`{"name":"p3","later":{"field":1}}`)},
		{putRecord, metaBucket, []byte("later"), []byte("setting")},
		{addHistory, historyBucket, objectKey(entry("a", 0, 0, 0).Key), []byte(`{"kind":"ConfigMap","namespace":"default","name":"a","time":1,"writer":"w","at":"2026-01-01T00:00:00Z","later":"field"}`)},
	}
	if err := s.commit(strange); err != nil {
		t.Fatal(err)
	}
	check := func(when string, s *Store) {
		t.Helper()
		stored := load(t, s)
		if len(stored.Ops) != 40 || len(stored.Book) != 3 || len(history(t, s, "a")) != 1 {
			t.Errorf("%s: %d operations, book %v", when, len(stored.Ops), stored.Book)
		}
		if stored.Damage == nil || !strings.Contains(stored.Damage.Lost, "1 of 41 operations") {
			t.Errorf("%s: an operation that cannot be decoded is left out without a word: %+v", when, stored.Damage)
		}
	}
	check("in the journal", s)
	s.Close()
	s = openSmall(t, dir)
	check("in bbolt", s)
	s.checkpointMu.Lock()
	err := s.compact()
	s.checkpointMu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	check("compacted", s)
	s.Close()
	checkStrange(t, "compacted", s.path, strange)
	damaged := readImage(t, dir)
	damaged[FileName][indexOf(damaged[FileName], "certificate one")] ^= 1
	damaged.write(t, dir)
	s = openSmall(t, dir)
	if stored := load(t, s); len(stored.Ops) != 40 || stored.Records[RefillRecord] == nil {
		t.Errorf("saved: %d operations", len(stored.Ops))
	}
	s.Close()
	checkStrange(t, "saved", s.path, strange)
}

func checkStrange(t *testing.T, when, path string, strange []change) {
	t.Helper()
	found := map[string]bool{}
	err := verify(path, &DamageError{}, func(bucket string, key, value []byte) {
		if content, err := unseal(bucket, key, value); err == nil {
			found[bucket+string(content)] = true
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range strange {
		if !found[c.bucket+string(c.content)] {
			t.Errorf("%s: %s %q is gone", when, c.bucket, c.content)
		}
	}
}
