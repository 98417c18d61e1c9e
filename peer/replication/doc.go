// Package replication brings every operation and every row to every peer. It decides what to say
// to whom; streams carry it. It is pure: a Machine has no clock and does no I/O.
//
// # Push
//
// What a peer writes it pushes at once to 3 live peers, and each pushes on what was new to it
// (Demers et al., "Epidemic Algorithms for Replicated Database Maintenance", 1987). Rows go to all live
// peers while there are at most 16, else they spread like operations. An operation that has seen
// others which are not here is not taken; the whole object is asked of who sent it.
//
// # Reconciliation
//
// What pushes missed (loss, splits, restarts) is found by comparing digests with one live peer:
//
//	A                                   B
//	|── Digest{Root, RowRoot} ─────────>|   equal: the end, and the usual case
//	|<─ Digest{Buckets, all row versions}|  the parts of these that differ
//	|── Digest{InBuckets, Objects} ────>|   digests of the objects in buckets that differ
//	|── Objects{Rows}, Want{Rows} ─────>|
//	|<─ Objects, Want{Keys} ────────────|   what A lacks, and what B lacks
//	|── Objects ───────────────────────>|
//
// No side remembers a round: each message can be lost, repeated or late, and the next round
// repairs it. The cost is near the size of the difference, plus one bucket's digests for each
// object that differs.
//
// # Bounds
//
// Messages are split at 1 MiB, and one message is answered with at most 4 MiB of objects; the rest
// waits for the next round. An object whose operations do not fit into one message of wire.MaxMessage
// cannot be sent, nor an operation beyond MaxOpBytes written.
//
// # Invariants
//
//   - Objects carry everything that the sender retains of them, so they leave no gap.
//   - A row is replaced by a newer one only (boot, then sequence); a peer's own row comes from
//     itself alone.
//   - Signatures are not checked here: who calls Receive has done it, and leaves out a whole object
//     where one of its operations fails.
package replication
