package heap

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"shoal/testnet/promise"
)

var step = flag.Duration("step", time.Second, "how far apart the moments are at which TestHealAtAnyMoment heals")

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

// TestHealAtAnyMoment heals a cut at every tenth of a second of what goes on in it: failures are found out, copies are made on
// both sides, a change is rolled out on one of them while the other is scaled. What is ready by then in the revision
// that is wanted must run on (P8), with clocks that are wrong, and with a network that loses, doubles and reorders, too.
func TestHealAtAnyMoment(t *testing.T) {
	const (
		begin = `
world seed=%d peers=5 %s
clock p2 -3h
clock p5 2h
wait 5s
apply p3 web 7 blue
rest
split p1,p2
wait %s
`
		end = `
wait %s
healalone
still`
	)
	worlds := []string{"", "bad", "slow", "coded bad slow"}
	for _, rollout := range []string{"apply p3 web 7 green", "paint p4 web green\nscale p1 web 9", "apply p3 web 7 green\nwait 3s\napply p1 web 5 green", "scale p1 web 8"} {
		for offset := *step; offset <= 20*time.Second; offset += *step {
			n := int(offset / *step)
			before := offset * time.Duration(n%7) / 7
			text := fmt.Sprintf(begin, n, worlds[n%len(worlds)], before) + rollout + fmt.Sprintf(end, offset-before)
			s, err := ParseScript(text)
			must(t, err)
			perform(t, s)
		}
	}
}
