package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer"
	"shoal/peer/control"
	"shoal/peer/replication"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirVariable); dir != "" {
		commitForEver(dir)
	}
	if dir := os.Getenv(tmpfsVariable); dir != "" {
		if err := fillFileSystem(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func load(t *testing.T, s *Store) peer.Stored {
	t.Helper()
	stored, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func commit(t *testing.T, s *Store, batch peer.Batch) {
	t.Helper()
	if err := s.Commit(batch); err != nil {
		t.Fatal(err)
	}
}

// writer is the ID of a made-up peer.
var writer = crdt.PeerID(strings.Repeat("5a", 32))

// numbered is one of a series of operations on ten objects.
func numbered(n int) crdt.Op {
	return replication.Seal(crdt.Op{
		Key:     crdt.Key{Kind: "Deployment", Namespace: "default", Name: fmt.Sprint("web", n%10)},
		Stamp:   crdt.Stamp{Time: crdt.Time(n + 1), Writer: writer},
		Seen:    crdt.Seen{writer: crdt.Time(n)},
		Manager: "test", User: "somebody",
		Changes: []crdt.Change{{Path: "spec/replicas", Value: fmt.Append(nil, n)}, {Path: "spec/note", Value: fmt.Appendf(nil, "%0200d", n)}},
	}, func([]byte) []byte { return bytes.Repeat([]byte{byte(n)}, 64) })
}

func puts(from, to int) peer.Batch {
	var batch peer.Batch
	for n := from; n < to; n++ {
		batch.Put = append(batch.Put, numbered(n))
	}
	return batch
}

func member(id gossip.PeerID, name string) gossip.Member {
	self := gossip.Self{ID: id, Name: name, Stream: netip.MustParseAddrPort("10.0.0.1:7400"), Room: gossip.Room{CPUMillis: 1500, MemoryBytes: 1 << 30}, Health: gossip.Fair}
	return gossip.Member{Self: self, Addr: netip.MustParseAddrPort("10.0.0.1:7401"), State: gossip.Failed}
}

func everyKind() peer.Batch {
	batch := puts(0, 40)
	batch.Book = []gossip.Member{member("aa", "p1"), member("bb", "p2")}
	batch.Certificates = [][]byte{[]byte("certificate one"), []byte("certificate two")}
	return batch
}

// text is a form of stored in which equal contents are equal; cmp alone takes seconds for each comparison.
func text(t *testing.T, stored peer.Stored) string {
	t.Helper()
	slices.SortFunc(stored.Ops, func(a, b crdt.Op) int { return cmp.Compare(a.Stamp.Time, b.Stamp.Time) })
	slices.SortFunc(stored.Certificates, bytes.Compare)
	data, err := json.MarshalIndent(stored, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	if got := load(t, s); got.Boot < 1 || len(got.Ops) != 0 {
		t.Fatalf("a new store holds %+v", got)
	}
	want := everyKind()
	commit(t, s, want)
	commit(t, s, peer.Batch{Persist: control.Persist{Drop: want.Put[:10], Book: []gossip.Member{member("bb", "renamed")}}})
	commit(t, s, peer.Batch{Persist: control.Persist{Drop: want.Put[:1], Put: want.Put[20:30]}, Certificates: want.Certificates[:1]})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal("second close:", err)
	}
	got := load(t, open(t, dir))
	stored := peer.Stored{Ops: want.Put[10:], Book: []gossip.Member{member("aa", "p1"), member("bb", "renamed")}, Certificates: want.Certificates, Boot: got.Boot}
	if text(t, stored) != text(t, got) {
		t.Errorf("loaded %s\nwant %s", text(t, got), text(t, stored))
	}
}

// clocked opens a store whose clock stands at the given second since 1970.
func clocked(t *testing.T, dir string, second int64) *Store {
	t.Helper()
	s, err := openWith(dir, setup{realDisk{}, func() time.Time { return time.Unix(second, 0) }, 64 << 10, maxFileBytes, freeFloorBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestBootRisesWithEachLoad(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		second int64
		want   uint64
	}{{0, 1}, {-5, 2}, {1000, 1000}, {1000, 1001}, {0, 1002}, {5000, 5000}} {
		s := clocked(t, dir, c.second)
		if got := load(t, s).Boot; got != c.want {
			t.Errorf("at second %d boot %d, want %d", c.second, got, c.want)
		}
		s.Close()
	}
	lost := clocked(t, t.TempDir(), 6000)
	if got := load(t, lost).Boot; got <= 5000 {
		t.Errorf("boot %d after the store was lost, 5000 before", got)
	}
}

func TestSecondAgentIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(dir)
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.Dir != dir || !strings.Contains(err.Error(), dir) {
		t.Fatalf("second open: %v", err)
	}
	s.Close()
	open(t, dir)
}

func TestClosedStoreRefuses(t *testing.T) {
	s := open(t, t.TempDir())
	s.Close()
	if err := s.Commit(peer.Batch{}); !errors.Is(err, os.ErrClosed) {
		t.Error("commit:", err)
	}
	if _, err := s.Load(); !errors.Is(err, os.ErrClosed) {
		t.Error("load:", err)
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		return putMeta(tx, versionKey, binary.BigEndian.AppendUint64(nil, version+1))
	}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err := Open(dir)
	var newer *VersionError
	if !errors.As(err, &newer) || newer.Found != version+1 {
		t.Fatalf("opened with %v", err)
	}
}

// TestFailedWriteLeavesStoreUsable commits what bbolt refuses (a book entry without a key).
func TestFailedWriteLeavesStoreUsable(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, everyKind())
	bad := puts(500, 510)
	bad.Book = []gossip.Member{{}}
	if err := s.Commit(bad); err == nil {
		t.Fatal("a member without an ID was taken")
	}
	commit(t, s, puts(40, 41))
	if got := len(load(t, s).Ops); got != 41 {
		t.Errorf("%d operations, want 41: a failed batch must leave nothing", got)
	}
}

func TestCreationIsAtomic(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName+".new"), []byte("left by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(filepath.Join(dir, FileName+".new")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the half made file is still there:", err)
	}
}

// TestAFillGoesThroughTheTreeOnce checks that objects in the order of a fill have keys of one part of the tree after another, and that
// pages are left nearly full only then.
func TestAFillGoesThroughTheTreeOnce(t *testing.T) {
	set, last := crdt.NewSet(), byte(0)
	for n := range 500 {
		set.Add(sized(n))
	}
	for _, key := range set.KeysAfter(crdt.Key{}, 500) {
		at := objectKey(key)
		if at[0] < last {
			t.Fatalf("%s comes after part %d, and belongs to part %d", key, last, at[0])
		}
		last = at[0]
	}
	numbers := make([]int, 40_000)
	for n := range numbers {
		numbers[n] = n
	}
	changes := func(numbers []int) (all []change) {
		for _, n := range numbers {
			all = append(all, change{kind: putRecord, bucket: opsBucket, key: objectKey(sizedKey(n))})
		}
		return all
	}
	for _, x := range []struct {
		about   string
		changes []change
		want    float64
	}{
		{"a fill", changes(inPages(numbers)[1000:2500]), buildFill},
		{"writes by many", changes(numbers[:2000]), bbolt.DefaultFillPercent},
		{"a few writes", changes(numbers[:10]), bbolt.DefaultFillPercent},
		{"nothing", nil, bbolt.DefaultFillPercent},
	} {
		if got := fillFor(x.changes); got != x.want {
			t.Errorf("%s leaves pages %v full, want %v", x.about, got, x.want)
		}
	}
}
