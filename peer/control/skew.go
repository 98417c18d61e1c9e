package control

import (
	"fmt"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/peer/replication"
)

// A peer says in its row when it made it. The difference to this peer's clock when the row comes is
// how far the other's clock is ahead, less the time that the row was under way, which is short where both hear each other. Of the newest few of a peer the one
// that took the least time counts, and the median over the members tells whose clock is the odd one.

const (
	skewRows = 5   // measurements of one peer that are kept
	skewMost = 128 // peers that are measured
	skewEach = 5 * time.Second
	skewNote = 2 * time.Second // own skew from which on it is noted
	skewWarn = 5 * time.Minute // and warned about
	skewStep = time.Second     // a jump of the wall clock against the other one
)

// clocks holds the measurements.
type clocks struct {
	of     map[crdt.PeerID]skewRing
	due    time.Duration // when to look at them; 0: nothing new
	rowDue time.Duration // when this peer's row is made anew, for who came to measure it; 0: not
	level  int           // of the last note: 0 none, 1 off, 2 far off
	last   Clock
}

type skewRing struct {
	ahead [skewRows]time.Duration
	n     int // taken in all
}

func (r skewRing) best() time.Duration { return slices.Max(r.ahead[:min(r.n, skewRows)]) }

// measure takes the time of a row that its own peer sent. It counts only if it was made while both heard each other:
// a row that was fetched after a cut may be of any age. Waited is how long it lay here before it was taken in.
func (m *Machine) measure(sealed replication.Row, at int64, waited time.Duration) {
	peer := sealed.Peer
	c := &m.clocks
	n, held := m.members[peer], m.rows[peer]
	if n == nil || !n.live() || m.now.Elapsed-n.since < skewEach || held == nil || held.version.Boot != sealed.Version.Boot {
		return
	}
	r, known := c.of[peer]
	if at == 0 || !known && len(c.of) >= skewMost {
		return
	}
	if c.of == nil {
		c.of = map[crdt.PeerID]skewRing{}
	}
	r.ahead[r.n%skewRows] = fromMillis(at).Sub(m.now.Wall) + waited
	r.n++
	c.of[peer] = r
	if c.due == 0 {
		c.due = m.now.Elapsed + skewEach
	}
}

// watchClock begins anew when this peer's own clock was stepped: what was measured by it is void.
func (m *Machine) watchClock() {
	c := &m.clocks
	step := m.now.Wall.Sub(c.last.Wall) - (m.now.Elapsed - c.last.Elapsed)
	if !c.last.Wall.IsZero() && step.Abs() > skewStep {
		clear(c.of)
	}
	c.last = m.now
	if c.due != 0 && c.due <= m.now.Elapsed {
		c.due = 0
		m.noteSkew()
	}
	if c.rowDue != 0 && c.rowDue <= m.now.Elapsed {
		c.rowDue = 0
		m.unsealed = true
	}
}

func (m *Machine) clockDeadlines(at func(time.Duration)) {
	for _, due := range [...]time.Duration{m.clocks.due, m.clocks.rowDue} {
		if due != 0 {
			at(due)
		}
	}
}

// ownSkew is how far this peer's clock is ahead of the median of the others.
func (m *Machine) ownSkew() (ahead time.Duration, known bool) {
	all := make([]time.Duration, 0, len(m.clocks.of))
	for _, r := range m.clocks.of {
		all = append(all, -r.best())
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return all[len(all)/2], true
}

// noteSkew says when this peer's clock goes wrong by more than a level, and when it is right again.
func (m *Machine) noteSkew() {
	own, known := m.ownSkew()
	if !known {
		return
	}
	level := 0
	switch off := own.Abs(); {
	case off >= skewWarn:
		level = 2
	case off >= skewNote:
		level = 1
	}
	if level == m.clocks.level {
		return
	}
	m.clocks.level = level
	if level == 0 {
		m.note(Note{Reason: "ClockRight", Peer: m.self, Text: "the clock of " + m.config.Self.Name + " agrees with the others"})
		return
	}
	direction := "ahead of"
	if own < 0 {
		direction = "behind"
	}
	m.note(Note{Warning: level == 2, Reason: "ClockSkew", Peer: m.self, Text: fmt.Sprintf(
		"the clock of %s is %s %s the others: writes are not lost by that, but it decides ties wrongly", m.config.Self.Name, own.Abs().Round(100*time.Millisecond), direction)})
}

// Skews returns how far the clocks of the cluster differ.
func (m *Machine) Skews() SkewReport {
	var report SkewReport
	report.Own, report.Known = m.ownSkew()
	for _, id := range m.peerIDs() {
		if r, known := m.clocks.of[id]; known {
			report.Members = append(report.Members, Skew{Peer: id, Ahead: r.best(), Rows: min(r.n, skewRows)})
		}
	}
	return report
}
