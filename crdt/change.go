package crdt

import "shoal/crdt/sketch"

func newObject(key Key) *object { return &object{key: key, bucket: key.Bucket()} }

// change lets edit change the operations of o, forgets what can be forgotten, and brings the rest
// of the set up to date.
func (s *Set) change(o *object, edit func()) Delta {
	var space [8]*entry
	before := append(space[:0], o.ops...)
	edit()
	s.forget(o)
	var delta Delta
	for _, e := range beyond(o.ops, before) {
		e.of = o
		s.hold(e)
		delta.Added = append(delta.Added, e.op)
	}
	for _, e := range beyond(before, o.ops) {
		s.release(e)
		delta.Dropped = append(delta.Dropped, e.op)
	}
	s.list(o)
	return delta
}

// beyond returns those of a that are not in b; both are in the order of compare.
func beyond(a, b []*entry) []*entry {
	var result []*entry
	for _, e := range a {
		for len(b) > 0 && b[0] != e && b[0].compare(e) < 0 {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != e {
			result = append(result, e)
		}
	}
	return result
}

func (s *Set) hold(e *entry) {
	op := &e.op
	op.Stamp.Writer = PeerID(s.name(string(op.Stamp.Writer)))
	op.Manager, op.User = s.name(op.Manager), s.name(op.User)
	s.heard.add(op)
	id := op.ID()
	s.index.put(id, e)
	if s.pending != nil && s.pending.mark.Has(op.Stamp) {
		s.pending.index.put(id, e)
	}
	if s.sketch != nil {
		s.sketch.Add(sketch.ID(id))
	}
}

func (s *Set) release(e *entry) {
	id := e.op.ID()
	s.index.drop(id)
	if s.pending != nil && s.pending.mark.Has(e.op.Stamp) {
		s.pending.index.drop(id)
	}
	if s.sketch != nil {
		s.sketch.Remove(sketch.ID(id))
	}
}

// maxNames bounds the strings that operations share.
const maxNames = 4096

// name returns text, the same string each time: a million operations come from few writers.
func (s *Set) name(text string) string {
	if known, ok := s.names[text]; ok {
		return known
	}
	if len(s.names) < maxNames {
		s.names[text] = text
	}
	return text
}

// list keeps o among the objects while it has operations.
func (s *Set) list(o *object) {
	switch {
	case !o.listed && len(o.ops) > 0:
		s.objects[o.key] = o
		s.pages.insert(o)
	case o.listed && len(o.ops) == 0:
		delete(s.objects, o.key)
		s.pages.remove(o)
	}
	o.listed = len(o.ops) > 0
	s.watch(o)
}

// watch notes whether o has something to forget, now or later, and how much.
func (s *Set) watch(o *object) {
	s.waiting -= o.waiting
	o.waiting = 0
	if deletes := o.deletes(); deletes {
		always := func(*entry) bool { return true }
		o.waiting = len(o.forgettable(always, always))
		s.waiting += o.waiting
	} else if o.late == nil || len(o.ops) == 0 {
		if o.watched {
			delete(s.watched, o)
			o.watched = false
		}
		return
	}
	s.watched[o] = struct{}{}
	o.watched = true
}

func (o *object) deletes() bool {
	for _, e := range o.ops {
		if e.deletes {
			return true
		}
	}
	return false
}
