package replication

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"shoal/crdt"
)

// However many rows change between two rounds, a round brings what differs: also where so many did that the names were
// dropped meanwhile.
func TestRowsThatChangeBetweenRounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		machines := []*Machine{newMachine("a", "b"), newMachine("b", "a")}
		sequence := map[crdt.PeerID]uint64{}
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for n := range rapid.SampledFrom([]int{0, 1, 5, 63, 70, 200}).Draw(t, "changes") {
				peer := crdt.PeerID(fmt.Sprint("p", n))
				sequence[peer]++
				to := machines[rapid.IntRange(0, 1).Draw(t, "to")]
				to.Receive("c", Message{Rows: &Rows{Rows: []Row{sealedRowOf(peer, 1, sequence[peer])}}})
			}
			opener := rapid.IntRange(0, 1).Draw(t, "opener")
			talk(machines[opener], machines[1-opener], machines[opener].Reconcile)
			if machines[0].rows.digest() != machines[1].rows.digest() || len(machines[0].rows.held) != len(sequence) {
				t.Fatalf("%d and %d rows of %d, or others", len(machines[0].rows.held), len(machines[1].rows.held), len(sequence))
			}
			for _, m := range machines {
				if m.rows.names != nil && len(m.rows.names) != len(sequence) {
					t.Fatalf("%d names of %d rows", len(m.rows.names), len(sequence))
				}
			}
		}
	})
}
