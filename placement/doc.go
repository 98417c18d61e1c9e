// Package placement decides which peer runs which replica.
//
// View.Plan is a pure function from what one peer knows to an assignment for every wanted
// replica. Nothing else in Shoal decides where things run. There is no vote: peers with equal
// views compute equal plans, to the byte, on every architecture. The package never looks at a
// clock, at load, or at anything but the View. Planner gives the same plans, to the bit, at the cost of what changed.
//
//	view ──► hold ──► keep ───────► place ──────► displace ──► balance ──► plan
//	         room of  incumbents    the rest,     lower        to peers
//	         all that on fit peers  largest       priority     that came,
//	         is held  stay          first         makes room   from sick ones
//
// Hold: every incumbent holds its room on its peer until it is gone, also a surplus one, one of
// an older revision and one that is stopping. So a plan never overdraws a peer's room.
//
// Keep: an incumbent with the wanted revision stays while its peer is live, is not draining,
// matches the node selector, has no taint that sends it away and has not refused it. (A ready
// incumbent disproves a refusal.) Where several peers hold one replica, as after a split has healed, one that arrives in a move
// stays first, then a ready one before one that is not, and among those the first in the replica's own hash order: equal on every
// peer, and spread over the peers as the hash spreads. What a lost peer holds waits there for as long as the replica asks.
//
// Place: the others are placed one by one, those of higher priority and the largest first. Each
// has an order of all peers, by weighted rendezvous hashing: a peer's weight is its room
// and health. Of the first eight of them with room for it, the peer is taken that has less than its share of
// the workload, and then the one that is filled least, of all that it is to run. Where preferences speak, the eight are of
// those that cost the least. Shares are a wish, not a rule: where nothing else fits, a peer takes more than its share.
//
// Room is tight when this leaves pending what some peer could run if it were empty. Then the
// others are placed once more, each where it fits best, and that plan is taken if it places more.
//
// Displace: what is pending takes the room of lower priority, where the least important has to go.
//
// Balance: a peer that came not long ago is filled up to its share with what others began before, and peers whose health fell are
// emptied, within budgets. Nothing else is moved.
//
// Invariants, each with a property test: the order of the input means nothing; no incumbent
// that could stay moves but for the balance; losing a peer moves its own replicas only; the plan stays within the
// room that is left, but for displacers, which wait for it; rebalancing ends, within its budgets; while room is not tight a plan that
// some peers have carried out already and others have not is still the same plan.
//
// A plan costs about the number of incumbents, plus for each replica that has to be placed some hundred steps along its hash order, or the number of
// peers where room is tight, and where few peers have what is preferred.
package placement
