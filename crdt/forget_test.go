package crdt

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// row is what a replica has told all others about forgetting.
type row struct {
	applied int // floors
	latest  Time
	mark    int // number of the floor that it attests; 0: none
	digest  [32]byte
}

// parish is a world whose replicas agree on floors, by rows that say what was true when they were written.
type parish struct {
	*world
	floors  []floor
	mark    Seen // pending; nil: none
	applied map[PeerID]int
	rows    map[PeerID]row
	away    map[PeerID]bool // taken out of the registry; hears and tells nothing
	left    PeerID          // that was, or is
}

func newParish(n int) *parish {
	return &parish{world: newWorld(n), applied: map[PeerID]int{}, rows: map[PeerID]row{}, away: map[PeerID]bool{}}
}

func (p *parish) registered() []*replica {
	return slices.DeleteFunc(slices.Clone(p.replicas), func(r *replica) bool { return p.away[r.id] })
}

// here is a step by one replica that is not away.
func (p *parish) here(t *rapid.T) *replica {
	p.touched = rapid.SampledFrom(p.registered()).Draw(t, "replica")
	return p.touched
}

func (p *parish) publish(t *rapid.T) { p.publishFor(p.here(t)) }

func (p *parish) publishFor(r *replica) {
	row := row{applied: p.applied[r.id], latest: r.last}
	if p.mark != nil {
		row.mark, row.digest = len(p.floors)+1, r.set.Below(p.mark)
	}
	p.rows[r.id] = row
}

// propose makes a mark of what the rows say, once all have applied the floor before.
func (p *parish) propose(t *rapid.T) {
	if p.mark != nil {
		t.Skip("a mark is pending")
	}
	mark := Seen{}
	for _, r := range p.replicas {
		row, ok := p.rows[r.id]
		switch {
		case p.away[r.id]:
			for _, other := range p.registered() {
				mark.raise(r.id, other.set.Heard()[r.id])
			}
		case !ok || row.applied != len(p.floors):
			t.Skip("somebody has not applied the floor before")
		default:
			mark[r.id] = row.latest
		}
	}
	p.mark = mark
}

// close makes a floor of the mark when all rows attest it with one digest.
func (p *parish) close(t *rapid.T) {
	if p.mark == nil {
		t.Skip("no mark is pending")
	}
	for _, r := range p.registered() {
		row := p.rows[r.id]
		if row.mark != len(p.floors)+1 || row.digest != p.rows[p.registered()[0].id].digest {
			t.Skip("not all attest the same")
		}
	}
	p.agree()
}

func (p *parish) agree() {
	next := floor{first: Seen{}, second: p.mark}
	if n := len(p.floors); n > 0 {
		next.first = p.floors[n-1].second
	}
	p.floors, p.mark = append(p.floors, next), nil
}

// apply lets one replica apply the next floor, which changes nothing that a live object shows.
func (p *parish) apply(t *rapid.T) { p.applyAt(t, p.here(t)) }

func (p *parish) applyAt(t *rapid.T, r *replica) {
	if p.applied[r.id] == len(p.floors) {
		return
	}
	f := p.floors[p.applied[r.id]]
	before := map[Key]Object{}
	for _, key := range testKeys {
		before[key], _ = r.set.Object(key)
	}
	delta := r.set.Forget(f.first, f.second)
	p.applied[r.id]++
	for _, key := range testKeys {
		after, _ := r.set.Object(key)
		if diff := cmp.Diff(before[key], after, shown...); before[key].Live && diff != "" {
			t.Fatalf("forgetting changed what %s shows (-before +after):\n%s", key, diff)
		}
	}
	if len(delta.Added) > 0 {
		t.Fatalf("forgetting added %v", delta.Added)
	}
}

// shown leaves out what forgetting may change: the version vector, and the stamp of the latest operation.
var shown = []cmp.Option{cmpopts.IgnoreFields(Object{}, "Seen", "Modified"), cmpopts.EquateEmpty()}

// settle lets everybody exchange everything and agree on floors until nothing is left to forget.
func (p *parish) settle(t *rapid.T) {
	for range 3 {
		p.exchange(t)
		if p.mark == nil {
			p.publishAll()
			p.propose(t)
		}
		p.exchange(t)
		p.publishAll()
		p.close(t)
		for _, r := range p.registered() {
			p.applyAt(t, r)
		}
	}
}

func (p *parish) publishAll() {
	for _, r := range p.registered() {
		p.publishFor(r)
	}
}

func (p *parish) exchange(t *rapid.T) {
	for range 2 {
		for _, from := range p.registered() {
			for _, to := range p.registered() {
				for _, key := range testKeys {
					p.copyObject(t, from, to, key)
				}
				for p.applied[to.id] < p.applied[from.id] {
					p.applyAt(t, to)
				}
			}
		}
	}
}

func (p *parish) check(t *rapid.T, r *replica) {
	p.strayed(t, r)
	for _, key := range testKeys {
		m, floors := r.model(key), p.floors[:p.applied[r.id]]
		if slices.ContainsFunc(p.strays(m, m), func(s stray) bool { return s.op.Stamp.Writer == p.left }) {
			continue
		}
		kept := m.kept(floors)
		if diff := cmp.Diff(names(kept), names(r.set.Ops(key))); diff != "" {
			t.Fatalf("%s retains other operations of %s than the model (-model +set):\n%s", r.id, key, diff)
		}
		want := m.objectOf(key, kept)
		got, ok := r.set.Object(key)
		if diff := cmp.Diff(want, got, shown...); ok && diff != "" {
			t.Fatalf("%s merges %s otherwise than the model (-model +set):\n%s", r.id, key, diff)
		}
	}
	if diff := cmp.Diff(shownOf(reread(r.set)), shownOf(r.set), shown...); diff != "" {
		t.Fatalf("%s shows other than what it holds says (-reread +shown):\n%s", r.id, diff)
	}
}

// stray is an operation that has not seen a deletion which was settled before it came under a floor.
type stray struct {
	op, deletion Op
	floor        int // that settled the deletion
}

// strays are those among m. Only one that was forgotten may write such: whether it stands against the deletion, and what the deletion had
// hidden, depends then on which came first (the limits of docs/decisions/0007).
func (p *parish) strays(m model, deletions []Op) (all []stray) {
	for i, f := range p.floors {
		for _, x := range deletions {
			if !modelCovers(f.first, x) || !slices.ContainsFunc(x.Changes, func(c Change) bool { return c.Value == nil }) {
				continue
			}
			for _, y := range m {
				if x.Stamp != y.Stamp && !modelSaw(x, y) && !modelSaw(y, x) && y.Stamp.Time > f.second[y.Stamp.Writer] {
					all = append(all, stray{y, x, i})
				}
			}
		}
	}
	return all
}

// strayed says whether a floor took in a stray beside a deletion that r still holds.
func (p *parish) strayed(t *rapid.T, r *replica) bool {
	for _, key := range testKeys {
		for _, s := range p.strays(r.model(key), r.set.Ops(key)) {
			if !p.floors[len(p.floors)-1].second.Has(s.op.Stamp) {
				continue
			}
			if s.op.Stamp.Writer != p.left {
				t.Fatalf("%v has not seen %v, which was settled by floor %d, and %s was there", s.op, s.deletion, s.floor, s.op.Stamp.Writer)
			}
			return true
		}
	}
	return false
}

func names(ops []Op) []string {
	result := make([]string, len(ops))
	for i, op := range ops {
		result[i] = fmt.Sprint(op.Stamp, " ", op.ID())
	}
	return result
}

func (p *parish) checkEqual(t *rapid.T) {
	all := p.registered()
	for _, r := range all {
		p.check(t, r)
		if r.set.Digest() != all[0].set.Digest() {
			t.Fatalf("replicas that hold the same writes differ:\n%v\n%v", r.set, all[0].set)
		}
		if n := r.set.Forgettable(); n != 0 {
			t.Fatalf("%s still has %d to forget", r.id, n)
		}
	}
}

// replay hands every operation ever written to everyone: nothing may change.
func (p *parish) replay(t *rapid.T) {
	for _, r := range p.registered() {
		before := r.set.Digest()
		for _, op := range p.ops {
			result, delta := r.set.Add(op)
			delta2 := r.set.AddObject(op.Key, []Op{op})
			if result == Applied || delta.Added != nil || delta2.Added != nil || delta2.Dropped != nil {
				t.Fatalf("%s takes %v again", r.id, op)
			}
		}
		if r.set.Digest() != before {
			t.Fatalf("%s was changed by old operations", r.id)
		}
	}
}

// pass hands one object from one replica to another.
func (p *parish) pass(t *rapid.T) {
	p.copyObject(t, p.here(t), p.here(t), rapid.SampledFrom(testKeys).Draw(t, "key"))
}

// deliver hands one operation to one replica, which may know it, refuse it, or lack what it had seen.
func (p *parish) deliver(t *rapid.T) {
	if len(p.ops) == 0 {
		t.Skip("nothing written")
	}
	r, op := p.here(t), rapid.SampledFrom(p.ops).Draw(t, "op")
	if n := len(p.floors); op.Stamp.Writer == p.left && (p.mark.Has(op.Stamp) || n > 0 && p.floors[n-1].second.Has(op.Stamp)) {
		t.Skip("who takes it takes back its word, and comes into doubt: peer/control")
	}
	before := r.set.Digest()
	result, _ := r.set.Add(op)
	if result == Applied {
		r.all[op.Key][op.Stamp] = op
	} else if r.set.Digest() != before {
		t.Fatalf("%s changed although it said %v", r.id, result)
	}
}

// restart loads what was stored, and raises the floors after that.
func (p *parish) restart(t *rapid.T) {
	r := p.here(t)
	if p.strayed(t, r) {
		t.Skip("floors can not be applied again one after the other")
	}
	stored, digest := []Op{}, r.set.Digest()
	for _, key := range r.set.Keys() {
		stored = append(stored, r.set.Ops(key)...)
	}
	r.set = NewSet()
	r.set.Load(stored)
	for _, f := range p.floors[:p.applied[r.id]] {
		if delta := r.set.Forget(f.first, f.second); len(delta.Dropped) > 0 {
			t.Fatalf("%s drops %v when it starts", r.id, delta.Dropped)
		}
	}
	if r.set.Digest() != digest {
		t.Fatalf("%s is changed by a restart", r.id)
	}
}

// attest lets all hear everything and say so.
func (p *parish) attest(t *rapid.T) {
	p.exchange(t)
	p.publishAll()
}

func (p *parish) steps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"write":    p.write,
		"write 2":  p.write,
		"transfer": p.pass,
		"deliver":  p.deliver,
		"restart":  p.restart,
		"attest":   p.attest,
		"publish":  p.publish,
		"propose":  p.propose,
		"close":    p.close,
		"apply":    p.apply,
		"settle":   p.settle,
		"": func(t *rapid.T) {
			if p.touched != nil && !p.away[p.touched.id] {
				p.check(t, p.touched)
			}
		},
	}
}

func TestForgetting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newParish(3)
		t.Repeat(p.steps())
		p.finish(t)
	})
}

func (p *parish) finish(t *rapid.T) {
	p.settle(t)
	p.settle(t)
	p.checkEqual(t)
	p.replay(t)
}
