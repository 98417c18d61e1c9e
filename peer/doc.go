// Package peer is one peer of a cluster: it binds the control core to the world.
//
//	            gossip.Cluster ─┐                     ┌─> runtime.Runtime
//	peer.Streams (libp2p) ──────┤  events    outputs  ├─> peer.Streams
//	runtime.Runtime, Prober ────┼──────> Run ─────────┼─> peer.Store (first of all)
//	API: Read, Write, Leave ────┘   Step, Flush       └─> gossip.Cluster, replies
//
// Run is the one loop. It collects events at its own pace, hands them to control.Machine,
// flushes once, and carries out what comes back: what must be on disk is written first, so
// that nothing that was acknowledged or sent can be forgotten (P2). Whatever takes time runs outside
// the loop and comes back as an event; the loop itself waits only for the disk.
//
// The contracts of the adapters (Store, Streams, Prober, and Backend, which the API
// serves from) stand in ports.go. The package knows no adapter: cmd/shoal chooses them, and the bubble and
// machine worlds of testnet choose others.
//
// # From a stream to the loop
//
//	stream, intent ──────> read ──> queue of the sender ─┐            ┌─> channel of 256 ──> loop: first
//	                                                     ├─> checkers ┤
//	stream, observations ─> read ──> queue of the sender ─┘            └─> rowBox ─────────> loop: then, a few
//
// Intent and observations have separate streams, queues and ways into the loop (Lane). A few workers check signatures, many
// at a time where that is cheaper (trust.VerifyAll), intent first; what one sender says on one lane stays in order.
//
// Bounds, and what happens there: of one sender on one lane 64 messages or 4 MiB wait to be checked, then its stream waits
// (intake). At most 256 checked messages of intent and 1,024 commands wait for the loop, then their senders wait. Of
// observations only the newest row of each peer waits, 32 MiB in all, and what is beyond is dropped (rowBox). Membership
// news and probe results are kept newest per subject. One turn of the loop takes in at most 512 messages or about 2,048
// operations, and 256 rows, or 32 while intent is left waiting. One action per instance is in flight, and at
// most 8 instances are prepared or started at once.
//
// # Trust
//
// Everything that arrives is checked before it becomes an event. An operation needs a
// signature by a peer whose certificate chain ends at the cluster's root and may write; a row needs its own
// peer's signature. What fails is dropped, counted by reason and sender, and named in the audit (P11): 256 entries and
// counters for 1,024 peers, in memory.
//
// # What goes wrong
//
//   - A panic in reading, checking, deciding, writing or an adapter ends nobody (P13). The control core and the checkers set
//     aside what they were at; beyond that the loop takes events in one by one until it has found the one that does
//     it, and leaves that out from then on (faults.go).
//   - A full disk refuses commands, and everything else goes on (commit.go). Any other failure of the disk ends the peer:
//     what it could not write it must not acknowledge.
//   - A watchdog says when the loop does not turn, and when live peers do not answer reconciliation, and begins the
//     streams of a silent one anew (watch.go).
package peer
