package main

import (
	"os"
	"path/filepath"
	"testing"

	"shoal/gossip"
)

func TestHealth(t *testing.T) {
	pressure := func(full string) gossip.Health {
		path := filepath.Join(t.TempDir(), "memory")
		text := "some avg10=90.00 avg60=90.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=" + full + " avg300=0.00 total=1\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return pressureHealth(path)
	}
	cases := []struct {
		name string
		got  gossip.Health
		want gossip.Health
	}{
		{"idle", pressure("0.00"), gossip.Good},
		{"stalling", pressure("7.50"), gossip.Fair},
		{"thrashing", pressure("40.00"), gossip.Poor},
		{"without pressure information", pressureHealth("/nonexistent"), gossip.Good},
		{"half empty disk", freeHealth(0.5), gossip.Good},
		{"nearly full disk", freeHealth(0.07), gossip.Fair},
		{"full disk", freeHealth(0.01), gossip.Poor},
		{"unreadable disk", diskHealth("/nonexistent"), gossip.Good},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, c.got, c.want)
		}
	}
}
