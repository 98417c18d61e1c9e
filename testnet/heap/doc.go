// Package heap is the heap world: whole clusters in one goroutine, in virtual time, replayed
// exactly from a seed.
//
// Real in it: peer/control, crdt, placement, peer/replication, peer/wire and peer/manifest.
// Modelled: membership, network, runtime, probes, disk, clocks, and the loop around control.
//
//	        ┌─────────── engine: heap of (time, number, action), one generator ───────────┐
//	        │                                                                              │
//	faults ─┤   peer p1            network               peer p2                           │
//	        │   control.Machine ── delay, loss, ──────▶ control.Machine                    │
//	        │   disk, runtime      duplicates, cuts     disk, runtime                      │
//	        └──────────────────────────────────────────────────────────────────────────────┘
//
// A World has no goroutine and no clock of its own. Everything random in it, also what the
// machines draw, comes from one generator, so that equal seeds and equal calls give equal worlds, to
// the last event: World.Fingerprint says whether two were. Nothing in a World may iterate over a
// map where the order could be seen.
//
// What the models promise is what the adapters promise in their contracts, and the worst of it. A
// program that dies while it commits has committed all or nothing. A program that dies
// during a runtime's action leaves it done or not done. Containers outlive their program and
// end with the power of their machine. Messages may be late, lost, doubled and out of order. News
// of members comes late, at other times on other peers.
//
// The promises are checked by package promise: at every flush those that hold always, at rest all of
// them. A failure prints its seed first and last; the command
//
//	go test ./testnet/heap -run 'TestSeed$' -seed N
//
// replays it, and a seed that failed once stays in testdata/seeds.txt.
package heap
