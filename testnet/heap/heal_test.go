package heap

import (
	"fmt"
	"testing"
	"time"

	"shoal/testnet/promise"
)

// TestHealStartsNothingTwice: one side of a split has rolled out a change. When the split heals, the other side hears of the
// change before it hears of the peers that carry it. It must not roll out what already runs there.
func TestHealStartsNothingTwice(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := start(t, Options{Seed: seed, Peers: 10})
			w.Run(5 * time.Second)
			must(t, w.Apply("p1", webManifest(20, "blue")))
			rest(t, w, 20*time.Second)
			left, right := []string{"p1", "p2", "p3", "p4"}, []string{"p5", "p6", "p7", "p8", "p9", "p10"}
			w.Split(left, right)
			rest(t, w, 30*time.Second)
			must(t, w.Apply("p5", webManifest(20, "green")))
			before := rest(t, w, 60*time.Second)
			w.Heal()
			none(t, "heal", promise.CutAlone(side(before, right), rest(t, w, 60*time.Second)))
		})
	}
}
