package heap

import (
	"testing"
	"time"
)

// TestJoinerWithAWrongClock has its share as soon as any other: whether its clock is years off says nothing of when the others began what they run.
func TestJoinerWithAWrongClock(t *testing.T) {
	for _, off := range []time.Duration{0, -3 * time.Hour, -5 * 365 * 24 * time.Hour, 3 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			w := start(t, Options{Seed: 3, Peers: 6, Late: 1})
			w.Run(10 * time.Second)
			must(t, w.Apply("p1", webManifest(60, "blue")))
			rest(t, w, 30*time.Second)
			w.Run(2 * time.Minute) // an hour behind is before all of that
			w.Skew("p6", off)
			w.Start("p6")
			if span, whole := w.Await(time.Minute, func() bool { return w.share("p6", 60) >= 90 }); !whole {
				t.Errorf("it has %d %% of its share after %v", w.share("p6", 60), span)
			}
		})
	}
}
