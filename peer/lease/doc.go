// Package lease sees to it that what may run once only runs once: a peer runs a replica only while it holds a lease for it, which
// a majority of recorded witnesses granted. Leases are those of Gray and Cheriton ("Leases: An Efficient Fault-Tolerant
// Mechanism for Distributed File Cache Consistency", SOSP 1989): they end by themselves, so that a holder nobody hears of any more
// need not be asked. The argument for their safety is in docs/decisions/0010.
//
//	holder   ask 7 (sent at 20 s) ──────▶ a, b, c        counts from 20 s, by its clock, 1 % less than the term
//	         ◀── granted ────────────────  a, b          each counts from when it granted, by its clock, 1 % more
//	         holds the lease until a majority's grants are over: the median of what it counts
//
// A witness grants one name to one peer at a time. A holder that is content with it names a successor (Need.Next), which then gets a
// grant beside it: so a planned move need not stop the old one first. A holder that has stopped says so, and the witness is free at
// once.
//
// # What a witness must not forget
//
// Grants are kept in memory. Who got them is also in records, which are on disk before a grant leaves. They count only within one
// session: the life of what outlives the program but neither the machine's boot nor its disk (the supervisor process). So after a crash or
// an upgrade of the program those who had grants keep them, as if they had been granted at its start. In another session
// the witness grants nothing for one term. The records hold no time: clocks may step, and a disk may be old.
//
// # Who is who
//
// The adapter of streams authenticates who a message comes from, and that alone says who asks and who grants: no message names its sender. An
// answer counts only for the round of the program's life that it answers, which a random number names.
//
// # Bounds
//
// A witness keeps at most 2,048 grants and refuses more. A message carries at most 1,024 names; whoever needs more sends several, and
// all that is due at about the same time goes together. A holder remembers its last 64 rounds; older answers are dropped.
//
// The package is pure: time comes in as spans of a clock that never steps and that counts suspends.
package lease
