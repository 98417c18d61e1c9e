package replication

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"shoal/crdt"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func fakeSign(message []byte) []byte {
	sum := sha256.Sum256(message)
	return sum[:]
}

// simulated is a machine with what its peer would hold beside it: what is on its disk.
type simulated struct {
	id       crdt.PeerID
	set      *crdt.Set
	machine  *Machine
	disk     map[[32]byte]crdt.Op
	last     crdt.Time
	sequence uint64
}

// net is some machines with a network that loses, repeats and reorders.
type net struct {
	t        failer
	random   *rand.Rand
	peers    []*simulated
	inFlight []coded
	side     map[crdt.PeerID]int // of a split
	messages int
	bytes    int
	settled  func(*simulated) // what a peer does when its doubt has ended
}

// failer is a test or a property.
type failer interface {
	Fatalf(format string, arguments ...any)
}

type coded struct {
	from, to crdt.PeerID
	data     []byte
}

func newNet(t failer, n int, seed uint64) *net {
	w := &net{t: t, side: map[crdt.PeerID]int{}, random: rand.New(rand.NewPCG(seed, 1))}
	var ids []crdt.PeerID
	for i := range n {
		id := crdt.PeerID(fmt.Sprintf("p%02d", i))
		set := crdt.NewSet()
		w.peers = append(w.peers, &simulated{id: id, set: set, machine: New(id, set, w.random.IntN), disk: map[[32]byte]crdt.Op{}})
		ids = append(ids, id)
	}
	for _, p := range w.peers {
		p.machine.Live(ids)
	}
	return w
}

func (w *net) send(from *simulated, outgoing []Outgoing) {
	for _, o := range outgoing {
		if o.To == from.id {
			w.t.Fatalf("%s sends to itself", from.id)
		}
		data := Encode(o.Message)
		if off := o.Message.Size() - len(data); max(off, -off) > 100+len(data)/50 {
			w.t.Fatalf("a size of %d is said to be %d: %+v", len(data), o.Message.Size(), o.Message)
		}
		w.messages++
		w.bytes += len(data)
		w.inFlight = append(w.inFlight, coded{from.id, o.To, data})
	}
}

func (p *simulated) persist(delta crdt.Delta) {
	for _, op := range delta.Dropped {
		delete(p.disk, op.Hash)
	}
	for _, op := range delta.Added {
		p.disk[op.Hash] = op
	}
}

func (w *net) write(p *simulated, key crdt.Key) {
	seen := p.set.Seen(key)
	p.last = crdt.Next(p.last, seen, time.UnixMilli(int64(w.random.IntN(1000))))
	op := crdt.Op{Key: key, Stamp: crdt.Stamp{Time: p.last, Writer: p.id}, Seen: seen, Manager: "test", Verb: crdt.Verb(w.random.IntN(3))}
	for range 1 + w.random.IntN(3) {
		path := []crdt.Path{"spec", "spec/replicas", "spec/image", "status"}[w.random.IntN(4)]
		change := crdt.Change{Path: path}
		if w.random.IntN(4) > 0 {
			change.Value = fmt.Appendf(nil, "%d", w.random.IntN(100))
		}
		op.Changes = append(op.Changes, change)
	}
	delta, outgoing := p.machine.Write(Seal(op, fakeSign), 0)
	if len(delta.Added) != 1 {
		w.t.Fatalf("%s cannot write", p.id)
	}
	p.persist(delta)
	w.send(p, outgoing)
}

func (w *net) observe(p *simulated) {
	p.sequence++
	row := Row{Peer: p.id, Version: Version{1, p.sequence}, Body: fmt.Appendf(nil, "row %d", p.sequence)}
	w.send(p, p.machine.Observe(SealRow(row, fakeSign)))
}

// deliver hands over one message in flight, any of them, if the split and luck allow.
func (w *net) deliver(lossPercent, repeatPercent int) {
	i := w.random.IntN(len(w.inFlight))
	m := w.inFlight[i]
	w.inFlight = slices.Delete(w.inFlight, i, i+1)
	if w.random.IntN(100) < repeatPercent {
		w.inFlight = append(w.inFlight, m)
	}
	if w.random.IntN(100) < lossPercent || w.side[m.from] != w.side[m.to] {
		return
	}
	message, err := Decode(m.data)
	if err != nil || message.Skipped > 0 {
		w.t.Fatalf("a message that was encoded cannot be read: %v, %d skipped", err, message.Skipped)
	}
	to := w.peer(m.to)
	received := to.machine.Receive(m.from, message)
	to.persist(received.Delta)
	if received.Settled {
		w.settled(to)
	}
	w.send(to, received.Send)
}

func (w *net) peer(id crdt.PeerID) *simulated {
	return w.peers[slices.IndexFunc(w.peers, func(p *simulated) bool { return p.id == id })]
}

func (w *net) settle(lossPercent, repeatPercent int) {
	for len(w.inFlight) > 0 {
		w.deliver(lossPercent, repeatPercent)
	}
}

// agree says whether all hold the same operations and the same rows.
func (w *net) agree() bool {
	first := w.peers[0].machine.digest()
	for _, p := range w.peers {
		if d := p.machine.digest(); d.Root != first.Root || d.RowRoot != first.RowRoot {
			return false
		}
	}
	return true
}

// reconcileUntilAgreed runs rounds in which every peer reconciles once, and returns how many it took.
func (w *net) reconcileUntilAgreed(most int) int {
	for round := range most {
		if w.agree() {
			return round
		}
		for _, p := range w.peers {
			w.send(p, p.machine.Reconcile())
		}
		w.settle(0, 0)
	}
	if !w.agree() {
		w.t.Fatalf("not equal after %d rounds of reconciliation", most)
	}
	return most
}

func (w *net) checkDisks() {
	for _, p := range w.peers {
		held := 0
		for _, key := range p.set.Keys() {
			for _, op := range p.set.Ops(key) {
				if _, ok := p.disk[op.Hash]; !ok {
					w.t.Fatalf("%s holds %v, and its deltas did not say so", p.id, op.Stamp)
				}
				held++
			}
		}
		if held != len(p.disk) {
			w.t.Fatalf("%s holds %d operations; by its deltas it has %d", p.id, held, len(p.disk))
		}
	}
}

var simKeys = []crdt.Key{
	{Kind: "Deployment", Namespace: "default", Name: "web"},
	{Kind: "Deployment", Namespace: "default", Name: "api"},
	{Kind: "Namespace", Name: "shop"},
}

func TestMachinesConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newNet(t, rapid.IntRange(2, 20).Draw(t, "peers"), drawSeed(t))
		loss := rapid.IntRange(0, 60).Draw(t, "loss percent")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			p := w.peers[w.random.IntN(len(w.peers))]
			switch w.random.IntN(10) {
			case 0, 1, 2:
				w.write(p, simKeys[w.random.IntN(len(simKeys))])
			case 3:
				w.observe(p)
			case 4:
				w.send(p, p.machine.Reconcile())
			case 5:
				w.side[p.id] = w.random.IntN(2)
			default:
				for range min(len(w.inFlight), 10) {
					w.deliver(loss, 20)
				}
			}
		}
		clear(w.side)
		w.settle(loss, 20)
		w.reconcileUntilAgreed(30)
		w.checkDisks()
		for _, key := range simKeys {
			want, _ := w.peers[0].set.Object(key)
			for _, p := range w.peers {
				if got, _ := p.set.Object(key); !cmp.Equal(want, got) {
					t.Fatalf("%s and %s hold the same operations and see %s differently:\n%s", w.peers[0].id, p.id, key, cmp.Diff(want, got))
				}
			}
		}
	})
}

func TestPushesAloneReachEveryoneInASmallCluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newNet(t, 5, drawSeed(t))
		for _, p := range w.peers {
			w.write(p, simKeys[0])
			w.observe(p)
		}
		w.settle(0, 0)
		for _, p := range w.peers {
			if len(p.machine.rows.held) != 5 {
				t.Fatalf("%s has %d rows of 5", p.id, len(p.machine.rows.held))
			}
		}
		w.reconcileUntilAgreed(0)
	})
}

func TestHealedSplitBecomesOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newNet(t, 6, drawSeed(t))
		for i, p := range w.peers {
			w.side[p.id] = i % 2
		}
		for range 40 {
			w.write(w.peers[w.random.IntN(6)], simKeys[w.random.IntN(3)])
			w.observe(w.peers[w.random.IntN(6)])
			w.settle(0, 0)
		}
		clear(w.side)
		w.reconcileUntilAgreed(10)
	})
}

// reconcileBadly lets peers reconcile over a bad network until all agree.
func (w *net) reconcileBadly(most int, agreed func() bool) {
	for range most {
		if agreed() {
			return
		}
		for _, p := range w.peers {
			w.send(p, p.machine.Reconcile())
		}
		for range 2 * len(w.inFlight) {
			if len(w.inFlight) > 0 {
				w.deliver(10, 10)
			}
		}
	}
	w.t.Fatalf("not equal after %d rounds over a bad network", most)
}

// One peer has much, one nearly all of that and something else, and the others nothing: these are filled, the others compare.
func TestFillsAndTransfersOverABadNetwork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newNet(t, rapid.IntRange(2, 5).Draw(t, "peers"), drawSeed(t))
		n := rapid.SampledFrom([]int{10, 300, fillLeast, 2 * fillLeast}).Draw(t, "operations")
		for i := range n {
			op := bareSealed(i)
			for at, p := range w.peers[:2] {
				if at == 0 || i%7 > 0 {
					delta := p.set.AddObject(op.Key, []crdt.Op{op})
					p.persist(delta)
				}
			}
		}
		for range 5 {
			w.write(w.peers[w.random.IntN(len(w.peers))], simKeys[w.random.IntN(3)])
		}
		w.reconcileBadly(200, w.agree)
		w.checkDisks()
	})
}

// bareSealed is the i-th of many operations that are the same in all worlds.
func bareSealed(i int) crdt.Op {
	for len(sealedOnce) <= i {
		sealedOnce = append(sealedOnce, smallOp(len(sealedOnce), "w"))
	}
	return sealedOnce[i]
}

var sealedOnce []crdt.Op

// Some peers were away while the others forgot something. All come to the same, none brings back what was
// forgotten, and none loses what it wrote meanwhile.
func TestForgottenPeersReturnOverABadNetwork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newNet(t, rapid.IntRange(3, 8).Draw(t, "peers"), drawSeed(t))
		away := rapid.IntRange(1, len(w.peers)-1).Draw(t, "away")
		floor := crdt.Seen{"w": 1 << 60}
		var lost, kept []crdt.Op
		for i := range rapid.IntRange(0, 60).Draw(t, "operations") {
			op := bareSealed(i)
			old := w.random.IntN(3) == 0
			if old {
				lost = append(lost, op)
			} else {
				kept = append(kept, op)
			}
			for at, p := range w.peers {
				if at < away && w.random.IntN(2) == 0 || at >= away && !old {
					p.persist(p.set.AddObject(op.Key, []crdt.Op{op}))
				}
			}
		}
		for at, p := range w.peers {
			if at < away {
				p.machine.Doubt(floor, closed)
				key := crdt.Key{Kind: "ConfigMap", Name: string(p.id)}
				w.write(p, key)
				kept = append(kept, p.set.Ops(key)...)
			} else {
				p.set.Forget(crdt.Seen{}, floor)
				p.machine.Applied(closed)
			}
		}
		w.settled = func(p *simulated) {
			p.set.Forget(crdt.Seen{}, floor)
			p.machine.Applied(closed)
		}
		w.reconcileBadly(200, func() bool {
			for _, p := range w.peers {
				if p.machine.applied != closed {
					return false
				}
			}
			return w.agree()
		})
		w.checkDisks()
		for _, op := range lost {
			if _, held := w.peers[0].set.Op(op.ID()); held {
				t.Fatalf("%v came back", op.Stamp)
			}
		}
		for _, op := range kept {
			if _, held := w.peers[0].set.Op(op.ID()); !held {
				t.Fatalf("%v of %s was lost", op.Stamp, op.Key)
			}
		}
	})
}

func drawSeed(t *rapid.T) uint64 { return rapid.Uint64().Draw(t, "seed") }
