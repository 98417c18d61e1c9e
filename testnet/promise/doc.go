// Package promise checks the promises of the design (P1 to P14) on what a world shows of itself.
//
// The three worlds (event heap, synctest bubble, real machine) each describe themselves as a
// Snapshot: what is true in the world, seen from outside, not what a peer believes, except where a
// field says so. The checkers then are the same for all three. A checker never looks
// at a clock and knows no world; it returns one Violation per broken case, sorted.
//
//	at every moment       Always        P6
//	when all is quiet     AtRest        P1 P2 P3 P4 P6 and "converged"
//	between two moments   CutAlone      P5   nothing happened but a cut, or its end
//	                      NeverDown     P7   no replica that ran ceases to run
//	                      MovedOnlyNeeded P8 two moments of rest
//	                      RunsOn        P8   from a cut to a rest after it
//	                      SameContainers P10 a peer's program died and came back
//
// A world that sees every commit can also tell them to a Watch, event by event. It finds at once, at the cost of what
// the event touched:
//
//	P2   a write acknowledged, or dropped, or gone from a disk, without a reason; a stamp used twice
//	P3   one object shown in two ways by peers that hold the same writes, or otherwise than the writes say; two rows
//	     under one version, a row that falls back
//	P4   what was deleted coming back; a deletion forgotten before all have had it
//	P11  a write that nobody made who may
//	P12  anything that is longer than its bound
//	P13  a bad value that is tried again and again
//
// "Quiet" is the world's word: no event that changes anything is under way, as far as it can
// tell. While a network is cut every side has its own rest, and Peer.Side tells sides apart.
//
// P9 and P14 are seen by neither: they are tested where they are kept.
package promise
