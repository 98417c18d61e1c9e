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
// A message that does not pass waits behind a stuck connection, see connection.go. Clocks are years off, stand still or
// begin in 1970. Time in which nothing is done can be skipped, so that a year costs less than a second: World.Age. In a large
// world machines share what they would work out alike, see memo.go.
//
// What is done to a world is a Script, made from a seed alone: Random is a life of faults and commands, Away one of
// separations of a second to a year. The promises are checked by package promise: at every commit and flush those that can be
// told from it, at rest all of them. A script that fails is made smaller (Shrink), printed, and left in a file, with
// the command that replays it; these replay a seed and a file:
//
//	go test ./testnet/heap -run 'TestSeed$' -seed N
//	go test ./testnet/heap -run 'TestScript$' -script FILE -show
//
// A seed that failed once stays in testdata/seeds.txt. TestPlantedFaultsAreFound plants faults on purpose (plants.go), one at
// a time, and demands that the checker which it names finds each.
//
// What peers send is counted where Options.Accounts asks for it; membership is worked out by the formula in traffic.go.
//
//	go test ./testnet/heap -run NONE -bench Thousand -benchtime 1x    1,000 peers, 10 virtual minutes with faults
//	go test ./testnet/heap -run NONE -bench Rest -benchtime 1x        what 1,000 peers at rest send
package heap
