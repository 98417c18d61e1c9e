package replication

import (
	"cmp"

	"shoal/crdt"
)

const (
	fillLeast      = 1024 // operations that a peer must hold to fill another
	fillRatio      = 8    // and how many times as many as that other
	keysAtATime    = 1024
	waitForPartner = 12 // calls of Reconcile after which a fill without a partner is given up
)

// fill is what a nearly empty peer remembers while it fetches pages, from one partner at a time.
type fill struct {
	partner crdt.PeerID // empty: the last one fell silent, and another is looked for
	at      Place
	whole   crdt.Key // the last object that came whole
	idle    int      // calls of Reconcile since the last page
}

// nearlyEmpty says whether fetching all of theirs costs little more than the difference.
func nearlyEmpty(mine, theirs uint64) bool {
	return theirs >= fillLeast && mine < theirs/fillRatio
}

// considerFill begins a fill, or goes on with one, from a peer that sent this digest.
func (m *Machine) considerFill(received *Received, from crdt.PeerID, d *Digest) {
	mine := uint64(m.set.Count())
	switch {
	case d.Busy:
	case m.fill == nil && !m.busy() && nearlyEmpty(mine, d.Count):
		m.beginFill(received, from)
	case m.fill != nil && m.fill.partner == "" && d.Count <= mine:
		m.fill = nil
	case m.fill != nil && m.fill.partner == "":
		m.fill.partner, m.fill.idle = from, 0
		m.fill.at = Place{Key: m.fill.whole} // the rest of an object must come from who sent its beginning
		received.send(from, Message{Fill: &Fill{After: m.fill.at}})
	}
}

func (m *Machine) beginFill(received *Received, from crdt.PeerID) {
	m.fill = &fill{partner: from}
	received.send(from, Message{Fill: &Fill{}})
}

// resumeFill asks again for a page that did not come, then looks for another partner.
func (m *Machine) resumeFill(received *Received) {
	f := m.fill
	if f == nil {
		return
	}
	live := m.isLive(f.partner)
	switch f.idle++; {
	case f.idle > waitForPartner:
		m.fill = nil
	case f.partner == "" || f.idle == 1 && live:
	case f.idle == 2 && live:
		received.send(f.partner, Message{Fill: &Fill{After: f.at}})
	case f.idle > 4 || !live:
		f.partner = ""
	}
}

// page returns what is held after a place: about 1 MiB, or one operation alone.
func (m *Machine) page(to crdt.PeerID, after Place) []Outgoing {
	page := &Page{After: after, Until: after}
	bytes := 0
	if after.Stamp != (crdt.Stamp{}) {
		bytes = m.pageObject(page, after.Key, after.Stamp, bytes)
	}
	for key := page.Until.Key; bytes < splitBytes; {
		keys := m.set.KeysAfter(key, keysAtATime)
		if len(keys) == 0 {
			page.Last = true
			break
		}
		for _, key = range keys {
			if bytes = m.pageObject(page, key, crdt.Stamp{}, bytes); bytes >= splitBytes {
				break
			}
		}
	}
	return []Outgoing{{to, Message{Page: page}}}
}

// pageObject adds an object to a page, or its operations after a stamp. If that is too much it adds some of them, and
// the page ends there.
func (m *Machine) pageObject(page *Page, key crdt.Key, after crdt.Stamp, bytes int) int {
	object := Object{Key: key}
	page.Until = Place{Key: key}
	for _, op := range m.set.Ops(key) {
		if op.Stamp.Compare(after) <= 0 || m.doubts(op.Stamp) {
			continue
		}
		if len(object.Ops) > 0 && bytes+opBytes(op) > partBytes {
			page.Until.Stamp = object.Ops[len(object.Ops)-1].Stamp
			bytes = max(bytes, splitBytes)
			break
		}
		object.Ops = append(object.Ops, op)
		bytes += opBytes(op)
	}
	if len(object.Ops) > 0 {
		page.Objects = append(page.Objects, object)
	}
	return bytes
}

// receivePage takes the page that was asked for, and asks for the next. Any other is late, and ignored.
func (m *Machine) receivePage(from crdt.PeerID, page *Page) Received {
	f := m.fill
	if f == nil || f.partner != from || page.After != f.at {
		return Received{}
	}
	received := m.merge(from, page.Objects)
	if page.Last {
		m.fill = nil
		m.open(&received, from) // finds what changed meanwhile
		return received
	}
	if sum(page.Objects, objectBytes) < splitBytes/2 || page.Until.compare(f.at) <= 0 { // else a fill might never end
		m.fill = nil
		return received
	}
	f.at, f.idle = page.Until, 0
	if f.at.Stamp == (crdt.Stamp{}) {
		f.whole = f.at.Key
	} else if n := len(page.Objects); n > 1 {
		f.whole = page.Objects[n-2].Key
	}
	received.send(from, Message{Fill: &Fill{After: f.at}})
	return received
}

// compare orders places as pages go. A place in an object is before its end.
func (p Place) compare(other Place) int {
	if p.Key != other.Key {
		if p.Key == (crdt.Key{}) {
			return -1
		} else if other.Key == (crdt.Key{}) {
			return 1
		}
		return cmp.Or(cmp.Compare(p.Key.Bucket(), other.Key.Bucket()), p.Key.Compare(other.Key))
	}
	switch {
	case p.Stamp == other.Stamp:
		return 0
	case p.Stamp == crdt.Stamp{}:
		return 1
	case other.Stamp == crdt.Stamp{}:
		return -1
	}
	return p.Stamp.Compare(other.Stamp)
}
