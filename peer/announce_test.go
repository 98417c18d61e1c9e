package peer

import (
	"testing"

	"shoal/gossip"
)

// TestAwarenessTellsOfThisPeerAlone plays measurements of a score as bad as it gets, a word for each: the states of two other members. A
// class falls after two of them that count.
func TestAwarenessTellsOfThisPeerAlone(t *testing.T) {
	for _, c := range []struct {
		name   string
		states []string
		want   gossip.Health
	}{
		{"in touch with all", []string{"aa", "aa"}, gossip.Poor},
		{"one failed just now", []string{"aa", "af"}, gossip.Good},
		{"one failed long ago", []string{"af", "af", "af"}, gossip.Poor},
		{"one is in doubt: that may be this peer's own fault", []string{"as", "as"}, gossip.Poor},
		{"cut off", []string{"aa", "ff", "ff", "ff", "ff"}, gossip.Good},
		{"cut off, and back", []string{"ff", "ff", "aa"}, gossip.Good},
		{"all others left", []string{"ll", "ll", "ll"}, gossip.Good},
	} {
		var j judge
		for _, letters := range c.states {
			members := []gossip.Member{{Self: gossip.Self{ID: "self"}}}
			for i, letter := range letters {
				state := map[rune]gossip.State{'a': gossip.Alive, 's': gossip.Suspect, 'f': gossip.Failed, 'l': gossip.Left}[letter]
				members = append(members, gossip.Member{Self: gossip.Self{ID: gossip.PeerID(rune('a' + i))}, State: state})
			}
			j.take(gossip.Signs{Awareness: 7}, "self", members)
		}
		if got := j.Class(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
