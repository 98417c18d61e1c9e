// Package manifest is the language in which people say what they want: Kubernetes' objects, as
// YAML or JSON, in structs of our own with Kubernetes' names.
//
//	text ── Decode ──▶ Document.Tree ── Flatten ──▶ fields ── Apply ──▶ changes to write
//	                                                  │
//	          merged fields of a crdt.Object ── Tree ─┴▶ tree ── Validate ── WorkloadOf ──▶ Workload
//
// The structs in kinds.go are the only description of the language. Their tags carry a field's
// name, its rules, its default, the merge key of a list, and the names of Kubernetes' fields that
// are not supported. Decoding, validation, flattening, patching and the revision all walk them,
// so that none of these can disagree with another.
//
// No field is dropped silently. A field is one of:
//
//   - supported: it does what it does in Kubernetes;
//   - harmless: it is accepted with a warning, because leaving it out changes nothing that a user could rely on;
//   - later: it is refused as "not supported yet", unless its value is empty and so asks for nothing;
//   - the server's: status, and metadata such as uid, which users send back without meaning it;
//   - unknown: it is refused, and the nearest known name is suggested.
//
// Decode finds all faults of a manifest at once, each with file, line and column. It takes text from
// anyone: size, depth and the growth of aliases are bounded, and no input makes it panic.
//
// A field's path joins the names on the way with "/", escaped as in JSON Pointer. An entry of a
// list that has a merge key is one segment made of its keys:
//
//	spec/template/spec/containers/name=web/ports/containerPort=80,protocol=TCP/name
//
// The key is a field of its own as well, so that an entry with nothing but a key exists. Lists
// without a merge key are one value; an empty map or list is a value too.
//
// What an object asks for is given in the nouns of placement and runtime (Workload, Node, Budget, Priority). What can never
// hold is a fault: placement says so of conditions on peers and replicas, split.go of the annotations under "shoal/".
//
// The package is pure: no clock, no I/O, no goroutine, and map order reaches no output. It knows
// nothing of which peers there are; it is the only importer of a YAML parser.
package manifest
