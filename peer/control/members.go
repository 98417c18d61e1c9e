package control

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/replication"
)

// member is what the membership layer, the book or a row says of another peer.
type member struct {
	gossip.Member
	heard bool          // the membership layer has named it since this start
	since time.Duration // when State was learned

	lostFor time.Duration // see placement.Peer

	// wait is until when its row is waited for before anything new is started; 0 when it is not.
	wait     time.Duration
	gaveUp   bool   // a wait ended without a row: it is not waited for again until one comes
	leftBoot uint64 // the boot that it left in: a row of that one says nothing of its return
	spoke    bool   // was heard of, although the membership layer says that it failed or suspects it

	// missed says that it was lost after it had been live, and has not answered yet since it was told so: see tells in word.go. tell
	// is when it is told again; 0 when it is not. tellUntil is when that ends.
	missed    bool
	tell      time.Duration
	tellUntil time.Duration

	// fresh says that the row held was said after the peer last came: see word.go. confirm is when that is taken
	// for granted; 0 when fresh or away. told is the version of its row that the peer named since it came, when it was asked the
	// question of that number; 0 when it was not.
	fresh    bool
	confirm  time.Duration
	told     replication.Version
	question uint64

	listed  lists   // where list has entered it
	counted counted // in the digest of the view
}

// lists says in which of a machine's lists of members one is, so that no flush has to look at all of them.
type lists struct {
	live    bool
	lost    bool // neither live nor left
	pending bool // waits for its row, or to be confirmed, or to be told again
	waiting bool // waits for its row
}

// list enters a member where it belongs, after any change of it.
func (m *Machine) list(id crdt.PeerID, n *member) {
	now := lists{
		live:    n.live(),
		lost:    !n.live() && n.State != gossip.Left,
		pending: n.wait != 0 || n.confirm != 0 || n.tell != 0,
		waiting: n.wait != 0,
	}
	if now.pending {
		m.pendingDue = earlier(m.pendingDue, earlier(n.tell, earlier(n.wait, n.confirm)))
	}
	was := n.listed
	if now == was {
		return
	}
	n.listed = now
	if now.live != was.live {
		at, _ := slices.BinarySearch(m.liveIDs, id)
		if now.live {
			m.liveIDs = slices.Insert(m.liveIDs, at, id)
		} else {
			m.liveIDs = slices.Delete(m.liveIDs, at, at+1)
		}
	}
	if now.lost != was.lost {
		enter(m.lost, id, n, now.lost)
	}
	if now.pending != was.pending {
		enter(m.pending, id, n, now.pending)
	}
	if now.waiting && !was.waiting {
		m.waiting++
	} else if !now.waiting && was.waiting {
		m.waiting--
	}
}

// earlier is the earlier of two deadlines; 0 is none.
func earlier(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func enter(set map[crdt.PeerID]*member, id crdt.PeerID, n *member, in bool) {
	if in {
		set[id] = n
	} else {
		delete(set, id)
	}
}

func (n *member) live() bool {
	return n.heard && (n.State == gossip.Alive || n.State == gossip.Suspect)
}

func (m *Machine) resumeBook(book []gossip.Member) {
	for _, known := range book {
		id := crdt.PeerID(known.ID)
		if id == m.self || known.State == gossip.Left {
			continue
		}
		known.State = gossip.Failed
		n := &member{Member: known}
		m.members[id] = n
		m.moved(id)
		m.list(id, n)
	}
}

// startWaits begins to wait for the peers of the book. It runs in the first flush, which alone knows the time.
func (m *Machine) startWaits() {
	for id, n := range m.members {
		if !n.heard {
			n.since = m.lostBefore(id)
			m.goneSince(id, true)
			m.lostStep(id, n)
			n.wait = m.now.Elapsed + m.config.Tuning.Settle
			m.list(id, n)
		}
	}
}

func (m *Machine) memberChanged(news gossip.Member) {
	id := crdt.PeerID(news.ID)
	if id == m.self {
		m.selfAddr = news.Addr
		return
	}
	n, known := m.members[id]
	if !known {
		n = &member{}
		m.members[id] = n
	}
	m.touched = true
	m.moved(id)
	was, wasLive := n.Member, n.live()
	wasLeft := n.heard && n.State == gossip.Left
	n.Member = news
	if known && !n.heard && news.State == gossip.Failed {
		n.since = m.lostBefore(id)
	} else if !n.heard || was.State != news.State {
		n.since = m.now.Elapsed
	}
	n.heard = true
	if !known || was.Name != news.Name || wasLeft || news.State == gossip.Left {
		m.forgetTerms()
	}
	m.namesake(was, news, wasLeft)
	m.remember(was, news)
	defer m.list(id, n)
	defer m.lostSince(id, n, was.State)
	switch {
	case news.State == gossip.Left:
		m.left(id, n, wasLeft)
	case n.live() && wasLive:
		m.suspected(id, n, was.State)
	case n.live() && !wasLive:
		m.came(id, n, was.State == gossip.Failed && known)
	case !n.live() && (wasLive || !known):
		n.wait, n.fresh, n.confirm, n.spoke = 0, false, 0, false
		n.missed, n.tell = wasLive, 0
		m.liveDirty = true
		m.keepEvents(id)
		m.keepLost(id)
		m.healLost(id)
		m.note(Note{Warning: true, Reason: "PeerFailed", Peer: id, Text: m.peerName(id) + " does not answer"})
	case !n.live():
		n.wait = 0 // known only from the book until now, and confirmed to be away
	}
}

// remember puts what is new about a peer into the book: its description and its leaving, not
// whether it answers just now.
func (m *Machine) remember(was, news gossip.Member) {
	leaving := (was.State == gossip.Left) != (news.State == gossip.Left)
	was.State, was.Health, was.Room = news.State, news.Health, news.Room
	if leaving || was != news {
		m.out.Persist.Book = append(m.out.Persist.Book, news)
	}
}

// came begins to wait for the row of a peer that joined or returned, and to ask for it.
func (m *Machine) came(id crdt.PeerID, n *member, returned bool) {
	m.liveDirty = true
	m.greet = append(m.greet, id)
	n.tellUntil = m.now.Elapsed + flapOnce
	m.floors.doubt.look = true
	if m.greets(id) {
		m.clocks.rowDue = m.now.Elapsed + 2*skewEach
	}
	n.told, n.question, n.fresh = replication.Version{}, 0, m.spokenFor(m.rows[id], n)
	if !n.fresh {
		n.confirm = m.now.Elapsed + m.config.Tuning.Settle + m.config.Tuning.ReconcileEach
		if !n.gaveUp {
			n.wait = m.now.Elapsed + m.config.Tuning.Settle
		}
		m.reconcileDue = min(m.reconcileDue, m.now.Elapsed)
	} else {
		n.wait, n.confirm = 0, 0
	}
	m.healBack(id)
	reason, text := "PeerJoined", " joined"
	if returned {
		m.healing()
		reason, text = "PeerReturned", " answers again"
	}
	m.note(Note{Reason: reason, Peer: id, Text: m.peerName(id) + text})
}

func (m *Machine) left(id crdt.PeerID, n *member, already bool) {
	n.wait, n.confirm, n.fresh, n.tell = 0, 0, false, 0
	if already {
		return
	}
	m.liveDirty = true
	if r := m.rows[id]; r != nil {
		n.leftBoot = r.version.Boot
	}
	delete(m.rows, id)
	m.heardOf(id)
	m.keepEvents(id)
	m.keepRow(id)
	m.spread.Forget(id)
	m.note(Note{Reason: "PeerLeft", Peer: id, Text: m.peerName(id) + " left"})
}

// rowCame notes that a peer has spoken.
func (m *Machine) rowCame(id crdt.PeerID) {
	n, known := m.members[id]
	if !known {
		// Its row is here before the membership layer has named it: it may well be alive.
		n = &member{Member: gossip.Member{Self: gossip.Self{ID: gossip.PeerID(id)}, State: gossip.Failed},
			since: m.now.Elapsed, wait: m.now.Elapsed + m.config.Tuning.Settle}
		m.members[id] = n
		m.moved(id)
		m.list(id, n)
	}
	if n.live() && !m.asksAll() {
		m.confirmed(id, n)
	} else if n.live() && !n.fresh {
		m.compareWord(id, n)
	}
	m.heardOf(id)
	m.spokeUp(id)
}

// How long others that failed are waited for after one returned, and how often such a time may begin.
const (
	healHold = 1500 * time.Millisecond
	healEach = 10 * time.Second
)

// spokeUp takes a row, a message or a write of a failed peer as a sign that it is back before the
// membership layer says so. What it runs counts only then; until then nothing new is started for it.
func (m *Machine) spokeUp(id crdt.PeerID) {
	n := m.members[id]
	if n == nil || !n.heard || n.spoke || n.State != gossip.Failed && n.State != gossip.Suspect {
		return
	}
	n.spoke = true
	if n.State == gossip.Suspect {
		m.healingShort()
		return
	}
	n.wait = m.now.Elapsed + m.config.Tuning.Settle
	m.list(id, n)
	m.healing()
}

// suspected follows a peer that is suspected, or no longer is, and was live all the time.
func (m *Machine) suspected(id crdt.PeerID, n *member, was gossip.State) {
	if n.State == gossip.Suspect && was != gossip.Suspect {
		n.spoke = false
	} else if n.State == gossip.Alive && was == gossip.Suspect {
		m.healingShort()
		m.answersAgain(id)
	}
}

// again is a peer that was suspected and answers again, and the time in which such peers are waited for.
type again struct {
	last  crdt.PeerID
	at    time.Duration
	until time.Duration
	due   time.Duration // not before this does another such time begin
}

// together is within which time several that were suspected and answer again were behind one cut.
const together = time.Second

// answersAgain waits for the word of those that were suspected at the same time, for healHold at most: a cut was too short for
// more, and what was written beyond it may be here before the word of what runs there.
func (m *Machine) answersAgain(id crdt.PeerID) {
	a, now := &m.again, m.now.Elapsed
	before := a.last
	if now-a.at >= together {
		before = ""
	}
	a.last, a.at = id, now
	if (before == "" || before == id) && len(m.liveIDs) > 1 {
		return
	}
	if now >= a.due {
		a.until, a.due = now+healHold, now+healEach
	}
	for _, id := range []crdt.PeerID{before, id} {
		if n := m.members[id]; n != nil && n.State == gossip.Alive && now < a.until {
			n.fresh, n.told, n.question, n.wait = false, replication.Version{}, 0, a.until
			n.confirm = now + m.config.Tuning.Settle + m.config.Tuning.ReconcileEach
			m.greet = append(m.greet, id)
			m.list(id, n)
		}
	}
}

// healingShort is healing for a cut that was so short that some behind it were only suspected: it matters if others have
// just failed.
func (m *Machine) healingShort() {
	for _, n := range m.lost {
		if n.heard && n.State == gossip.Failed && m.now.Elapsed-n.since < healEach {
			m.healing()
			return
		}
	}
}

// healing holds new starts for a moment when a failed peer is back: where a cut has healed, the
// membership layer names those behind it one by one. All of that takes no longer than Settle.
func (m *Machine) healing() {
	if m.now.Elapsed >= m.healDue {
		m.healFrom, m.healDue = m.now.Elapsed, m.now.Elapsed+healEach
	}
	until := min(m.now.Elapsed+healHold, m.healFrom+m.config.Tuning.Settle)
	if until <= m.now.Elapsed || until == m.healUntil {
		return
	}
	m.healUntil = until
	for id, n := range m.lost {
		if n.heard && n.State == gossip.Failed {
			n.wait = max(n.wait, until)
			m.list(id, n)
		}
	}
}

// passTime ends what waited for a moment that has come.
func (m *Machine) passTime() {
	if m.pendingDue != 0 && m.pendingDue <= m.now.Elapsed {
		m.passWaits()
	}
	m.expireRefusals()
	if m.steps.due != 0 && m.steps.due <= m.now.Elapsed {
		m.passSteps()
	}
	m.passFlap()
}

func (m *Machine) passWaits() {
	m.pendingDue, m.decided = 0, false
	for id, n := range m.pending {
		if n.wait != 0 && n.wait <= m.now.Elapsed {
			n.wait, n.gaveUp = 0, n.gaveUp || n.live()
			m.planner.stale = m.planner.stale || !n.heard
		}
		if n.confirm != 0 && n.confirm <= m.now.Elapsed {
			m.confirmed(id, n)
		}
		if n.tell != 0 && n.tell <= m.now.Elapsed {
			n.tell = 0
			m.askWord(id)
		}
		m.list(id, n)
	}
}

func (m *Machine) memberDeadlines(at func(time.Duration)) {
	if m.pendingDue != 0 && len(m.pending) > 0 {
		at(m.pendingDue)
	}
}

// settled says whether everybody who may hold something has said what it holds, or had the time to.
func (m *Machine) settled() bool { return m.waiting == 0 }

// tellLive hands the peers that answer to replication, and greets those that just came with this
// peer's own row, so that they need not wait for a reconciliation.
func (m *Machine) tellLive() {
	if m.liveDirty {
		m.liveDirty = false
		m.spread.Live(m.liveIDs)
	}
	if len(m.greet) == 0 {
		return
	}
	own, ok := m.spread.Row(m.self)
	for _, id := range m.greet {
		if ok && m.members[id].live() && m.greets(id) {
			push := replication.Message{Rows: &replication.Rows{Rows: []replication.Row{own}}}
			m.out.Send = append(m.out.Send, Send{To: id, Message: push})
		}
		m.askWord(id)
	}
	m.greet = m.greet[:0]
}

const (
	greetAll  = 16 // live peers up to which each of them greets who comes
	greetMost = 4  // greet it where there are more: those that follow it in the order of IDs
)

// greets says whether this peer is one of those that greet who comes.
func (m *Machine) greets(id crdt.PeerID) bool {
	if len(m.liveIDs) <= greetAll {
		return true
	}
	from, _ := slices.BinarySearch(m.liveIDs, id)
	own, _ := slices.BinarySearch(m.liveIDs, m.self)
	between := own - from - 1
	if between < 0 {
		between += len(m.liveIDs)
	}
	return between < greetMost
}

func (m *Machine) peersLive() bool { return len(m.liveIDs) > 0 }

// peerIDs lists all peers known, this one included, sorted. It must not be changed.
func (m *Machine) peerIDs() []crdt.PeerID {
	if len(m.ids) != len(m.members)+1 { // members are added, and never taken out
		m.ids = slices.AppendSeq([]crdt.PeerID{m.self}, maps.Keys(m.members))
		slices.Sort(m.ids)
	}
	return m.ids
}

// peerName is what people call a peer.
func (m *Machine) peerName(id crdt.PeerID) string {
	if id == m.self {
		return m.config.Self.Name
	}
	if n := m.members[id]; n != nil && n.Name != "" {
		return n.Name
	}
	return string(id[:min(len(id), 8)])
}

// selfChanged takes a new measure of this peer.
func (m *Machine) selfChanged(e SelfChanged) {
	m.besideChanged(e)
	if e.Health != m.health {
		text := fmt.Sprintf("the health of %s is %s now, it was %s", m.config.Self.Name, e.Health, m.health)
		if e.Why != "" {
			text += ": " + e.Why
		}
		m.note(Note{Warning: e.Health > m.health, Reason: "HealthChanged", Peer: m.self, Text: text})
	}
	if e.Room != m.room || e.Health != m.health {
		grew := e.Room.CPUMillis > m.room.CPUMillis || e.Room.MemoryBytes > m.room.MemoryBytes
		m.room, m.health = e.Room, e.Health
		self := m.config.Self
		self.Room, self.Health = e.Room, e.Health
		m.out.Self = &self
		m.rowDirty, m.touched = true, true
		m.moved(m.self)
		if grew {
			m.clearRefusals(func(r *refusal) bool { return r.room })
		}
	}
	images := slices.Sorted(slices.Values(e.Images))
	if !slices.Equal(images, m.images) {
		m.images, m.rowDirty = images, true
		m.clearRefusals(func(r *refusal) bool { return r.image })
	}
}

// besideChanged takes in what this peer has to give beside what the membership layer tells.
func (m *Machine) besideChanged(e SelfChanged) {
	if e.StorageBytes == m.storage && e.Pids == m.pids && slices.Equal(e.Devices, m.devices) {
		return
	}
	m.storage, m.pids, m.devices = e.StorageBytes, e.Pids, slices.Clone(e.Devices)
	m.rowDirty, m.touched = true, true
	m.clearRefusals(func(r *refusal) bool { return r.room })
}
