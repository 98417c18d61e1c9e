package control

import (
	"slices"

	"shoal/crdt"
)

// mostNotes bounds the notes kept; the oldest go first.
const mostNotes = 1000

// noteName is what makes two notes the same.
type noteName struct {
	reason  string
	object  crdt.Key
	replica string
	peer    crdt.PeerID
	text    string
	cause   string
}

// noteLog keeps notes, oldest first. One that comes again counts up and becomes the newest.
type noteLog struct {
	next   uint64
	byName map[noteName]*keptNote
	order  []*keptNote // by number, with gaps where a note came again
	given  uint64      // the number of the newest that fresh has returned
}

type keptNote struct {
	Note
	number uint64
	gone   bool // came again under a newer number, or was dropped
}

func newNoteLog() noteLog {
	return noteLog{byName: map[noteName]*keptNote{}}
}

func nameOf(n Note) noteName { return noteName{n.Reason, n.Object, n.Replica, n.Peer, n.Text, n.Cause} }

func (l *noteLog) add(n Note) {
	name := nameOf(n)
	n.Count = 1
	if old := l.byName[name]; old != nil {
		n.Count = old.Count + 1
		old.gone = true
	}
	l.next++
	kept := &keptNote{Note: n, number: l.next}
	l.byName[name] = kept
	l.order = append(l.order, kept)
	l.trim()
}

// trim drops what is beyond the bound, and closes the gaps when they are half of the log.
func (l *noteLog) trim() {
	for len(l.byName) > mostNotes {
		oldest := l.order[0]
		l.order = l.order[1:]
		if !oldest.gone {
			delete(l.byName, nameOf(oldest.Note))
		}
	}
	if len(l.order) > 2*mostNotes {
		l.order = slices.DeleteFunc(slices.Clone(l.order), func(k *keptNote) bool { return k.gone })
	}
}

// fresh returns the notes that came or came again since the last call, oldest first.
func (l *noteLog) fresh() []Note {
	from := len(l.order)
	for from > 0 && l.order[from-1].number > l.given {
		from--
	}
	l.given = l.next
	return standing(l.order[from:])
}

func (l *noteLog) all() []Note { return standing(l.order) }

// standing returns those of the notes that did not come again later.
func standing(order []*keptNote) []Note {
	var notes []Note
	for _, k := range order {
		if !k.gone {
			notes = append(notes, k.Note)
		}
	}
	return notes
}

func (m *Machine) note(n Note) {
	n.At = m.now.Wall
	m.notes.add(n)
	if m.eventful(&n) {
		m.happens(&n)
	}
	m.touched = true
}

// noteReplica notes something about a replica held here, and returns that with its cause.
func (m *Machine) noteReplica(in *instance, n Note) Note {
	n.Object, n.Replica, n.Peer = in.workload(), string(in.record.Replica), m.self
	if n.Cause == "" {
		n.Cause = m.causeOf(in, n.Reason)
	}
	m.note(n)
	return n
}

// noteReadiness notes when an instance becomes ready, or no longer is although it should.
func (m *Machine) noteReadiness(in *instance) {
	ready := in.ready()
	if ready == in.wasReady {
		return
	}
	in.wasReady = ready
	if ready {
		in.everReady = true
		m.noteReplica(in, Note{Reason: "Ready", Text: "ready on " + m.config.Self.Name})
	} else if !in.stopping {
		m.noteReplica(in, Note{Warning: true, Reason: "Unready", Text: unreadyText(in)})
	}
}

func unreadyText(in *instance) string {
	for i := range in.containers {
		if c := &in.containers[i]; !c.ready() {
			text := "container " + c.spec.Name + " is not ready"
			if c.detail != "" {
				text += ": " + c.detail
			}
			return text
		}
	}
	return "not ready"
}
