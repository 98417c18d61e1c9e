package peer

import (
	"testing"

	"shoal/gossip"
)

func TestHealthFallsAtOnceAndRisesSlowly(t *testing.T) {
	var h hysteresis
	if got := h.take(gossip.Poor); got != gossip.Poor {
		t.Fatalf("a poor machine counts as %d", got)
	}
	for i := range recovered - 1 {
		if got := h.take(gossip.Good); got != gossip.Poor {
			t.Fatalf("recovered after %d measurements", i+1)
		}
	}
	h.take(gossip.Poor) // begins again
	for range recovered - 1 {
		h.take(gossip.Good)
	}
	if got := h.take(gossip.Good); got != gossip.Good {
		t.Fatalf("after %d good measurements it counts as %d", recovered, got)
	}
}
