package control

import (
	"fmt"
	"slices"

	"shoal/crdt"
	"shoal/peer/replication"
)

// write answers a user's command. What it accepts is merged here, kept for the disk and pushed.
func (m *Machine) write(w Write) {
	reply := Reply{Request: w.Request}
	reply.Stamp, reply.Op, reply.Err = m.accept(w)
	m.out.Replies = append(m.out.Replies, reply)
}

func (m *Machine) accept(w Write) (stamp crdt.Stamp, id crdt.OpID, err error) {
	defer func() {
		if r := recover(); r != nil {
			stamp, id, err = crdt.Stamp{}, crdt.OpID{}, &InvalidError{Faults: []string{asideText(r)}}
		}
	}()
	m.refreshObjects()
	if err := m.allowed(w); err != nil {
		return crdt.Stamp{}, id, err
	}
	if w.Verb == crdt.Update && len(w.Changes) == 0 {
		ids := m.OpsOf(w.Key)
		m.awaitAll(ids, w.Acks)
		return m.objects[w.Key].merged.Modified, ids[len(ids)-1], nil
	}
	op := m.compose(w)
	if faults := m.preview(op); faults != nil {
		return crdt.Stamp{}, id, &InvalidError{Faults: faults}
	}
	if err := m.commitOwn(op, w.Acks); err != nil {
		return crdt.Stamp{}, id, err
	}
	m.refreshObjects()
	return op.Stamp, op.ID(), nil
}

// commitOwn merges an operation of this peer, keeps it for the disk and pushes it.
func (m *Machine) commitOwn(op crdt.Op, acks int) error {
	m.lastOwn = max(m.lastOwn, op.Stamp.Time)
	delta, outgoing := m.spread.Write(op, acks)
	if len(delta.Added) == 0 {
		return &InvalidError{Faults: []string{fmt.Sprintf("%s: the change has %d bytes, more than fit into one operation, or its time is not to be had", op.Key, len(op.Signed))}}
	}
	m.merged(delta)
	m.rememberOwn(op)
	m.await(op.ID(), acks)
	m.out.Send = append(m.out.Send, sends(outgoing)...)
	return nil
}

// allowed checks a write against what is there now.
func (m *Machine) allowed(w Write) error {
	current := m.set.Seen(w.Key)
	for writer, t := range w.Seen {
		if t > max(current[writer], m.floors.second[writer]) {
			return ErrStale // it speaks of operations that this peer does not have
		}
	}
	if current[m.self] > w.Seen[m.self] {
		return ErrStale
	}
	if w.Verb == crdt.Delete && m.orphaned(w.Key) {
		return nil // ends what was written by who had not seen the deletion
	}
	if live := m.live(w.Key); live == (w.Verb == crdt.Create) {
		return m.wrongVerb(w, current)
	}
	switch {
	case w.Verb == crdt.Delete && w.Key.Kind == "Namespace":
		return m.namespaceEmpty(w.Key.Name)
	case w.Verb == crdt.Create && w.Key.Namespace != "" && !ownKind(w.Key.Kind) && !m.namespaceExists(w.Key.Namespace):
		return &InvalidError{Faults: []string{fmt.Sprintf(
			"namespace %q does not exist: create it first, with a manifest of kind Namespace", w.Key.Namespace)}}
	}
	return nil
}

// wrongVerb tells a writer who did not know better to read again, and one who did what is wrong.
func (m *Machine) wrongVerb(w Write, current crdt.Seen) error {
	for writer, t := range current {
		if t > w.Seen[writer] {
			return ErrStale
		}
	}
	text := " does not exist"
	if w.Verb == crdt.Create {
		text = " exists already"
	}
	return &InvalidError{Faults: []string{w.Key.String() + text}}
}

func (m *Machine) live(key crdt.Key) bool {
	o := m.objects[key]
	return o != nil && o.merged.Live
}

const defaultNamespace = "default" // exists without an object of its own

func (m *Machine) namespaceExists(name string) bool {
	return name == defaultNamespace || m.live(crdt.Key{Kind: "Namespace", Name: name})
}

func (m *Machine) namespaceEmpty(name string) error {
	const mostShown = 20
	var faults []string
	for _, key := range m.sortedKeys() {
		if key.Namespace == name && m.live(key) {
			if len(faults) == mostShown {
				faults = append(faults, "and more")
				break
			}
			faults = append(faults, fmt.Sprintf("namespace %q still has %s: delete that first", name, key))
		}
	}
	if faults == nil {
		return nil
	}
	return &InvalidError{Faults: faults}
}

// compose makes the sealed operation that a write asks for.
func (m *Machine) compose(w Write) crdt.Op {
	seen := crdt.Seen{}
	for writer, t := range w.Seen {
		seen[writer] = t
	}
	changes := w.Changes
	if w.Verb == crdt.Update {
		changes = m.carried(w)
	}
	return replication.Seal(crdt.Op{
		Key:     w.Key,
		Stamp:   crdt.Stamp{Time: crdt.Next(m.lastOwn, seen, m.now.Wall), Writer: m.self},
		Seen:    seen,
		Verb:    w.Verb,
		Manager: w.Manager,
		User:    w.User,
		Changes: changes,
	}, m.config.Sign)
}

// carried are the changes of a write, and the deletions that it should repeat: see crdt.Set.Carry. Only who has
// seen all that is held here may say so.
func (m *Machine) carried(w Write) []crdt.Change {
	paths := make([]crdt.Path, len(w.Changes))
	for i, c := range w.Changes {
		paths[i] = c.Path
	}
	more := m.set.Carry(w.Key, paths)
	if len(more) == 0 || !w.Seen.Covers(m.set.Seen(w.Key)) {
		return w.Changes
	}
	changes := slices.Clone(w.Changes)
	for _, path := range more {
		changes = append(changes, crdt.Change{Path: path})
	}
	return changes
}

// preview returns what would be wrong with the object after op; nil if nothing.
func (m *Machine) preview(op crdt.Op) (faults []string) {
	defer func() {
		if r := recover(); r != nil {
			faults = []string{asideText(r)}
		}
	}()
	after, known := m.set.Trial(op)
	if !known || !after.Live {
		return nil
	}
	w, faults := m.form(op.Key, after.Fields)
	if faults != nil {
		return faults
	}
	after.Key = op.Key
	return m.leaseChange(&after, w)
}

// tidy leaves out operations that were put and dropped within one flush.
func tidy(p Persist) Persist {
	if len(p.Put) == 0 || len(p.Drop) == 0 {
		return p
	}
	type name struct {
		key   crdt.Key
		stamp crdt.Stamp
	}
	put, both := map[name]bool{}, map[name]bool{}
	for _, op := range p.Put {
		put[name{op.Key, op.Stamp}] = true
	}
	var drop []crdt.Op
	for _, op := range p.Drop {
		if n := (name{op.Key, op.Stamp}); put[n] {
			both[n] = true
		} else {
			drop = append(drop, op)
		}
	}
	var keep []crdt.Op
	for _, op := range p.Put {
		if !both[name{op.Key, op.Stamp}] {
			keep = append(keep, op)
		}
	}
	p.Put, p.Drop = keep, drop
	return p
}
