package replication

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/peer/wire"
)

const million = 1_000_000

// millions are two machines that hold the same small objects, made once for all benchmarks: some 2 GB.
var millions = sync.OnceValue(func() *line {
	a, b := newMachine("a", "b"), newMachine("b", "a")
	snapshot := 0
	for i := range million {
		op := smallOp(i, testPeer())
		snapshot += sealedBytes(op)
		a.set.Add(op)
		b.set.Add(op)
	}
	millionBytes = snapshot
	return newLine(nil, a, b)
})

var (
	millionBytes int
	millionNext  = million // where new differences begin
)

// cpu is what this process has used, of all cores.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkReconcileMillion finds and exchanges what differs between two sets of 1,000,000 small objects. cpu-s is of both
// sides, with coding and merging. Signatures are not checked in it: that is counted where operations are taken in. Nor does the garbage
// collector run, which here would mark some millions of objects that one peer never has. find-cpu-s is until the
// difference is known, with the digests over what was added before; merge-cpu-s is what one set that was empty takes to merge as
// many operations.
func BenchmarkReconcileMillion(b *testing.B) {
	l := millions()
	l.t = b
	differ(b, l, 1, millionNext)
	millionNext++
	l.round(0) // the symbols of both sides are kept from here on
	for _, n := range []int{1, 100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				reconcileMillion(b, l, n)
				b.StartTimer()
			}
		})
	}
}

func reconcileMillion(b *testing.B, l *line, n int) {
	differing := differ(b, l, n, millionNext)
	millionNext += n
	bytes := sealedBytes(differing...)
	l.clear()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	found := time.Duration(0)
	begin := cpu()
	l.send(0, l.ends[0].Reconcile())
	for l.step() {
		if found == 0 && len(l.results) > 0 && gives(l.results[len(l.results)-1]) {
			found = cpu() - begin
		}
	}
	spent := cpu() - begin
	if !l.equal() {
		b.Fatal("not equal")
	}
	merged := crdt.NewSet()
	begin = cpu()
	for _, op := range differing {
		merged.AddObject(op.Key, []crdt.Op{op})
	}
	b.ReportMetric((cpu() - begin).Seconds(), "merge-cpu-s")
	b.ReportMetric(spent.Seconds(), "cpu-s")
	b.ReportMetric(found.Seconds(), "find-cpu-s")
	b.ReportMetric(float64(l.total()), "bytes")
	b.ReportMetric(float64(bytes), "difference-bytes")
	b.ReportMetric(max(0, float64(l.total()-2048)/float64(bytes)), "ratio")
	b.ReportMetric(float64((l.turns+1)/2), "round-trips")
}

func gives(r Received) bool {
	for _, o := range r.Send {
		if o.Message.Objects != nil || o.Message.Want != nil {
			return true
		}
	}
	return false
}

// BenchmarkEqualMillion compares two equal sets of 1,000,000 small objects.
func BenchmarkEqualMillion(b *testing.B) {
	l := millions()
	l.t = b
	l.round(0)
	for b.Loop() {
		l.clear()
		l.round(0)
	}
	there := len(wire.EncodeEnvelope(wire.Envelope{Message: Encode(Message{Digest: l.ends[0].digest()})}))
	if l.messages != [2]int{1, 1} || l.largest > 1400 || there > 1400 {
		b.Fatalf("%v messages, the largest of %d bytes", l.messages, max(l.largest, there))
	}
	b.ReportMetric(float64(l.messages[0]+l.messages[1]), "packets")
	b.ReportMetric(float64(max(l.largest, there)), "bytes-there")
	b.ReportMetric(float64(l.bytes[1]), "bytes-back")
}

// BenchmarkFillMillion fills an empty peer with 1,000,000 small objects, from another partner after a cut in the middle.
func BenchmarkFillMillion(b *testing.B) {
	full := millions()
	full.t = b
	if full.round(0); !full.equal() {
		b.Fatal("the sources are not equal")
	}
	snapshot := 0
	for _, key := range full.ends[0].set.KeysAfter(crdt.Key{}, 4*million) {
		snapshot += sealedBytes(full.ends[0].set.Ops(key)...)
	}
	for b.Loop() {
		begin := cpu()
		empty := newMachine("empty")
		first, last := newLine(b, full.ends[0], empty), newLine(b, full.ends[1], empty)
		empty.Live([]crdt.PeerID{"a"})
		first.send(1, empty.Reconcile())
		lost := 0
		for len(first.queue) > 0 {
			if empty.set.Count() > million/2 && first.queue[0].from == 0 { // a page is on its way
				for _, q := range first.queue {
					lost += len(q.data)
				}
				break
			}
			first.step()
		}
		empty.Live([]crdt.PeerID{"b"})
		for i := 0; i < 10 && (empty.fill != nil || i == 0); i++ {
			last.round(1)
		}
		if !last.equal() {
			b.Fatal("not equal")
		}
		b.ReportMetric(float64(first.total()+last.total())/float64(snapshot), "ratio")
		b.ReportMetric(100*float64(lost)/float64(snapshot), "again-%")
		b.ReportMetric((cpu() - begin).Seconds(), "cpu-s")
	}
	newLine(b, full.ends[0], full.ends[1])
}
