package replication

import (
	"slices"

	"shoal/crdt"
	"shoal/crdt/sketch"
)

const (
	rowsToAll       = 16   // live peers up to which rows go to all of them, at once
	rowsNamedAtOnce = 4096 // the next round asks for more
)

// rowRound is what the peer that opened a round remembers of the comparison of rows.
type rowRound struct {
	partner crdt.PeerID
	decoder *sketch.Decoder
	version uint64
	begins  int
}

// Observe sets this peer's own sealed row and returns its pushes; none if it is not newer than the one held. Where more
// than 16 peers are live it is handed out by PassRows.
func (m *Machine) Observe(row Row) []Outgoing {
	if row.Peer != m.self || !m.rows.take(row) {
		return nil
	}
	if len(m.live) <= rowsToAll {
		return toEach(m.live, rowMessages([]Row{row}))
	}
	m.rowNews = append(m.rowNews, m.self)
	return nil
}

// PassRows returns pushes of all rows that were new since it was called last, to a few peers. Only where more than 16 peers are
// live: rows of many peers travel together then, instead of each in a message of its own. Call it some
// times per second; Reconcile does the same.
func (m *Machine) PassRows() []Outgoing {
	if len(m.rowNews) == 0 {
		return nil
	}
	slices.Sort(m.rowNews)
	var rows []Row
	for _, peer := range slices.Compact(m.rowNews) {
		if row, ok := m.rows.row(peer); ok {
			rows = append(rows, row)
		}
	}
	m.rowNews = nil
	return toEach(m.some(pushTo, m.self), rowMessages(rows))
}

// Row returns the newest row of a peer.
func (m *Machine) Row(peer crdt.PeerID) (Row, bool) {
	row, ok := m.rows.row(peer)
	return row, ok
}

// Restore takes a row that was on disk, unless a newer one is held. It is passed on to who lacks it, as any other.
func (m *Machine) Restore(row Row) { m.rows.take(row) }

// Forget drops the row of a peer that left, and remembers its version so that an old copy is not taken again.
func (m *Machine) Forget(peer crdt.PeerID) { m.rows.forget(peer) }

// receiveRows takes the rows that are newer than what is held. Of its own a peer takes none: it hears of newer ones
// than it has made when its disk was lost or set back.
func (m *Machine) receiveRows(from crdt.PeerID, rows *Rows) Received {
	var received Received
	own, _ := m.rows.known(m.self)
	for i := range rows.Rows {
		row := &rows.Rows[i]
		switch {
		case row.Peer == m.self && row.Version.Compare(own) > 0 && row.Version.Compare(received.Ahead) > 0:
			received.Ahead = row.Version
		case row.Peer != m.self && m.rows.take(*row):
			if received.Rows == nil {
				received.Rows = make([]Row, 0, len(rows.Rows))
			}
			received.Rows = append(received.Rows, *row)
			if len(m.live) > rowsToAll {
				m.rowNews = append(m.rowNews, row.Peer)
			}
		}
	}
	return received
}

func (m *Machine) firstRowSymbols(theirs uint64) *Symbols {
	held := len(m.rows.held)
	return m.rowSymbols(m.rows.compare().Version(), 0, sketch.First(held, int(min(theirs, 1<<40))))
}

func (m *Machine) rowSymbols(version uint64, from, number int) *Symbols {
	number = min(number, symbolsAtOnce, sketch.MaxSymbols-from)
	s := m.rows.compare()
	list, ok := s.SymbolsAt(sketch.Part{}, version, from, from+number)
	if !ok {
		version, from, number = s.Version(), 0, min(from+number, symbolsAtOnce)
		list, _ = s.SymbolsAt(sketch.Part{}, version, 0, number)
	}
	return &Symbols{Count: uint64(s.Count()), Version: version, From: from, Symbols: list, Floor: m.applied}
}

func (m *Machine) moreRowSymbols(from crdt.PeerID, more *More) []Outgoing {
	return []Outgoing{{from, Message{RowSymbols: m.rowSymbols(more.Version, more.From, more.Number)}}}
}

// receiveRowSymbols does for rows what receiveSymbols does for operations. The difference names both
// versions of a row that changed, so the ones held here are told before any row is sent.
func (m *Machine) receiveRowSymbols(from crdt.PeerID, s *Symbols) []Outgoing {
	r := m.rowRound
	if r == nil || r.partner != from || len(s.Symbols) == 0 || s.Part != (sketch.Part{}) {
		return nil
	}
	if s.From == 0 && (r.decoder == nil || s.Version != r.version) && r.begins < beginsAtMost {
		r.decoder, r.version = sketch.NewDecoder(m.rows.compare(), sketch.Part{}), s.Version
		r.begins++
	} else if r.decoder == nil || s.Version != r.version || s.From != r.decoder.Len() {
		return nil
	}
	if err := r.decoder.Take(s.Symbols); err != nil {
		m.rowRound = nil
		return nil
	}
	if !r.decoder.Done() {
		want := r.decoder.Want()
		if want == 0 || r.decoder.Len() > 4*(len(m.rows.held)+int(min(s.Count, sketch.MaxSymbols)))+symbolsSlack {
			m.rowRound = nil
			return nil
		}
		return []Outgoing{{from, Message{RowMore: &More{Version: r.version, From: r.decoder.Len(), Number: min(want, symbolsAtOnce)}}}}
	}
	m.rowRound = nil
	return m.askForRows(from, r.decoder)
}

func (m *Machine) askForRows(from crdt.PeerID, d *sketch.Decoder) []Outgoing {
	want := &RowWant{}
	past := m.rows.past()
	for _, id := range d.There() {
		if _, held := m.rows.named(id); !held && !past[id] {
			want.Names = append(want.Names, id)
		}
	}
	for _, id := range d.Here() {
		if peer, held := m.rows.named(id); held {
			want.Held = append(want.Held, Held{peer, m.rows.held[peer].Version})
		}
	}
	want.Names = want.Names[:min(len(want.Names), rowsNamedAtOnce)]
	want.Held = want.Held[:min(len(want.Held), rowsNamedAtOnce)]
	if len(want.Names) == 0 && len(want.Held) == 0 {
		return nil
	}
	return []Outgoing{{from, Message{RowWant: want}}}
}

// receiveRowWant gives the rows asked for that are newer than those told of, and asks for those told of
// that are newer than the ones held here.
func (m *Machine) receiveRowWant(from crdt.PeerID, want *RowWant) []Outgoing {
	told := make(map[crdt.PeerID]Version, len(want.Held))
	ask := &RowWant{}
	for _, held := range want.Held {
		told[held.Peer] = held.Version
		if version, ok := m.rows.known(held.Peer); !ok || version.Compare(held.Version) < 0 {
			ask.Peers = append(ask.Peers, held.Peer)
		}
	}
	var give []Row
	for _, id := range want.Names {
		if peer, held := m.rows.named(id); held && m.rows.held[peer].Version.Compare(told[peer]) > 0 {
			give = append(give, m.rows.held[peer].Row)
		}
	}
	for _, peer := range want.Peers {
		if row, ok := m.rows.row(peer); ok {
			give = append(give, row)
		}
	}
	send := toEach([]crdt.PeerID{from}, rowMessages(answerOf(give)))
	if len(ask.Peers) > 0 {
		send = append(send, Outgoing{from, Message{RowWant: ask}})
	}
	return send
}

// answerOf returns as many rows as one answer holds.
func answerOf(rows []Row) []Row {
	total := 0
	for i, row := range rows {
		if total += rowBytes(row); total > answerBytes && i > 0 {
			return rows[:i]
		}
	}
	return rows
}

func rowMessages(rows []Row) []Message {
	var messages []Message
	for _, batch := range batches(rows, rowBytes) {
		messages = append(messages, Message{Rows: &Rows{Rows: batch}})
	}
	return messages
}
