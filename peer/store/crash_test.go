package store

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/peer"
	"shoal/peer/control"
)

// seen is what a crash test compares: everything that a store holds.
type seen struct {
	Ops     []int // the numbers of the operations
	Records map[string][]byte
	Book    int
	History []string
}

// run is a series of commits with what the store holds after each.
type run struct {
	batches []peer.Batch
	after   []string
}

var historyKey = crdt.Key{Kind: "Deployment", Namespace: "default", Name: "web"}

// plan makes count commits that put, drop, rewrite a record and write history, some of several sectors and one larger than a segment.
func plan(count int) run {
	var r run
	now := seen{Records: map[string][]byte{}}
	next := 0
	r.after = append(r.after, now.text())
	for i := range count {
		var batch peer.Batch
		size := []int{1, 1, 3, 1, 7}[i%5]
		if i == count/2 {
			size = 30
		}
		batch.Put = puts(next, next+size).Put
		for n := range size {
			now.Ops = append(now.Ops, next+n)
		}
		next += size
		if i%3 == 2 {
			batch.Drop = append(batch.Drop, numbered(now.Ops[0]), numbered(now.Ops[1]))
			now.Ops = now.Ops[2:]
		}
		batch.Records = map[string][]byte{"mark": fmt.Append(nil, i)}
		now.Records["mark"] = fmt.Append(nil, i)
		if i%4 == 1 {
			batch.History = []control.HistoryEntry{{Key: historyKey, User: fmt.Sprint("user ", i)}}
			now.History = append([]string{fmt.Sprint("user ", i)}, now.History...)
			now.History = now.History[:min(len(now.History), historyEntries)]
		}
		r.batches = append(r.batches, batch)
		r.after = append(r.after, now.text())
	}
	return r
}

func (s seen) text() string {
	slices.Sort(s.Ops)
	if s.Records == nil {
		s.Records = map[string][]byte{}
	}
	data, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// look reads all that a store holds.
func look(s *Store) (string, *peer.Damage, error) {
	stored, err := s.Load()
	if err != nil {
		return "", nil, err
	}
	var found seen
	for _, op := range stored.Ops {
		found.Ops = append(found.Ops, int(op.Stamp.Time)-1)
	}
	found.Records, found.Book = plain(stored).Records, len(stored.Book)
	entries, err := s.History(historyKey)
	for _, entry := range entries {
		found.History = append(found.History, entry.User)
	}
	return found.text(), stored.Damage, err
}

// crashSetup has tiny segments and compacts all the time.
func crashSetup(d disk) setup {
	return setup{d, func() time.Time { return time.Unix(1e9, 0) }, 6 << 10, maxFileBytes, 4 << 10}
}

// shortDir is a directory in memory where there is one: these tests open thousands of stores.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "store-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// play carries out the run from start, and returns the steps that it took on disk. The mark i says that commit i was
// begun, -i that it was acknowledged (both from 1).
func play(t *testing.T, r run, start image, skipSync bool) []step {
	t.Helper()
	dir := shortDir(t)
	start.write(t, dir)
	disk := &recorder{skipSync: skipSync}
	s, err := openWith(dir, crashSetup(disk))
	if err != nil {
		t.Fatal(err)
	}
	for i, batch := range r.batches {
		disk.note(step{kind: stepMark, mark: i + 1})
		if err := s.Commit(batch); err != nil {
			t.Fatal(err)
		}
		disk.note(step{kind: stepMark, mark: -(i + 1)})
		if i == len(r.batches)*3/4 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = openWith(dir, crashSetup(disk)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return disk.steps
}

// failures crashes after each step in each way, opens the store, and returns what is wrong with what it holds. Of every
// some crashes the opening is cut off too.
func failures(t *testing.T, r run, start image, steps []step, stride int) (wrong []string) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	p := newPlatter(start)
	least, most, crashes := 0, 0, 0
	for i, s := range steps {
		p.do(s)
		if s.kind == stepMark {
			most, least = max(most, s.mark), max(least, -s.mark)
			continue
		}
		if i%stride != 0 {
			continue
		}
		for mode := range crashModes {
			found := p.crash(mode, random)
			crashes++
			again := crashes%16 == 0
			if fault := opens(t, r, found, least, most, mode, again, random); fault != "" {
				wrong = append(wrong, fmt.Sprintf("step %d (%d %s), %s, second crash %v: %s", i, s.kind, s.name, mode, again, fault))
			}
		}
	}
	return wrong
}

// opens says what is wrong with the store that a crash left, of which commit least was acknowledged and commit most was begun.
func opens(t *testing.T, r run, found image, least, most int, mode crashMode, again bool, random *rand.Rand) string {
	dir := shortDir(t)
	defer os.RemoveAll(dir)
	found.write(t, dir)
	disk := &recorder{}
	s, err := openWith(dir, crashSetup(disk))
	if err != nil {
		return fmt.Sprintf("does not open: %v", err)
	}
	if again {
		abandon(s)
		p := newPlatter(found)
		for _, s := range disk.steps[:random.IntN(len(disk.steps)+1)] {
			p.do(s)
		}
		return opens(t, r, p.crash(sectors, random), least, most, mode, false, random)
	}
	defer abandon(s)
	holds, damage, err := look(s)
	if err != nil {
		return err.Error()
	}
	if damage != nil && mode != torn && mode != zeroed {
		return fmt.Sprintf("a crash is taken for damage: %+v", *damage)
	}
	for n := least; n <= most; n++ {
		if holds == r.after[n] {
			return ""
		}
	}
	return fmt.Sprintf("acknowledged %d, begun %d, damage %+v; holds %s", least, most, damage, holds)
}

// TestCrashAtEveryWriteBoundary is P2 for the store: what was acknowledged is there, and no commit is there by half.
func TestCrashAtEveryWriteBoundary(t *testing.T) {
	r := plan(24)
	steps := play(t, r, image{}, false)
	for _, want := range []step{
		{kind: stepWrite, name: "store.journal.0"}, {kind: stepWrite, name: "store.journal.1"}, {kind: stepWrite, name: FileName},
		{kind: stepWrite, name: noteName}, {kind: stepRename, name: FileName + ".new"}, {kind: stepRename, name: FileName + compactSuffix},
	} {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.kind == want.kind && s.name == want.name }) {
			t.Errorf("the run never did %+v", want)
		}
	}
	wrong := failures(t, r, image{}, steps, 1)
	for _, fault := range wrong[:min(5, len(wrong))] {
		t.Error(fault)
	}
	t.Logf("%d steps, %d crashes, %d wrong", len(steps), len(steps)*int(crashModes), len(wrong))
}

// TestCrashTestFindsASkippedSync plants the fault that the test above is there to find.
func TestCrashTestFindsASkippedSync(t *testing.T) {
	r := plan(20)
	if wrong := failures(t, r, image{}, play(t, r, image{}, true), 9); len(wrong) == 0 {
		t.Error("no crash lost anything, though nothing was ever synced")
	}
}

// TestCrashWhileUpgrading cuts off the first opening of a store of version 1.
func TestCrashWhileUpgrading(t *testing.T) {
	start := image{FileName: unzip(t, filepath.Join("testdata", "v1.db.gz"))}
	crashOpening(t, start, func(stored peer.Stored) string {
		if len(stored.Ops) != 30 || len(stored.Certificates) != 2 || len(stored.Book) != 2 || stored.Damage != nil {
			return fmt.Sprintf("%d operations, %d certificates, damage %+v", len(stored.Ops), len(stored.Certificates), stored.Damage)
		}
		return ""
	})
}

// TestCrashWhileSavingADamagedStore cuts off the opening of a store of which one record is broken.
func TestCrashWhileSavingADamagedStore(t *testing.T) {
	start, _ := sound(t)
	broken := slices.Clone(start[FileName])
	at := indexOf(broken, "certificate one")
	broken[at] ^= 1
	start = start.with(FileName, broken)
	crashOpening(t, start, func(stored peer.Stored) string {
		if len(stored.Ops) != 50 || len(stored.Certificates) != 1 || len(stored.Book) != 2 || stored.Damage == nil || len(plain(stored).Records) != 1 {
			return fmt.Sprintf("%d operations, %d certificates, damage %+v", len(stored.Ops), len(stored.Certificates), stored.Damage)
		}
		return ""
	})
}

func indexOf(data []byte, part string) int {
	for at := range data {
		if string(data[at:min(len(data), at+len(part))]) == part {
			return at
		}
	}
	return -1
}

// crashOpening opens start, crashes after each step of that, and wants the next opening to find what check accepts.
func crashOpening(t *testing.T, start image, check func(peer.Stored) string) {
	t.Helper()
	dir := shortDir(t)
	start.write(t, dir)
	disk := &recorder{}
	s, err := openWith(dir, crashSetup(disk))
	if err != nil {
		t.Fatal(err)
	}
	if fault := check(load(t, s)); fault != "" {
		t.Fatal(fault)
	}
	abandon(s)
	random := rand.New(rand.NewPCG(3, 4))
	p := newPlatter(start)
	for i, step := range disk.steps {
		p.do(step)
		for mode := range crashModes {
			dir := shortDir(t)
			p.crash(mode, random).write(t, dir)
			s, err := openWith(dir, crashSetup(realDisk{}))
			if err != nil {
				t.Errorf("step %d, %s: does not open: %v", i, mode, err)
				continue
			}
			stored, err := s.Load()
			if fault := check(stored); fault != "" || err != nil {
				t.Errorf("step %d (%d %s), %s: %s %v", i, step.kind, step.name, mode, fault, err)
			}
			abandon(s)
			os.RemoveAll(dir)
		}
	}
	if len(disk.steps) < 10 {
		t.Errorf("only %d steps were recorded", len(disk.steps))
	}
}
