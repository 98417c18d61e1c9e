// Package bubble is the second of the three worlds: whole peers, with the one loop, serf, and libp2p, inside
// testing/synctest. Packets travel in memory, runtimes are imagined, time is virtual.
//
//	real      peer.Run, control and all below, gossip/swim, peer/stream, peer/api, signatures
//	imagined  packets (gossip/gossiptest), containers (runtime/runtimetest), the disk (a store in memory that
//	          keeps what was committed)
//
// A run is not replayed: goroutines take turns as they like. What is checked are the promises (testnet/promise)
// once things are quiet, what happened between moments that a test chooses, and each copy that is begun or stopped, when
// its program asks for that (promise.Course).
//
// A World must be made inside synctest.Test and closed before the test's function returns.
package bubble
