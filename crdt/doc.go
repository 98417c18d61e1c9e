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
// An operation is retained, whole, while one of its effects is not overwritten. Overwriting
// is transitive (who overwrites the overwriter had seen, and covers, what that one
// overwrote), so what the retained operations say about each other is all there is to know:
// merging is the union of two retained sets, less what is overwritten in that union.
//
// # Laws
//
// Each is a property test against a model that keeps all history and prunes nothing.
//
//  1. Merging is commutative, associative and idempotent. Sets that took in the same
//     operations retain the same ones, have equal digests and equal objects.
//  2. Causality beats clocks: a write wins over every write that its writer had seen,
//     whatever the wall clocks said. Among writes that had not seen each other the highest
//     stamp wins.
//  3. No write disappears silently: each value ever written is in a Field, or was
//     overwritten by an operation that had seen it, or is a Rival, or equals the value it
//     lost to.
//  4. The dead stay dead: an operation that a Delete had seen has no effect any more, whoever
//     brings it back. Creating the object again works. An object is live when one of its
//     Creates is not covered by a Delete.
//  5. No write is claimed as seen that was not: an operation whose Seen goes beyond what is
//     known here is not taken (Gap) until the whole object has come.
//
// # Overlapping paths
//
// A write at "a" overwrites what it had seen at "a/b". A write at "a/b" hides the value at
// "a" that it had seen, for good: the leaf has become a tree. Where neither had seen the
// other, the higher stamp wins and the lower is its Rival. One operation that deletes "a"
// and sets "a/b" replaces the tree below "a".
//
// # Digests
//
//	Digest        SHA-256 over the 256 bucket digests
//	  bucket      SHA-256 over the object digests, in the order of keys
//	    object    SHA-256 over the hashes of retained operations, in the order of stamps
//
// A tree costs little more than a running sum of hashes (one bucket and one root per batch
// of changes) and, unlike a sum, cannot be made to collide by choosing many summands
// (Wagner, "A Generalized Birthday Problem", 2002).
//
// The package is pure. It trusts the Hash of an operation and checks no signature. Writers
// are trusted to rise in Time and to know their own earlier writes: one that was restored
// from a backup and writes at once may overwrite its own lost writes, never those of others.
package crdt
