// Package house holds the rules of the house as tests: who may import whom, and which packages are pure.
//
// The table in imports_test.go is the drawing of the project's structure. An arrow that is not in it does not
// compile into a green build:
//
//	cmd/shoal ──> everything, and chooses the adapters
//	testnet   ──> everything, and builds worlds
//	peer      ──> control, replication, trust, wire ──> crdt, placement, gossip, runtime
//	adapters  ──> the contract above them, and one heavy module each
//	leaves    ──> no package of ours
//
// The package never holds code that runs in Shoal.
package house
