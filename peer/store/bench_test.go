package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/peer"
	"shoal/peer/control"
	"shoal/peer/replication"
)

func sizedKey(n int) crdt.Key {
	return crdt.Key{Kind: "ConfigMap", Namespace: "default", Name: fmt.Sprint("object-", n)}
}

// sized is operation n on an object of its own, about 400 bytes signed.
func sized(n int) crdt.Op {
	return replication.Seal(crdt.Op{
		Key:     sizedKey(n),
		Stamp:   crdt.Stamp{Time: crdt.Time(n+1) << 16, Writer: writer},
		Verb:    crdt.Create,
		Manager: "shoal", User: "somebody",
		Changes: []crdt.Change{{Path: "data/value", Value: fmt.Appendf(nil, "\"%0170d\"", n)}},
	}, func(data []byte) []byte { return slices.Repeat([]byte{byte(n)}, 64) })
}

func sizedBatch(from, count int) peer.Batch {
	batch := peer.Batch{Persist: control.Persist{Put: make([]crdt.Op, count)}}
	for i := range batch.Put {
		batch.Put[i] = sized(from + i)
	}
	return batch
}

// benchmarkCommit reports, beside the mean, the median and the 99th percentile of one Commit.
func benchmarkCommit(b *testing.B, each int) {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Commit(sizedBatch(0, 2000)); err != nil {
		b.Fatal(err)
	}
	n, took := 2000, []time.Duration(nil)
	for b.Loop() {
		b.StopTimer()
		batch := sizedBatch(n, each)
		n += each
		b.StartTimer()
		begun := time.Now()
		if err := s.Commit(batch); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "us-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "us-p99")
	b.ReportMetric(float64(len(replication.EncodeOp(sized(n)))), "B/operation")
}

func BenchmarkCommit1(b *testing.B)  { benchmarkCommit(b, 1) }
func BenchmarkCommit64(b *testing.B) { benchmarkCommit(b, 64) }

// BenchmarkCommitConcurrent has 64 writers, each with one operation at a time.
func BenchmarkCommitConcurrent(b *testing.B) {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var next atomic.Int64
	var writers sync.WaitGroup
	b.ResetTimer()
	for range 64 {
		writers.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := s.Commit(sizedBatch(int(n), 1)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
}

// BenchmarkLoadMillion commits 1,000,000 operations in batches as the loop makes them, and opens the store again: in the order in
// which another peer fills a new one, and in no order.
func BenchmarkLoadMillion(b *testing.B) {
	const operations = 1_000_000
	scattered := make([]int, operations)
	for n := range scattered {
		scattered[n] = n
	}
	b.Run("filled", func(b *testing.B) { benchmarkLoad(b, inPages(scattered)) })
	b.Run("scattered", func(b *testing.B) { benchmarkLoad(b, scattered) })
}

// inPages puts operations in the order of crdt.Set.KeysAfter.
func inPages(numbers []int) []int {
	var buckets [crdt.Buckets][]int
	for _, n := range numbers {
		at := sizedKey(n).Bucket()
		buckets[at] = append(buckets[at], n)
	}
	for _, bucket := range buckets {
		slices.SortFunc(bucket, func(x, y int) int { return sizedKey(x).Compare(sizedKey(y)) })
	}
	return slices.Concat(buckets[:]...)
}

func benchmarkLoad(b *testing.B, numbers []int) {
	for b.Loop() {
		dir := b.TempDir()
		loadAll(b, dir, numbers)
		reopen(b, dir, len(numbers))
	}
}

// loadAll reports how many bytes go to the disk for each byte of the operations.
func loadAll(b *testing.B, dir string, numbers []int) {
	s, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	var committing time.Duration
	bytes, before := 0, writtenBytes(b)
	for some := range slices.Chunk(numbers, 512) {
		batch := peer.Batch{}
		for _, n := range some {
			op := sized(n)
			batch.Put = append(batch.Put, op)
			bytes += len(replication.EncodeOp(op))
		}
		begun := time.Now()
		if err := s.Commit(batch); err != nil {
			b.Fatal(err)
		}
		committing += time.Since(begun)
	}
	begun := time.Now()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(committing.Seconds(), "s-commits")
	b.ReportMetric(time.Since(begun).Seconds(), "s-close")
	b.ReportMetric(float64(writtenBytes(b)-before)/1e6, "MB-written")
	b.ReportMetric(float64(writtenBytes(b)-before)/float64(bytes), "written/byte")
}

// writtenBytes is what this process has had written to disks.
func writtenBytes(b *testing.B) (bytes int64) {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if n, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			bytes, err = strconv.ParseInt(strings.TrimSpace(n), 10, 64)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}

func reopen(b *testing.B, dir string, operations int) {
	info, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	s, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportMetric(time.Since(begun).Seconds(), "s-open")
	begun = time.Now()
	stored, err := s.Load()
	if err != nil || len(stored.Ops) != operations {
		b.Fatal(len(stored.Ops), err)
	}
	b.ReportMetric(time.Since(begun).Seconds(), "s-load")
	b.ReportMetric(float64(info.Size())/1e6, "MB")
}
