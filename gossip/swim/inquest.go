package swim

import (
	"slices"
	"strings"
	"time"

	"shoal/gossip"
)

// A member that memberlist holds dead may be alive: one sick peer is enough to have it called so everywhere, and what it
// answers may be lost. So each peer inquires for itself before it reports a member as failed; until then it is Suspect.
//
//	memberlist: dead ──▶ Suspect ──▶ round: ping it, and a few others (controls), each 100 ms
//	                        │            it answers          : it lives; begin again, and let it object
//	                        │            only others answer  : one miss; with enough of them it is Failed
//	                        │            nobody answers      : says nothing of it, but much of this peer
//	                        └── memberlist: alive ──▶ Alive
//
// This is a sequential test (Wald 1945) with a control group: at 20 % loss in each direction one ping fails with 36 %, eight in a
// row with 0.03 %. A peer that is itself stalled or cut off collects no misses; only after a much longer time without any
// answer does it report what it cannot reach, since then it is on its own. The question goes to the member itself, so its own stalls are what
// is left. So what was heard of it before counts too, if it is known: it must have been silent for all of memberlist's time and that of the
// inquest, which one that lost its power has been by then. Packets are not authenticated at that point, so a false one can only delay this.
//
// It is pure: verify.go does the asking.
type inquest struct {
	figures figures
	cases   map[gossip.PeerID]*inquiry
	turns   []gossip.PeerID // of cases, whose turn is next first
	touched time.Time       // when anybody last answered
}

// inquiry is one member's case.
type inquiry struct {
	member gossip.Member
	opened time.Time
	misses int
	met    time.Time // when it was last asked to object
}

const (
	// suspectsAtOnce bounds the members that one round asks: where more are in doubt they take turns, and fewer misses are enough, but
	// never less than missesLeast. So half of 1,000 peers cut off cost each of the others 350 pings a second, for 4 s.
	suspectsAtOnce = 32
	missesLeast    = 2
	// patient is how many times more misses it takes after an answer: that one lived a moment ago counts for as much as all of
	// memberlist's time before.
	patient  = 1
	controls = 3 // members that are not in doubt and asked as well
)

func newInquest(f figures) *inquest {
	return &inquest{figures: f, cases: map[gossip.PeerID]*inquiry{}}
}

// open begins an inquiry, unless there is one.
func (q *inquest) open(m gossip.Member, now time.Time) {
	if q.cases[m.ID] == nil {
		q.turns = append(q.turns, m.ID)
		q.cases[m.ID] = &inquiry{member: m, opened: now}
	}
}

// close ends an inquiry without a finding.
func (q *inquest) close(id gossip.PeerID) {
	if q.cases[id] != nil {
		delete(q.cases, id)
		q.turns = slices.DeleteFunc(q.turns, func(other gossip.PeerID) bool { return other == id })
	}
}

// next returns the members in doubt that the next round is to ask.
func (q *inquest) next() []gossip.Member {
	n := min(len(q.turns), suspectsAtOnce)
	asked := make([]gossip.Member, 0, n)
	for _, id := range q.turns[:n] {
		asked = append(asked, q.cases[id].member)
	}
	q.turns = append(q.turns[n:], q.turns[:n]...)
	return asked
}

// round is what came of one.
type round struct {
	asked    []gossip.PeerID // all, controls too
	answered map[gossip.PeerID]bool
	heard    map[gossip.PeerID]time.Time // of those in doubt: when the last packet came from them, whatever it was
	alone    bool                        // there is no other member at all to be asked
	late     bool                        // this peer itself did not keep time
}

// take draws conclusions from a round: which members have failed, sorted, and which answered although they were held dead.
func (q *inquest) take(r round, now time.Time) (failed, living []gossip.Member) {
	if len(r.answered) > 0 {
		q.touched = now
	}
	for _, id := range r.asked {
		c := q.cases[id]
		switch {
		case c == nil:
		case r.answered[id]:
			c.misses = -q.figures.misses * patient
			living = append(living, c.member)
		case r.late:
		case len(r.answered) > 0 || r.alone:
			c.misses++
			enough, silence := q.enough(), now.Sub(r.heard[id])
			if c.misses >= enough && silence >= q.figures.silence() || c.misses >= 2*enough {
				failed = append(failed, c.member)
			}
		case now.Sub(c.opened) >= q.figures.alone && now.Sub(q.touched) >= q.figures.alone:
			failed = append(failed, c.member)
		}
	}
	for _, m := range failed {
		q.close(m.ID)
	}
	slices.SortFunc(failed, func(a, b gossip.Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return failed, living
}

// enough is how many misses make a member failed.
func (q *inquest) enough() int {
	return max(missesLeast, q.figures.misses*suspectsAtOnce/max(suspectsAtOnce, len(q.cases)))
}
