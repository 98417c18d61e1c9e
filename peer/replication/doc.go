// Package replication brings every operation and every row to every peer. It decides what to say
// to whom; streams carry it. It is pure: a Machine has no clock and does no I/O.
//
// # Push
//
// What a peer writes it pushes at once to some live peers, and each pushes on what was new to it
// (Demers et al., "Epidemic Algorithms for Replicated Database Maintenance", 1987). Of an operation that has
// seen others which are not here, those are asked of who sent it. A writer that must know asks for acks:
// they go out after the commit of who gives them.
//
// Rows go to all live peers while there are at most 16. Beyond that PassRows hands out what is new, so
// that rows of many peers share messages.
//
// # A round
//
// What pushes missed (loss, splits, restarts) is found by comparing with one live peer, by coded symbols (crdt/sketch):
//
//	A                                     B
//	|── Digest{Root, Count, RowRoot} ────>|   equal: B answers Digest, the end and the usual case
//	|<─ Symbols ──────────────────────────|   of B's operations; about 1.4 for each difference
//	|── More ────────────────────────────>|   while A cannot decode; beyond 190,000 differences: by parts
//	|<─ Symbols ──────────────────────────|
//	|── Objects, Want ───────────────────>|   what B lacks, and the names of what A lacks
//	|<─ Objects ──────────────────────────|
//
// The cost is near the size of the difference. All operations on one object that the other side lacks travel
// together and in the order of stamps, so that they leave no gap. 4 MiB go at once; the rest waits until it is asked
// for (Want.Left). Rows are compared by the same means in messages of their own, of the lane Observation: RowSymbols,
// RowMore, RowWant and Rows. A row of this peer that is newer than its own is reported (Received.Ahead).
//
// B remembers nothing of a round but what it still owes, A one round at a time. Each message can be lost, repeated
// or late: what does not fit is ignored, and the next round repairs it.
//
// # Filling
//
// A peer that holds less than an eighth of another fetches everything in pages of about 1 MiB, in the order of
// crdt.Set.KeysAfter, from one partner at a time:
//
//	|── Fill{After} ─────────────────────>|
//	|<─ Page{After, Until, Objects} ──────|   and so on until Last; then a round
//
// Its place is the end of a page, so that another partner can go on. Meanwhile it tells all others that it is Busy.
//
// # Floors and doubt
//
// Peers that have applied different floors differ in what they have forgotten. They send each other the object
// that closes floors, and compare again when both have applied the same one. A peer that did not attest a floor
// is in doubt: see Doubt.
//
// # Bounds
//
//	lists in a message     1 MiB, or one item; one object's operations 2 MiB, more go in numbered parts
//	an answer              4 MiB, or 65,536 symbols
//	owed to others         the names of 2^18 operations each for 8 peers; the oldest is forgotten
//	rounds                 1 opened for intent and 1 for rows, 2^18 symbols each
//	refusals named         256 for each message
//
// A transfer that stands still for 5 calls of Reconcile is given up; a round without bulk for 2.
//
// # Invariants
//
//   - Nothing is taken that claims to have seen what the sender held back.
//   - A row is replaced by a newer one only (boot, then sequence); a peer's own row comes from
//     itself alone.
//   - A peer in doubt gives nobody what may have been forgotten, and drops nothing before it has all that its partner holds.
//   - Signatures are not checked here: who calls Receive has done it, and leaves out a whole object
//     where one of its operations fails (Message.Sift).
package replication
