package crdt

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	goruntime "runtime"
	"testing"

	"shoal/crdt/sketch"
)

const million = 1_000_000

// small is the creation of an object with two fields; the bytes under its signature are left out.
func small(i int) Op {
	op := Op{Key: Key{"ConfigMap", "default", fmt.Sprintf("shop-%d", i)}, Stamp: Stamp{Time(i + 1), "p1"}, Verb: Create,
		Manager: "shoal", User: "op", Changes: []Change{set("data/color", `"blue"`), set("metadata/labels/app", `"web"`)}}
	op.Hash = sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)))
	return op
}

func smalls(from, to int) []Op {
	ops := make([]Op, 0, to-from)
	for i := from; i < to; i++ {
		ops = append(ops, small(i))
	}
	return ops
}

func heapBytes() uint64 {
	var m goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkLoad loads a million objects; set-B/op is what the set takes besides the operations themselves.
func BenchmarkLoad(b *testing.B) {
	ops := smalls(0, million)
	for b.Loop() {
		b.StopTimer()
		before := heapBytes()
		b.StartTimer()
		s := NewSet()
		s.Load(ops)
		s.Digest()
		b.StopTimer()
		b.ReportMetric(float64(heapBytes()-before)/million, "set-B/object")
		goruntime.KeepAlive(s)
		b.StartTimer()
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{100, million} {
		s := NewSet()
		s.Load(smalls(0, n))
		s.Sketch().Symbols(0, 64)
		at, last := Time(1<<40), 0
		update := func() Op {
			at++
			last = (last + 7919) % n
			op := Op{Key: small(last).Key, Stamp: Stamp{at, "p1"}, Changes: []Change{set("data/color", `"red"`)}}
			op.Seen = s.Seen(op.Key)
			op.Hash = sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(at)))
			return op
		}
		b.Run(fmt.Sprintf("update/objects=%d", n), func(b *testing.B) {
			var batch []Op // at most as many as there are objects, so that none has missed another
			for b.Loop() {
				if len(batch) == 0 {
					b.StopTimer()
					for range min(n, 10_000) {
						batch = append(batch, update())
					}
					b.StartTimer()
				}
				if result, _ := s.Add(batch[0]); result != Applied {
					b.Fatal(result)
				}
				batch = batch[1:]
			}
		})
		b.Run(fmt.Sprintf("digest/objects=%d", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s.Add(update())
				b.StartTimer()
				s.Digest()
			}
		})
	}
}

// BenchmarkCreate adds new objects to a set of a million.
func BenchmarkCreate(b *testing.B) {
	s := NewSet()
	s.Load(smalls(0, million))
	ops := smalls(million, million+100_000)
	for b.Loop() {
		if len(ops) == 0 {
			b.Fatal("more than 100,000 rounds")
		}
		s.Add(ops[0])
		ops = ops[1:]
	}
}

func BenchmarkObject(b *testing.B) {
	s := filled(1)
	key := deployment(0).Key
	for b.Loop() {
		s.Object(key)
	}
}

func BenchmarkBelow(b *testing.B) {
	s := NewSet()
	s.Load(smalls(0, million))
	mark := Seen{"p1": million}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			s.Below(nil)
			s.Below(mark)
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			s.Below(mark)
		}
	})
}

// BenchmarkReconcile is what both sides together spend on finding the differences of two sets of a million, whose
// symbols are kept, and how many symbols that takes.
func BenchmarkReconcile(b *testing.B) {
	common := smalls(0, million)
	for _, d := range []int{1, 10, 100, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("differences=%d", d), func(b *testing.B) {
			here, there := NewSet(), NewSet()
			here.Load(common[:million-d/2])
			there.Load(common[(d+1)/2:])
			ours, theirs := here.Sketch(), there.Sketch()
			ours.Symbols(0, 1)
			theirs.Symbols(0, 1)
			symbols := 0
			for b.Loop() {
				decoder := sketch.NewDecoder(ours, sketch.Part{})
				for !decoder.Done() {
					if err := decoder.Take(theirs.Symbols(decoder.Len(), decoder.Len()+decoder.Want())); err != nil {
						b.Fatal(err)
					}
				}
				if symbols = decoder.Len(); len(decoder.Here())+len(decoder.There()) != d/2+(d+1)/2 {
					b.Fatal("not all found")
				}
			}
			b.ReportMetric(float64(symbols)/float64(d), "symbols/difference")
		})
	}
}

// BenchmarkFirstSymbols makes the kept symbols of a set of a million: once after each start.
func BenchmarkFirstSymbols(b *testing.B) {
	s := NewSet()
	s.Load(smalls(0, million))
	for b.Loop() {
		s.sketch = nil
		s.Sketch().Symbols(0, 64)
	}
}
