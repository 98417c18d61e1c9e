package placement

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// mixes are shaped like what is published of public traces: many small tasks and a few large ones whose CPU and memory have little to do with each
// other (Google 2019), virtual machines of a few sizes with 1.75 to 8 GiB for each core (Azure 2017), and long-running containers beside small
// batch tasks (Alibaba 2018). They are drawn, not taken from the traces. Amounts are of a peer with 64 cores and 256 GiB.
var mixes = map[string]func(*rand.Rand) Resources{
	"google": func(r *rand.Rand) Resources {
		return Resources{CPUMillis: 64 * heavy(r), MemoryBytes: 256 << 20 * heavy(r)}
	},
	"azure": func(r *rand.Rand) Resources {
		cores := []int64{1, 1, 1, 1, 2, 2, 2, 4, 4, 8, 8, 16, 24}[r.IntN(13)]
		return Resources{CPUMillis: 1000 * cores, MemoryBytes: []int64{1792 << 20, 2 << 30, 4 << 30, 8 << 30}[r.IntN(4)] * cores}
	},
	"alibaba": func(r *rand.Rand) Resources {
		if r.IntN(3) == 0 {
			return Resources{CPUMillis: []int64{4000, 4000, 8000, 16000}[r.IntN(4)], MemoryBytes: (4 + r.Int64N(28)) << 30}
		}
		return Resources{CPUMillis: []int64{500, 500, 1000}[r.IntN(3)], MemoryBytes: (1 + r.Int64N(16)) << 28}
	},
}

var packed64 = Resources{CPUMillis: 64000, MemoryBytes: 256 << 30}

// heavy draws from 1 to 500 thousandths of a peer, each size as likely as one twice as large is half as likely.
func heavy(r *rand.Rand) int64 { return max(1, 500/(1+r.Int64N(200))) + r.Int64N(5) }

// mixed is a number of replicas of workloads of 1 to 10.
func mixed(mix string, seed uint64, replicas int) (all []Wanted) {
	random := rand.New(rand.NewPCG(seed, 7))
	for n := 0; len(all) < replicas; n++ {
		all = append(all, workloadAs(WorkloadID(fmt.Sprintf("Deployment/default/w%d", n)), 1+random.IntN(10), mixes[mix](random))...)
	}
	return all[:replicas]
}

// equalPeers are empty.
func equalPeers(n int) (peers []Peer) {
	for i := range n {
		peers = append(peers, Peer{ID: PeerID(fmt.Sprintf("%064x", i)), Name: fmt.Sprintf("p%d", i), Live: true, Room: packed64})
	}
	return peers
}

// peersNeeded is the least number from the lower bound on with which a plan places all.
func peersNeeded(wanted []Wanted, from int) int {
	for n := from; ; n++ {
		v := View{Peers: equalPeers(n), Wanted: wanted}
		if !slices.ContainsFunc(list(v.Plan()), func(a Assignment) bool { return a.Peer == "" }) {
			return n
		}
	}
}

// leastPeers is a lower bound: no packing can do with fewer.
func leastPeers(wanted []Wanted) int {
	var sum Resources
	halves := 0
	for _, w := range wanted {
		sum = sum.plus(w.Request)
		if 2*w.Request.CPUMillis > packed64.CPUMillis || 2*w.Request.MemoryBytes > packed64.MemoryBytes {
			halves++
		}
	}
	cpu := (sum.CPUMillis + packed64.CPUMillis - 1) / packed64.CPUMillis
	memory := (sum.MemoryBytes + packed64.MemoryBytes - 1) / packed64.MemoryBytes
	return max(int(cpu), int(memory), halves)
}

// bin is a peer of the packer that knows all from the start and may change its mind.
type bin struct {
	left  Resources
	items []Resources
}

func (b *bin) add(r Resources) { b.left, b.items = b.left.less(r), append(b.items, r) }

func (b *bin) remove(at int) {
	b.left = b.left.more(b.items[at])
	b.items = slices.Delete(b.items, at, at+1)
}

// offline packs by first and best fit decreasing in four orders, and peer by peer by the dot product of request and room (Panigrahy, Talwar,
// Uyeda, Wieder 2011), and improves the best of these by emptying one peer after the other by moves and swaps.
func offline(wanted []Wanted) int {
	var best []bin
	consider := func(bins []bin) {
		if best == nil || len(bins) < len(best) {
			best = bins
		}
	}
	for _, size := range sizes {
		order := make([]Resources, len(wanted))
		for i := range wanted {
			order[i] = wanted[i].Request
		}
		slices.SortStableFunc(order, func(x, y Resources) int { return cmp.Compare(size(y), size(x)) })
		consider(decreasing(order, func(r, left Resources) int64 { return 0 }))
		consider(decreasing(order, func(r, left Resources) int64 { return waste(left.less(r), packed64) }))
		consider(decreasing(order, func(r, left Resources) int64 { return -dot(r, left) }))
		consider(peerByPeer(order))
	}
	for improve(&best) {
	}
	return len(best)
}

var sizes = []func(Resources) int64{
	func(r Resources) int64 { return r.largest(packed64) },
	func(r Resources) int64 { return shareOf(r.CPUMillis, 0) + shareOf(0, r.MemoryBytes) },
	func(r Resources) int64 { return shareOf(r.CPUMillis, 0) / 1000 * (shareOf(0, r.MemoryBytes) / 1000) },
	func(r Resources) int64 { return waste(r, packed64) },
}

func shareOf(cpu, memory int64) int64 {
	return share(cpu, packed64.CPUMillis) + share(memory, packed64.MemoryBytes)
}

func dot(r, left Resources) int64 {
	return share(r.CPUMillis, packed64.CPUMillis)*share(left.CPUMillis, packed64.CPUMillis) +
		share(r.MemoryBytes, packed64.MemoryBytes)*share(left.MemoryBytes, packed64.MemoryBytes)
}

func decreasing(order []Resources, cost func(r, left Resources) int64) (bins []bin) {
	for _, r := range order {
		best := -1
		for i := range bins {
			if r.fits(bins[i].left) && (best < 0 || cost(r, bins[i].left) < cost(r, bins[best].left)) {
				best = i
			}
		}
		if best < 0 {
			best = len(bins)
			bins = append(bins, bin{left: packed64})
		}
		bins[best].add(r)
	}
	return bins
}

func peerByPeer(order []Resources) (bins []bin) {
	rest := slices.Clone(order)
	for len(rest) > 0 {
		b := bin{left: packed64}
		for {
			best := -1
			for i, r := range rest {
				if r.fits(b.left) && (best < 0 || dot(r, b.left) > dot(rest[best], b.left)) {
					best = i
				}
			}
			if best < 0 {
				break
			}
			b.add(rest[best])
			rest = slices.Delete(rest, best, best+1)
		}
		bins = append(bins, b)
	}
	return bins
}

// improve empties one of the emptiest bins into the others, if it can.
func improve(bins *[]bin) bool {
	slices.SortStableFunc(*bins, func(x, y bin) int { return cmp.Compare(waste(y.left, packed64), waste(x.left, packed64)) })
	for n := range min(8, len(*bins)) {
		var others []bin
		for i, b := range *bins {
			if i != n {
				others = append(others, bin{b.left, slices.Clone(b.items)})
			}
		}
		if absorb(others, (*bins)[n].items) {
			*bins = others
			return true
		}
	}
	return false
}

// absorb finds room for all items, where needed by moving one other away.
func absorb(bins []bin, items []Resources) bool {
	for _, r := range items {
		if !direct(bins, r, -1) && !bySwap(bins, r) {
			return false
		}
	}
	return true
}

func direct(bins []bin, r Resources, not int) bool {
	best := -1
	for i := range bins {
		if i != not && r.fits(bins[i].left) && (best < 0 || waste(bins[i].left, packed64) < waste(bins[best].left, packed64)) {
			best = i
		}
	}
	if best >= 0 {
		bins[best].add(r)
	}
	return best >= 0
}

func bySwap(bins []bin, r Resources) bool {
	for i := range bins {
		for at, other := range bins[i].items {
			if r.fits(bins[i].left.more(other)) && direct(bins, other, i) {
				bins[i].remove(at)
				bins[i].add(r)
				return true
			}
		}
	}
	return false
}

// BenchmarkPack tells how many peers a plan needs for each one that the offline packer does, and that the lower bound asks for.
func BenchmarkPack(b *testing.B) {
	for _, mix := range []string{"google", "azure", "alibaba"} {
		b.Run(mix, func(b *testing.B) {
			for b.Loop() {
				var sum, worst, bound float64
				const rounds = 10
				for seed := range uint64(rounds) {
					wanted := mixed(mix, seed, 1500)
					least, packer := leastPeers(wanted), offline(wanted)
					needed := peersNeeded(wanted, least)
					sum, worst = sum+float64(needed)/float64(packer), max(worst, float64(needed)/float64(packer))
					bound += float64(needed) / float64(least)
				}
				b.ReportMetric(sum/rounds, "times")
				b.ReportMetric(worst, "worst")
				b.ReportMetric(bound/rounds, "of-bound")
				b.ReportMetric(rounds, "mixes")
			}
		})
	}
}

// spreadOf is by how much the loads of equal peers differ from their mean, at worst, in percent: of CPU and of memory.
func spreadOf(v View) (cpu, memory float64) {
	b := settled(v)
	var sum load
	for _, s := range b.sites {
		sum = sum.plus(s.load)
	}
	n := float64(len(b.sites))
	for _, s := range b.sites {
		cpu = max(cpu, 100*apart(float64(s.load.cpuMillis), float64(sum.cpuMillis)/n))
		memory = max(memory, 100*apart(float64(s.load.memoryKiB), float64(sum.memoryKiB)/n))
	}
	return cpu, memory
}

func apart(x, mean float64) float64 { return max(x-mean, mean-x) / mean }

// BenchmarkEven tells how even equal peers are loaded that are 60 % full of replicas an eighth as large as those of the mixes.
func BenchmarkEven(b *testing.B) {
	for _, mix := range []string{"google", "azure", "alibaba"} {
		b.Run(mix, func(b *testing.B) {
			for b.Loop() {
				var cpu, memory float64
				for seed := range uint64(10) {
					wanted := mixed(mix, seed, 4000)
					for i := range wanted {
						r := &wanted[i].Request
						r.CPUMillis, r.MemoryBytes = r.CPUMillis/8, r.MemoryBytes/8
					}
					c, m := spreadOf(View{Peers: equalPeers(leastPeers(wanted) * 10 / 6), Wanted: wanted})
					cpu, memory = max(cpu, c), max(memory, m)
				}
				b.ReportMetric(cpu, "cpu-%")
				b.ReportMetric(memory, "memory-%")
			}
		})
	}
}
