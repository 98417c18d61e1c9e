package crdt

// PeerID names the peer that wrote an operation: the lower-case hex form of its
// Ed25519 public key. Equal strings are equal peers; the empty PeerID is no peer.
type PeerID string

// Key names one object of the intent.
type Key struct {
	Kind      string // "Deployment"
	Namespace string // empty for kinds that live outside namespaces
	Name      string
}

// String is the key as people write it: Kind/namespace/name, or Kind/name without a namespace.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + "/" + k.Name
	}
	return k.Kind + "/" + k.Namespace + "/" + k.Name
}

// Time is a hybrid logical time (Kulkarni et al., "Logical Physical Clocks", 2014):
// the upper 48 bits are milliseconds since 1970, the lower 16 a counter. Zero is before all writes.
type Time uint64

// Stamp names one operation. A writer's stamps on one object rise strictly, so
// (Time, Writer) is unique. Stamps order concurrent operations only; causality comes first.
type Stamp struct {
	Time   Time
	Writer PeerID
}

// Seen is a version vector over the operations of one object: for each writer the
// time of its latest operation that is known. An operation o has been seen when
// o.Stamp.Time <= Seen[o.Stamp.Writer]. It stands for the heads of the object.
type Seen map[PeerID]Time

// Path is a field's place in its object: segments joined by "/", with "~" and "/" inside a
// segment escaped as in JSON Pointer (RFC 6901). An entry of a keyed list is one segment,
// "name=web". To this package a Path is opaque apart from its prefixes.
type Path string

// Change sets one field to a JSON value, or deletes it when Value is nil.
type Change struct {
	Path  Path
	Value []byte
}

// Verb says what an operation does to the existence of its object.
type Verb uint8

const (
	Update Verb = iota // changes fields of an object that exists
	Create             // makes the object exist anew: ends every field that its writer had seen, and sets fields
	Delete             // ends the object and every field that its writer had seen
)

// Op is one operation: a signed change to fields of one object. Ops are immutable; whoever
// holds one must not change what it points to.
type Op struct {
	Key     Key
	Stamp   Stamp
	Seen    Seen // what the writer had seen of this object, its own earlier operations included
	Verb    Verb
	Manager string // the program that owns the fields set, as in Kubernetes' managedFields
	User    string // for whom the writer signed
	Changes []Change

	Signed    []byte   // exact bytes under the signature, kept so that unknown fields pass through
	Signature []byte   // Ed25519 of Signed by Stamp.Writer
	Hash      [32]byte // SHA-256 of Signed and Signature; the unit of digests
}
