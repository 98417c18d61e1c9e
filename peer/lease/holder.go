package lease

import (
	"maps"
	"slices"
	"time"

	"shoal/crdt"
)

// Holder is the memory of one peer that asks for leases.
type Holder struct {
	term   time.Duration
	life   uint64
	number uint64
	rounds [mostRounds]round // the last ones, by number
	pick   func(n int) int
	leases map[string]*held
}

const mostRounds = 64

type round struct {
	number uint64
	at     time.Duration
}

// Need is what a lease is asked for, and of whom.
type Need struct {
	Workload  string
	Terms     Terms
	Witnesses [][]crdt.PeerID // a majority of each list must grant; empty: a witness that is not known yet
	Next      crdt.PeerID     // who may have it too, before this peer lets go
}

// held is one lease, or the wish for it.
type held struct {
	Need
	until   map[crdt.PeerID]time.Duration // for how long each witness's grant counts
	refused map[crdt.PeerID]refusal
	kept    time.Duration // until when it is held whatever until says
	askAt   time.Duration
	soon    int    // how often it is still asked for again soon, see pause
	after   uint64 // the number of a round: answers to it and to those before do not count
	waited  bool   // askAt is a pause after the last ask: who has not answered by then is silent
}

type refusal struct {
	Answer
	until time.Duration // of Taken and Young
}

// NewHolder returns a holder without leases. life tells its program from all others of this peer: it should be higher
// than those of earlier ones, and partly random, for a peer whose disk was lost does not know those. pick draws a number
// below n.
func NewHolder(term time.Duration, life uint64, pick func(n int) int) *Holder {
	return &Holder{term: term, life: life, pick: pick, leases: map[string]*held{}}
}

// Resume says that an earlier program held a lease until then. Need must follow.
func (h *Holder) Resume(name string, until time.Duration) {
	l := h.lease(name)
	l.kept = max(l.kept, until)
}

func (h *Holder) lease(name string) *held {
	l := h.leases[name]
	if l == nil {
		l = &held{until: map[crdt.PeerID]time.Duration{}, refused: map[crdt.PeerID]refusal{}, after: h.number, soon: mostSoon}
		h.leases[name] = l
	}
	return l
}

// Need asks for a lease from now on. Where its conditions are others than before, what was held counts until it would have ended,
// and the grants for the new ones begin anew.
func (h *Holder) Need(name string, need Need) {
	l := h.lease(name)
	if l.Terms != need.Terms || !sameWitnesses(l.Witnesses, need.Witnesses) {
		l.kept = max(l.kept, l.end())
		h.restart(l)
		l.askAt, l.soon, l.waited = 0, mostSoon, false
	}
	if l.Next != need.Next {
		l.askAt, l.waited = 0, false
	}
	l.Need = need
}

// restart forgets what witnesses said, also what of it is still under way: it may have been given back since, or was said about other
// conditions.
func (h *Holder) restart(l *held) {
	clear(l.until)
	clear(l.refused)
	l.after = h.number
}

func sameWitnesses(a, b [][]crdt.PeerID) bool {
	return slices.EqualFunc(a, b, func(a, b []crdt.PeerID) bool { return slices.Equal(a, b) })
}

// Names are those that are held or asked for, sorted.
func (h *Holder) Names() []string { return slices.Sorted(maps.Keys(h.leases)) }

// Drop gives up a lease, or the wish for it. Nothing may run under it any more. It returns what to say to the witnesses.
func (h *Holder) Drop(name string) []Outgoing {
	l := h.leases[name]
	if l == nil {
		return nil
	}
	delete(h.leases, name)
	return h.freeing(name, l)
}

func (h *Holder) freeing(name string, l *held) (out []Outgoing) {
	for _, witness := range l.witnesses() {
		out = append(out, Outgoing{witness, Message{Life: h.life, Number: h.number, Frees: []string{name}}})
	}
	return out
}

// witnesses are all that are known, each once, sorted.
func (l *held) witnesses() []crdt.PeerID {
	all := slices.Concat(l.Witnesses...)
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > 0 && all[0] == "" {
		all = all[1:]
	}
	return all
}

// End is until when a lease is held; 0 if it never was.
func (h *Holder) End(name string) time.Duration {
	if l := h.leases[name]; l != nil {
		return max(l.kept, l.end())
	}
	return 0
}

// end is when, in some list, the grants that still count are no majority any more.
func (l *held) end() time.Duration {
	var end time.Duration
	for i, list := range l.Witnesses {
		untils := make([]time.Duration, len(list))
		for j, witness := range list {
			untils[j] = l.until[witness]
		}
		slices.Sort(untils)
		last := time.Duration(0)
		if most := majority(len(list)); most <= len(list) {
			last = untils[len(list)-most]
		}
		if i == 0 || last < end {
			end = last
		}
	}
	return end
}

func majority(n int) int { return n/2 + 1 }

// each is how often a lease is asked for: four times before what was granted can be over.
func (h *Holder) each() time.Duration { return h.term / 5 }

// mostSoon bounds the asks in a row that come soon after each other.
const mostSoon = 4

// pause is until when a lease is asked for again. One that is not held, and that nobody has refused for a while, comes soon: an ask or its
// answer may have been lost just when the lease became free, and each pause is one in which nothing runs. For the same reason one that was
// refused comes again when the first refusal ends, though another answer will say so too.
func (h *Holder) pause(now time.Duration, name string, l *held) time.Duration {
	if l.soon == 0 || h.End(name) > now {
		return h.each()
	}
	ends := time.Duration(0)
	for _, r := range l.refused {
		if r.until > now {
			ends = earliest(ends, r.until)
		}
	}
	if ends > 0 {
		return min(h.each(), ends-now+1)
	}
	l.soon--
	return h.each() / 4
}

// earliest is the earlier of two moments, where 0 is none.
func earliest(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// Due is when Round has something to ask; 0 if it has nothing.
func (h *Holder) Due() (due time.Duration, any bool) {
	for _, l := range h.leases {
		if !any || l.askAt < due {
			due, any = l.askAt, true
		}
	}
	return due, any
}

// Round asks for what is due, and for what is about to be, so that many leases cost few messages.
func (h *Holder) Round(now time.Duration) []Outgoing {
	if due, any := h.Due(); !any || due > now {
		return nil
	}
	h.number++
	h.rounds[h.number%mostRounds] = round{h.number, now}
	asks := map[crdt.PeerID][]Ask{}
	var out []Outgoing
	for _, name := range h.Names() {
		l := h.leases[name]
		if l.askAt > now+h.each()/4 {
			continue
		}
		if h.deadlocked(now, name, l) && (h.pick == nil || h.pick(2) == 0) {
			out = append(out, h.giveBack(now, name, l)...)
			continue
		}
		l.askAt, l.waited = now+h.pause(now, name, l), true
		for _, witness := range l.witnesses() {
			asks[witness] = append(asks[witness], Ask{Name: name, Workload: l.Workload, Terms: l.Terms, Next: l.Next})
		}
	}
	for _, witness := range slices.Sorted(maps.Keys(asks)) {
		for part := range slices.Chunk(asks[witness], mostNames) {
			out = append(out, Outgoing{witness, Message{Life: h.life, Number: h.number, Term: h.term, Asks: part}})
		}
	}
	return out
}

// Take takes a witness's answers. It returns what to say to the witnesses of those that cannot be had now.
func (h *Holder) Take(now time.Duration, from crdt.PeerID, m Message) (out []Outgoing) {
	asked, counts := h.asked(m)
	for _, a := range m.Answers {
		l := h.leases[a.Name]
		if l == nil || !slices.Contains(l.witnesses(), from) {
			continue
		}
		switch {
		case a.Verdict == Free:
			if h.End(a.Name) <= now {
				l.askAt, l.soon, l.waited = now, mostSoon, false
				delete(l.refused, from)
			}
		case !counts || m.Number <= l.after:
		case a.Verdict == Granted:
			l.until[from] = max(l.until[from], asked+Counted(h.term))
			delete(l.refused, from)
			l.soon = mostSoon
		default:
			out = append(out, h.refusedBy(now, from, l, a)...)
		}
	}
	return out
}

// asked is when the round began that a message answers; false for one of another life, or long ago.
func (h *Holder) asked(m Message) (time.Duration, bool) {
	r := h.rounds[m.Number%mostRounds]
	return r.at, m.Life == h.life && m.Number != 0 && r.number == m.Number
}

// refusedBy notes a refusal. Where a majority cannot be had, because somebody else holds or asks for it too, what was granted is given
// back, so that of two who ask at once one gets it.
func (h *Holder) refusedBy(now time.Duration, from crdt.PeerID, l *held, a Answer) []Outgoing {
	a.Wait = min(max(a.Wait, 0), Kept(h.term))
	l.refused[from] = refusal{a, now + a.Wait}
	if a.Wait > 0 {
		l.askAt, l.soon = min(l.askAt, now+a.Wait+1), mostSoon
	}
	if h.End(a.Name) > now || len(l.until) == 0 || a.Verdict != Taken || !l.blocked(now+h.each()/4) {
		return nil
	}
	return h.giveBack(now, a.Name, l)
}

// giveBack gives back what was granted, and asks again some time later.
func (h *Holder) giveBack(now time.Duration, name string, l *held) []Outgoing {
	h.restart(l)
	l.askAt, l.waited = now+h.each()/2, false
	if h.pick != nil {
		l.askAt += h.each() * time.Duration(h.pick(1000)) / 1000
	}
	return h.freeing(name, l)
}

// deadlocked says whether some granted it, others have granted it to somebody else for a while to come, and the rest has had time to answer and has
// not: two that ask could hold a grant each for good where the third witness is dead. One of them must let go, which is why only every
// second time either does.
func (h *Holder) deadlocked(now time.Duration, name string, l *held) bool {
	if !l.waited || h.End(name) > now {
		return false
	}
	granted, taken := false, false
	for _, until := range l.until {
		granted = granted || until > now
	}
	for _, r := range l.refused {
		taken = taken || r.Verdict == Taken && r.until > now+h.each()/4
	}
	return granted && taken
}

// blocked says whether in some list so many witnesses have granted it to others until after a moment that the rest is no majority.
// Grants that are about to end block nobody: those of one holder end within some milliseconds of each other.
func (l *held) blocked(moment time.Duration) bool {
	for _, list := range l.Witnesses {
		taken := 0
		for _, witness := range list {
			if r, ok := l.refused[witness]; ok && r.Verdict == Taken && r.until > moment {
				taken++
			}
		}
		if len(list)-taken < majority(len(list)) {
			return true
		}
	}
	return false
}

// Hearing is how a lease stands with one of its witnesses.
type Hearing struct {
	Witness crdt.PeerID
	Granted bool
	Refused Verdict       // where it refused; else 0
	Holder  crdt.PeerID   // of Taken
	Wait    time.Duration // of Taken and Young
}

// Hearings say how a lease stands with each of its known witnesses, sorted by them. One that neither granted nor refused does not answer.
func (h *Holder) Hearings(name string, now time.Duration) []Hearing {
	l := h.leases[name]
	if l == nil {
		return nil
	}
	var all []Hearing
	for _, witness := range l.witnesses() {
		hearing := Hearing{Witness: witness, Granted: l.until[witness] > now}
		if r, ok := l.refused[witness]; ok && !hearing.Granted {
			hearing.Refused, hearing.Holder, hearing.Wait = r.Verdict, r.Holder, max(0, r.until-now)
		}
		all = append(all, hearing)
	}
	return all
}
