package control

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/wire"
)

// What happens on a peer, and why, outlives the peer: the newest of it stands in its row, which others hold after its death, and they keep
// what they have read there in a bounded book. What is known of a peer that dies is kept on disk too, as is what happened here.

const (
	mostRowEvents = 16  // in a row: the newest
	mostTold      = 512 // in the book
	mostToldOf    = 32  // of one peer
	mostKept      = 64  // peers of which it is kept on disk; those of which the newest is oldest go
	mostEventText = 200 // bytes of each text of an event

	keepEventsEach = 10 * time.Second // own ones are not written more often
)

// recordEvents begins the names of records: what happened on the peer with the ID that follows, as the Events of an observation.
const recordEvents = "events/"

// told is something that another peer said happened there, or that happened here in an earlier life of this program.
type told struct {
	peer  crdt.PeerID
	event *wire.Event // part of an observation that was read: never changed
}

// happened is what happened here and elsewhere.
type happened struct {
	own   []wire.Event // for this peer's row, the oldest first
	last  uint64       // the number of the newest of them
	saved uint64       // that of the newest of them on disk
	due   time.Duration

	book []told               // in the order in which it came; the newest mostTold of it count
	upTo map[crdt.PeerID]upTo // what was taken into the book
	kept map[crdt.PeerID]kept // on disk, of peers that were lost
}

// upTo is the highest number of a peer's events that was taken into the book, and how many of them stand there.
type upTo struct {
	number uint64
	stand  int
}

// kept is the newest on disk of what happened on a peer.
type kept struct {
	number uint64
	at     int64 // by its clock
}

func newHappened() happened {
	return happened{upTo: map[crdt.PeerID]upTo{}, kept: map[crdt.PeerID]kept{}}
}

func (m *Machine) resumeEvents(records map[string][]byte) {
	h := &m.happened
	for _, name := range slices.Sorted(maps.Keys(records)) {
		text, found := strings.CutPrefix(name, recordEvents)
		if !found {
			continue
		}
		id := crdt.PeerID(text)
		o, err := wire.DecodeObservation(records[name])
		if err != nil || len(o.Events) == 0 {
			m.record(name, nil)
			continue
		}
		h.tell(id, o.Events)
		if id == m.self {
			h.own = slices.Clone(newestEvents(o.Events))
			h.last = o.Events[len(o.Events)-1].Number
			h.saved = h.last
		} else {
			h.keptUpTo(id, o.Events)
		}
	}
}

// newestEvents are those that find room in a row.
func newestEvents(events []wire.Event) []wire.Event {
	if len(events) <= mostRowEvents {
		return events
	}
	left := slices.Clone(events)
	for len(left) > mostRowEvents {
		i := surplus(len(left), func(i int) *wire.Event { return &left[i] })
		left = slices.Delete(left, i, i+1)
	}
	return left
}

// surplus is which of n events, the oldest first, goes where there is no room for all: the oldest of whatever has most of them, so that what
// fails again and again does not push out what happened to the others.
func surplus(n int, event func(int) *wire.Event) int {
	about := func(i int) [2]string { e := event(i); return [2]string{e.Object, e.Replica} }
	count, most, first := map[[2]string]int{}, 0, 0
	for i := range n {
		count[about(i)]++
		most = max(most, count[about(i)])
	}
	for count[about(first)] < most {
		first++
	}
	return first
}

// eventful says whether a note is about what happened on this peer, and worth a place in its row. The steps of a start that goes well are not.
func (m *Machine) eventful(n *Note) bool {
	return n.Peer == m.self && n.Reason != "Pulled" && n.Reason != "Started" && n.Reason != "Ready"
}

// happens puts a note into this peer's row. Numbers rise over all lives of the peer, since each begins with its boot.
func (m *Machine) happens(n *Note) {
	h := &m.happened
	h.last = max(h.last+1, m.config.Boot<<24)
	e := wire.Event{Number: h.last, At: millis(n.At), Warning: n.Warning, Reason: n.Reason, Replica: n.Replica,
		Text: cut(n.Text), Cause: cut(n.Cause)}
	if n.Object != (crdt.Key{}) {
		e.Object = n.Object.String()
	}
	own := slices.DeleteFunc(slices.Clone(h.own), func(old wire.Event) bool { return sameEvent(&old, &e) })
	h.own = newestEvents(append(own, e))
	if h.due == 0 {
		h.due = m.now.Elapsed + keepEventsEach
	}
	m.rowDirty = true
}

func sameEvent(a, b *wire.Event) bool {
	return a.Reason == b.Reason && a.Object == b.Object && a.Replica == b.Replica && a.Text == b.Text && a.Cause == b.Cause
}

// cut bounds a text.
func cut(text string) string {
	if len(text) <= mostEventText {
		return text
	}
	return strings.ToValidUTF8(text[:mostEventText-len("…")], "") + "…"
}

// saveEvents puts what happened here on disk, every now and then.
func (m *Machine) saveEvents() {
	h := &m.happened
	if h.due == 0 || m.now.Elapsed < h.due {
		return
	}
	h.due = 0
	if h.saved != h.last {
		h.saved = h.last
		m.record(recordEvents+string(m.self), wire.EncodeObservation(wire.Observation{Events: h.own}))
	}
}

func (m *Machine) eventDeadlines(at func(time.Duration)) {
	if m.happened.due != 0 {
		at(m.happened.due)
	}
}

// tell takes what a row says happened into the book.
func (h *happened) tell(peer crdt.PeerID, events []wire.Event) {
	if len(events) == 0 {
		return
	}
	events = newestEvents(events)
	known := h.upTo[peer]
	if events[len(events)-1].Number <= known.number {
		return
	}
	for i := range events {
		if events[i].Number > known.number {
			known.number = events[i].Number
			known.stand++
			h.book = append(h.book, told{peer, &events[i]})
		}
	}
	h.upTo[peer] = known
	if known.stand > mostToldOf {
		h.trimOf(peer)
	}
	if len(h.book) >= 2*mostTold {
		h.trim()
	}
}

// trimOf drops what is beyond the bound of one peer.
func (h *happened) trimOf(peer crdt.PeerID) {
	known := h.upTo[peer]
	var own []*wire.Event
	for _, t := range h.book {
		if t.peer == peer {
			own = append(own, t.event)
		}
	}
	goes := map[*wire.Event]bool{}
	for len(own) > mostToldOf {
		i := surplus(len(own), func(i int) *wire.Event { return own[i] })
		goes[own[i]] = true
		own = slices.Delete(own, i, i+1)
	}
	h.book = slices.DeleteFunc(h.book, func(t told) bool { return t.peer == peer && goes[t.event] })
	known.stand = mostToldOf
	h.upTo[peer] = known
}

// trim drops the oldest of all. It is done for many at once, for all that remain are moved.
func (h *happened) trim() {
	over := len(h.book) - mostTold
	for _, t := range h.book[:over] {
		known := h.upTo[t.peer]
		known.stand--
		h.upTo[t.peer] = known
	}
	h.book = slices.Delete(h.book, 0, over)
}

// newest is what counts of the book.
func (h *happened) newest() []told { return h.book[max(0, len(h.book)-mostTold):] }

// keepEvents puts what happened on a peer on disk, when it is lost or leaves.
func (m *Machine) keepEvents(peer crdt.PeerID) {
	h := &m.happened
	if known := h.upTo[peer]; known.stand == 0 || h.kept[peer].number == known.number {
		return
	}
	var events []wire.Event
	for _, t := range h.newest() {
		if t.peer == peer {
			events = append(events, *t.event)
		}
	}
	if len(events) == 0 {
		return
	}
	h.keptUpTo(peer, events)
	m.record(recordEvents+string(peer), wire.EncodeObservation(wire.Observation{Events: newestEvents(events)}))
	for len(h.kept) > mostKept {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(h.kept)), func(a, b crdt.PeerID) int {
			return cmp.Or(cmp.Compare(h.kept[a].at, h.kept[b].at), cmp.Compare(a, b))
		})
		delete(h.kept, oldest)
		m.record(recordEvents+string(oldest), nil)
	}
}

func (h *happened) keptUpTo(peer crdt.PeerID, events []wire.Event) {
	newest := &events[len(events)-1]
	h.kept[peer] = kept{newest.Number, newest.At}
}

// toldNotes is the book as notes, the oldest first by what is known of the peers' clocks. What this peer noted itself in this life is left out.
func (m *Machine) toldNotes() []Note {
	var notes []Note
	for _, t := range m.happened.newest() {
		if t.peer == m.self && t.event.Number >= m.config.Boot<<24 {
			continue
		}
		n := Note{At: m.localTime(t.peer, fromMillis(t.event.At), 1), Warning: t.event.Warning, Reason: cut(t.event.Reason), Replica: t.event.Replica, Peer: t.peer,
			Text: cut(t.event.Text), Cause: cut(t.event.Cause), Count: 1}
		if t.event.Object != "" {
			n.Object = keyOf(t.event.Object)
		}
		notes = append(notes, n)
	}
	slices.SortStableFunc(notes, func(a, b Note) int { return a.At.Compare(b.At) })
	return counting(notes)
}

// counting makes one note of those that say the same, at the time of the last.
func counting(notes []Note) []Note {
	count := map[noteName]int{}
	for i := range notes {
		count[nameOf(notes[i])]++
	}
	last := map[noteName]bool{}
	var kept []Note
	for i := len(notes) - 1; i >= 0; i-- {
		name := nameOf(notes[i])
		if last[name] {
			continue
		}
		last[name] = true
		notes[i].Count = count[name]
		kept = append(kept, notes[i])
	}
	slices.Reverse(kept)
	return kept
}

// Notes returns what happened, the oldest first: what this peer noted, at most 1,000, and what others said happened on them, at most 512.
func (m *Machine) Notes() []Note {
	own, others := m.notes.all(), m.toldNotes()
	all := make([]Note, 0, len(own)+len(others))
	for len(own) > 0 && len(others) > 0 {
		if others[0].At.Before(own[0].At) {
			all, others = append(all, others[0]), others[1:]
		} else {
			all, own = append(all, own[0]), own[1:]
		}
	}
	return append(append(all, own...), others...)
}
