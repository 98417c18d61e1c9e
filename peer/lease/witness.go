package lease

import (
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
)

// MostGrants bounds what one witness keeps.
const MostGrants = 2048

// Witness is the memory of one peer that grants leases.
type Witness struct {
	term    time.Duration
	session string
	young   time.Duration // until then there may be grants that it does not know of, and it gives nothing new
	marked  bool          // the record says that there are none in this session
	grants  map[string]*grant
	records map[string][]byte // changed, and not drained yet
	sweepAt time.Duration
}

// grant is who has one name. The second is whom the first consents to.
type grant struct {
	first, second share
	next          crdt.PeerID // to whom the first consents
	refused       crdt.PeerID // who asked last and did not get it
}

// share is one peer's part in a grant. The zero value is nobody's.
type share struct {
	peer         crdt.PeerID
	until        time.Duration
	life, number uint64 // of the newest round that asked
}

// RecordPrefix begins the names of the records of a witness.
const RecordPrefix = "lease/"

// NewWitness resumes a witness at elapsed time 0, when its program started. session names the life of what outlives the program and not
// the machine's boot; empty: nothing does. records are those with RecordPrefix that Records gave to an earlier program.
func NewWitness(term time.Duration, session string, records map[string][]byte) *Witness {
	w := &Witness{term: term, session: session, young: Kept(term), grants: map[string]*grant{}, records: map[string][]byte{}}
	if session != "" && string(records[RecordPrefix]) == session {
		w.young, w.marked = 0, true
	}
	for _, record := range slices.Sorted(maps.Keys(records)) {
		name, found := strings.CutPrefix(record, RecordPrefix)
		if !found || name == "" {
			continue
		}
		peers, ok := w.decode(records[record])
		if !ok {
			w.records[record] = nil
			continue
		}
		g := &grant{first: share{peer: peers[0], until: Kept(term)}}
		if len(peers) == 2 {
			g.second, g.next = share{peer: peers[1], until: Kept(term)}, peers[1]
		}
		w.grants[name] = g
	}
	return w
}

// Doubt says that there may be grants that this witness does not know of, as after the loss of its memory: another peer was the witness until
// now under this one's name. It gives nothing new for a term, also if its program ends meanwhile.
func (w *Witness) Doubt(now time.Duration) {
	w.young = now + Kept(w.term)
	if w.marked {
		w.marked = false
		w.records[RecordPrefix] = nil
	}
}

// decode reads a record of this session: one or two peers.
func (w *Witness) decode(record []byte) ([]crdt.PeerID, bool) {
	parts := strings.Split(string(record), "\n")
	if w.session == "" || parts[0] != w.session || len(parts) < 2 || len(parts) > 3 {
		return nil, false
	}
	peers := make([]crdt.PeerID, len(parts)-1)
	for i, part := range parts[1:] {
		peers[i] = crdt.PeerID(part)
	}
	return peers, true
}

func (w *Witness) record(name string, g *grant) {
	if w.session == "" {
		return
	}
	text := w.session + "\n" + string(g.first.peer)
	if g.second.peer != "" {
		text += "\n" + string(g.second.peer)
	}
	w.records[RecordPrefix+name] = []byte(text)
}

// Records returns what must be on disk before anything leaves that Take has answered since the last call; a nil value
// deletes. The caller may keep it.
func (w *Witness) Records() map[string][]byte {
	changed := w.records
	if len(changed) > 0 {
		w.records = map[string][]byte{}
	}
	return changed
}

// Take serves a message. knows says what the witness thinks of the conditions that an ask names: Granted, or why not. It returns
// the answer, empty where there is none, and hints to others.
func (w *Witness) Take(now time.Duration, from crdt.PeerID, m Message, knows func(Ask) Verdict) (answer Message, hints []Outgoing) {
	w.sweep(now)
	answer.Life, answer.Number = m.Life, m.Number
	for _, name := range m.Frees[:min(len(m.Frees), mostNames)] {
		if to := w.free(now, from, name, m); to != "" {
			hints = append(hints, Outgoing{to, Message{Answers: []Answer{{Name: name, Verdict: Free}}}})
		}
	}
	for _, ask := range m.Asks[:min(len(m.Asks), mostNames)] {
		verdict := OtherTerms
		if m.Term <= w.term {
			verdict = knows(ask)
		}
		if verdict != Granted {
			answer.Answers = append(answer.Answers, Answer{Name: ask.Name, Verdict: verdict})
			continue
		}
		answer.Answers = append(answer.Answers, w.ask(now, from, ask, m))
	}
	return answer, hints
}

// ask grants, or says why not.
func (w *Witness) ask(now time.Duration, from crdt.PeerID, ask Ask, m Message) Answer {
	g := w.grants[ask.Name]
	mine := share{peer: from, until: now + Kept(w.term), life: m.Life, number: m.Number}
	switch {
	case g != nil && g.first.peer == from:
		if g.first.extend(mine) {
			g.next = ask.Next
		}
	case g != nil && g.second.peer == from:
		g.second.extend(mine)
	case g != nil && g.next == from && g.second.peer == "":
		g.second = mine
		w.record(ask.Name, g)
	case g != nil:
		g.refused = from
		return Answer{Name: ask.Name, Verdict: Taken, Holder: g.first.peer, Wait: max(g.first.until, g.second.until) - now}
	case now < w.young:
		return Answer{Name: ask.Name, Verdict: Young, Wait: w.young - now}
	case len(w.grants) >= MostGrants:
		return Answer{Name: ask.Name, Verdict: Full}
	default:
		w.grants[ask.Name] = &grant{first: mine, next: ask.Next}
		w.record(ask.Name, w.grants[ask.Name])
	}
	return Answer{Name: ask.Name, Verdict: Granted}
}

// extend takes one more ask of the same peer. One that was overtaken by a newer one lengthens the grant too, for it may have been counted
// on; it is not what a release must be newer than. It says whether it is the newest.
func (s *share) extend(by share) bool {
	s.until = by.until
	newer := by.life > s.life || by.life == s.life && by.number >= s.number
	if newer {
		s.life, s.number = by.life, by.number
	}
	return newer
}

// free ends a peer's share, unless it has asked again since: messages may overtake each other. It returns who is waiting.
func (w *Witness) free(now time.Duration, from crdt.PeerID, name string, m Message) crdt.PeerID {
	g := w.grants[name]
	if g == nil {
		return ""
	}
	for _, s := range []*share{&g.first, &g.second} {
		if s.peer == from && s.life == m.Life && s.number <= m.Number {
			s.until = now
		}
	}
	return w.settle(now, name, g)
}

// settle takes out of a grant what is over. It returns who may ask now, if the name is free.
func (w *Witness) settle(now time.Duration, name string, g *grant) crdt.PeerID {
	changed := false
	if g.second.peer != "" && g.second.until <= now {
		g.second, changed = share{}, true
	}
	if g.first.until <= now {
		g.first, g.second, g.next, changed = g.second, share{}, "", true
	}
	switch {
	case g.first.peer == "":
		delete(w.grants, name)
		w.records[RecordPrefix+name] = nil
		return g.refused
	case changed:
		w.record(name, g)
	}
	return ""
}

// sweep ends what is over.
func (w *Witness) sweep(now time.Duration) {
	if now >= w.young && !w.marked && w.session != "" {
		w.marked = true
		w.records[RecordPrefix] = []byte(w.session)
	}
	if now < w.sweepAt {
		return
	}
	w.sweepAt = 0
	for _, name := range slices.Sorted(maps.Keys(w.grants)) {
		g := w.grants[name]
		w.settle(now, name, g)
		for _, s := range []share{g.first, g.second} {
			if s.peer != "" && (w.sweepAt == 0 || s.until < w.sweepAt) {
				w.sweepAt = s.until
			}
		}
	}
	if w.sweepAt == 0 {
		w.sweepAt = now + w.term
	}
}
