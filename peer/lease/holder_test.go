package lease

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"shoal/crdt"
)

// TestManyLeasesCostFewMessages, also when they were asked for one after the other.
func TestManyLeasesCostFewMessages(t *testing.T) {
	h := NewHolder(Term, 1, nil)
	need := Need{Witnesses: [][]crdt.PeerID{{"a", "b", "c"}}}
	now := time.Duration(0)
	for i := range 1000 {
		h.Need(fmt.Sprint("r", i), need)
		h.Round(now)
		now += time.Millisecond
	}
	messages := 0
	for end := now + 10*Term; now < end; now += 10 * time.Millisecond {
		messages += len(h.Round(now))
	}
	if rounds := 10*5 + mostSoon; messages > 2*3*rounds {
		t.Errorf("%d messages in ten terms, for 1,000 leases and 3 witnesses", messages)
	}
}

// TestAskedAgainSoon where an answer may be lost: a few times, not while somebody is known to have it, and again when that should be over.
func TestAskedAgainSoon(t *testing.T) {
	h := NewHolder(Term, 1, nil)
	h.Need("r", Need{Witnesses: [][]crdt.PeerID{{"a"}}})
	var asked []time.Duration
	now := time.Duration(0)
	until := func(end time.Duration) {
		for ; now < end; now += 100 * time.Millisecond {
			if len(h.Round(now)) > 0 {
				asked = append(asked, now)
			}
		}
	}
	until(5 * time.Second)
	h.Take(now, "a", Message{Life: 1, Number: h.number, Answers: []Answer{{Name: "r", Verdict: Taken, Holder: "z", Wait: 4500 * time.Millisecond}}})
	until(11 * time.Second)
	h.Take(now, "a", Message{Life: 1, Number: h.number, Answers: []Answer{{Name: "r"}}})
	until(15 * time.Second)
	var want []time.Duration
	for _, at := range []float64{0, 0.5, 1, 1.5, 2, 4, 6, 8, 9.6, 10.1, 10.6, 11.1, 13.1} {
		want = append(want, time.Duration(at*1000)*time.Millisecond)
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked at %v, want %v", asked, want)
	}
}

// TestEndIsOfAMajorityOfEachList, counted from before it was asked, 1 % less than the term.
func TestEndIsOfAMajorityOfEachList(t *testing.T) {
	h := NewHolder(Term, 7, nil)
	h.Need("r", Need{Witnesses: [][]crdt.PeerID{{"a", "b", "c"}, {"c", "d", ""}}})
	grant := func(asked time.Duration, from crdt.PeerID) {
		h.leases["r"].askAt = 0
		out := h.Round(asked)
		h.Take(asked+time.Second, from, Message{Life: 7, Number: out[0].Message.Number, Answers: []Answer{{Name: "r"}}})
	}
	for i, step := range []struct {
		from crdt.PeerID
		want time.Duration
	}{{"a", 0}, {"b", 0}, {"d", 0}, {"c", 1 * time.Second}, {"a", 2 * time.Second}, {"b", 2 * time.Second}} {
		asked := time.Duration(i) * time.Second
		grant(asked, step.from)
		want := step.want
		if i >= 3 {
			want += Counted(Term)
		}
		if got := h.End("r"); got != want {
			t.Errorf("after %s granted what was asked at %v: %v, want %v", step.from, asked, got, want)
		}
	}
	before := h.End("r")
	h.Need("r", Need{Terms: Terms{1}, Witnesses: [][]crdt.PeerID{{"x"}}})
	if got := h.End("r"); got != before {
		t.Errorf("with other witnesses it is held until %v, and was until %v", got, before)
	}
}

// TestTwoWithOneGrantEach: of two that want the same, and of which each was granted it by one witness while the third is dead, one gets it.
func TestTwoWithOneGrantEach(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		names := []crdt.PeerID{"a", "b"}
		witnesses := map[crdt.PeerID]*Witness{}
		holders := map[crdt.PeerID]*Holder{}
		for _, id := range names {
			witnesses[id] = NewWitness(Term, "", nil)
			holders[id] = NewHolder(Term, 1, random.IntN)
			holders[id].Need("r", Need{Witnesses: [][]crdt.PeerID{{"a", "b", "c"}}})
		}
		type flight struct {
			at       time.Duration
			from, to crdt.PeerID
			m        Message
		}
		var flying []flight
		now := 2 * Term
		held := func() bool { return holders["a"].End("r") > now || holders["b"].End("r") > now }
		for end := now + 2*Term; now < end && !held(); now += 5 * time.Millisecond {
			send := func(from, to crdt.PeerID, m Message) {
				if to != "c" && len(m.Asks)+len(m.Frees)+len(m.Answers) > 0 {
					way := 5 * time.Millisecond // to itself
					if from != to {
						way *= time.Duration(2 + random.IntN(6))
					}
					flying = append(flying, flight{now + way, from, to, m})
				}
			}
			for _, f := range flying {
				if f.at > now {
					continue
				}
				var answer Message
				var out []Outgoing
				if len(f.m.Answers) > 0 {
					out = holders[f.to].Take(now, f.from, f.m)
				} else {
					answer, out = witnesses[f.to].Take(now, f.from, f.m, func(Ask) Verdict { return Granted })
				}
				send(f.to, f.from, answer)
				for _, o := range out {
					send(f.to, o.To, o.Message)
				}
			}
			flying = slices.DeleteFunc(flying, func(f flight) bool { return f.at <= now })
			for _, id := range names {
				for _, o := range holders[id].Round(now) {
					send(id, o.To, o.Message)
				}
			}
		}
		if !held() {
			t.Fatalf("seed %d: nobody has it", seed)
		}
	}
}

// TestNothingOfStrangersCounts: who is no witness, another life, a round that never was, a witness that claims an endless wait.
func TestNothingOfStrangersCounts(t *testing.T) {
	h := NewHolder(Term, 7, nil)
	h.Need("r", Need{Witnesses: [][]crdt.PeerID{{"a"}}})
	out := h.Round(time.Second)
	number := out[0].Message.Number
	yes := []Answer{{Name: "r"}, {Name: "other"}}
	for from, m := range map[crdt.PeerID]Message{
		"b": {Life: 7, Number: number, Answers: yes}, "a": {Life: 8, Number: number, Answers: yes},
	} {
		h.Take(time.Second, from, m)
	}
	h.Take(time.Second, "a", Message{Life: 7, Number: number + 1, Answers: yes})
	if end := h.End("r"); end != 0 {
		t.Errorf("held until %v", end)
	}
	h.Take(time.Second, "a", Message{Life: 7, Number: number, Answers: []Answer{{Name: "r", Verdict: Taken, Holder: "z", Wait: 1 << 62}}})
	if due, _ := h.Due(); due > 2*Term {
		t.Errorf("it waits until %v", due)
	}
}
