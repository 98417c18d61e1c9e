package crdt

// Object is the merged form of one object.
type Object struct {
	Key      Key
	Live     bool    // created, and not deleted by someone who had seen that
	Fields   []Field // sorted by Path; without deleted ones. Of a dead object: writes that who deleted it had not seen
	Deleted  []Field // sorted by Path: deletions that won over writes which they had not seen; Value nil, Conflicts never empty
	Created  Stamp   // of the earliest live Create
	Modified Stamp   // the highest stamp retained
	Seen     Seen
}

// Field is the winning value of one field, with those that lost to it although their
// writers had not seen each other.
type Field struct {
	Path      Path
	Value     []byte
	Writer    Stamp
	Manager   string
	User      string
	Conflicts []Rival // highest stamp first
}

// Rival is a value that lost among concurrent writes; nil Value: a deletion.
type Rival struct {
	Path    Path // the field's own, or one above or below it
	Value   []byte
	Writer  Stamp
	Manager string
	User    string
}

// Object materialises one object; false if no operation of it is retained. The caller owns the
// slices and Seen, not the values.
func (s *Set) Object(key Key) (Object, bool) {
	o := s.objects[key]
	if o == nil {
		return Object{}, false
	}
	return s.merged(o)
}

func (s *Set) merged(o *object) (Object, bool) {
	if len(o.ops) == 0 {
		return Object{}, false
	}
	result := Object{Key: o.key, Seen: s.seen(o)}
	for _, e := range o.ops { // oldest first
		if e.op.Verb == Create && !result.Live {
			result.Live, result.Created = true, e.op.Stamp
		}
		result.Modified = e.op.Stamp
	}
	for _, field := range settle(o.effects()) {
		switch {
		case field.Value != nil:
			result.Fields = append(result.Fields, field)
		case len(field.Conflicts) > 0:
			result.Deleted = append(result.Deleted, field)
		}
	}
	return result, true
}
