package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"shoal/peer"
	"shoal/peer/control"
)

// image is the content of a data directory.
type image map[string][]byte

func readImage(t testing.TB, dir string) image {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := image{}
	for _, entry := range entries {
		if files[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func (files image) write(t testing.TB, dir string) {
	t.Helper()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// with is the image with other bytes in one file; nil: without the file.
func (files image) with(name string, data []byte) image {
	changed := maps.Clone(files)
	changed[name] = data
	if data == nil {
		delete(changed, name)
	}
	return changed
}

// small opens a store with segments of 16 KiB, so that tests reach their ends.
func small(dir string) (*Store, error) {
	return openWith(dir, setup{realDisk{}, func() time.Time { return time.Unix(1e9, 0) }, 16 << 10, maxFileBytes, freeFloorBytes})
}

func openSmall(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := small(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// abandon lets go of a store as a crash does: nothing more is written.
func abandon(s *Store) {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	close(s.stopped)
	s.done.Wait()
	s.stateMu.Lock()
	s.closed = true
	s.stateMu.Unlock()
	s.release()
}

// sound makes a store that was cut off with some of it in bbolt and some in the journal, and returns its files and what it holds.
func sound(t *testing.T) (image, peer.Stored) {
	t.Helper()
	dir := t.TempDir()
	s := openSmall(t, dir)
	load(t, s)
	commit(t, s, everyKind())
	s.Close()
	s = openSmall(t, dir)
	commit(t, s, puts(40, 46))
	commit(t, s, peer.Batch{Persist: control.Persist{Records: map[string][]byte{"mark": []byte("m")}, Put: puts(46, 50).Put}})
	stored := peer.Stored{Ops: puts(0, 50).Put, Certificates: everyKind().Certificates, Book: everyKind().Book, Records: map[string][]byte{"mark": []byte("m")}}
	abandon(s)
	return readImage(t, dir), stored
}

// plain is stored without what differs from load to load.
func plain(stored peer.Stored) peer.Stored {
	stored.Boot, stored.Damage = 0, nil
	if _, ok := stored.Records[RefillRecord]; ok {
		stored.Records = maps.Clone(stored.Records)
		delete(stored.Records, RefillRecord)
	}
	if len(stored.Records) == 0 {
		stored.Records = nil
	}
	return stored
}

// survives opens a damaged image. It must open, and either have everything or say that it has not; what it has must be what
// was written; and it must then be a sound store that holds the same when it is opened again.
func survives(t *testing.T, what string, files image, want peer.Stored) (damage *peer.Damage, got peer.Stored) {
	t.Helper()
	dir := shortDir(t)
	defer os.RemoveAll(dir)
	files.write(t, dir)
	s, err := small(dir)
	if err != nil {
		t.Errorf("%s: does not open: %v", what, err)
		return nil, got
	}
	defer s.Close()
	if got, err = s.Load(); err != nil {
		t.Errorf("%s: opens, but then: %v", what, err)
		return nil, got
	}
	damage = got.Damage
	switch refill := got.Records[RefillRecord] != nil; {
	case damage == nil && text(t, plain(got)) != text(t, want):
		t.Errorf("%s: silently lost: %d operations, %d certificates, book %v", what, len(got.Ops), len(got.Certificates), got.Book)
	case damage != nil && (damage.What == "" || damage.Lost == "" || !refill):
		t.Errorf("%s: reported as %+v, refill %v", what, damage, refill)
	}
	subset(t, what, got, want)
	commit(t, s, peer.Batch{Persist: control.Persist{Put: puts(600, 601).Put, Records: map[string][]byte{RefillRecord: nil}}})
	s.Close()
	reopened := openSmall(t, dir)
	defer reopened.Close()
	again := load(t, reopened)
	if after := plain(got); again.Damage != nil || len(again.Ops) != len(after.Ops)+1 || len(again.Records) != len(after.Records) {
		t.Errorf("%s: opened again it holds %d operations instead of %d, damage %+v", what, len(again.Ops), len(after.Ops)+1, again.Damage)
	}
	return damage, got
}

// subset wants nothing in got that is not in want.
func subset(t *testing.T, what string, got, want peer.Stored) {
	t.Helper()
	known := map[[32]byte]bool{}
	for _, op := range want.Ops {
		known[op.Hash] = true
	}
	for _, op := range got.Ops {
		if !known[op.Hash] {
			t.Errorf("%s: made up operation %v", what, op.Stamp)
		}
	}
	for _, certificate := range got.Certificates {
		if !slices.ContainsFunc(want.Certificates, func(c []byte) bool { return bytes.Equal(c, certificate) }) {
			t.Errorf("%s: made up certificate %q", what, certificate)
		}
	}
	for _, member := range got.Book {
		if !slices.Contains(want.Book, member) {
			t.Errorf("%s: made up peer %v", what, member)
		}
	}
	for name, value := range plain(got).Records {
		if !bytes.Equal(value, want.Records[name]) {
			t.Errorf("%s: made up record %s %q", what, name, value)
		}
	}
}

func TestSoundImageLosesNothing(t *testing.T) {
	files, stored := sound(t)
	if damage, _ := survives(t, "untouched", files, stored); damage != nil {
		t.Errorf("damage %+v", damage)
	}
}

func TestTruncatedFiles(t *testing.T) {
	files, stored := sound(t)
	files[FileName] = files[FileName][:usedBytes(files[FileName])]
	for _, name := range []string{FileName, "store.journal.0", "store.journal.1"} {
		data := files[name]
		for _, size := range []int{0, 1, 100, 511, 512, 1024, 4095, 4096, 5000, 8192, 12288, len(data) / 2, len(data) - 4096, len(data) - 1} {
			if damage, _ := survives(t, fmt.Sprint(name, " truncated to ", size), files.with(name, data[:min(size, len(data))]), stored); damage == nil {
				t.Errorf("%s truncated to %d of %d bytes was not noticed", name, size, len(data))
			}
		}
	}
}

// usedBytes is how much of the file the newest header claims.
func usedBytes(data []byte) int64 {
	first, second := order.Uint64(data[16+40:]), order.Uint64(data[4096+16+40:])
	return int64(max(first, second)) * 4096
}

func TestMissingFiles(t *testing.T) {
	files, stored := sound(t)
	for _, name := range []string{FileName, "store.journal.0", "store.journal.1"} {
		if damage, _ := survives(t, name+" missing", files.with(name, nil), stored); damage == nil {
			t.Errorf("%s is missing and nobody says so", name)
		}
	}
	if damage, _ := survives(t, "note missing", files.with(noteName, nil), stored); damage != nil {
		t.Errorf("a missing note is no damage: %+v", damage)
	}
}

func TestZeroedPages(t *testing.T) {
	files, stored := sound(t)
	for name, data := range files {
		noticed := 0
		for at := 0; at+4096 <= len(data); at += 4096 {
			broken := slices.Clone(data)
			clear(broken[at : at+4096])
			if damage, _ := survives(t, fmt.Sprintf("%s zeroed from %d", name, at), files.with(name, broken), stored); damage != nil {
				noticed++
			}
		}
		if name == FileName && noticed < 8 || name == "store.journal.0" && noticed < 1 {
			t.Errorf("only %d zeroed pages of %s were noticed", noticed, name)
		}
	}
}

func TestFlippedBits(t *testing.T) {
	files, stored := sound(t)
	for name, data := range files {
		noticed := 0
		for offset := 0; offset < len(data); offset += 411 {
			broken := slices.Clone(data)
			broken[offset] ^= 1 << (offset % 8)
			if damage, _ := survives(t, fmt.Sprintf("%s: bit %d of byte %d flipped", name, offset%8, offset), files.with(name, broken), stored); damage != nil {
				noticed++
			}
		}
		if name == FileName && noticed < 40 || name == "store.journal.0" && noticed < 1 {
			t.Errorf("only %d flipped bits of %s were noticed", noticed, name)
		}
	}
}

// TestFlippedBitsOfTheLastFrame has no note to help: a damaged frame at the end is told from one that a crash left.
func TestFlippedBitsOfTheLastFrame(t *testing.T) {
	files, stored := sound(t)
	files = files.with(noteName, nil)
	data, last := files["store.journal.0"], 0
	for at := segmentHeaderBytes; at < len(data); at += sectorBytes {
		if !bytes.Equal(data[at:at+sectorBytes], zeroSector[:]) {
			last = at
		}
	}
	for offset := last; offset < last+sectorBytes; offset += 37 {
		broken := slices.Clone(data)
		broken[offset] ^= 4
		if damage, _ := survives(t, fmt.Sprint("byte ", offset), files.with("store.journal.0", broken), stored); damage == nil {
			t.Errorf("byte %d of the last frame is damaged and nobody says so", offset)
		}
	}
}

// TestVanishedRecordIsNoticed takes one record out as a disk might that forgets writes: every page is sound afterwards.
func TestVanishedRecordIsNoticed(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	commit(t, s, everyKind())
	s.Close()
	db, err := bbolt.Open(filepath.Join(dir, FileName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(opsBucket)).Delete(opKey(numbered(7))) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if damage := load(t, openSmall(t, dir)).Damage; damage == nil || !strings.Contains(damage.What, "42 records") && !strings.Contains(damage.What, "43 records are there instead of 44") {
		t.Errorf("%+v", damage)
	}
}

func TestGarbageInsteadOfFiles(t *testing.T) {
	files, stored := sound(t)
	garbage := bytes.Repeat([]byte("this is not a store. "), 3000)
	for _, name := range []string{FileName, "store.journal.0", "store.journal.1", noteName} {
		damage, _ := survives(t, name+" is garbage", files.with(name, garbage), stored)
		if (damage == nil) != (name == noteName) {
			t.Errorf("%s is garbage: damage %+v", name, damage)
		}
	}
}

// TestStaleFileParts puts back an older version of the pages that the last transaction wrote: what a disk does that forgets a write.
func TestStaleFileParts(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	commit(t, s, everyKind())
	s.Close()
	before := readImage(t, dir)[FileName]
	s = openSmall(t, dir)
	commit(t, s, puts(40, 52))
	s.Close()
	files := readImage(t, dir)
	stored := peer.Stored{Ops: puts(0, 52).Put, Certificates: everyKind().Certificates, Book: everyKind().Book}
	for page := 0; page+4096 <= min(len(before), len(files[FileName])); page += 4096 {
		stale := slices.Clone(files[FileName])
		copy(stale[page:page+4096], before[page:page+4096])
		survives(t, fmt.Sprint("page ", page/4096, " stale"), files.with(FileName, stale), stored)
	}
	// The whole file of an earlier time with the journal of today: what a backup of one file does.
	survives(t, "older file", files.with(FileName, before), stored)
}

func TestDamageSaysWhatWasLost(t *testing.T) {
	files, stored := sound(t)
	broken := bytes.ReplaceAll(files[FileName], []byte("certificate one"), []byte("certificate ONE"))
	damage, got := survives(t, "changed certificate", files.with(FileName, broken), stored)
	if damage == nil || damage.Lost != "1 of 2 certificates could not be read" || !strings.Contains(damage.What, "record certificates/") {
		t.Errorf("%+v", damage)
	}
	if len(got.Ops) != 50 || len(got.Certificates) != 1 {
		t.Errorf("%d operations and %d certificates were saved", len(got.Ops), len(got.Certificates))
	}
	only := image{FileName: []byte("no store at all")}
	damage, _ = survives(t, "garbage alone", only, peer.Stored{})
	if damage == nil || !strings.Contains(damage.Lost, "the header was gone: nothing could be salvaged") {
		t.Errorf("%+v", damage)
	}
}

// TestLostBranchLosesNoLeaf garbles everything that leads to the leaves: both headers, and then the pages above them.
func TestLostBranchLosesNoLeaf(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	commit(t, s, puts(0, 500))
	s.Close()
	files := readImage(t, dir)
	branches := 0
	for at := 2 * 4096; at+4096 <= len(files[FileName]); at += 4096 {
		broken := slices.Clone(files[FileName])
		if order.Uint16(broken[at+8:]) != branchFlag {
			continue
		}
		clear(broken[at : at+4096])
		branches++
		damage, got := survives(t, fmt.Sprint("branch at ", at), files.with(FileName, broken), puts500())
		if damage != nil && len(got.Ops) != 500 {
			t.Errorf("branch at %d: %d operations saved, %s", at, len(got.Ops), damage.Lost)
		}
	}
	broken := slices.Clone(files[FileName])
	clear(broken[:2*4096])
	damage, got := survives(t, "both headers", files.with(FileName, broken), puts500())
	if damage == nil || len(got.Ops) != 500 || branches == 0 {
		t.Errorf("%d branches; without headers %d operations were saved: %+v", branches, len(got.Ops), damage)
	}
}

func puts500() peer.Stored { return peer.Stored{Ops: puts(0, 500).Put} }

func TestDamagedStoresAreKeptThreeAtMost(t *testing.T) {
	dir := t.TempDir()
	for second := range int64(5) {
		if err := os.WriteFile(filepath.Join(dir, FileName), fmt.Append(nil, "garbage ", second), 0o600); err != nil {
			t.Fatal(err)
		}
		s := clocked(t, dir, 1e9+second)
		damage := load(t, s).Damage
		s.Close()
		if aside, err := os.ReadFile(damage.Aside); err != nil || string(aside) != fmt.Sprint("garbage ", second) {
			t.Fatalf("set aside: %q, %v", aside, err)
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, FileName+asideSuffix+"*"))
	want := []string{"20010909T014642Z", "20010909T014643Z", "20010909T014644Z"}
	if err != nil || len(found) != 3 {
		t.Fatalf("%v, %v", found, err)
	}
	for i := range found {
		if !strings.HasSuffix(found[i], want[i]) {
			t.Errorf("kept %s, want %s", found[i], want[i])
		}
	}
}

// TestDamageIsReportedUntilRefilled loads twice, then deletes the record.
func TestDamageIsReportedUntilRefilled(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, FileName), nil, 0o600)
	for range 2 {
		s := openSmall(t, dir)
		stored := load(t, s)
		var record damageRecord
		if err := json.Unmarshal(stored.Records[RefillRecord], &record); err != nil || stored.Damage == nil || stored.Damage.Lost != record.Lost {
			t.Fatalf("damage %+v, record %q", stored.Damage, stored.Records[RefillRecord])
		}
		s.Close()
	}
	s := openSmall(t, dir)
	commit(t, s, peer.Batch{Persist: control.Persist{Records: map[string][]byte{RefillRecord: nil}}})
	if stored := load(t, s); stored.Damage != nil || len(stored.Records) != 0 {
		t.Errorf("%+v", stored)
	}
}

func TestDamageUnderARunningStoreIsAnError(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	commit(t, s, everyKind())
	s.Close()
	s = openSmall(t, dir)
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	for at := 2 * 4096; at < len(data); at++ {
		data[at] ^= 0x5a
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.Load()
	var damaged *DamageError
	if !errors.As(err, &damaged) || !strings.Contains(err.Error(), dir) {
		t.Errorf("load: %v", err)
	}
	abandon(s)
	again := openSmall(t, dir)
	if load(t, again).Damage == nil {
		t.Error("the damage was not reported")
	}
}
