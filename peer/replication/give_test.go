package replication

import (
	"testing"

	"shoal/crdt"
)

// What was overwritten while the rest of a transfer waited is not sent any more.
func TestWhatIsGoneMeanwhileIsNotGiven(t *testing.T) {
	m := newMachine("a", "b")
	var ids []crdt.OpID
	var last crdt.Op
	for i := range 12 {
		key := crdt.Key{Kind: "ConfigMap", Name: string(rune('a' + i))}
		value := make([]byte, 500_000)
		for n := range value {
			value[n] = '1'
		}
		last = Seal(crdt.Op{Key: key, Stamp: crdt.Stamp{Time: crdt.Time(i + 1), Writer: "w"}, Verb: crdt.Create,
			Changes: []crdt.Change{{Path: "data", Value: value}}}, longSign)
		add(t, m, last)
		ids = append(ids, last.ID())
	}
	first := m.Receive("b", Message{Want: &Want{Ops: ids}}).Send
	paused := first[len(first)-1].Message.Objects
	if !paused.Paused || paused.Left == 0 {
		t.Fatalf("nothing is left: %d messages", len(first))
	}
	add(t, m, Seal(crdt.Op{Key: last.Key, Stamp: crdt.Stamp{Time: 99, Writer: "w"}, Seen: crdt.Seen{"w": last.Stamp.Time}, Verb: crdt.Delete}, longSign))
	given := 0
	for _, o := range m.Receive("b", Message{Want: &Want{Left: paused.Left}}).Send {
		for _, object := range o.Message.Objects.Objects {
			for _, op := range object.Ops {
				if given++; op.ID() == last.ID() {
					t.Error("what was overwritten is given")
				}
			}
		}
	}
	if given != paused.Left-1 {
		t.Errorf("%d of the %d left are given", given, paused.Left)
	}
}
