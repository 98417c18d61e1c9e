package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"shoal/peer/trust"
)

// TestClocksFarApart connects peers whose wall clocks differ by decades: one lives in a bubble, where it is the year
// 2000, and talks over real sockets to one outside. No clock may keep peers apart, whoever of the two calls.
func TestClocksFarApart(t *testing.T) {
	now := loopback(t)
	synctest.Test(t, func(t *testing.T) {
		if gap := time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); gap < 20*365*24*time.Hour {
			t.Fatalf("the bubble's clock is only %v behind", gap)
		}
		past := loopback(t)
		remote, _, err := Join(t.Context(), JoinConfig{PrivateKey: past.key, Addr: now.at.String()}, func(trust.PeerID) []byte { return []byte("hello") })
		if err != nil || remote != now.id {
			t.Errorf("the past calls the present: %q, %v", remote, err)
		}
		_ = past.Close()
	})
}
