// Package crdt holds the intent of a cluster: what users want, as signed operations that
// merge to the same state on every peer, in whatever order and however often they arrive.
//
// A Set keeps, for each object, the operations that still matter. An operation has effects:
// one for each field that it sets or deletes, and for Create and Delete one on the object's
// existence. An effect is overwritten by an operation that had seen it and that
//
//   - writes the same path, or a path above it, or
//   - is a Create or a Delete: both end every field that their writer had seen, so a new life
//     of an object starts with the fields of its Create and nothing else.
//
// An operation is retained, whole, while one of its effects is not overwritten. Overwriting is transitive, so
// what the retained operations say about each other is all there is to know: merging is the union of
// two retained sets, less what is overwritten in that union.
//
// # Laws
//
// Each is a property test against a model that keeps all history and all floors.
//  1. Merging is commutative, associative and idempotent: equal operations, equal digests and objects.
//  2. Causality beats clocks: a write wins over every write that its writer had seen. Among
//     writes that had not seen each other the highest stamp wins.
//  3. No write disappears silently: each value ever written is in a Field, or was overwritten
//     by who had seen it, or is a Rival, or equals the value it lost to.
//  4. The dead stay dead: an operation that a Delete had seen has no effect any more, whoever
//     brings it back, also after the Delete is forgotten. An object is live when one of its
//     Creates is not covered by a Delete.
//  5. Forgetting changes nothing that a live object shows.
//  6. No write is claimed as seen that was not: an operation whose Seen goes beyond what is
//     known here is not taken (Gap) until the whole object has come.
//  7. What is shown follows from operations and floors alone; on a peer that was forgotten once it has come back (Abandon).
//
// # Overlapping paths
//
// A write at "a" overwrites what it had seen at "a/b". A write at "a/b" hides the value at "a" that it
// had seen, for good: the leaf has become a tree. Where neither had seen the other, the higher stamp wins and
// the lower is its Rival. Two deletions are not in each other's way. One operation that deletes "a" and sets "a/b" replaces the tree below "a".
//
// # Forgetting
//
// Deletions are operations too. A floor lets them go; it comes with marks (version vectors over all
// objects) that every registered peer has attested, see Forget. What is retained is a normal form: it
// depends on operations and floors, not on the moment. Under the floors first <= second
//   - an operation at or below second that is not retained is refused (Forgotten): a replay, or
//     from a peer that was forgotten; what it names as Seen at or below second counts as known;
//   - an operation is let go when it and all it had seen lie at or below first, nothing of it is left but
//     deletions, and no retained operation needs one of these: see needs.
//
// Two floors, since a write that had not seen a deletion may be under way while all attest
// first. It was written before its writer applied first, so second covers it, and by then all hold
// it: a conflict between the two is kept everywhere. Any other write above second counts as having
// seen what first let go. What a peer that was forgotten does when it comes back: see Abandon.
//
// # Digests
//
// Digest is over a trie of the IDs of operations. Unlike a running sum of hashes it cannot be made to
// collide by choosing many summands (Wagner, "A Generalized Birthday Problem", 2002).
//
// The package is pure. It trusts the Hash of an operation and checks no signature. Writers are trusted
// to rise in Time and to know their own earlier writes; of two operations on one object with one stamp
// the one with the lower hash is retained (Contradicted).
package crdt
