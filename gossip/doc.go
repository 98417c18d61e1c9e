// Package gossip says who is in the cluster: which peers are here, where they listen, how much room
// they have for containers and how well they feel. It is a contract; gossip/swim fulfils it with
// serf, gossip/gossiptest with a script.
//
// Membership is a rumour, kept by each peer for itself. Two peers may hold different things of a
// third, for as long as they cannot hear each other or news has not spread. So nothing here decides
// anything: what follows from a change is placement's business, and a member that failed stays
// known, because a failed peer may only be cut off (P5).
//
//	         joins                    does not answer
//	unknown --------> Alive ------------------------------> Failed
//	                  ^   \  (Suspect in between, while this   |
//	                  |    \  peer makes sure of it)           |
//	                  |     \ says goodbye                     | is heard again
//	                  |      +-------------> Left              |
//	                  +---------------------------------------+
//
// Invariants of every implementation:
//   - Members lists this peer itself, and lists every member once, sorted by ID;
//   - a change is handed out after Members shows it, in order for each member; of several quick
//     changes of one member, the earlier ones may be left out, the last one never is;
//   - the function that changes are handed to is called from one goroutine at a time, and is not
//     called any more once Close has returned;
//   - no method waits for another peer for longer than its context, or some seconds, allows.
//
// It does not carry state: what users want and what peers observe goes over peer/stream, because
// gossip has room for 512 bytes per peer and drops what overflows. It does not authenticate either,
// beyond the key that all peers of a cluster share: whom to believe is peer/trust's business.
package gossip
