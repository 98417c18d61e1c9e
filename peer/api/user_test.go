package api

import (
	"testing"
	"time"
)

func TestUserNamesAreLookedUpOnceAMinute(t *testing.T) {
	asked, now := 0, time.Unix(0, 0)
	n := newUserNames(func(uid uint32) string { asked++; return "user" }, func() time.Time { return now })
	for range 3 {
		if got := n.of(7); got != "user" || asked != 1 {
			t.Fatalf("got %q after asking %d times", got, asked)
		}
	}
	now = now.Add(time.Minute)
	if n.of(7); asked != 2 {
		t.Errorf("asked %d times: a name that has changed would never be seen", asked)
	}
	for uid := range uint32(mostUserNames + 10) {
		n.of(uid)
	}
	if len(n.known) > mostUserNames {
		t.Errorf("%d names are kept", len(n.known))
	}
}

func BenchmarkUserName(b *testing.B) {
	for b.Loop() {
		userName(0)
	}
}
