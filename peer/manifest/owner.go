package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"shoal/crdt"
)

// Owner is who set a field: a program, on behalf of a user. What one owner applies and later leaves out is
// removed; nobody removes what another owns.
type Owner struct {
	Manager string `json:"manager"`
	User    string `json:"user"`
}

// String names an owner in messages: "shoal" of alice.
func (o Owner) String() string {
	if o.User == "" {
		return fmt.Sprintf("%q", o.Manager)
	}
	return fmt.Sprintf("%q of %s", o.Manager, o.User)
}

func (o Owner) compare(other Owner) int {
	return cmp.Or(cmp.Compare(o.Manager, other.Manager), cmp.Compare(o.User, other.User))
}

// Hidden says whether a path holds bookkeeping rather than a part of the object. No name that a user can write
// leads to one: "~" is escaped as "~0".
func Hidden(path crdt.Path) bool { return strings.HasPrefix(string(path), "~") }

// The owner of a field is the manager and user of the operation that set it. Only where that does not say it all, because
// several apply the same value or the writer has let go of it, a hidden field beside it does:
//
//	~owners/spec~1replicas   {"of":"…","owners":[{"manager":"ci","user":"alice"},{"manager":"shoal","user":"root"}]}
//
// "of" is the hash of the value that they own: when the value has become another, the record means nothing.
type ownersRecord struct {
	Of     string  `json:"of"`
	Owners []Owner `json:"owners"`
}

func ownersPath(path crdt.Path) crdt.Path {
	return "~owners/" + crdt.Path(escape.Replace(string(path)))
}

func valueHash(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:8])
}

func recordOf(value []byte, owners []Owner) []byte {
	return encode(ownersRecord{Of: valueHash(value), Owners: owners})
}

// holding is an object's fields with who owns them.
type holding map[crdt.Path]crdt.Field

func hold(current []crdt.Field) holding {
	h := make(holding, len(current))
	for _, f := range current {
		h[f.Path] = f
	}
	return h
}

// owners returns all owners of a field, sorted; never none. Records that were written without having seen each other count together.
func (h holding) owners(f crdt.Field) []Owner {
	writer := []Owner{{Manager: f.Manager, User: f.User}}
	record, ok := h[ownersPath(f.Path)]
	if !ok {
		return writer
	}
	var all []Owner
	texts := [][]byte{record.Value}
	for _, rival := range record.Conflicts {
		texts = append(texts, rival.Value)
	}
	for _, text := range texts {
		var r ownersRecord
		if json.Unmarshal(text, &r) == nil && r.Of == valueHash(f.Value) {
			all = append(all, r.Owners...)
		}
	}
	if len(all) == 0 {
		return writer
	}
	slices.SortFunc(all, Owner.compare)
	return slices.Compact(all)
}

// forget removes what is recorded of a path's owners, if anything is.
func (h holding) forget(path crdt.Path) []crdt.Change {
	if _, ok := h[ownersPath(path)]; !ok {
		return nil
	}
	return []crdt.Change{{Path: ownersPath(path)}}
}

// share changes the owners of a field whose value stays; writer is who will have written it last.
func (h holding) share(f crdt.Field, writer Owner, owners []Owner) []crdt.Change {
	if len(owners) == 1 && owners[0] == writer {
		return h.forget(f.Path)
	}
	return []crdt.Change{{Path: ownersPath(f.Path), Value: recordOf(f.Value, owners)}}
}

func with(owners []Owner, more Owner) []Owner {
	all := append(slices.Clone(owners), more)
	slices.SortFunc(all, Owner.compare)
	return slices.Compact(all)
}

func lacking(owners []Owner, less Owner) []Owner {
	return slices.DeleteFunc(slices.Clone(owners), func(o Owner) bool { return o == less })
}

// FieldPath is a path as Kubernetes' messages write it: .spec.template.spec.containers[name="web"].image
func FieldPath(path crdt.Path) string {
	var b strings.Builder
	for _, segment := range strings.Split(string(path), "/") {
		segment = unescape.Replace(segment)
		name, value, keyed := strings.Cut(segment, "=")
		if !keyed {
			b.WriteString("." + segment)
			continue
		}
		if number, rest, two := strings.Cut(value, ",protocol="); two {
			fmt.Fprintf(&b, "[%s=%s,protocol=%q]", name, number, rest)
			continue
		}
		fmt.Fprintf(&b, "[%s=%q]", name, value)
	}
	return b.String()
}

// Owners returns who owns each field of an object, hidden ones left out.
func Owners(current []crdt.Field) map[crdt.Path][]Owner {
	h, all := hold(current), map[crdt.Path][]Owner{}
	for _, f := range current {
		if !Hidden(f.Path) {
			all[f.Path] = h.owners(f)
		}
	}
	return all
}

// Dispute is a field that one owner wants to change and others own.
type Dispute struct {
	Path   crdt.Path
	Owners []Owner // the others; never none
}

// Disputes returns which changes would take a field away from others: those that give a field which others own
// another value. Sorted by path.
func Disputes(current []crdt.Field, by Owner, changes []crdt.Change) []Dispute {
	h := hold(current)
	var all []Dispute
	for _, c := range changes {
		f, held := h[c.Path]
		if !held || Hidden(c.Path) || c.Value == nil || string(c.Value) == string(f.Value) {
			continue
		}
		if others := lacking(h.owners(f), by); len(others) > 0 {
			all = append(all, Dispute{Path: c.Path, Owners: others})
		}
	}
	return all
}

// Grant adds to the change of one field by writer what makes it belong to owners, who are never none. Sorted by path.
func Grant(current []crdt.Field, change crdt.Change, writer Owner, owners []Owner) []crdt.Change {
	if change.Value == nil {
		return Disown(current, []crdt.Change{change})
	}
	all := append([]crdt.Change{change}, hold(current).share(crdt.Field{Path: change.Path, Value: change.Value}, writer, owners)...)
	return inOrder(all)
}

// Disown adds to changes the removal of what is recorded of the owners of the fields they change: these belong to
// who makes the changes alone. Sorted by path.
func Disown(current []crdt.Field, changes []crdt.Change) []crdt.Change {
	h, all := hold(current), slices.Clone(changes)
	for _, c := range changes {
		if !Hidden(c.Path) {
			all = append(all, h.forget(c.Path)...)
		}
	}
	return inOrder(all)
}

func inOrder(changes []crdt.Change) []crdt.Change {
	slices.SortFunc(changes, func(a, b crdt.Change) int { return cmp.Compare(a.Path, b.Path) })
	return changes
}
