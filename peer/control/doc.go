// Package control is the control core of one peer: a pure state machine that turns facts into
// decisions. It has no clock, randomness, I/O, goroutine, lock or log; all of these come in as
// events and go out as data, so that the same core runs in a simulation and on a machine.
//
//	events ──Step──▶ inbox ──Flush──▶ Output: what to persist, reply, send, run, tell
//
// Step only records. Flush takes in everything recorded since the last one, decides once, and
// returns all there is to do. What it persists must be on disk before anything else leaves.
//
// In one flush, in this order:
//
//  1. facts are taken in: writes are checked, stamped, sealed and merged; replication messages
//     are merged; members, rows, answers of the runtime and probes are noted;
//  2. objects that changed become workloads (manifest), each on its own: one that is invalid, or
//     that makes the code fail, is held at the latest form of it that works (P13);
//  3. members, rows, workloads and what intent says of peers (nodes.go) become a placement.View. A row is what its peer
//     says of itself, this peer's own included, so peers with equal rows have equal views and plans (P3). What passes with time
//     rises in steps (steps.go). Only what has changed is handed to the planner (feed.go);
//  4. the plan is followed: what is assigned here is admitted if it fits (P6) or refused; what is
//     held here but belongs elsewhere is stopped once its successor was seen ready (P7). Three things go before: what is displaced by
//     a higher priority, what has the ports or devices that its own next revision needs, and what may never be twice
//     (move.go, lease.go). A move goes on until the other copy is gone, or is given up (move.go). Refusals of the same last longer each
//     time, so that nothing goes round and round (refuse.go). A budget holds back what is handed over (budget.go);
//  5. every instance climbs its ladder by at most one action;
//  6. this peer's own row is sealed if anything in it changed.
//
// The ladder of an instance:
//
//	Admitted ─▶ Preparing ─▶ Starting ─▶ Running ─▶ Stopping ─▶ gone
//	                            ▲           │
//	                            └─ BackOff ◀┘ a container ended
//
// Invariants: nothing stops because a peer cannot be heard (P5). Stamps of this writer rise
// strictly, whatever the wall clock does. At most one action of an instance is under way, and
// answers to older ones are dropped. Nothing new is started while a peer that may hold it is known
// to be there but has not yet said what it runs (Tuning.Settle bounds that wait). Everything put
// out is in a sorted order.
//
// Besides, a machine
//
//   - forgets deletions once all peers hold them (floor.go), and settles with the others when it was not asked (doubt.go);
//   - keeps an index of conflicts, the history of objects and the acknowledgements of writes;
//   - measures clocks (skew.go);
//   - tells what happened here, and what led to it (cause.go), in its row, and keeps a book of what others told (happened.go);
//   - keeps on disk what peers hold that are waited for when they are lost (keptrows.go);
//   - writes a receipt of each reunion (heal.go), and looks ahead when it is asked what would be (foresee.go);
//   - sets aside what makes the code fail, one by one, also over restarts (aside.go).
//
// What of that must outlive the program is in Persist.Records, under the names in records.go.
//
// The inbox is bounded by the loop that feeds it; notes by 1,000; the book of what others told by 512, 32 of each, and on disk by the
// newest 16 of 64 lost peers; receipts by 32, each by 256 of a sort; rows on disk by 16 MiB; refusals by what is wanted; awaited writes by
// 1,024, things set aside by 1,024, audit entries by 256 and history entries by 1,024 in one flush, measured clocks by 128, own
// writes that may have to be made again by 512: the oldest go. Rows of this peer are made at most 8 at once and then one each
// Tuning.RowEach, more seldom where many peers are live; of others 128 messages with rows are taken in one flush that has intent to do.
package control
