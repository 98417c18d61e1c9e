package promise

import "slices"

// NothingLost is P2: every acknowledged field holds, or was overwritten by a write that had seen it, or is
// listed as a conflict. It looks at one peer per side that has seen all writes, so it is only
// for worlds at rest without a cut; during one it checks the writes taken on the peer's own side. One thing the design gives
// up: a field that was deleted may be there, without a conflict, where a forgotten peer had set it.
func NothingLost(s Snapshot) []Violation {
	f := findings{promise: "P2"}
	log := newLog(s.Writes)
	for _, side := range s.sides() {
		for _, p := range side {
			if p.Objects == nil {
				continue
			}
			for _, w := range s.Writes {
				if w.Refused == "" && !w.Unknown && s.reaches(w.Peer, p) {
					f.lost(log, p, w)
				}
			}
		}
	}
	return f.sorted()
}

// reaches says whether what was written on a peer should be known to p by now.
func (s Snapshot) reaches(writer string, p Peer) bool {
	w, known := s.peer(writer)
	return known && w.Alive && w.Side == p.Side
}

func (f *findings) lost(log writeLog, p Peer, w Write) {
	if log.killed(w) {
		return
	}
	object, known := p.object(w.Object)
	if w.Create && (!known || !object.Live) {
		f.add("%s: %s of write %s is gone", p.Name, w.Object, w.ID)
		return
	}
	for path, value := range w.Fields {
		if log.overwritten(w, path) || object.shows(path, value) || value == "" && log.unheard(w, path) {
			continue
		}
		f.add("%s: %s %s=%q of write %s neither holds, nor was overwritten, nor is a conflict", p.Name, w.Object, path, value, w.ID)
	}
}

func (p Peer) object(key string) (Object, bool) {
	for _, o := range p.Objects {
		if o.Key == key {
			return o, true
		}
	}
	return Object{}, false
}

// shows says whether a value holds in a field, by whichever write, or is among the conflicts. A deletion
// holds where the field is not.
func (o Object) shows(path, value string) bool {
	absent := true
	for _, field := range o.Fields {
		if field.Path == path {
			absent = field.Value == ""
			if field.Value == value {
				return true
			}
		}
		if slices.ContainsFunc(field.Conflicts, func(r Rival) bool { return r.Path == path && r.Value == value }) {
			return true
		}
	}
	return value == "" && absent
}

// DeadStayDead is P4: an object lives only by a creation that no deletion had seen, and no field of it
// is from a write that a deletion had seen. A deletion counts where it can have been heard of.
func DeadStayDead(s Snapshot) []Violation {
	f := findings{promise: "P4"}
	log := newLog(s.Writes)
	for _, p := range s.Peers {
		for _, o := range p.Objects {
			if p.Alive && o.Live {
				f.dead(s, log, p, o)
			}
		}
	}
	return f.sorted()
}

func (f *findings) dead(s Snapshot, log writeLog, p Peer, o Object) {
	killed := make(map[string]bool) // writes that a deletion known here had seen
	deleted := false
	for _, d := range log.deletes[o.Key] {
		if d.Unknown || !s.reaches(d.Peer, p) {
			continue
		}
		deleted = true
		for _, id := range d.Saw {
			killed[id] = true
		}
	}
	alive := slices.ContainsFunc(log.creates[o.Key], func(w Write) bool { return w.Unknown || !killed[w.ID] })
	if deleted && !alive {
		f.add("%s shows %s, which was deleted", p.Name, o.Key)
	}
	for _, field := range o.Fields {
		if killed[field.Write] {
			f.add("%s shows %s of %s, which was deleted with the object", p.Name, field.Path, o.Key)
		}
	}
}

// writeLog indexes the writes that were taken, or may have been.
type writeLog struct {
	byObject map[string][]Write
	creates  map[string][]Write
	deletes  map[string][]Write
}

func newLog(writes []Write) writeLog {
	l := writeLog{map[string][]Write{}, map[string][]Write{}, map[string][]Write{}}
	for _, w := range writes {
		if w.Refused != "" {
			continue
		}
		l.byObject[w.Object] = append(l.byObject[w.Object], w)
		if w.Create {
			l.creates[w.Object] = append(l.creates[w.Object], w)
		}
		if w.Delete {
			l.deletes[w.Object] = append(l.deletes[w.Object], w)
		}
	}
	return l
}

// killed says whether a deletion or a new creation had seen the write, or may have: both end every field that they had seen.
func (l writeLog) killed(w Write) bool {
	saw := func(later Write) bool { return slices.Contains(later.Saw, w.ID) }
	return slices.ContainsFunc(l.deletes[w.Object], saw) || slices.ContainsFunc(l.creates[w.Object], saw)
}

// overwritten says whether a later write to the same field had seen this one.
func (l writeLog) overwritten(w Write, path string) bool {
	return slices.ContainsFunc(l.byObject[w.Object], func(later Write) bool {
		_, same := later.Fields[path]
		return same && slices.Contains(later.Saw, w.ID)
	})
}

// unheard says whether a peer that was forgotten set a field at the same time as the write, which deletes it.
func (l writeLog) unheard(w Write, path string) bool {
	return slices.ContainsFunc(l.byObject[w.Object], func(other Write) bool {
		return other.Fields[path] != "" && slices.Contains(w.Unheard, other.Peer) && !slices.Contains(other.Saw, w.ID) && !slices.Contains(w.Saw, other.ID)
	})
}
