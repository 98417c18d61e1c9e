package placement

import (
	"fmt"
	"testing"
)

// BenchmarkDecide places 50,000 replicas of 5,000 workloads on peers of three sizes, from nothing.
func BenchmarkDecide(b *testing.B) {
	for _, peers := range []int{1000, 5000} {
		v := fleet(peers, 50000)
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Plan()
			}
			b.ReportMetric(float64(len(v.Wanted))*float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}
