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
// Bounds: at most 256 received messages and 1,024 writes wait for the loop, then their senders wait; membership
// news and probe results are kept newest per subject; one action per instance is in
// flight, and at most 8 instances are prepared or started at once.
//
// Trust: everything that arrives is checked before it becomes an event. An operation needs a
// signature by a peer whose certificate chain ends at the cluster's root and may write; a row needs its own
// peer's signature. What fails is dropped and counted (P11).
package peer
