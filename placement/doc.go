// Package placement decides which peer runs which replica.
//
// View.Plan is a pure function from what one peer knows to an assignment for every wanted
// replica. Nothing else in Shoal decides where things run. There is no vote: peers with equal
// views compute equal plans, to the byte, on every architecture. The package never looks at a
// clock, at load, or at anything but the View.
//
//	view ──► hold ──► keep ──────────► place ─────────────► plan
//	         room of  incumbents on    the rest, largest
//	         all that fit peers stay   first, by hash
//	         is held
//
// Hold: every incumbent holds its room on its peer until it is gone, also a surplus one, one of
// an older revision and one that is stopping. So a plan never overdraws a peer's room.
//
// Keep: an incumbent with the wanted revision stays while its peer is live, is not draining,
// matches the node selector and has not refused it. (A ready incumbent disproves a refusal.)
// Where several peers hold one replica, as after a split has healed, a ready one stays before
// one that is not, and among those the first in the replica's own hash order: equal on every
// peer, and spread over the peers as the hash spreads.
//
// Place: the others are placed one by one, the largest request first. Each goes to the first
// peer with room in its own order of weighted rendezvous hashing: a peer's weight is its room
// and health. Before the hash counts the balance of the workload: peers below their share of
// its replicas come before peers at it, and those before peers above it (consistent hashing
// with bounded loads with the bound at the share itself, Mirrokni et al. 2016). It is a wish, not
// a rule: where nothing else fits, a peer takes more than its share.
//
// Room is tight when this leaves pending what some peer could run if it were empty. Then the
// others are placed once more, each on the best fitting of its first choices, and that plan is
// taken if it places more.
//
// Rules: what a replica asks beside room are Kubernetes' rules (node selector and affinity, taints and tolerations, affinity
// and anti-affinity between replicas, topology spread, host ports, extended resources), in two layers. The ground is what is
// about a peer alone; replicas that ask the same share one. The terms are about what else is where: counts for each domain of
// each topology key follow every placement, so that one peer is judged in a few look-ups, however many replicas there are.
// Rules that are preferred make a cost, which counts before balance and hash.
//
// Explain: Explain gives every peer's verdict with all that speaks against it, Remedy the smallest single change after which
// what is pending would fit, Contradiction what no peer could ever meet.
//
// Invariants, each with a property test: the order of the input means nothing; no incumbent
// that could stay moves; losing a peer moves its own replicas only; the plan stays within the
// room that is left; while room is not tight a plan that some peers have carried out already and
// others have not is still the same plan.
//
// A plan costs about the number of incumbents, plus for each replica that has to be placed the
// number of peers.
package placement
