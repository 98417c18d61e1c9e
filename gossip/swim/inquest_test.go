package swim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/gossip"
)

// TestInquest plays rounds, a letter for each: x only others answered, a the suspect did, - nobody, l this peer was late, o there is
// nobody else to ask, L this peer was late and others answered, h the suspect is heard but does not answer. It names the round after which the suspect counted as failed; 0: never.
func TestInquest(t *testing.T) {
	f := figures{probeEach: 100 * time.Millisecond, suspicion: 1, roundEach: 100 * time.Millisecond, misses: 4, alone: 2 * time.Second}
	for _, c := range []struct {
		name, rounds string
		failed       int
	}{
		{"dead", "xxxxx", 4},
		{"answers in time", "xxxaxxx", 0},
		{"an answer counts for as much again", "aaaxxxxxxxx", 11},
		{"silent after an answer", "xxxa" + "xxxxxxx", 0},
		{"this peer is stalled or cut off for a moment", "xx---------------xx", 19},
		{"cut off for good", strings.Repeat("-", 30), 20},
		{"cut off later", "xx" + strings.Repeat("-", 30), 22},
		{"in touch now and then", strings.Repeat("x---------", 4), 31},
		{"late itself", "xxxllllLLLL", 0},
		{"heard a moment ago", "hxxxxxxxx", 7},
		{"heard again and again, whoever that is", "hhhhhhhhhh", 8},
		{"two peers alone", "oooo", 4},
		{"two peers alone, answered", "oooaooo", 0},
	} {
		q := newInquest(f)
		now := time.Unix(0, 0)
		q.open(selfMember(1), now)
		failed := 0
		heard := map[gossip.PeerID]time.Time{}
		for i, letter := range c.rounds {
			now = now.Add(f.roundEach)
			r := round{asked: []gossip.PeerID{selfOf(1).ID, selfOf(2).ID}, answered: map[gossip.PeerID]bool{}, heard: heard, late: letter == 'l' || letter == 'L', alone: letter == 'o'}
			switch letter {
			case 'h':
				heard[selfOf(1).ID] = now
				fallthrough
			case 'x', 'L':
				r.answered[selfOf(2).ID] = true
			case 'a':
				r.answered[selfOf(1).ID] = true
			}
			if dead, _ := q.take(r, now); len(dead) > 0 {
				failed = i + 1
				break
			}
		}
		if failed != c.failed {
			t.Errorf("%s: failed after round %d, want %d", c.name, failed, c.failed)
		}
		if len(q.cases) != len(q.turns) || failed > 0 && len(q.cases) > 0 {
			t.Errorf("%s: %d cases and %d turns are left", c.name, len(q.cases), len(q.turns))
		}
	}
}

func selfMember(i int) gossip.Member { return gossip.Member{Self: selfOf(i), State: gossip.Failed} }

// TestInquestTakesTurns: of many in doubt no round asks more than it may, all get their turn, and all end.
func TestInquestTakesTurns(t *testing.T) {
	const many = 200
	q := newInquest(LAN.figures())
	now := time.Unix(0, 0)
	for i := range many {
		q.open(selfMember(i), now)
		q.open(selfMember(i), now)
	}
	failed := map[gossip.PeerID]bool{}
	rounds := 0
	for ; len(q.cases) > 0 && rounds < 1000; rounds++ {
		r := round{answered: map[gossip.PeerID]bool{"witness": true}}
		for _, m := range q.next() {
			r.asked = append(r.asked, m.ID)
		}
		if len(r.asked) > suspectsAtOnce {
			t.Fatalf("a round asks %d", len(r.asked))
		}
		now = now.Add(LAN.figures().roundEach)
		dead, living := q.take(r, now)
		for _, m := range dead {
			failed[m.ID] = true
		}
		if len(living) > 0 || !slices.IsSortedFunc(dead, func(a, b gossip.Member) int { return strings.Compare(string(a.ID), string(b.ID)) }) {
			t.Fatal("a round found", fmt.Sprint(living, dead))
		}
	}
	if len(failed) != many || rounds > 60 {
		t.Errorf("%d of %d have failed after %d rounds", len(failed), many, rounds)
	}
}

// TestInquestPassesNobodyOver: those who answer, and of whom memberlist goes on saying that they are dead, do not keep the dead behind them
// from being asked.
func TestInquestPassesNobodyOver(t *testing.T) {
	const many = 3 * suspectsAtOnce
	q := newInquest(LAN.figures())
	now := time.Unix(0, 0)
	lives := map[gossip.PeerID]bool{}
	for i := range many {
		q.open(selfMember(i), now)
		lives[selfOf(i).ID] = i < suspectsAtOnce
	}
	waited := map[gossip.PeerID]int{} // rounds since it was asked
	for range 100 {
		r := round{answered: map[gossip.PeerID]bool{"witness": true}}
		for id := range q.cases {
			waited[id]++
		}
		for _, m := range q.next() {
			r.asked = append(r.asked, m.ID)
			if waited[m.ID] = 0; lives[m.ID] {
				r.answered[m.ID] = true
			}
		}
		now = now.Add(LAN.figures().roundEach)
		dead, _ := q.take(r, now)
		for _, m := range dead {
			if lives[m.ID] {
				t.Errorf("%s answers and counts as failed", m.Name)
			}
		}
		for id := range q.cases {
			if waited[id] >= many/suspectsAtOnce {
				t.Fatalf("a member in doubt is not asked in %d rounds", waited[id])
			}
		}
	}
	if len(q.cases) != suspectsAtOnce {
		t.Errorf("%d are in doubt, and %d live", len(q.cases), suspectsAtOnce)
	}
}
